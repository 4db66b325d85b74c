"""From a student to its plan, read off the network itself, with batch norms folded into the convolutions.

Two things are rewritten, both exact but for rounding. The expansion after a linear enlargement is made before it, on a
quarter or an eighth of the pixels: both are linear, and the shares of an enlargement add up to one. And a sum with an
enlarged map is made while that is written.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops.misc import Conv2dNormActivation

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.decoders import DecoderBlock
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.models.upsampling import enlarge, shuffle_pixels, upsample_space
from tinyhd_lib.runtime.fused.kernels import STRIP, pitch
from tinyhd_lib.runtime.fused.plan import CLIP, Plan, Shape, Step
from tinyhd_lib.runtime.fused.residual import COPY, ENLARGE, EXPAND
from tinyhd_lib.runtime.fused.simd import LANES

_ENLARGEMENTS = (enlarge, shuffle_pixels, upsample_space)

Folded = tuple[Map, Map]
"""Weight and bias."""

_NOTHING = np.empty(0, np.float32)

_TRACING = Lock()
"""Torch traces one model at a time: it replaces what all threads call."""


def make_plan(model: TinyHD) -> Plan:
    """Return the steps of a student in evaluation mode, for clips of the published size."""
    with _TRACING, torch.no_grad():
        return _Planner(model.eval()).plan


class _Logits(nn.Module):
    """A student without its fusion."""

    def __init__(self, model: TinyHD) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Return what every decoder says before its sigmoid."""
        levels = self.model.encoder(clip)
        return tuple(decoder(levels) for decoder in self.model.decoders.values())


class _Tracer(fx.Tracer):
    """Sees blocks and enlargements as wholes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return isinstance(m, DecoderBlock | InvertedResidual | Conv2dNormActivation)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Meanwhile every module's call ends up here: those of other threads go on as if nothing was."""
        if not any(isinstance(each, fx.Proxy) for each in args):
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


