"""Exported models run in other software with any batch and size and give torch's maps, or no file is written."""

import json
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from conftest import ROOT, random_model
from test_teachers import gentle_model
from torch.export import ExportedProgram

from tinyhd_lib import BadInput, ModelSpec, load_model, save_model
from tinyhd_lib.cli import main
from tinyhd_lib.data.transforms import preprocess
from tinyhd_lib.export import FORMATS, compare, export_model
from tinyhd_lib.models.graph import INPUTS, FromClips, FromFrames, exported_program
from tinyhd_lib.models.spec import PARITY_TOLERANCE

pytestmark = pytest.mark.slow

NAME = "workbench-m-r4"  # the name of the files in the documentation
SMALL = "S-r8-D2"  # the quickest

PAGE = (ROOT / "docs/deployment.md").read_text()
EXAMPLES = dict(re.findall(r"## (\w+)\n.*?```python\n(.*?)```", PAGE, flags=re.DOTALL))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of sixteen maps, with the fewest layers."""
    path = tmp_path_factory.mktemp("weights") / "m.safetensors"
    save_model(gentle_model("d2_M"), path, {})
    return path


@pytest.fixture(scope="module")
def traced(weights: Path) -> ExportedProgram:
    """The graph of that model with frames as its input, from which all formats are made."""
    takes = INPUTS["frames"]
    return exported_program(takes.module(load_model(weights)), takes.example(), takes.free)


@pytest.fixture(scope="module", params=FORMATS)
def exported(
    request: pytest.FixtureRequest, weights: Path, traced: ExportedProgram, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """That model in a file."""
    path = tmp_path_factory.mktemp("exported") / f"{NAME}{FORMATS[request.param].suffixes[-1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyhd_lib.export.exported_program", lambda *_: traced)
        assert main(["export", str(weights), "--to", request.param, "--input", "frames", "--out", str(path)]) == 0
    return path


def kind(path: Path) -> str:
    return next(name for name, each in FORMATS.items() if each.suffixes[-1] == path.suffix)


def test_any_batch_of_frames_of_any_size_gives_torchs_maps(exported: Path, weights: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 90, 170, 3), np.uint8)
    clips = np.stack([[preprocess(image) for image in clip] for clip in frames]).swapaxes(1, 2)
    with torch.inference_mode():
        expected = FromClips(load_model(weights).eval())(torch.from_numpy(clips)).numpy()
    assert expected.std() > 5e-4
    run = FORMATS[kind(exported)].load(exported)
    assert np.abs(run(frames) - expected).max() < 1e-5
    assert np.abs(run(frames[:1]) - expected[:1]).max() < 1e-5


def test_the_file_says_what_it_is(exported: Path) -> None:
    if exported.suffix == ".onnx":
        model = onnx.load(exported)
        onnx.checker.check_model(model, full_check=True)
        said = {entry.key: entry.value for entry in model.metadata_props}
        session = onnxruntime.InferenceSession(exported)
        assert session.get_inputs()[0].shape == ["batch", 16, "height", "width", 3]
        assert session.get_outputs()[0].shape == ["batch", 16, 192, 256]
    elif exported.suffix == ".xml":
        read = openvino.Core().read_model(exported)
        said = dict(read.get_rt_info("tinyhd").value)
        assert read.input(0).partial_shape.to_string() == "[?,16,?,?,3]"
        assert (read.input(0).any_name, read.output(0).any_name) == ("frames", "maps")
    else:
        files = {"tinyhd.json": ""}
        torch.export.load(exported, extra_files=files)
        said = json.loads(files["tinyhd.json"])
    assert ModelSpec(**json.loads(said["spec"])).label == said["model"] == "M r1 D2"
    assert said["input"] == str(INPUTS["frames"])
    assert len(said["weights"]) == 64


def test_the_example_in_the_documents_runs(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (*exported.parent.iterdir(), ROOT / "example_data/pursuit.mp4"):
        Path(file.name).symlink_to(file)
    code = EXAMPLES[kind(exported)]
    assert len(code.splitlines()) <= 10
    exec(compile(code, "docs/deployment.md", "exec"), {})
    picture = cv2.imread("last.png", cv2.IMREAD_GRAYSCALE)
    assert (picture.shape, picture.min(), picture.max()) == ((192, 256), 0, 255)


def test_a_model_of_one_map_gives_one(tmp_path: Path) -> None:
    model = random_model(SMALL)
    found = export_model(model, tmp_path / "s.pt2", "torch", "frames")
    assert found.maps == 2
    assert found.difference <= 1e-5
    weights = 4 * sum(tensor.numel() for tensor in model.state_dict().values())
    assert (tmp_path / "s.pt2").stat().st_size < 1.2 * weights + 2e6, "the file carries more than weights and graph"


def test_onnx_takes_clips_and_says_how_exact_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_model(random_model(SMALL), tmp_path / "small.safetensors", {})
    path = tmp_path / "m.onnx"
    assert main(["export", str(tmp_path / "small.safetensors"), "--to", "onnx", "--out", str(path)]) == 0
    assert onnxruntime.InferenceSession(path).get_inputs()[0].shape == ["batch", 3, 16, 192, 256]
    said = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert {record.name.split(".")[0] for record in said} == {"tinyhd_lib"}, "the converter's own chatter is kept away"
    told = r"against torch, 2 maps of pursuit.mp4: greatest difference \S+, least CC \S+"
    assert sum(bool(re.fullmatch(told, record.message)) for record in said) == 1


def test_a_model_that_differs_leaves_no_file_and_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(SMALL)
    run = torch.inference_mode()(FromFrames(model))
    differing = FORMATS["torch"]._replace(
        write=lambda _program, path, *_: path.write_bytes(b"differs"),
        load=lambda _path: lambda frames: run(torch.from_numpy(frames)).numpy() + 1e-4,
    )
    monkeypatch.setattr("tinyhd_lib.export.exported_program", lambda *_: None)
    monkeypatch.setitem(FORMATS, "torch", differing)
    path = tmp_path / "m.pt2"
    path.write_bytes(b"of before")
    with pytest.raises(BadInput, match="is there already"):
        export_model(model, path, "torch", "frames")
    with pytest.raises(BadInput, match=r"not written, for its maps differ from torch's by \S+ \(1e-05"):
        export_model(model, path, "torch", "frames", force=True)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("m.pt2", b"of before")]


def test_maps_of_another_shape_differ() -> None:
    maps = np.random.default_rng(0).random((2, 16, 8, 8), np.float32)
    assert compare(maps, maps) == (0.0, pytest.approx(1.0), 32)
    assert compare(maps[:, :1], maps).difference == np.inf
    wrong = maps.copy()
    wrong[1, 3, 2, 2] = np.nan
    assert not compare(wrong, maps).difference <= PARITY_TOLERANCE


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--out", "m.pt"], r"m\.pt: a model for onnx is a file \.onnx"),
        (["--out", "here/m.onnx"], "here: .*exists"),
    ],
)
def test_what_cannot_be_written_is_refused_first(
    options: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").write_bytes(b"")
    assert main(["export", NAME, "--to", "onnx", *options]) == 2
    assert re.search(reason, capsys.readouterr().err)
    assert [file.name for file in tmp_path.iterdir()] == ["here"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tinyhd_lib.export.find_spec", lambda _name: None)
    with pytest.raises(BadInput, match=r"needs onnx, onnxscript, onnxruntime \(pip install -e '\.\[export\]' from"):
        export_model(NAME, tmp_path / "m.onnx", "onnx")
    for to, takes, reason in (("tflite", "clips", "`to=tflite`"), ("torch", "film", "`input=film`")):
        with pytest.raises(BadInput, match=reason):
            export_model(NAME, tmp_path / "m.pt2", to, takes)
