"""Inverted residuals, depthwise convolutions and batch norms that train fast on a GPU.

torch computes each channel of a batch norm in one block of threads, so with few channels most of a GPU is idle. Here
many blocks compute partial sums, and those of a hidden layer are computed by the convolution that writes it.
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

Settings = tuple[tuple[int, ...], tuple[int, ...]]
"""Stride and padding of a convolution."""


def accelerate(model: nn.Module) -> None:
    """Let a model's inverted residuals, and its other depthwise convolutions and batch norms, use these kernels.

    A ReLU6 after a batch norm becomes part of it. Names and values of the model's parameters stay, and in evaluation
    mode it computes as before. If Triton cannot compile, its error is raised before anything is changed.
    """
    both = torch.zeros(1, 1, 3, 3, 3, device=next(model.parameters()).device, requires_grad=True)
    DepthwiseFunction.apply(both, both, ((1, 1, 1), (1, 1, 1))).sum().backward()
    for sequence in [each for each in model.modules() if isinstance(each, nn.Sequential)]:
        if len(sequence) == 4 and all(isinstance(each, nn.Sequential) for each in [*sequence][:2]):
            sequence.__class__ = _InvertedResidual
        for place, (layer, following) in enumerate(pairwise([*sequence, None]), start=1):
            if isinstance(layer, nn.Conv3d) and layer.groups == layer.in_channels > 1:
                layer.__class__ = _Depthwise
            elif isinstance(layer, nn.BatchNorm3d):
                layer.__class__ = _BatchNorm
                if isinstance(following, nn.ReLU6):
                    layer.clip6, sequence[place] = True, nn.Identity()  # type: ignore[assignment]


class DepthwiseFunction(torch.autograd.Function):
    """A depthwise convolution of x (N, C, T, H, W) with float32 weight (C, 1, k, 3, 3); H and W are treated alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
        x, ctx.settings = x.contiguous(), settings
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight, settings, None)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        of_input, of_weight, _ = _convolution_gradients(x, weight, gradient.contiguous(), ctx.settings, None)
        return of_input, of_weight, None


