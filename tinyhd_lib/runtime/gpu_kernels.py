"""Triton kernels for the steps of a student that are slow in torch, on contiguous (N, C, T, H, W) tensors.

A program computes a tile of channels and pixels. Registers hold float32, whatever the tensors' type. Parameters have
the same names in all kernels: ``x`` is the input, ``out`` the output, and ``other`` is added if it is not None. Sizes
are C (channels), T, H, W, and Co, To, Ho, Wo of the output; parameters that end in ``_TILE`` are powers of two. With
the environment variable ``TRITON_INTERPRET=1`` they run on a CPU, as in the tests.
"""

import triton
import triton.language as tl
from triton.language import constexpr


@triton.jit
def relu6(x):
    return tl.minimum(tl.maximum(x, 0.0), 6.0)


@triton.jit
def matrix(weight, first_row, rows, first, columns, ROW_TILE: constexpr, TILE: constexpr):
    """Load a tile of weights (rows, columns), padded with zeros."""
    row, column = first_row + tl.arange(0, ROW_TILE)[:, None], first + tl.arange(0, TILE)[None, :]
    return tl.load(weight + row * columns + column, mask=(row < rows) & (column < columns), other=0.0)


@triton.jit
def pointwise_kernel(
    x, weights, out, sizes, C_TILE: constexpr, CO_TILE: constexpr, P_TILE: constexpr, PRECISION: constexpr
):
    """Convolve 1x1 the ``pixels`` of all frames. Programs: tiles of pixels, tiles of channels, clips."""
    weight, bias = weights
    C, Co, pixels = sizes
    p, n = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(2).to(tl.int64)
    first = tl.program_id(1) * CO_TILE
    co = first + tl.arange(0, CO_TILE)
    total = tl.zeros((CO_TILE, P_TILE), tl.float32)
    for begin in range(0, C, C_TILE):
        c = begin + tl.arange(0, C_TILE)
        there = (c < C)[:, None] & (p < pixels)[None, :]
        tile = tl.load(x + n * C * pixels + c[:, None] * pixels + p[None, :], mask=there, other=0.0)
        part = matrix(weight, first, Co, begin, C, CO_TILE, C_TILE).to(x.dtype.element_ty)
        total = tl.dot(part, tile, total, input_precision=PRECISION)
    total += tl.load(bias + co, mask=co < Co, other=0.0)[:, None]
    inside = (co < Co)[:, None] & (p < pixels)[None, :]
    place = co[:, None] * pixels + p[None, :]
    tl.store(out + n * Co * pixels + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def finish(total, first, bias, other, out, n, t, p, Co, To, plane, CO_TILE: constexpr):
    """Add bias and ``other`` to a tile from channel ``first``, and write it into frame t."""
    co, clip = first + tl.arange(0, CO_TILE), n * Co * To * plane
    inside = (co < Co)[:, None] & (p < plane)[None, :]
    place = (co[:, None] * To + t) * plane + p[None, :]
    total += tl.load(bias + co, mask=co < Co, other=0.0)[:, None]
    if other is not None:
        total += tl.load(other + clip + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + clip + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def block_kernel(
    x, weights, other, out, sizes, C_TILE: constexpr, CO_TILE: constexpr, P_TILE: constexpr, PRECISION: constexpr
):
    """Convolve a hidden layer depthwise (kernel, 3, 3), with ReLU6, and project it: an inverted residual's second half.

    The hidden layer's own ReLU6 is applied while it is read. Programs: tiles of pixels, output frames of all clips,
    tiles of output channels.
    """
    depthwise, bias, projection, last_bias = weights
    C, Co, T, H, W, To, Ho, Wo, kernel, stride, space_stride, pad = sizes
    p, first = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(2) * CO_TILE
    to, n = tl.program_id(1) % To, (tl.program_id(1) // To).to(tl.int64)
    y, across = p // Wo * space_stride - 1, p % Wo * space_stride - 1
    total = tl.zeros((CO_TILE, P_TILE), tl.float32)
    for begin in range(0, C, C_TILE):
        c = begin + tl.arange(0, C_TILE)
        there = (c < C)[:, None] & (p < Ho * Wo)[None, :]
        hidden = tl.zeros((C_TILE, P_TILE), tl.float32)
        for line in range(3 * kernel):
            t, iy = to * stride + line // 3 - pad, y + line % 3
            row = (c * T + t)[:, None] * H * W + (iy * W)[None, :]
            kept = there & ((t >= 0) & (t < T) & (iy >= 0) & (iy < H))[None, :]
            for kx in tl.static_range(3):
                ix = across + kx
                seen = kept & ((ix >= 0) & (ix < W))[None, :]
                value = tl.load(x + n * C * T * H * W + row + ix[None, :], mask=seen, other=0.0)
                value = relu6(value.to(tl.float32))
                tap = tl.load(depthwise + c * kernel * 9 + line * 3 + kx, mask=c < C, other=0.0)
                hidden += tap[:, None] * value
        hidden = relu6(hidden + tl.load(bias + c, mask=c < C, other=0.0)[:, None])
        weight = matrix(projection, first, Co, begin, C, CO_TILE, C_TILE).to(x.dtype.element_ty)
        total = tl.dot(weight, hidden.to(x.dtype.element_ty), total, input_precision=PRECISION)
    finish(total, first, last_bias, other, out, n, to, p, Co, To, Ho * Wo, CO_TILE)


@triton.jit
def rolling_kernel(
    x, weights, other, out, sizes, C_TILE: constexpr, CO_TILE: constexpr, P_TILE: constexpr, PRECISION: constexpr
):
    """Compute the same as `block_kernel` for a depthwise 3x3x3 of stride 1 whose hidden channels fit into one tile.

    Every frame is read once, for the three outputs that use it. Programs: tiles of pixels, clips.
    """
    depthwise, bias, projection, last_bias = weights
    C, Co, T, H, W = sizes
    p, n = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(1).to(tl.int64)
    c, y, across = tl.arange(0, C_TILE), p // W - 1, p % W - 1
    there = (c < C)[:, None] & (p < H * W)[None, :]
    bias_tile = tl.load(bias + c, mask=c < C, other=0.0)[:, None]
    past = tl.zeros((C_TILE, P_TILE), tl.float32)
    now = tl.zeros((C_TILE, P_TILE), tl.float32)
    for t in range(T + 1):  # one more iteration, which reads nothing, for the last output
        coming = tl.zeros((C_TILE, P_TILE), tl.float32)
        for line in range(3):
            iy = y + line
            row = (c * T + t)[:, None] * H * W + (iy * W)[None, :]
            kept = there & ((t < T) & (iy >= 0) & (iy < H))[None, :]
            for kx in tl.static_range(3):
                ix = across + kx
                seen = kept & ((ix >= 0) & (ix < W))[None, :]
                value = tl.load(x + n * C * T * H * W + row + ix[None, :], mask=seen, other=0.0)
                value = relu6(value.to(tl.float32))
                tap = depthwise + c * 27 + line * 3 + kx
                coming += tl.load(tap, mask=c < C, other=0.0)[:, None] * value
                now += tl.load(tap + 9, mask=c < C, other=0.0)[:, None] * value
                past += tl.load(tap + 18, mask=c < C, other=0.0)[:, None] * value
        if t > 0:
            hidden = relu6(past + bias_tile).to(x.dtype.element_ty)
            for first in range(0, Co, CO_TILE):
                weight = matrix(projection, first, Co, 0, C, CO_TILE, C_TILE).to(x.dtype.element_ty)
                total = tl.dot(weight, hidden, input_precision=PRECISION)
                finish(total, first, last_bias, other, out, n, t - 1, p, Co, T, H * W, CO_TILE)
        past = now
        now = coming
