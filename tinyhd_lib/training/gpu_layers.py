"""Depthwise convolutions and batch norms that train fast on a GPU.

torch computes each channel of a batch norm in one block of threads, so with few channels most of a GPU is idle. Here
many blocks compute partial sums.
"""

from itertools import pairwise
from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import relu6

from tinyhd_lib.training import gpu_kernels as kernels

_PIXELS = 1024
"""Pixels of a tile, which one program computes."""

_PROGRAMS = 4096
"""Programs that sum a weight's gradient, at most."""


def accelerate(model: nn.Module) -> None:
    """Let a model's depthwise convolutions, and its batch norms with the ReLU6 after them, use these kernels.

    Names and values of its parameters stay, and in evaluation mode its batch norms compute as before. If Triton cannot
    compile, its error is raised before anything is changed.
    """
    both = torch.zeros(1, 1, 3, 3, 3, device=next(model.parameters()).device, requires_grad=True)
    DepthwiseFunction.apply(both, both, (1, 1, 1), (1, 1, 1)).sum().backward()
    for sequence in [each for each in model.modules() if isinstance(each, nn.Sequential)]:
        for place, (layer, following) in enumerate(pairwise([*sequence, None]), start=1):
            if isinstance(layer, nn.Conv3d) and layer.groups == layer.in_channels > 1:
                layer.__class__ = _Depthwise
            elif isinstance(layer, nn.BatchNorm3d) and isinstance(following, nn.ReLU6):
                layer.__class__, sequence[place] = _ClippedBatchNorm, nn.Identity()
            elif isinstance(layer, nn.BatchNorm3d):
                layer.__class__ = _BatchNorm


class DepthwiseFunction(torch.autograd.Function):
    """A depthwise convolution of x (N, C, T, H, W) with float32 weight (C, 1, k, 3, 3); H and W are treated alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]) -> Tensor:
        x, taps = x.contiguous(), weight.contiguous()
        sizes = [
            (size + 2 * pad - kernel) // step + 1
            for size, pad, kernel, step in zip(x.shape[2:], padding, weight.shape[2:], stride, strict=True)
        ]
        out = x.new_empty((*x.shape[:2], *sizes))
        ctx.save_for_backward(x, taps)
        ctx.sizes = *x.shape[1:], *sizes, weight.shape[2], *stride[:2], *padding[:2]
        tile, grid = _tiles(out)
        kernels.convolve_kernel[grid](x, taps, out, ctx.sizes, P_TILE=tile)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, taps = ctx.saved_tensors
        gradient, of_input = gradient.contiguous(), torch.empty_like(x)
        tile, grid = _tiles(of_input)
        kernels.input_gradient_kernel[grid](gradient, taps, of_input, ctx.sizes, P_TILE=tile)
        (channels, _, kernel), frames = taps.shape[:3], len(x) * gradient.shape[2]
        share = triton.cdiv(frames, max(1, _PROGRAMS // (3 * kernel * channels)))
        parts = torch.empty((triton.cdiv(frames, share), *taps.shape), device=x.device)
        tile, _ = _tiles(gradient)
        programs = 3 * kernel, channels, len(parts)
        kernels.weight_gradient_kernel[programs](x, gradient, parts, ctx.sizes, frames, share, P_TILE=tile)
        return of_input, parts.sum(0), None, None


class BatchNormFunction(torch.autograd.Function):
    """A batch norm of x (N, C, T, H, W) by the batch's own statistics; the layer's running statistics are updated.

    It is followed by ReLU6 if the layer has ``clip6``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: "_BatchNorm") -> Tensor:
        x = x.contiguous()
        channels, size, grid, parts = _planes(x)
        kernels.statistics_kernel[grid](x, parts, size, P_TILE=_PIXELS)
        running, folded = (layer.running_mean, layer.running_var), tuple(torch.empty((4, channels), device=x.device))
        numbers = len(x), grid[1], size, layer.eps, float(layer.momentum or 0)
        kernels.fold_kernel[channels,](parts, (weight, bias), running, folded, numbers, P_TILE=_PIXELS)
        out = torch.empty_like(x)
        kernels.normalise_kernel[grid](x, *folded[:2], out, channels, size, CLIP=layer.clip6, P_TILE=_PIXELS)
        ctx.save_for_backward(x, *folded)
        ctx.clip6 = layer.clip6
        layer.get_buffer("num_batches_tracked").add_(1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *folded = ctx.saved_tensors
        gradient = gradient.contiguous()
        channels, size, grid, parts = _planes(x)
        flags = {"CLIP": ctx.clip6, "P_TILE": _PIXELS}
        kernels.gradient_sums_kernel[grid](x, gradient, tuple(folded), parts, channels, size, **flags)
        sums = parts.sum((0, 2))  # (C, 2)
        out, means = torch.empty_like(x), sums / (len(x) * size)
        kernels.norm_gradient_kernel[grid](x, gradient, tuple(folded), means, out, channels, size, **flags)
        return out, sums[:, 1], sums[:, 0], None


class _Depthwise(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return DepthwiseFunction.apply(x, self.weight, self.stride, self.padding)


class _BatchNorm(nn.BatchNorm3d):
    clip6 = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return relu6(super().forward(x)) if self.clip6 else super().forward(x)
        return BatchNormFunction.apply(x, self.weight, self.bias, self)


class _ClippedBatchNorm(_BatchNorm):
    clip6 = True


def _tiles(planes: Tensor) -> tuple[int, tuple[int]]:
    """Return the pixels of a tile, and the grid of programs, along its first axis: others are limited to 65,535."""
    n, channels, frames, height, width = planes.shape
    tile = min(_PIXELS, triton.next_power_of_2(height * width))
    return tile, (triton.cdiv(height * width, tile) * frames * n * channels,)


def _planes(x: Tensor) -> tuple[int, int, tuple[int, int], Tensor]:
    """Return channels, pixels of a plane, the grid over all planes' tiles, and an empty (N, C, tiles, 2) for sums."""
    channels, size = x.shape[1], x[0, 0].numel()
    tiles = triton.cdiv(size, _PIXELS)
    return channels, size, (len(x) * channels, tiles), torch.empty((len(x), channels, tiles, 2), device=x.device)