class BatchNormFunction(torch.autograd.Function):
    """A batch norm of x (N, C, T, H, W) by the batch's own statistics; the layer's running statistics are updated.

    It is followed by ReLU6 if the layer has ``clip6``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "_BatchNorm", *_weights: Tensor) -> Tensor:
        x, ctx.clip6 = x.contiguous(), layer.clip6
        norm = _folded(x, _statistics(x), layer)
        ctx.save_for_backward(x, norm)
        return _normalised(x, norm, clip6=layer.clip6)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, norm = ctx.saved_tensors
        gradient = gradient.contiguous()
        sums = _norm_sums(x, gradient, norm, clip6=ctx.clip6)
        return _norm_gradient(x, gradient, norm, sums, clip6=ctx.clip6), None, sums[:, 1], sums[:, 0]


class HiddenFunction(torch.autograd.Function):
    """What an inverted residual has between its two products: batch norm, depthwise convolution, batch norm.

    Each norm is followed by ReLU6. The convolution normalises its input x (N, C, T, H, W) as it reads it, so x is never
    stored in normalised form, and it computes the statistics of what it writes.

    Args:
        x: the first product.
        layers: the three; their weights follow in their order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: tuple[Any, nn.Conv3d, Any], *_weights: Tensor) -> Tensor:
        first, convolution, second = layers
        x, ctx.settings = x.contiguous(), (convolution.stride, convolution.padding)
        norm = _folded(x, _statistics(x), first)
        made, parts = _convolved(x, convolution.weight, ctx.settings, norm)
        later = _folded(made, parts, second)
        ctx.save_for_backward(x, norm, convolution.weight, made, later)
        return _normalised(made, later, clip6=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, norm, taps, made, later = ctx.saved_tensors
        gradient = gradient.contiguous()
        later_sums = _norm_sums(made, gradient, later, clip6=True)
        gradient = _norm_gradient(made, gradient, later, later_sums, clip6=True)
        of_input, of_taps, parts = _convolution_gradients(x, taps, gradient, ctx.settings, norm)
        sums = parts.sum((0, 2))
        of_input = _norm_gradient(x, of_input, norm, sums, clip6=True)
        return of_input, None, sums[:, 1], sums[:, 0], of_taps, later_sums[:, 1], later_sums[:, 0]


class _Depthwise(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return DepthwiseFunction.apply(x, self.weight, (self.stride, self.padding))


class _BatchNorm(nn.BatchNorm3d):
    clip6 = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return relu6(super().forward(x)) if self.clip6 else super().forward(x)
        return BatchNormFunction.apply(x, self, self.weight, self.bias)


class _InvertedResidual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)  # type: ignore[no-untyped-call]
        parts: list[Any] = [*self.children()]
        (expand, first, _), (convolution, second, _), project, last = parts
        weights = first.weight, first.bias, convolution.weight, second.weight, second.bias
        return last(project(HiddenFunction.apply(expand(x), (first, convolution, second), *weights)))


def _convolved(x: Tensor, weight: Tensor, settings: Settings, norm: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return a depthwise convolution, and the statistics of its tiles if x is normalised by ``norm`` first."""
    padded = zip(x.shape[2:], weight.shape[2:], *settings, strict=True)
    out = x.new_empty(*x.shape[:2], *((size + 2 * pad - kernel) // step + 1 for size, kernel, step, pad in padded))
    parts = None if norm is None else _parts(out)
    sizes = _sizes(x, weight, out, settings)
    _run(kernels.convolve_kernel, out, x, weight.contiguous(), out, norm, parts, sizes)
    return out, parts


def _convolution_gradients(
    x: Tensor, weight: Tensor, gradient: Tensor, settings: Settings, norm: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x and weight; with ``norm``, x's is before the ReLU6, and its sums by tile follow."""
    weight, out = weight.contiguous(), torch.empty_like(x)
    (channels, _, kernel), frames = weight.shape[:3], len(x) * gradient.shape[2]
    sizes, parts = _sizes(x, weight, gradient, settings), _parts(x)
    _run(kernels.input_gradient_kernel, x, gradient, weight, out, x, norm, parts, sizes)
    share = triton.cdiv(frames, max(1, _PROGRAMS // (3 * kernel * channels)))
    rows = torch.empty((triton.cdiv(frames, share), *weight.shape), device=x.device)
    programs, (tile, _) = (3 * kernel, channels, len(rows)), _tiles(gradient)
    kernels.weight_gradient_kernel[programs](x, gradient, rows, norm, sizes, frames, share, P_TILE=tile)
    return out, rows.sum(0), parts


def _statistics(x: Tensor) -> Tensor:
    """Return the mean, and the sum of squared deviations, of every tile."""
    parts = _parts(x)
    _run(kernels.statistics_kernel, x, x, parts, *_plane(x)[1:])
    return parts


def _folded(x: Tensor, parts: Tensor | None, layer: nn.BatchNorm3d) -> Tensor:
    """Return scale, shift, mean and deviation (4, C) of a batch norm of x; update its running statistics."""
    channels, *plane = _plane(x)
    norm = torch.empty((4, channels), device=x.device)
    numbers = len(x), *plane, _tiles(x)[0], layer.eps, float(layer.momentum or 0)
    running = layer.running_mean, layer.running_var
    kernels.fold_kernel[channels,](parts, (layer.weight, layer.bias), running, norm, numbers, P_TILE=_PIXELS)
    layer.get_buffer("num_batches_tracked").add_(1)
    return norm


def _normalised(x: Tensor, norm: Tensor, *, clip6: bool) -> Tensor:
    out = torch.empty_like(x)
    _run(kernels.normalise_kernel, x, x, norm, out, *_plane(x), CLIP=clip6)
    return out


def _norm_sums(x: Tensor, gradient: Tensor, norm: Tensor, *, clip6: bool) -> Tensor:
    """Return the sums (C, 2) of the gradient, and of gradient times normalised input."""
    parts = _parts(x)
    _run(kernels.gradient_sums_kernel, x, x, gradient, norm, parts, *_plane(x), CLIP=clip6)
    return parts.sum((0, 2))


def _norm_gradient(x: Tensor, gradient: Tensor, norm: Tensor, sums: Tensor, *, clip6: bool) -> Tensor:
    """Return the gradient of a batch norm's input."""
    out, means = torch.empty_like(x), sums / (x.numel() // x.shape[1])
    _run(kernels.norm_gradient_kernel, x, x, gradient, norm, means, out, *_plane(x), CLIP=clip6)
    return out


def _run(kernel: Any, tiled: Tensor, *values: Any, **flags: bool) -> None:
    """Run a kernel, with a program for every tile of a tensor."""
    tile, grid = _tiles(tiled)
    kernel[grid](*values, P_TILE=tile, **flags)


def _sizes(x: Tensor, weight: Tensor, out: Tensor, settings: Settings) -> tuple[int, ...]:
    """Return the sizes that the kernels of a convolution need."""
    stride, padding = settings
    return *x.shape[1:], *out.shape[2:], weight.shape[2], *stride[:2], *padding[:2]


def _plane(x: Tensor) -> tuple[int, int, int]:
    """Return the number of channels, of frames, and of pixels in a frame."""
    return x.shape[1], x.shape[2], x.shape[3] * x.shape[4]


def _tiles(x: Tensor) -> tuple[int, tuple[int]]:
    """Return the pixels of a tile, and the grid of programs, along its first axis: others are limited to 65,535."""
    n, (channels, frames, size) = len(x), _plane(x)
    tile = min(_PIXELS, triton.next_power_of_2(size))
    return tile, (triton.cdiv(size, tile) * frames * n * channels,)


def _parts(x: Tensor) -> Tensor:
    """Return room (N, C, tiles, 2) for two sums of every tile."""
    _, (programs,) = _tiles(x)
    return torch.empty((programs, 2), device=x.device).view(*x.shape[:2], -1, 2)
