"""On a GPU: every model gives the CPU's maps, prediction and training run, and training resumes on another device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, random_model
from test_teachers import wake

from tinyhd_lib import MODEL_SPECS, build_teacher, open_runtime, train
from tinyhd_lib.data.synthetic import synthesise_once
from tinyhd_lib.data.transforms import preprocess, to_grey
from tinyhd_lib.prediction.inference import predict
from tinyhd_lib.training.gpu_layers import accelerate
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.samples import varied

pytestmark = pytest.mark.gpu

EXAMPLE = ROOT / "example_data/pursuit.mp4"


@pytest.fixture(scope="module", params=MODEL_SPECS)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    student = random_model(request.param)
    wake(student, torch.randn(2, 3, 16, 96, 128, generator=torch.Generator().manual_seed(1)))
    return student


@pytest.mark.parametrize("device", ["cuda", "triton"])
def test_every_model_gives_the_cpus_maps(model: torch.nn.Module, device: str) -> None:
    clips = np.random.default_rng(0).standard_normal((3, 3, 16, 192, 256), np.float32)
    expected = open_runtime(model, "cpu")(clips)
    assert expected.std() > 5e-3
    np.testing.assert_allclose(open_runtime(model, device)(clips), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", ["cuda", "triton"])
def test_frames_and_grey_levels_are_made_there(device: str) -> None:
    runtime, rng = open_runtime("workbench-s-r4", device), np.random.default_rng(0)
    image, saliency = rng.integers(0, 256, (360, 640, 3), np.uint8), rng.random((192, 256), np.float32)
    prepared = runtime.prepare(image)
    assert prepared.is_cuda
    np.testing.assert_allclose(prepared.cpu(), preprocess(image), rtol=0, atol=1e-5)
    levels = runtime.to_grey(saliency, (720, 1280)).astype(int)
    assert np.abs(levels - to_grey(saliency, (720, 1280))).max() <= 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["workbench-m-r4", "workbench-s-r4"])
def test_fewer_bits_pass_their_check(name: str, precision: str) -> None:
    assert open_runtime(name, "triton", precision).precision == precision


def test_the_teacher_gives_the_cpus_maps() -> None:
    teacher, clip = build_teacher().eval(), torch.randn(1, 3, 16, 128, 192)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = teacher(clip).map
        torch.testing.assert_close(teacher.cuda()(clip.cuda()).map.cpu(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["workbench-m-r4", "workbench-s-r4"])
def test_a_video_is_predicted_as_on_a_cpu(name: str) -> None:
    ours, expected = ([each.map for each in predict(EXAMPLE, name, device=device)] for device in ("auto", "fused"))
    assert open_runtime(name).name.startswith("triton")
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("row", ["d123s_rc4_rc1T", "d123m_rc4_rc1T"])
def test_gradients_are_the_cpus(row: str) -> None:
    student = random_model(row).train()
    wake(student, torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1)))
    clip = torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(2))
    exact = student.double().train()
    exact(clip.double()).map.logit().mean().backward()
    expected = {name: each.grad.clone() for name, each in exact.named_parameters()}
    student.zero_grad()
    fast = student.float()
    fast(clip).map.logit().mean().backward()
    torchs = {name: each.grad.clone() for name, each in fast.named_parameters()}
    fast.zero_grad()
    accelerate(fast.cuda())
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        fast(clip.cuda()).map.logit().mean().backward()
    for name, each in fast.named_parameters():
        # The error of torch's own float32 tells how much rounding matters in such a deep network.
        allowed = 5 * (torchs[name] - expected[name]).abs().max() + 1e-3 * expected[name].abs().max() + 1e-7
        assert (each.grad.cpu() - expected[name]).abs().max() < allowed, name


def test_clips_are_cut_and_coloured_as_on_a_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = {
        "clip": torch.randint(0, 256, (2, 16, 192, 256, 3), generator=generator, dtype=torch.uint8),
        "map": torch.rand(2, 1, 16, 192, 256, generator=generator),
        "box": torch.tensor([[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]]),
        "colours": torch.tensor([[0.1, 1.2, 0.5], [-0.1, 0.8, 1.3]]),
    }
    for size in ((192, 256), (96, 128)):
        expected = varied(batch, size)
        for name, values in varied(batch, size, "cuda").items():
            torch.testing.assert_close(values.cpu(), expected[name], rtol=0, atol=1e-5)


def test_a_training_goes_on_across_devices(tmp_path: Path) -> None:
    data = str(synthesise_once("gaze", tmp_path / "set", videos=2, frames=32))
    recipe = Recipe("M-r4", labelled="gaze", labelled_dir=(data,), size=(64, 96), epochs=2, batch=2, clips_per_video=2)
    losses = {}
    for device in ("cpu", "cuda", "triton"):
        entries = list(train(recipe, tmp_path / device, device=device))
        losses[device] = [entry["terms"]["loss"] for entry in entries if "terms" in entry]
    for device in ("cuda", "triton"):
        np.testing.assert_allclose(losses[device], losses["cpu"], rtol=1e-3)
    begun = train(recipe, tmp_path / "begun", device="triton")
    while next(begun)["epoch"] == 1:  # the first epoch is saved before the next begins
        pass
    begun.close()
    rest = [entry["terms"]["loss"] for entry in train(recipe, tmp_path / "begun", device="cpu") if "terms" in entry]
    np.testing.assert_allclose(rest, losses["cpu"][-len(rest) :], rtol=1e-3)
