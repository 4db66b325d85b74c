"""Make a student's plan by tracing the network, with batch norms folded into the convolutions.

Two things are rewritten, both exact but for rounding. The expansion after a linear upsampling is computed before it, on
a quarter or an eighth of the pixels: both are linear, and interpolation weights add up to one. And the sum with an
upsampled map is computed while that is written.
"""

import operator
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops.misc import Conv2dNormActivation

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.decoders import DecoderBlock, enlarge
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.runtime.fused.kernels import STRIP, pitch
from tinyhd_lib.runtime.fused.plan import CLIP, COPY, ENLARGE, EXPAND, Plan, Shape, Step
from tinyhd_lib.runtime.fused.simd import LANES

Folded = tuple[Map, Map]
"""Weight and bias."""

_NOTHING = np.empty(0, np.float32)

_TRACING = Lock()
"""Only one model may be traced at a time: tracing patches functions of torch for all threads."""


def make_plan(model: TinyHD, clip: Shape = CLIP_SHAPE) -> Plan:
    """Return the steps of a student in evaluation mode.

    Args:
        model: the student.
        clip: the shape (3, T, H, W) of its clips; the CPU's kernels only support the published one.
    """
    with _TRACING, torch.no_grad():
        return _Planner(model.eval(), clip).plan


class _Tracer(fx.Tracer):
    """Trace a student without its fusion, with blocks and upsamplings as single nodes."""

    traced_func_name = "logits"

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return isinstance(m, DecoderBlock | InvertedResidual | Conv2dNormActivation)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Trace a call; during tracing, calls of other threads also end up here, and pass through unchanged."""
        if not any(isinstance(each, fx.Proxy) for each in args):
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


class _Planner:
    def __init__(self, model: TinyHD, clip: Shape) -> None:
        self.plan = Plan((), {}, clip)
        self._numbers: dict[fx.Node, int] = {}
        self._modules = dict(model.named_modules())
        for node in _Tracer(autowrap_functions=(enlarge,)).trace(model).nodes:
            match node.op:
                case "placeholder":
                    self._numbers[node] = CLIP
                case "call_module":
                    self._numbers[node] = self._module(node)
                case "call_function" if not self._is_absorbed(node):
                    self._numbers[node] = self._function(node)
                case "output":
                    self._fuse(model, [self._numbers[each] for each in node.args[0]])

    def _add(self, step: Step, *weights: Any) -> int:
        """Append a step with its weights to the plan; return the step's number."""
        number = len(self.plan.steps)
        flat = [np.ascontiguousarray(each, np.float32).reshape(-1) for each in weights]
        named = {f"{number}.{place}": array for place, array in enumerate(flat)}
        steps = *self.plan.steps, step._replace(weights=len(weights))
        self.plan = Plan(steps, {**self.plan.weights, **named}, self.plan.clip)
        return number

    def _is_absorbed(self, node: fx.Node) -> bool:
        """Return whether an upsampling is computed inside the only step that reads it."""
        if node.target is not enlarge or len(node.users) > 1:
            return False
        (user,) = node.users
        if user.op == "call_module":
            return not node.kwargs["shuffle"]
        return user.target is operator.add and user.args[0] is node

    def _function(self, node: fx.Node) -> int:
        if node.target is torch.cat:
            parts = tuple(self._numbers[each] for each in node.args[0])  # type: ignore[union-attr, index]
            if len(parts) == 1:
                return parts[0]
            shapes = [self.plan.shape(part) for part in parts]
            shape = (sum(each[0] for each in shapes), *shapes[0][1:])
            sizes = tuple(channels * pitch(*frame) for channels, *frame in shapes)
            return self._add(Step("join", parts, shape, settings=sizes, extent=1))
        if node.target is operator.add:
            enlarged, other = node.args
            return self._enlarge(enlarged, self._numbers[other])  # type: ignore[index, arg-type]
        return self._enlarge(node)

    def _enlarge(self, node: fx.Node, other: int | None = None) -> int:
        source = self._numbers[node.args[0]]  # type: ignore[index]
        channels, frames, height, width = low = self.plan.shape(source)
        frames *= 2 if node.kwargs["lengthen"] else 1
        if other is not None:
            frames = max(frames, self.plan.shape(other)[1])  # a single frame is added to each of the other's
        if node.kwargs["shuffle"]:
            shape = (channels // 4, frames, 2 * height, 2 * width)
            return self._add(Step("shuffle", (source,), shape, other, settings=(low, frames)))
        wide = self._widen(source)
        shape = (channels, frames, 2 * height, 2 * width)
        return self._add(Step("enlarge", (wide,), shape, other, settings=(self.plan.shape(wide), frames)))

    def _widen(self, source: int) -> int:
        channels, frames, height, width = self.plan.shape(source)
        shape = (channels, frames, height, 2 * width)
        return self._add(Step("widen", (source,), shape, settings=self.plan.shape(source)), _shares(width))

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
        _, frames, height, width = low = self.plan.shape(number)
        shape = (convolution.out_channels, frames // 2, height // 2, width // 2)
        return self._add(Step("stem", (number,), shape, settings=(low, shape[0])), *weights)

    def _pointwise(self, source: int, weights: Folded, *, clip6: bool) -> int:
        channels, *frame = self.plan.shape(source)
        pixels, outputs = int(np.prod(frame)), weights[1].size
        settings = (channels, outputs), pixels, clip6
        step = Step("pointwise", (source,), (outputs, *frame), settings=settings, extent=pixels, grain=LANES)
        return self._add(step, *weights)

    def _block(self, source: fx.Node, layers: list[Any], other: int | None = None) -> int:
        """Add an inverted residual: an expansion or none, the depthwise convolution, the projection."""
        *expansions, depthwise, projection, norm = layers
        expand = _folded(expansions[0][0], expansions[0][1]) if expansions else (_NOTHING, _NOTHING)
        mode, x = EXPAND if expansions else COPY, self._numbers.get(source)
        if x is None:  # an upsampling: expand its input, then widen
            mode, low = ENLARGE, self._numbers[source.args[0]]  # type: ignore[index]
            x = self._widen(self._pointwise(low, expand, clip6=False))
        inputs, few, height, width = self.plan.shape(x)
        frames = few
        if mode == ENLARGE:
            frames, height = 2 * few if source.kwargs["lengthen"] else few, 2 * height
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
        counts, lengths, *_ = zip(*map(self.plan.shape, ordered), strict=True)
        frames, (height, width) = model.spec.outputs, self.plan.clip[2:]
        pixels = height * width
        shape, settings = (1, frames, height, width), (counts, lengths, frames, pixels)
        step = Step("fuse", tuple(ordered), shape, settings=settings, extent=pixels, grain=STRIP)
        self._add(step, model.fusion.weight, model.fusion.bias)


def _folded(convolution: nn.Conv3d, norm: nn.BatchNorm3d) -> Folded:
    """Return weight and bias of a convolution with its batch norm, folded in float64."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    weight = convolution.weight.double() * scale.reshape(-1, 1, 1, 1, 1)
    bias = norm.bias.double() - norm.running_mean.double() * scale  # type: ignore[union-attr]
    return weight.float().numpy(), bias.float().numpy()


def _shares(width: int) -> Map:
    """Return the interpolation weights (2, width) of a pixel's left neighbour, and of its right one.

    They are computed in float32, as in torch.
    """
    place = np.float32(width - 1) / np.float32(2 * width - 1) * np.arange(2 * width, dtype=np.float32)
    pixels = np.arange(width, dtype=np.float32)
    return np.stack([pixels - place[::2], place[1::2] - pixels])