class _Planner:
    def __init__(self, model: TinyHD) -> None:
        self._steps: list[Step] = []
        self._weights: dict[str, Map] = {}
        self._numbers: dict[fx.Node, int] = {}
        logits = _Logits(model)
        self._modules = dict(logits.named_modules())
        for node in _Tracer(autowrap_functions=_ENLARGEMENTS).trace(logits).nodes:
            match node.op:
                case "placeholder":
                    self._numbers[node] = CLIP
                case "call_module":
                    self._numbers[node] = self._module(node)
                case "call_function" if not self._is_absorbed(node):
                    self._numbers[node] = self._function(node)
                case "output":
                    self._fuse(model, [self._numbers[each] for each in node.args[0]])

    @property
    def plan(self) -> Plan:
        return Plan(tuple(self._steps), self._weights)

    def _add(self, step: Step, *weights: Any) -> int:
        number = len(self._steps)
        for place, array in enumerate(weights):
            self._weights[f"{number}.{place}"] = np.ascontiguousarray(array, np.float32).reshape(-1)
        self._steps.append(replace(step, weights=len(weights)))
        return number

    def _shape(self, number: int) -> Shape:
        return self.plan.shape(number)

    def _is_absorbed(self, node: fx.Node) -> bool:
        """Return whether an enlargement is made by the only step that reads it."""
        if node.target not in _ENLARGEMENTS or len(node.users) > 1:
            return False
        (user,) = node.users
        if user.op == "call_module":
            return _is_linear(node)
        return user.target is operator.add and user.args[0] is node

    def _function(self, node: fx.Node) -> int:
        if node.target is torch.cat:
            parts = tuple(self._numbers[each] for each in node.args[0])  # type: ignore[union-attr, index]
            if len(parts) == 1:
                return parts[0]
            shapes = [self._shape(part) for part in parts]
            shape = (sum(each[0] for each in shapes), *shapes[0][1:])
            sizes = tuple(channels * pitch(*frame) for channels, *frame in shapes)
            return self._add(Step("join", parts, shape, settings=sizes, extent=1))
        if node.target is operator.add:
            enlarged, other = node.args
            return self._enlarge(enlarged, self._numbers[other])  # type: ignore[index, arg-type]
        return self._enlarge(node)

    def _enlarge(self, node: fx.Node, other: int | None = None) -> int:
        source = self._numbers[node.args[0]]  # type: ignore[index]
        channels, frames, height, width = low = self._shape(source)
        frames *= _lengthening(node)
        if other is not None:
            frames = max(frames, self._shape(other)[1])  # a single frame is added to each of the other's
        if not _is_linear(node):
            shape = (channels // 4, frames, 2 * height, 2 * width)
            return self._add(Step("shuffle", (source,), shape, other, settings=(low, frames)))
        wide = self._widen(source)
        shape = (channels, frames, 2 * height, 2 * width)
        return self._add(Step("enlarge", (wide,), shape, other, settings=(self._shape(wide), frames)))

    def _widen(self, source: int) -> int:
        channels, frames, height, width = self._shape(source)
        shape = (channels, frames, height, 2 * width)
        return self._add(Step("widen", (source,), shape, settings=self._shape(source)), _shares(width))

    def _module(self, node: fx.Node) -> int:
        module, source = self._modules[str(node.target)], node.args[0]
        assert isinstance(source, fx.Node)
        if isinstance(module, DecoderBlock):
            return self._block(source, list(module))
        if isinstance(module, InvertedResidual):
            return self._block(source, list(module.conv), self._numbers[source] if module.use_res_connect else None)
        convolution = module[0]
        number = self._numbers[source]
        weights = _folded(convolution, module[1])
        if convolution.stride == (1, 1, 1):
            return self._pointwise(number, weights, clip6=True)
        _, frames, height, width = low = self._shape(number)
        shape = (convolution.out_channels, frames // 2, height // 2, width // 2)
        return self._add(Step("stem", (number,), shape, settings=(low, shape[0])), *weights)

    def _pointwise(self, source: int, weights: Folded, *, clip6: bool) -> int:
        channels, *frame = self._shape(source)
        pixels, outputs = int(np.prod(frame)), weights[1].size
        settings = (channels, outputs), pixels, clip6
        step = Step("pointwise", (source,), (outputs, *frame), settings=settings, extent=pixels, grain=LANES)
        return self._add(step, *weights)

    def _block(self, source: fx.Node, layers: list[Any], other: int | None = None) -> int:
        """Add an inverted residual: an expansion or none, the depthwise convolution, the projection."""
        *expansions, depthwise, projection, norm = layers
        expand = _folded(expansions[0][0], expansions[0][1]) if expansions else (_NOTHING, _NOTHING)
        mode, x = EXPAND if expansions else COPY, self._numbers.get(source)
        if x is None:  # an enlargement: the expansion of what is to be enlarged, widened
            mode, low = ENLARGE, self._numbers[source.args[0]]  # type: ignore[index]
            x = self._widen(self._pointwise(low, expand, clip6=False))
        inputs, few, height, width = self._shape(x)
        frames = few
        if mode == ENLARGE:
            frames, height = _lengthening(source) * few, 2 * height
        convolution = depthwise[0]
        kernel, stride, padding = convolution.kernel_size[0], convolution.stride, convolution.padding[0]
        lasting = (frames + 2 * padding - kernel) // stride[0] + 1
        channels = inputs, convolution.out_channels, projection.out_channels
        shape = (channels[2], lasting, height // stride[1], width // stride[1])
        weights = *expand, *_folded(convolution, depthwise[1]), *_folded(projection, norm)
        time = kernel, stride[0], padding
        settings = mode, channels, (frames, height, width), few, lasting, time, stride[1]
        return self._add(Step("block", (x,), shape, other, settings=settings), *weights)

    def _fuse(self, model: TinyHD, logits: list[int]) -> None:
        """Add the fusion, whose weights are in its own order of the decoders."""
        ordered = [logits[place] for place in model.spec.fusion_order]
        counts, lengths, *_ = zip(*map(self._shape, ordered), strict=True)
        frames, pixels = model.spec.outputs, INPUT_SIZE[0] * INPUT_SIZE[1]
        shape, settings = (1, frames, *INPUT_SIZE), (counts, lengths, frames, pixels)
        step = Step("fuse", tuple(ordered), shape, settings=settings, extent=pixels, grain=STRIP)
        self._add(step, model.fusion.weight, model.fusion.bias)


def _is_linear(enlargement: fx.Node) -> bool:
    if enlargement.target is enlarge:
        return not enlargement.kwargs["shuffle"]
    return enlargement.target is upsample_space


def _lengthening(enlargement: fx.Node) -> int:
    """Return how many times the frames it makes."""
    return 2 if enlargement.kwargs.get("lengthen") else 1


def _folded(convolution: nn.Conv3d, norm: nn.BatchNorm3d) -> Folded:
    """Return weight and bias of a convolution with its batch norm, folded in float64."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    weight = convolution.weight.double() * scale.reshape(-1, 1, 1, 1, 1)
    bias = norm.bias.double() - norm.running_mean.double() * scale  # type: ignore[union-attr]
    return weight.float().numpy(), bias.float().numpy()


def _shares(width: int) -> Map:
    """Return (2, width): how much a pixel has of its left neighbour, and of its right one.

    In float32, as torch computes it.
    """
    place = np.float32(width - 1) / np.float32(2 * width - 1) * np.arange(2 * width, dtype=np.float32)
    pixels = np.arange(width, dtype=np.float32)
    return np.stack([pixels - place[::2], place[1::2] - pixels])
