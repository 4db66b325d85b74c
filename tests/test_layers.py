"""Accelerated layers train the same on a CPU: gradients match float64, and training steps match torch."""

import copy
from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from conftest import random_model, shape_of

from tinyhd_lib import MODEL_SPECS
from tinyhd_lib.models.decoders import DecoderBlock
from tinyhd_lib.training import layers
from tinyhd_lib.training.layers import DepthwiseFunction

Tensors = tuple[torch.Tensor, ...]


def gradients_of(outputs: torch.Tensor, inputs: Tensors) -> Tensors:
    """The outputs, and the gradients of their sum with fixed random weights."""
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return outputs, *torch.autograd.grad(outputs, inputs, weights.to(outputs.dtype))


def assert_close(found: Tensors, expected: Tensors) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5 * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("frames", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("height", "width"), [(1, 8), (2, 24), (7, 16), (130, 64)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 1, 0)])
def test_a_depthwise_convolution_is_torchs(
    kernel: int, stride: int, padding: int, height: int, width: int, frames: int
) -> None:
    if frames < kernel - padding:
        frames = kernel
    torch.manual_seed(frames)
    x, weight = (
        torch.randn(size, dtype=torch.float64) for size in ((2, 3, frames, height, width), (3, 1, kernel, 3, 3))
    )
    inputs = tuple(each.float().requires_grad_() for each in (x, weight))
    found = gradients_of(DepthwiseFunction.apply(*inputs, stride, padding), inputs)
    exact = x.requires_grad_(), weight.requires_grad_()
    expected = F.conv3d(*exact, None, (stride, 1, 1), (padding, 1, 1), groups=3)
    assert_close(found, gradients_of(expected, exact))


@pytest.mark.parametrize(("channels", "outputs"), [(7, 14), (24, 1), (1, 3)])
def test_a_pointwise_convolution_is_torchs(channels: int, outputs: int) -> None:
    torch.manual_seed(channels)
    exact = torch.nn.Sequential(torch.nn.Conv3d(channels, outputs, kernel_size=1, bias=False)).double()
    fast = copy.deepcopy(exact).float()
    layers.accelerate(fast)
    x = torch.randn(2, channels, 3, 5, 7, dtype=torch.float64)
    inputs, exact_inputs = (x.float().requires_grad_(), fast[0].weight), (x.requires_grad_(), exact[0].weight)
    assert_close(gradients_of(fast(inputs[0]), inputs), gradients_of(exact(x), exact_inputs))


def blocks_of_the_table() -> list[str]:
    """Every kind of decoder block once: the model row and the module name of its first occurrence."""
    found = {}
    for row in MODEL_SPECS:
        for name, block in shape_of(row).named_modules():
            if isinstance(block, DecoderBlock):
                shapes = tuple(tuple(value.shape) for value in block.state_dict().values())
                convolution = block[1][0]
                found.setdefault((shapes, convolution.stride, convolution.padding), f"{row} {name}")
    return list(found.values())


@pytest.fixture(scope="module")
def model_of() -> Callable[[str], torch.nn.Module]:
    """Cached models. Tests share them and must not change them."""
    return cache(random_model)


@pytest.mark.parametrize("place", blocks_of_the_table())
def test_every_block_of_the_table_learns_the_same(place: str, model_of: Callable[[str], torch.nn.Module]) -> None:
    row, name = place.split()
    block = copy.deepcopy(model_of(row).get_submodule(name)).train()
    fast, exact = copy.deepcopy(block), copy.deepcopy(block).double()
    layers.accelerate(fast)
    assert list(fast.state_dict()) == list(block.state_dict())
    channels = next(block.parameters()).shape[1]
    for frames, training in ((1, True), (4, False), (5, True)):
        x = torch.randn(1, channels, frames, 3, 8, generator=torch.Generator().manual_seed(frames))
        found, torchs, expected = (
            gradients_of(each.train(training)(x.to(next(each.parameters()).dtype)), tuple(each.parameters()))
            for each in (fast, block, exact)
        )
        for ours, theirs, best in zip(found, torchs, expected, strict=True):
            allowed = max(1e-5 * float(best.detach().abs().max()), 5 * float((theirs - best).detach().abs().max()))
            assert float((ours - best).detach().abs().max()) <= allowed


@pytest.mark.parametrize("row", [*(pytest.param(row, marks=pytest.mark.slow) for row in ("M-r4", "S-r4")), "S-r8-D2"])
def test_a_student_makes_torchs_steps(row: str) -> None:
    """Maps too narrow for the compiled loops are included, and frozen parts do not change."""
    student = random_model(row).train()
    student.decoders["d2"].eval().requires_grad_(requires_grad=False)
    fast = copy.deepcopy(student)
    layers.accelerate(fast)
    assert {type(each).__name__ for each in fast.modules()} >= {"_Depthwise", "_Pointwise"}
    losses = []
    for model in (copy.deepcopy(student).double(), student, fast):
        optimiser = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
        losses.append([])
        for step in range(4):
            clip = torch.randn(1, 3, 16, 32, 96, generator=torch.Generator().manual_seed(step))
            maps = model(clip.to(next(model.parameters()).dtype)).side_maps
            loss = torch.stack([(each - 0.2).square().mean() for each in maps]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses[-1].append(float(loss.detach()))
    exact, torchs, ours = losses
    assert ours[0] == pytest.approx(exact[0], rel=1e-5)
    furthest = max(abs(loss - best) for loss, best in zip(torchs, exact, strict=True))
    assert all(abs(loss - best) < 1e-4 * best + 5 * furthest for loss, best in zip(ours, exact, strict=True))
    frozen = [name for name in student.state_dict() if name.startswith("decoders.d2")]
    assert all(torch.equal(student.state_dict()[name], fast.state_dict()[name]) for name in frozen)


def test_the_copy_that_is_measured_computes_alike() -> None:
    student = random_model("S-r4").train()
    layers.accelerate(student)
    measured = copy.deepcopy(student).eval()
    assert measured.state_dict().keys() == student.state_dict().keys()
    clip = torch.randn(1, 3, 16, 32, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(measured(clip).map, random_model("S-r4").eval()(clip).map, rtol=0, atol=1e-5)
