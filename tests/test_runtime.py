"""Runtimes: each gives torch's maps, cached conversions are checked, and `auto` names and takes the fastest."""

import logging
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, random_model

from tinyhd_lib import MODEL_SPECS, BadInput, open_runtime
from tinyhd_lib.data.transforms import preprocess, to_grey
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.models import decoders, graph
from tinyhd_lib.models.source import model_source
from tinyhd_lib.prediction.inference import saliency_maps
from tinyhd_lib.runtime import base, eager
from tinyhd_lib.runtime.base import Unusable, conversion_key
from tinyhd_lib.runtime.eager import TorchRuntime

pytestmark = pytest.mark.slow

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")

SMALL = "S-r8-D2"  # the quickest


def clips_of(number: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((number, 3, 16, 192, 256), np.float32)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which `auto` finds no GPU."""
    monkeypatch.setattr("tinyhd_lib.runtime._may_be_there", lambda device: device not in {"triton", "cuda", "mps"})


# Torch


@pytest.mark.parametrize("row", MODEL_SPECS)
def test_every_model_survives_what_torch_does_to_it(row: str) -> None:
    """The code is the same on every device, so what would fail on a GPU (a memory format, a data type) fails here."""
    maps = TorchRuntime(model_source(random_model(row)), "cpu")(clips_of(1)[..., :64, :96])
    assert maps.shape == (1, MODEL_SPECS[row].outputs, 64, 96)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("row", ["d123s_rc4_rc1T", "d123m_rc4_rc1T", "d123_force_multi"])
def test_autocast_runs_every_kind_of_fusion(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyhd_lib.runtime.eager.check_exact", lambda *_: None)
    maps = TorchRuntime(model_source(random_model(row)), "cpu", "bfloat16")(clips_of(1))
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()


def test_a_model_keeps_its_layout_on_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting the memory format is slower, and fails for S, whose fusion is two-dimensional."""
    moved = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *args, **options: moved.append((args, options)) or module)
    TorchRuntime(model_source(random_model(SMALL)), "cpu")
    assert moved == [((torch.device("cpu"),), {})]


def test_a_model_stays_the_callers_own() -> None:
    model = random_model(SMALL).train()
    runtime = open_runtime(model, "cpu")
    assert model.training
    assert not runtime._model.training


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> TorchRuntime:
    """A runtime that prepares frames and makes grey levels where it runs, as on a CUDA device."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: values)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: SimpleNamespace(synchronize=lambda: None))
    runtime, beside = TorchRuntime(model_source(random_model(SMALL)), "cpu"), eager.Beside(torch.device("cpu"))
    runtime.prepare, runtime.to_grey = beside.prepare, beside.to_grey
    return runtime


@pytest.mark.parametrize("size", [(360, 640), (192, 256), (1080, 1920), (101, 57), (2, 3)])
def test_a_device_prepares_frames_as_the_cpu_does(beside: TorchRuntime, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    prepared = beside.prepare(image[:, ::-1])
    assert isinstance(prepared, torch.Tensor)
    np.testing.assert_allclose(prepared, preprocess(image[:, ::-1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(360, 640), (720, 1280), (101, 57), (3, 3), (2, 2)])
@pytest.mark.parametrize("bounds", [None, (0.25, 0.6)])
def test_a_device_makes_the_cpus_grey_levels(beside: TorchRuntime, size: tuple[int, int], bounds: Any) -> None:
    noise = np.random.default_rng(0).random((192, 256), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    for saliency in (noise, (smooth - smooth.min()) / np.ptp(smooth)):
        levels, expected = beside.to_grey(saliency, size, bounds), to_grey(saliency, size, bounds)
        assert levels.dtype == np.uint8
        assert np.abs(levels.astype(int) - expected).max() <= 1
    assert np.array_equal(beside.to_grey(noise, size, levels=np.uint16), to_grey(noise, size, levels=np.uint16))


def test_a_video_that_a_device_prepares_has_the_same_maps(beside: TorchRuntime) -> None:
    frames = list(islice(read_frames(ROOT / "example_data/pursuit.mp4"), 20))
    exact = TorchRuntime(model_source(random_model(SMALL)), "cpu")
    ours, expected = ([each for _, each in saliency_maps(frames, runtime)] for runtime in (beside, exact))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(BadInput, match=f"device '{device}'"):
        open_runtime(random_model(SMALL), device)


# OpenVINO


@needs_openvino
@pytest.mark.parametrize("row", ["d123m_rc4_rc1T", "d23_S"])
def test_openvino_agrees_with_torch(row: str) -> None:
    """M and S, one of them with reduced channels; every conversion by a user is compared with torch, too."""
    model, clips = random_model(row), clips_of(2)
    expected = open_runtime(model, "cpu")(clips)
    assert expected.shape == (2, model.spec.outputs, 192, 256)
    np.testing.assert_allclose(open_runtime(model, "openvino")(clips), expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def converted() -> Any:
    """The small model, converted by OpenVINO."""
    import openvino

    clip = torch.zeros(1, *clips_of(1).shape[1:])
    return openvino.convert_model(graph.exported_program(graph.FromClips(random_model(SMALL)), clip))


@pytest.fixture
def converted_once(converted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting the small model, which takes seconds, gives what was converted before."""
    monkeypatch.setattr(graph, "exported_program", lambda *_: None)
    monkeypatch.setattr("openvino.convert_model", lambda _program: converted)


