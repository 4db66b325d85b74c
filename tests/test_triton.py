"""The GPU's kernels compute what torch does: interpreted on a CPU here, compiled for GPUs that need not be there."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import random_model

from tinyhd_lib import MODEL_SPECS, BadInput, open_runtime

pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")

from tinyhd_lib.runtime import depthwise

interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU: see test_gpu.py")


@pytest.mark.slow
def test_the_kernels_compile_for_gpus_that_are_not_there() -> None:
    script = Path(__file__).with_name("compile_ahead.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    targets = ["sm_80", "sm_90", "gfx942"]
    command = [sys.executable, script, *targets]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [f"{target}: 6 kernels, 0 bytes of local memory" for target in targets]


@interpreted
def test_without_a_gpu_the_runtime_is_refused_in_one_line() -> None:
    with pytest.raises(BadInput, match="device 'triton:3' cannot be used here"):
        open_runtime(random_model("d2_S"), "triton:3")


SIZES = [
    ((1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ((2, 3, 3), (1, 2, 2), (0, 1, 1)),
    ((3, 3, 3), (1, 1, 1), (1, 1, 1)),
    ((3, 3, 3), (1, 2, 2), (1, 1, 1)),
    ((3, 3, 3), (2, 1, 1), (1, 1, 1)),
    ((3, 3, 3), (2, 2, 2), (1, 1, 1)),
]
"""Kernel, stride and padding of every depthwise convolution of the table."""


def gradients_of(outputs: torch.Tensor, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return outputs, *torch.autograd.grad(outputs, inputs, weights.to(outputs.dtype))


def test_the_sizes_are_those_of_the_table() -> None:
    found = {
        (layer.kernel_size, layer.stride, layer.padding)
        for row in MODEL_SPECS
        for layer in random_model(row).modules()
        if isinstance(layer, torch.nn.Conv3d) and layer.groups > 1
    }
    assert found == set(SIZES)


@interpreted
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(("kernel", "stride", "padding"), SIZES)
def test_depthwise_gradients_are_torchs(kernel: tuple, stride: tuple, padding: tuple, frames: int) -> None:
    if frames + 2 * padding[0] < kernel[0]:
        frames = kernel[0]
    torch.manual_seed(frames)
    x, weight = (torch.randn(size, dtype=torch.float64) for size in ((2, 3, frames, 7, 10), (3, 1, *kernel)))
    inputs = tuple(each.float().requires_grad_() for each in (x, weight))
    found = gradients_of(depthwise.DepthwiseFunction.apply(*inputs, stride, padding), inputs)
    exact = x.requires_grad_(), weight.requires_grad_()
    expected = gradients_of(F.conv3d(*exact, None, stride, padding, groups=3), exact)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=2e-5)


@interpreted
@pytest.mark.parametrize("part", ["encoder.features.2", "decoders.d2.blocks.4"])
def test_a_students_blocks_learn_the_same(part: str) -> None:
    model = random_model("d123m_rc4_rc1T").get_submodule(part).train()
    fast, exact = copy.deepcopy(model), copy.deepcopy(model).double()
    depthwise.accelerate(fast)
    assert list(fast.state_dict()) == list(model.state_dict())
    channels = next(model.parameters()).shape[1]
    x = torch.randn(1, channels, 3, 4, 6, generator=torch.Generator().manual_seed(2))
    found, torchs, expected = (
        gradients_of(each(x.to(next(each.parameters()).dtype)), tuple(each.parameters()))
        for each in (fast, model, exact)
    )
    for ours, theirs, best in zip(found, torchs, expected, strict=True):
        allowed = max(1e-5, 5 * float((theirs - best).detach().abs().max()))
        assert float((ours - best).detach().abs().max()) < allowed
