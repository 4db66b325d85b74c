"""Computes a plan on a GPU, a batch of clips at a time."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from triton import cdiv, next_power_of_2

from tinyhd_lib.models.upsampling import enlarge
from tinyhd_lib.runtime.fused.plan import CLIP, ENLARGE, EXPAND, Plan, Step
from tinyhd_lib.runtime.gpu import kernels

_LEAST = 16
"""Of a side of what matrix units multiply."""

_MOST = 64
"""Channels that a program makes, or keeps for three frames, at once."""

_TILE = 2048
"""Numbers that a program keeps of one thing: 8 for each thread of its 8 warps; with more, registers do not suffice."""


class Engine:
    """A plan with its weights on a GPU.

    Args:
        plan: what to compute.
        device: of torch; a CPU where Triton interprets.
        kind: float32, bfloat16 or float16: what maps are kept in, and what is multiplied.
        tile: numbers that a program keeps of one thing; the interpreter is the faster the more they are.
    """

    def __init__(self, plan: Plan, device: torch.device, kind: torch.dtype, tile: int = _TILE) -> None:
        self._plan, self._kind, self._tile, self._precision = plan, kind, tile, _precision(device)
        self._weights = {name: torch.from_numpy(weight.copy()).to(device) for name, weight in plan.weights.items()}
        self._last_use = {source: number for number, step in enumerate(plan.steps) for source in step.sources}

    def __call__(self, clips: Tensor) -> Tensor:
        """Return the fused maps (N, outputs, H, W) in float32 of clips (N, 3, T, H, W)."""
        results = {CLIP: clips.to(self._kind)}
        for number, step in enumerate(self._plan.steps):
            inputs = [results[each] for each in step.inputs]
            weights = [self._weights[f"{number}.{each}"] for each in range(step.weights)]
            other = None if step.other is None else results[step.other]
            results[number] = self._result(step, inputs, weights, other)
            for source in step.sources:
                if self._last_use[source] == number:
                    results.pop(source, None)
        return results[number]

    def _result(self, step: Step, inputs: list[Tensor], weights: list[Tensor], other: Tensor | None) -> Tensor:
        x = inputs[0]  # as it is for "widen", which a CPU does beforehand: here both ways are enlarged at once
        match step.kernel:
            case "stem":
                kernel, bias = (each.to(self._kind) for each in weights)
                x = F.conv3d(x, kernel.view(-1, 3, 3, 3, 3), bias, stride=2, padding=1).clamp_(0, 6)
            case "pointwise":
                x = self._pointwise(x, weights)
                x = x.clamp_(0, 6) if step.settings[2] else x
            case "enlarge" | "shuffle":
                x = enlarge(x, shuffle=step.kernel == "shuffle", lengthen=step.shape[1] == 2 * x.shape[2])
                x = (x if other is None else x + other).contiguous()
            case "join":
                x = torch.cat(inputs, dim=1)
            case "block":
                x = self._block(step, x, weights, other)
            case "fuse":
                x = _fused(inputs, *weights, frames=step.shape[1])
        return x

    def _pointwise(self, x: Tensor, weights: list[Tensor]) -> Tensor:
        outputs, inputs, pixels = weights[1].numel(), x.shape[1], math.prod(x.shape[2:])
        out = x.new_empty(len(x), outputs, *x.shape[2:])
        tiles = self._tiles(inputs, outputs, pixels)
        grid = cdiv(pixels, tiles["P_TILE"]), cdiv(outputs, tiles["CO_TILE"]), len(x)
        kernels.pointwise_kernel[grid](x, tuple(weights), out, (inputs, outputs, pixels), **tiles)
        return out

    def _block(self, step: Step, x: Tensor, weights: list[Tensor], other: Tensor | None) -> Tensor:
        expand, bias, depthwise, *rest = weights
        mode, (_, hidden, outputs), shape, _, lasting, (kernel, stride, pad), space_stride = step.settings
        if mode == ENLARGE:
            x = enlarge(x, shuffle=False, lengthen=shape[0] != x.shape[2])
        elif mode == EXPAND:
            x = self._pointwise(x, [expand, bias])
        out = x.new_empty(len(x), *step.shape)
        frames, plane, sizes = shape[0], math.prod(step.shape[2:]), (hidden, outputs, *shape)
        rolling = (kernel, stride, space_stride) == (3, 1, 1) and frames > 1 and hidden <= _MOST
        tiles = self._tiles(hidden, outputs, plane, whole=rolling)
        columns = cdiv(plane, tiles["P_TILE"])
        if rolling:
            kernels.rolling_kernel[columns, len(x)](x, (depthwise, *rest), other, out, sizes, **tiles)
            return out
        if frames == 1 and pad:  # the padding hides all but the middle of the kernel
            depthwise = depthwise.view(hidden, kernel, 9)[:, pad].contiguous()
            kernel, pad = 1, 0
        sizes = *sizes, *step.shape[1:], kernel, stride, space_stride, pad
        grid = columns, lasting * len(x), cdiv(outputs, tiles["CO_TILE"])
        kernels.block_kernel[grid](x, (depthwise, *rest), other, out, sizes, **tiles)
        return out

    def _tiles(self, inputs: int, outputs: int, pixels: int, *, whole: bool = False) -> dict[str, Any]:
        """Return how large the tiles of a product are, one of all inputs if ``whole``, and how it is made."""
        most_read, most_made = (_MOST, _MOST // 2) if whole else (self._tile // _MOST, _MOST)
        read = max(_LEAST, min(next_power_of_2(inputs), most_read))
        made = max(_LEAST, min(next_power_of_2(outputs), most_made))
        tile = max(_LEAST, min(self._tile // max(read, made), next_power_of_2(pixels)))
        return {"C_TILE": read, "CO_TILE": made, "P_TILE": tile, "PRECISION": self._precision, "num_warps": 8}


def _fused(logits: list[Tensor], weight: Tensor, bias: Tensor, *, frames: int) -> Tensor:
    """Return the fused maps (N, frames, H, W); a decoder's one frame stands for all of them."""
    total = bias
    for x, share in zip(logits, weight.split([each.shape[1] for each in logits]), strict=True):
        total = total + torch.einsum("c,nc...->n...", share, x.float().sigmoid())
    return total.sigmoid().expand(-1, frames, -1, -1)


def _precision(device: torch.device) -> str:
    """Return how float32 is multiplied: by three products of fewer bits, as exact, where there are units for it."""
    modern = device.type == "cuda" and not torch.version.hip and torch.cuda.get_device_capability(device) >= (8, 0)
    return "tf32x3" if modern else "ieee"
