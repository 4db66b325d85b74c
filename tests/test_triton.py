"""The GPU kernels give torch's results, interpreted on a CPU, and compile for GPUs that need not be present."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import random_model, shape_of
from test_teachers import wake
from torch import Tensor

from tinyhd_lib import MODEL_SPECS, BadInput, metrics, open_runtime
from tinyhd_lib.models.decoders import DecoderBlock, enlarge
from tinyhd_lib.runtime.fused.plan import ENLARGE, EXPAND, Step
from tinyhd_lib.runtime.fused.planner import make_plan

pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")

from tinyhd_lib.runtime.gpu import Engine, _fused
from tinyhd_lib.training import gpu_layers as layers

interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU: see test_gpu.py")


CLIP = 3, 16, 32, 64
QUICK = "d123m_rc4_rc1T"
OTHERS = ["d1_M", "d123s_rc4_rc1T", "rc8_M", "d123_allM_rc4"]
UNREDUCED = "d2_S"
SMALLEST = "S-r8-D2"


def engine_of(model: torch.nn.Module, kind: torch.dtype = torch.float32, tile: int = 2**17) -> Engine:
    return Engine(make_plan(model, CLIP), torch.device("cpu"), kind, tile)


def awake(row: str) -> torch.nn.Module:
    model = random_model(row)
    wake(model, torch.randn(2, 3, 16, 64, 96, generator=torch.Generator().manual_seed(1)))
    return model


class Sparing(Engine):
    """Uses our kernels for one step of each kind, and torch for the others, since the interpreter is slow."""

    made: set[tuple[Any, ...]]

    def _pointwise(self, x: Tensor, weights: list[Tensor]) -> Tensor:
        if self._is_new("pointwise"):
            return super()._pointwise(x, weights)
        return product(x, *weights)

    def _block(self, step: Step, x: Tensor, weights: list[Tensor], other: Tensor | None) -> Tensor:
        if self._is_new(other is None, x.shape[2] == 1, *_of_block(step)):
            return super()._block(step, x, weights, other)
        expand, bias, depthwise, middle, *last = weights
        mode, (_, hidden, _), (frames, *_), _, _, (_, stride, pad), space_stride = step.settings
        if mode == ENLARGE:
            x = enlarge(x, shuffle=False, lengthen=frames != x.shape[2])
        elif mode == EXPAND:
            x = product(x, expand, bias)
        strides, padding = (stride, space_stride, space_stride), (pad, 1, 1)
        x = F.conv3d(x.clamp(0, 6), depthwise.view(hidden, 1, -1, 3, 3), middle, strides, padding, groups=hidden)
        x = product(x.clamp(0, 6), *last)
        return (x if other is None else x + other).contiguous()

    def _is_new(self, *kind: Any) -> bool:
        return kind not in self.made and not self.made.add(kind)


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (torch.einsum("oc,nc...->no...", weight.view(-1, x.shape[1]), x) + bias.view(-1, 1, 1, 1)).contiguous()


def check_maps(engine: Engine, model: torch.nn.Module) -> None:
    clips = torch.randn(1, *CLIP, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        maps = engine(clips)
        expected = model.double()(clips.double()).map.reshape(maps.shape)
    assert expected.std() > 5e-3
    assert (maps - expected).abs().max() < 1e-5


@interpreted
@pytest.mark.slow
def test_a_whole_model_gives_torchs_maps() -> None:
    model = awake(QUICK)
    check_maps(engine_of(model), model)


@interpreted
@pytest.mark.parametrize(
    ("rows", "kinds"),
    [([SMALLEST], 10), pytest.param([QUICK, *OTHERS, UNREDUCED], 21, marks=pytest.mark.slow)],
    ids=["of a small model", "there is"],
)
def test_every_kind_of_step_gives_torchs_maps(rows: list[str], kinds: int) -> None:
    Sparing.made = set()
    for row in rows:
        model = awake(row)
        check_maps(Sparing(make_plan(model, CLIP), torch.device("cpu"), torch.float32, 2**17), model)
    assert len(Sparing.made) >= kinds


@pytest.mark.slow
def test_no_model_has_another_kind_of_step() -> None:
    def kinds(row: str) -> set[tuple[Any, ...]]:
        plan = make_plan(random_model(row), CLIP)
        return {
            (step.kernel, step.other is None, step.shape[1] == frames, frames == 1, *_of_block(step))
            for step in plan.steps
            for frames in [plan.shape(step.inputs[0])[1]]
        }

    found = {row: kinds(row) for row in MODEL_SPECS}
    assert set().union(*found.values()) == set().union(*(found[row] for row in (QUICK, *OTHERS, UNREDUCED)))


def _of_block(step: Step) -> tuple[Any, ...]:
    """The properties of a step that decide how its block is computed."""
    if step.kernel != "block":
        return ()
    mode, (_, hidden, _), (frames, *_), few, _, time, space_stride = step.settings
    return mode, hidden <= 64, frames == few, time, space_stride


@interpreted
@pytest.mark.slow
def test_clips_of_a_batch_and_small_tiles_change_nothing() -> None:
    model = awake(SMALLEST)
    clips = torch.randn(2, *CLIP, generator=torch.Generator().manual_seed(3))
    Sparing.made = set()
    with torch.inference_mode():
        maps = Sparing(make_plan(model, CLIP), torch.device("cpu"), torch.float32, 2**14)(clips)
        expected = model.double()(clips.double()).map
    assert (maps - expected).abs().max() < 1e-5
    assert (maps[0] - maps[1]).abs().max() > 1e-3


@pytest.mark.parametrize("row", [QUICK, "d123s_rc4_rc1T", "d123_force_multi", "d123_M_8out"])
def test_the_fusion_is_torchs(row: str) -> None:
    model = random_model(row)
    sides = model(torch.randn(2, *CLIP, generator=torch.Generator().manual_seed(4))).side_maps
    logits = [sides[place].logit() for place in model.spec.fusion_order]
    fused = _fused(logits, model.fusion.weight.flatten(), model.fusion.bias, frames=model.spec.outputs)
    torch.testing.assert_close(fused, model._fuse(sides).reshape(fused.shape), rtol=0, atol=1e-6)


@interpreted
@pytest.mark.slow
def test_half_precision_changes_maps_a_little() -> None:
    model = awake(SMALLEST)
    clip = torch.randn(1, *CLIP, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        exact, half = model(clip).map.reshape(32, 64).numpy(), engine_of(model, torch.float16)(clip)[0, 0].numpy()
    assert 0 < np.abs(half - exact).max() < 0.02
    assert metrics.cc(half, exact) > 0.999


@pytest.mark.slow
def test_the_kernels_compile_for_gpus_that_are_not_there() -> None:
    script = Path(__file__).with_name("compile_ahead.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    targets = ["sm_80", "sm_90", "gfx942"]
    command = [sys.executable, script, QUICK, *targets]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == targets
    for line in lines:
        assert int(line.split()[1]) > 20
        assert int(line.split()[3]) < 500  # bytes of local memory over all kernels: hardly any register is spilt


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


@pytest.mark.slow
def test_the_sizes_are_those_of_the_table() -> None:
    found = {
        (layer.kernel_size, layer.stride, layer.padding)
        for row in MODEL_SPECS
        for layer in shape_of(row).modules()
        if isinstance(layer, torch.nn.Conv3d) and layer.groups > 1
    }
    assert found == set(SIZES)


@interpreted
@pytest.mark.parametrize("frames", [1, *(pytest.param(frames, marks=pytest.mark.slow) for frames in (2, 5))])
@pytest.mark.parametrize(("kernel", "stride", "padding"), SIZES)
def test_depthwise_gradients_are_torchs(kernel: tuple, stride: tuple, padding: tuple, frames: int) -> None:
    if frames + 2 * padding[0] < kernel[0]:
        frames = kernel[0]
    torch.manual_seed(frames)
    x, weight = (torch.randn(size, dtype=torch.float64) for size in ((2, 2, frames, 7, 10), (2, 1, *kernel)))
    inputs = tuple(each.float().requires_grad_() for each in (x, weight))
    found = gradients_of(layers.DepthwiseFunction.apply(*inputs, (stride, padding)), inputs)
    exact = x.requires_grad_(), weight.requires_grad_()
    expected = gradients_of(F.conv3d(*exact, None, stride, padding, groups=2), exact)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=2e-5)


def check_learning(model: torch.nn.Module, size: tuple[int, ...]) -> None:
    """Compare an accelerated model with torch in double precision: outputs, gradients, running statistics."""
    torch.manual_seed(size[0])
    for layer in model.double().modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(layer.weight, 0.5, 3)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    x = (3 + 2 * torch.randn(size, dtype=torch.float64)).requires_grad_()
    fast = copy.deepcopy(model).float()
    layers.accelerate(fast)
    mine = x.detach().float().requires_grad_()
    found = gradients_of(fast(mine), (mine, *fast.parameters()))
    expected = gradients_of(model(x), (x, *model.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-5 * float(theirs.detach().abs().max()))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[name].double(), value.double(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(fast.eval()(mine).double(), model.eval()(x), rtol=0, atol=1e-5)


@interpreted
@pytest.mark.parametrize("clip6", [True, False])
@pytest.mark.parametrize("size", [(2, 5, 4, 19, 31), (1, 3, 1, 2, 3)])
def test_batch_norm_gradients_are_torchs(size: tuple[int, ...], clip6: bool) -> None:
    check_learning(torch.nn.Sequential(torch.nn.BatchNorm3d(size[1]), *[torch.nn.ReLU6()] * clip6), size)


@interpreted
@pytest.mark.parametrize(
    ("time", "size"),
    [
        ((1, 1, 0), (1, 2, 2, 4, 5)),
        pytest.param((3, 1, 1), (2, 2, 2, 4, 5), marks=pytest.mark.slow),
        pytest.param((3, 2, 1), (2, 2, 3, 4, 5), marks=pytest.mark.slow),
        pytest.param((3, 1, 1), (1, 2, 1, 33, 40), marks=pytest.mark.slow),
    ],
    ids=["framewise", "blending", "halving", "more pixels than a tile"],
)
def test_an_inverted_residual_learns_as_in_torch(time: tuple[int, int, int], size: tuple[int, ...]) -> None:
    check_learning(DecoderBlock(2, 3, time), size)


@interpreted
@pytest.mark.slow
@pytest.mark.parametrize("part", ["encoder.features.2", "decoders.d2.blocks.4"])
def test_a_students_blocks_learn_the_same(part: str) -> None:
    model = random_model("d123m_rc4_rc1T").get_submodule(part).train()
    fast, exact = copy.deepcopy(model), copy.deepcopy(model).double()
    layers.accelerate(fast)
    assert list(fast.state_dict()) == list(model.state_dict())
    channels = next(model.parameters()).shape[1]
    x = torch.randn(1, channels, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    found, torchs, expected = (
        gradients_of(each(x.to(next(each.parameters()).dtype)), tuple(each.parameters()))
        for each in (fast, model, exact)
    )
    for ours, theirs, best in zip(found, torchs, expected, strict=True):
        allowed = max(1e-5, 5 * float((theirs - best).detach().abs().max()))
        assert float((ours - best).detach().abs().max()) < allowed
