"""Depthwise 3-D convolutions for GPUs, which torch is slow at: Triton kernels, and what gives them to a model.

Tensors are contiguous (N, C, T, H, W) of any floating type; sums are float32. Nothing is added by atomics, so that a
step of training gives the same numbers each time. In the kernels, sizes have an o behind them where the result has
others; ``plane`` is a channel of a clip, ``pad`` and ``edge`` are the paddings in time and in space. With the
environment variable ``TRITON_INTERPRET=1`` they run on a CPU, as in the tests.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from triton.language import constexpr

_PIXELS = 1024
"""That a program works on at once."""

_PROGRAMS = 4096
"""That sum up a weight's gradient, at most."""

Triple = tuple[int, ...]


@triton.jit
def convolve_kernel(x, weight, out, sizes, P_TILE: constexpr):
    """Convolve depthwise (kernel, 3, 3). Programs: tiles of pixels, frames of the result, channels of all clips."""
    C, T, H, W, To, Ho, Wo, kernel, stride, space_stride, pad, edge = sizes
    p, to, plane = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(1), tl.program_id(2).to(tl.int64)
    y, across, inside = p // Wo * space_stride - edge, p % Wo * space_stride - edge, p < Ho * Wo
    taps = weight + plane % C * kernel * 9
    total = tl.zeros((P_TILE,), tl.float32)
    for line in range(3 * kernel):
        t, iy = to * stride + line // 3 - pad, y + line % 3
        kept = inside & (t >= 0) & (t < T) & (iy >= 0) & (iy < H)
        for kx in tl.static_range(3):
            ix = across + kx
            value = tl.load(x + (plane * T + t) * H * W + iy * W + ix, mask=kept & (ix >= 0) & (ix < W), other=0.0)
            total += tl.load(taps + line * 3 + kx) * value.to(tl.float32)
    tl.store(out + (plane * To + to) * Ho * Wo + p, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def input_gradient_kernel(gradient, weight, out, sizes, P_TILE: constexpr):
    """Gather what every pixel was part of. Programs: tiles of pixels, frames of the input, channels of all clips."""
    C, T, H, W, To, Ho, Wo, kernel, stride, space_stride, pad, edge = sizes
    p, t, plane = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(1), tl.program_id(2).to(tl.int64)
    y, across, inside = p // W + edge, p % W + edge, p < H * W
    taps = weight + plane % C * kernel * 9
    total = tl.zeros((P_TILE,), tl.float32)
    for line in range(3 * kernel):
        later, below = t + pad - line // 3, y - line % 3
        to, oy = later // stride, below // space_stride
        kept = inside & (later >= 0) & (later % stride == 0) & (to < To)
        kept = kept & (below >= 0) & (below % space_stride == 0) & (oy < Ho)
        for kx in tl.static_range(3):
            right = across - kx
            ox = right // space_stride
            seen = kept & (right >= 0) & (right % space_stride == 0) & (ox < Wo)
            value = tl.load(gradient + (plane * To + to) * Ho * Wo + oy * Wo + ox, mask=seen, other=0.0)
            total += tl.load(taps + line * 3 + kx) * value.to(tl.float32)
    tl.store(out + (plane * T + t) * H * W + p, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def weight_gradient_kernel(x, gradient, out, sizes, frames, share, P_TILE: constexpr):
    """Sum up a row of three taps over a share of all clips' frames. Programs: rows of taps, channels, shares."""
    C, T, H, W, To, Ho, Wo, _, stride, space_stride, pad, edge = sizes
    line, c, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    left = tl.zeros((P_TILE,), tl.float32)
    middle = tl.zeros((P_TILE,), tl.float32)
    right = tl.zeros((P_TILE,), tl.float32)
    for frame in range(part * share, tl.minimum((part + 1) * share, frames)):
        plane, to = (frame // To * C + c).to(tl.int64), frame % To
        t = to * stride + line // 3 - pad
        for begin in range(0, Ho * Wo, P_TILE):
            p = begin + tl.arange(0, P_TILE)
            iy, ix = p // Wo * space_stride + line % 3 - edge, p % Wo * space_stride - edge
            kept = (p < Ho * Wo) & (t >= 0) & (t < T) & (iy >= 0) & (iy < H)
            given = tl.load(gradient + (plane * To + to) * Ho * Wo + p, mask=kept, other=0.0).to(tl.float32)
            source = x + (plane * T + t) * H * W + iy * W + ix
            left += given * tl.load(source, mask=kept & (ix >= 0) & (ix < W), other=0.0).to(tl.float32)
            middle += given * tl.load(source + 1, mask=kept & (ix >= -1) & (ix < W - 1), other=0.0).to(tl.float32)
            right += given * tl.load(source + 2, mask=kept & (ix >= -2) & (ix < W - 2), other=0.0).to(tl.float32)
    to_taps = out + ((part * C + c) * tl.num_programs(0) + line) * 3
    tl.store(to_taps, tl.sum(left, 0))
    tl.store(to_taps + 1, tl.sum(middle, 0))
    tl.store(to_taps + 2, tl.sum(right, 0))


class DepthwiseFunction(torch.autograd.Function):
    """A depthwise convolution of x (N, C, T, H, W) by weight (C, 1, k, 3, 3), strides and paddings alike in space."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Triple, padding: Triple) -> Tensor:
        x, taps = x.contiguous(), weight.float().contiguous()
        sizes = [
            (size + 2 * pad - kernel) // step + 1
            for size, pad, kernel, step in zip(x.shape[2:], padding, weight.shape[2:], stride, strict=True)
        ]
        out = x.new_empty((*x.shape[:2], *sizes))
        ctx.save_for_backward(x, taps)
        ctx.sizes = *x.shape[1:], *sizes, weight.shape[2], *stride[:2], *padding[:2]
        ctx.kind = weight.dtype
        tile, grid = _tiles(out)
        convolve_kernel[grid](x, taps, out, ctx.sizes, P_TILE=tile)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, taps = ctx.saved_tensors
        gradient, of_input = gradient.contiguous(), torch.empty_like(x)
        tile, grid = _tiles(of_input)
        input_gradient_kernel[grid](gradient, taps, of_input, ctx.sizes, P_TILE=tile)
        (channels, _, kernel), frames = taps.shape[:3], len(x) * gradient.shape[2]
        share = triton.cdiv(frames, max(1, _PROGRAMS // (3 * kernel * channels)))
        parts = torch.empty((triton.cdiv(frames, share), *taps.shape), device=x.device)
        tile, _ = _tiles(gradient)
        programs = 3 * kernel, channels, len(parts)
        weight_gradient_kernel[programs](x, gradient, parts, ctx.sizes, frames, share, P_TILE=tile)
        return of_input, parts.sum(0).to(ctx.kind), None, None


class _Depthwise(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return DepthwiseFunction.apply(x, self.weight, self.stride, self.padding)


def accelerate(model: nn.Module) -> None:
    """Give a model's depthwise convolutions these kernels; names and values of its parameters stay."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv3d) and layer.groups == layer.in_channels > 1:
            layer.__class__ = _Depthwise


def _tiles(planes: Tensor) -> tuple[int, tuple[int, int, int]]:
    """Return the pixels of a tile, and the programs for all tiles, frames and channels."""
    n, channels, frames, height, width = planes.shape
    tile = min(_PIXELS, triton.next_power_of_2(height * width))
    return tile, (triton.cdiv(height * width, tile), frames, n * channels)