@needs_openvino
@pytest.mark.usefixtures("no_gpu", "converted_once")
def test_a_conversion_that_differs_is_refused_and_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path))
    honest = eager.TorchRuntime.__call__
    monkeypatch.setattr(eager.TorchRuntime, "__call__", lambda self, clips: honest(self, clips) + 2e-5)
    with pytest.raises(BadInput, match=r"openvino .* differs from torch by 2\.0e-05"):
        open_runtime(random_model(SMALL), "openvino")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert open_runtime(random_model(SMALL)).name == "torch cpu"


KEPT = {
    "fused": ("plans", "tinyhd_lib.runtime.fused.planner.make_plan"),
    "openvino": ("conversions", "openvino.convert_model"),
}
"""What a runtime keeps, and what makes it."""


@needs_openvino
@pytest.mark.usefixtures("converted_once")
@pytest.mark.parametrize("device", ["openvino", "fused"])
def test_what_is_kept_is_used_mended_and_done_without(
    device: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind, maker = KEPT[device]
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path / "cache"))
    model, clips = random_model(SMALL), clips_of(1)
    first = open_runtime(model, device)(clips)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(maker)
        np.testing.assert_array_equal(open_runtime(model, device)(clips), first)
    (kept,) = (path for path in (tmp_path / "cache" / kind).rglob("*") if path.is_file() and not path.suffix)
    whole = kept.read_bytes()
    for damaged in (flipped(whole, len(whole) // 2), whole[:1000]):
        kept.write_bytes(damaged)
        caplog.clear()
        np.testing.assert_array_equal(open_runtime(model, device)(clips), first)
        assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
            f"{kept}: damaged, thrown away and made anew"
        ]
        assert kept.read_bytes() != damaged
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(open_runtime(model, device)(clips), first)
    assert "cannot be kept" in caplog.text


def flipped(content: bytes, place: int) -> bytes:
    """The content with one bit flipped."""
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def test_a_conversion_depends_on_what_the_code_does_not_on_how_it_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, text = model_source(random_model(SMALL)), Path(decoders.__file__).read_text(encoding="utf-8")
    code = tmp_path / "decoders.py"
    monkeypatch.setattr(base, "_NETWORK", [code])

    def key(content: str, precision: str = "float32") -> str:
        code.write_text(content, encoding="utf-8")
        return conversion_key(source, ("torch",), precision)

    first = key(text)
    remarks = text.replace("D1: an independent map", "D1: a map").replace("# Temporal (kernel", "# About (kernel")
    assert remarks != text
    assert key(f"# a remark\n\n{remarks}") == first
    assert key(text.replace("_HALVE: Triple = (3, 2, 1)", "_HALVE: Triple = (3, 2, 0)")) != first
    assert key(text.replace("x + levels", "x - levels").replace(") + level3", ") - level3")) != first
    assert key(text, "bfloat16") != first
    assert conversion_key(model_source(random_model("S-r8-D3")), ("torch",), "float32") != first


# Which runtime `auto` takes


@pytest.mark.usefixtures("no_gpu")
def test_auto_says_what_it_took(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tinyhd_lib.runtime"):
        runtime = open_runtime(random_model(SMALL))
    assert [(r.levelno, r.message) for r in caplog.records if r.name == "tinyhd_lib.runtime"] == [
        (logging.INFO, f"running on {runtime.name}")
    ]
    assert runtime.name.startswith("fused")


@pytest.mark.usefixtures("no_gpu")
def test_without_numba_and_openvino_auto_is_torch_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tinyhd_lib.runtime.find_spec", lambda _name: None)
    assert open_runtime(random_model(SMALL)).name == "torch cpu"
    (record,) = caplog.records
    assert record.message == (
        "running on torch cpu; device 'fused' needs numba, which is not installed (pip install numba); "
        "device 'openvino' needs openvino, which is not installed (pip install openvino)"
    )
    for device in ("fused", "openvino"):
        with pytest.raises(BadInput, match="not installed"):
            open_runtime(random_model(SMALL), device)


@pytest.mark.parametrize(
    ("precision", "gpus", "tried"),
    [
        ("float32", set(), ["fused", "openvino", "cpu"]),
        ("float32", {"triton", "cuda"}, ["triton", "cuda", "fused", "openvino", "cpu"]),
        ("float32", {"mps"}, ["mps", "fused", "openvino", "cpu"]),
        ("float16", {"triton", "cuda", "mps"}, ["triton", "cuda", "mps", "cpu"]),
        ("bfloat16", {"triton", "cuda"}, ["triton", "cuda", "openvino"]),
    ],
)
def test_auto_tries_the_fastest_first_that_has_the_precision(
    precision: str, gpus: set[str], tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def refuse(_source: object, device: str, _precision: str) -> None:
        found.append(device)
        raise Unusable(f"no {device}")

    monkeypatch.setattr("tinyhd_lib.runtime._open", refuse)
    others = {"fused", "openvino", "cpu"}
    monkeypatch.setattr("tinyhd_lib.runtime._may_be_there", lambda name: name in gpus | others)
    with pytest.raises(BadInput, match=f"no {tried[-1]}"):
        open_runtime(random_model(SMALL), precision=precision)
    assert found == tried


@needs_openvino
@pytest.mark.usefixtures("converted_once")
def test_damaged_kernels_are_passed_over_with_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise UnpicklingError("pickle data was truncated")

    monkeypatch.setattr("tinyhd_lib.runtime.fused.runtime.FusedRuntime", fail)
    with pytest.raises(BadInput, match=r"numba cannot be used here \(pickle data was truncated; .* clear its cache\)"):
        open_runtime(random_model(SMALL), "fused")
    assert open_runtime(random_model(SMALL)).name.startswith("openvino")
    assert "numba cannot be used here" in caplog.text
