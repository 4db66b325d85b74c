"""From a student to its plan, read off the network itself, with batch norms folded into the convolutions.

Two things are rewritten, both exact but for rounding. The expansion after a linear enlargement is made before it, on a
quarter or an eighth of the pixels: both are linear, and the shares of an enlargement add up to one. And a sum with an
enlarged map is made while that is written.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops.misc import Conv2dNormActivation

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models import upsampling
from tinyhd_lib.models.decoders import DecoderBlock
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.runtime.fused.kernels import COPY, ENLARGE, EXPAND
from tinyhd_lib.runtime.fused.plan import CLIP, Plan, Shape, Step

_ENLARGEMENTS = (upsampling.enlarge, upsampling.shuffle_pixels, upsampling.upsample_space)

_TRACING = Lock()
"""Torch traces one model at a time: it replaces what all threads call."""


def make_plan(model: TinyHD) -> Plan:
    """The steps of a student in evaluation mode, for clips of the published size."""
    with _TRACING, torch.no_grad():
        return _Planner(model.eval()).plan


class _Logits(nn.Module):
    """A student without its fusion."""

    def __init__(self, model: TinyHD) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        """What every decoder says before its sigmoid."""
        levels = self.model.encoder(clip)
        return tuple(decoder(levels) for decoder in self.model.decoders.values())


class _Tracer(fx.Tracer):
    """Sees blocks and enlargements as wholes."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=_ENLARGEMENTS)

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
        for node in _Tracer().trace(logits).nodes:
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

    def _add(
        self,
        kernel: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        *,
        other: int | None = None,
        weights: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> int:
        number = len(self._steps)
        for name, array in (weights or {}).items():
            self._weights[f"{number}.{name}"] = np.ascontiguousarray(array, np.float32).reshape(-1)
        self._steps.append(Step(kernel, tuple(inputs), tuple(shape), other, settings))
        return number

    def _shape(self, number: int) -> Shape:
        return self.plan.shape(number)

    def _is_absorbed(self, node: fx.Node) -> bool:
        """Whether an enlargement is made by the only step that reads it."""
        if node.target not in _ENLARGEMENTS or len(node.users) > 1:
            return False
        (user,) = node.users
        if user.op == "call_module":
            return _is_linear(node)
        return user.target is operator.add and user.args[0] is node

    def _function(self, node: fx.Node) -> int:
        if node.target is torch.cat:
            parts = [self._numbers[each] for each in node.args[0]]  # type: ignore[union-attr, index]
            shapes = [self._shape(part) for part in parts]
            return (
                parts[0] if len(parts) == 1 else self._add("join", parts, (sum(s[0] for s in shapes), *shapes[0][1:]))
            )
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
            return self._add("shuffle", [source], (channels // 4, frames, 2 * height, 2 * width), other=other, low=low)
        wide = self._widen(source)
        shape = (channels, frames, 2 * height, 2 * width)
        return self._add("enlarge", [wide], shape, other=other, low=self._shape(wide))

    def _widen(self, source: int) -> int:
        channels, frames, height, width = self._shape(source)
        shape = (channels, frames, height, 2 * width)
        return self._add("widen", [source], shape, weights={"shares": _shares(width)}, width=width)

    def _module(self, node: fx.Node) -> int:
        module, source = self._modules[str(node.target)], node.args[0]
        assert isinstance(source, fx.Node)
        if isinstance(module, DecoderBlock):
            return self._block(source, list(module))
        if isinstance(module, InvertedResidual):
            return self._block(source, list(module.conv), self._numbers[source] if module.use_res_connect else None)
        convolution = module[0]
        number = self._numbers[source]
        _, frames, height, width = self._shape(number)
        weights = _folded(convolution, module[1])
        if convolution.stride == (1, 1, 1):
            shape = (convolution.out_channels, frames, height, width)
            return self._add("pointwise", [number], shape, weights=weights, clip6=True)
        shape = (convolution.out_channels, frames // 2, height // 2, width // 2)
        return self._add("stem", [number], shape, weights=weights)

    def _block(self, source: fx.Node, layers: list[Any], other: int | None = None) -> int:
        """An inverted residual: an expansion or none, the depthwise convolution, the projection."""
        *expansions, depthwise, projection, norm = layers
        expand = [_folded(each[0], each[1]) for each in expansions]
        mode, x = EXPAND if expand else COPY, self._numbers.get(source)
        if x is None:
            mode, x = ENLARGE, self._expanded(source, expand.pop())
            _, few, low, width = self._shape(x)
            frames, height = _lengthening(source) * few, 2 * low
        else:
            _, frames, height, width = self._shape(x)
        convolution = depthwise[0]
        kernel, stride, padding = convolution.kernel_size[0], convolution.stride, convolution.padding[0]
        lasting = (frames + 2 * padding - kernel) // stride[0] + 1
        weights = (
            _named("expand", *expand)
            | _named("depthwise", _folded(convolution, depthwise[1]))
            | _named("project", _folded(projection, norm))
        )
        return self._add(
            "block",
            [x],
            (projection.out_channels, lasting, height // stride[1], width // stride[1]),
            other=other,
            weights=weights,
            mode=mode,
            hidden=(convolution.out_channels, frames, height, width),
            time=(kernel, stride[0], padding),
            stride=stride[1],
        )

    def _expanded(self, enlargement: fx.Node, weights: dict[str, Map]) -> int:
        """The expansion of what is to be enlarged, widened."""
        source = self._numbers[enlargement.args[0]]  # type: ignore[index]
        shape = (weights["bias"].size, *self._shape(source)[1:])
        return self._widen(self._add("pointwise", [source], shape, weights=weights, clip6=False))

    def _fuse(self, model: TinyHD, logits: list[int]) -> None:
        """The fusion's weights are in its own order of the decoders."""
        spec = model.spec
        order = [*range(1, len(logits)), 0] if spec.d1_last else list(range(len(logits)))
        weights = {"weight": model.fusion.weight.reshape(-1), "bias": model.fusion.bias}
        self._add("fuse", [logits[each] for each in order], (1, spec.outputs, *INPUT_SIZE), weights=weights)


def _is_linear(enlargement: fx.Node) -> bool:
    if enlargement.target is upsampling.enlarge:
        return not enlargement.kwargs["shuffle"]
    return enlargement.target is upsampling.upsample_space


def _lengthening(enlargement: fx.Node) -> int:
    """How many times the frames it makes."""
    return 2 if enlargement.kwargs.get("lengthen") else 1


def _folded(convolution: nn.Conv3d, norm: nn.BatchNorm3d) -> dict[str, Map]:
    """Weight and bias of a convolution with its batch norm, folded in float64."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    weight = convolution.weight.double() * scale.reshape(-1, 1, 1, 1, 1)
    bias = norm.bias.double() - norm.running_mean.double() * scale  # type: ignore[union-attr]
    return {"weight": weight.float().numpy(), "bias": bias.float().numpy()}


def _named(prefix: str, *weights: dict[str, Map]) -> dict[str, Map]:
    return {f"{prefix}.{name}": array for each in weights for name, array in each.items()}


def _shares(width: int) -> Map:
    """(2, width): how much a pixel's left neighbour has of the first, and its right one of the second of its two.

    In float32, as torch computes it.
    """
    place = np.float32(width - 1) / np.float32(2 * width - 1) * np.arange(2 * width, dtype=np.float32)
    pixels = np.arange(width, dtype=np.float32)
    return np.stack([pixels - place[::2], place[1::2] - pixels])
