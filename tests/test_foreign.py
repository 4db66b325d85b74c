"""Other people's models and baselines: functions from frames to a map are accepted wherever our models are."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from test_teachers import gentle_model

from tinyhd_lib import BadInput, open_runtime, predict
from tinyhd_lib.cli import main
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.export import export_model
from tinyhd_lib.models.baselines import BASELINES
from tinyhd_lib.models.spec import Sampling
from tinyhd_lib.training.loop import train
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.viewer.sources import open_maps

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (20, 192, 256, 3), np.uint8)
ADAPTER = '''
def saliency(frames):
    """Return how green the last frame is."""
    return frames[-1, ::2, ::2, 1]
'''


def maps_of(model: object, pictures: np.ndarray = PICTURES) -> np.ndarray:
    return np.stack([each.map for each in predict(pictures, model)])


def test_a_function_sees_the_sixteen_frames_that_end_on_each_and_gives_its_map() -> None:
    seen = []

    def saliency(frames: Map) -> Map:
        seen.append(frames)
        return frames[-1].mean(axis=-1)

    found = maps_of(saliency)
    assert len(seen) == len(found) == len(PICTURES)
    for number in (15, 19):
        np.testing.assert_allclose(seen[number], PICTURES[number - 15 : number + 1] / 255, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found[number], (PICTURES[number] / 255).mean(axis=-1), rtol=0, atol=1e-6)


def test_a_map_of_any_size_is_brought_to_ours() -> None:
    found = maps_of(lambda frames: cv2.resize(frames[-1, ..., 0], (64, 48), interpolation=cv2.INTER_AREA))
    small = cv2.resize(PICTURES[19, ..., 0].astype(np.float32) / 255, (64, 48), interpolation=cv2.INTER_AREA)
    assert found.shape[1:] == (192, 256)
    np.testing.assert_allclose(found[19], cv2.resize(small, (256, 192)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("saliency", "told"),
    [
        (lambda frames: frames[-1], r"gave \(192, 256, 3\); a map is \(h, w\)"),
        (lambda _frames: None, r"<lambda>: gave \(\)"),
        (lambda frames: frames[0, 0, 0, 9], "<lambda>: IndexError: index 9 is out of bounds"),
        (lambda frames: frames[:0, 0, :, 0], r"gave \(0, 256\)"),
        (lambda frames: frames[-1, ..., 0] - 2, r"gave \(192, 256\); a map is \(h, w\), finite, 0 and more"),
        (lambda frames: frames[-1, ..., 0] * np.nan, "a map is .* finite"),
    ],
)
def test_what_is_no_map_is_refused(saliency: Callable[[Map], Map], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        maps_of(saliency)


def test_a_python_file_stands_where_weights_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter, video = tmp_path / "mine.py", tmp_path / "frames"
    adapter.write_text(ADAPTER)
    video.mkdir()
    for number, picture in enumerate(PICTURES):
        cv2.imwrite(str(video / f"{number:03d}.png"), picture[..., ::-1])
    command = ["predict", str(video), "--weights", str(adapter), "--maps", "npz", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    with np.load(tmp_path / "out" / "19.npz") as stored:
        found = next(iter(stored.values()))
    np.testing.assert_allclose(found, maps_of(str(adapter))[19])
    record = json.loads((tmp_path / "out" / "run.json").read_bytes())
    assert record["details"]["model"] == "mine"
    np.testing.assert_allclose(open_maps(adapter, video).map(3), maps_of(str(adapter))[3], rtol=0, atol=1e-3)
    adapter.write_text("frames = 1\n")
    assert main([*command, "--force"]) == 2
    assert "defines no function saliency(frames)" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["nowhere.py", "nowhere.onnx", "baseline:center", "baseline:"])
def test_what_is_not_there_is_told_in_a_line(model: str) -> None:
    with pytest.raises(BadInput, match=r"no such weights file|no such baseline: choose from centre, spectral, motion"):
        maps_of(model)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("mine.py", b"def saliency(", "mine.py: SyntaxError: "),
        (
            "mine.py",
            b"import nothing_like_it",
            "No module named 'nothing_like_it' (mine.py, line 1)",
        ),
        ("mine.py", b"def saliency(frames):\n    return frames @ frames", "(mine.py, line 2)"),
        ("mine.onnx", b"no network", "mine.onnx: InvalidProtobuf: "),
    ],
)
def test_a_file_that_fails_by_itself_is_told_in_a_line(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(told)) as caught:
        maps_of(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", [["export", "--to", "torch"], ["weights", "convert"]])
def test_they_are_not_exported_or_converted(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "baseline:motion"]) == 2
    assert "a model of other software, which can only predict and teach" in capsys.readouterr().err


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_maps_and_have_names(name: str) -> None:
    found = maps_of(f"baseline:{name}")
    assert found.shape == (20, 192, 256)
    assert found.min() >= 0
    assert (np.ptp(found[1:], axis=(1, 2)) > 0).all(), "of the first frame nobody knows what moves"


def test_baselines_see_what_they_are_made_for() -> None:
    centre = BASELINES["centre"](np.zeros((16, 91, 121, 3), np.float32))
    assert np.unravel_index(centre.argmax(), centre.shape) == (45, 60)
    np.testing.assert_allclose(centre, centre[::-1, ::-1], rtol=0, atol=1e-6)
    still = np.repeat(RNG.random((1, 96, 128, 3), np.float32), 16, axis=0)
    assert BASELINES["motion"](still).max() == 0
    moving = still.copy()
    moving[::2, 60:70, 30:40] = 0
    row, column = np.unravel_index(BASELINES["motion"](moving).argmax(), (96, 128))
    assert abs(row - 64.5) < 6
    assert abs(column - 34.5) < 6
    stripes = np.zeros((16, 96, 128, 3), np.float32)
    stripes[:, :, ::8] = stripes[:, :, 1::8] = 1
    stripes[:, 40:50, 90:100] = RNG.random((10, 10, 1))
    unusual = BASELINES["spectral"](stripes)
    row, column = np.unravel_index(unusual.argmax(), unusual.shape)
    assert abs(row * 96 / unusual.shape[0] - 45) < 12
    assert abs(column * 128 / unusual.shape[1] - 95) < 12


def network(path: Path, shape: list[int | str], kind: int = TensorProto.FLOAT, axes: tuple[int, ...] = (1, 2)) -> Path:
    """Write an ONNX model that maps a clip to the mean of its absolute values over some axes."""
    nodes = [
        helper.make_node("Cast", ["clip"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Abs", ["number"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axes"], ["map"], keepdims=0),
    ]
    given = helper.make_tensor_value_info("clip", kind, shape)
    answer = helper.make_tensor_value_info("map", TensorProto.FLOAT, None)
    where = helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)
    graph = helper.make_graph(nodes, "network", [given], [answer], [where])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_an_onnx_file_gets_clips_or_frames_in_its_own_size(tmp_path: Path) -> None:
    clips = maps_of(network(tmp_path / "clips.onnx", ["n", 3, 8, 96, 128]))
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    last = np.stack([cv2.resize(each, (128, 96)) for each in PICTURES[12:20].astype(np.float32) / 255])
    expected = np.abs((last - mean) / deviation).mean(axis=(0, 3)).astype(np.float32)
    np.testing.assert_allclose(clips[19], cv2.resize(expected, (256, 192)), rtol=0, atol=1e-4)
    frames = maps_of(network(tmp_path / "frames.onnx", ["n", 16, "h", "w", 3], TensorProto.UINT8, (1, 4)))
    np.testing.assert_allclose(frames[19], PICTURES[4:20].mean(axis=(0, 3)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [["n", 3, 192, 256], ["n", 4, 16, 192, 256]])
def test_an_onnx_file_that_takes_no_video_is_refused(shape: list[int | str], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a video model takes \(N, 3, T, H, W\)"):
        maps_of(network(tmp_path / "other.onnx", shape))


@pytest.mark.slow
def test_our_own_model_exported_as_onnx_gives_our_own_maps(tmp_path: Path) -> None:
    model = gentle_model("d2_S")
    model.sampling = Sampling(3)
    export_model(model, tmp_path / "ours.onnx", "onnx")
    ours = [each.map for each in predict(PICTURES[:6], model)]
    assert np.std(ours) > 1e-3
    theirs = [each.map for each in predict(PICTURES[:6], tmp_path / "ours.onnx")]
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-5)
    assert open_runtime(tmp_path / "ours.onnx").sampling == model.sampling


def test_the_adapter_in_the_docs_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Recurrent(torch.nn.Module):
        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            return torch.log(clip[:, :, 1, ::4, ::4].cumsum(dim=1) + 1)

    monkeypatch.chdir(tmp_path)
    torch.export.save(torch.export.export(Recurrent(), (torch.zeros(1, 8, 3, 224, 384),)), "mine.pt2")
    docs = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text(encoding="utf-8")
    Path("mine.py").write_text(docs.split("```python\n")[1].split("```")[0])
    frames = PICTURES[4:20].astype(np.float32) / 255
    green = np.stack([cv2.resize(frame, (384, 224))[..., 1] for frame in frames[-8:]]).sum(axis=0)[::4, ::4] + 1
    np.testing.assert_allclose(maps_of("mine.py")[19], cv2.resize(green, (256, 192)), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["baseline:motion", "mine.py"])
def test_they_teach(
    teacher: str, tmp_path: Path, made_up: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(ADAPTER)
    learning = {
        "optimiser": "adamw",
        "lr": 0.01,
        "fusion_lr": 10.0,
        "clip_norm": 1.0,
        "epochs": 2,
        "clips_per_video": 2,
    }
    data = {"auxiliary": "folder", "auxiliary_dir": str(made_up("gaze")), "size": (64, 64)}
    recipe = Recipe("S-r4", teachers=teacher, terms={"teacher_map": 1.0}, **learning, **data)
    losses = [
        entry["terms"]["teacher_map"] for entry in train(recipe, tmp_path / "out", device="cpu") if "terms" in entry
    ]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["details"]["teacher"]["name"] in {teacher, "mine"}
