"""Triton kernels for the layers of a student whose training is slow in torch on a GPU; see `gpu_layers`.

Tensors are contiguous (N, C, T, H, W) of any floating type; sums are float32. No atomics are used, so that a step of
training is deterministic. In the kernels, ``To``, ``Ho`` and ``Wo`` are the sizes of the output; ``plane`` is a channel
of a clip, ``pad`` and ``edge`` are the paddings in time and in space. With the environment variable
``TRITON_INTERPRET=1`` they run on a CPU, as in the tests.
"""

import triton
import triton.language as tl
from triton.language import constexpr


@triton.jit
def place(size, frames, P_TILE: constexpr):
    """Return the pixels, the frame and the plane (channel of a clip) that a program computes."""
    tiles = tl.cdiv(size, P_TILE)
    tile, frame = tl.program_id(0) % tiles, tl.program_id(0) // tiles
    return tile * P_TILE + tl.arange(0, P_TILE), frame % frames, (frame // frames).to(tl.int64)


@triton.jit
def convolve_kernel(x, weight, out, sizes, P_TILE: constexpr):
    """Compute a depthwise convolution with (kernel, 3, 3) taps."""
    C, T, H, W, To, Ho, Wo, kernel, stride, space_stride, pad, edge = sizes
    p, to, plane = place(Ho * Wo, To, P_TILE)
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
    """Gather the gradient of every input pixel from the outputs that it contributes to."""
    C, T, H, W, To, Ho, Wo, kernel, stride, space_stride, pad, edge = sizes
    p, t, plane = place(H * W, T, P_TILE)
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
    """Sum the gradient of a row of three taps over a share of all frames. Programs: rows of taps, channels, shares."""
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


@triton.jit
def statistics_kernel(x, out, size, P_TILE: constexpr):
    """Write a tile's mean and its sum of squared deviations. Programs: channels of all clips, tiles of a plane."""
    p, plane = tl.program_id(1) * P_TILE + tl.arange(0, P_TILE), tl.program_id(0).to(tl.int64)
    value = tl.load(x + plane * size + p, mask=p < size, other=0.0).to(tl.float32)
    mean = tl.sum(value, 0) / tl.minimum(P_TILE, size - tl.program_id(1) * P_TILE)
    apart = tl.where(p < size, value - mean, 0.0)
    to = out + (plane * tl.num_programs(1) + tl.program_id(1)) * 2
    tl.store(to, mean)
    tl.store(to + 1, tl.sum(apart * apart, 0))


@triton.jit
def tiles_of(parts, begin, sizes, P_TILE: constexpr):
    """Return, for a channel's tiles from ``begin`` on: pixels (0 past the last), mean, sum of squared deviations."""
    N, tiles, size, _, _ = sizes
    row = begin + tl.arange(0, P_TILE)
    known = row < N * tiles
    place = parts + ((row // tiles * tl.num_programs(0) + tl.program_id(0)) * tiles + row % tiles) * 2
    count = tl.where(known, tl.minimum(P_TILE, size - row % tiles * P_TILE), 0)
    mean, square = tl.load(place, mask=known, other=0.0), tl.load(place + 1, mask=known, other=0.0)
    return count, mean.to(tl.float64), square.to(tl.float64)


@triton.jit
def fold_kernel(parts, weights, running, out, sizes, P_TILE: constexpr):
    """Merge a channel's tiles into scale, shift, mean and deviation; update running statistics. Programs: channels."""
    N, tiles, size, eps, share = sizes
    c, total = tl.program_id(0), N * size
    sums, squares = tl.zeros((P_TILE,), tl.float64), tl.zeros((P_TILE,), tl.float64)
    for begin in range(0, N * tiles, P_TILE):
        count, own, square = tiles_of(parts, begin, sizes, P_TILE)
        sums += count * own
    mean = tl.sum(sums, 0) / total
    for begin in range(0, N * tiles, P_TILE):
        count, own, square = tiles_of(parts, begin, sizes, P_TILE)
        squares += square + count * (own - mean) * (own - mean)
    variance = tl.sum(squares, 0) / total
    deviation = tl.sqrt(variance + eps)
    scale = tl.load(weights[0] + c) / deviation
    tl.store(out[0] + c, scale.to(tl.float32))
    tl.store(out[1] + c, (tl.load(weights[1] + c) - mean * scale).to(tl.float32))
    tl.store(out[2] + c, mean.to(tl.float32))
    tl.store(out[3] + c, deviation.to(tl.float32))
    before, spread = tl.load(running[0] + c), tl.load(running[1] + c)
    tl.store(running[0] + c, (before + share * (mean - before)).to(tl.float32))
    tl.store(running[1] + c, (spread + share * (variance * total / (total - 1) - spread)).to(tl.float32))


@triton.jit
def normalise_kernel(x, scale, shift, out, C, size, CLIP: constexpr, P_TILE: constexpr):
    """Scale and shift every channel, with ReLU6 if ``CLIP``. Programs: channels of all clips, tiles of a plane."""
    p, plane = tl.program_id(1) * P_TILE + tl.arange(0, P_TILE), tl.program_id(0).to(tl.int64)
    value = tl.load(x + plane * size + p, mask=p < size, other=0.0).to(tl.float32)
    value = value * tl.load(scale + plane % C) + tl.load(shift + plane % C)
    if CLIP:
        value = tl.minimum(tl.maximum(value, 0.0), 6.0)
    tl.store(out + plane * size + p, value.to(out.dtype.element_ty), mask=p < size)


@triton.jit
def passed(x, gradient, folded, plane, p, C, size, CLIP: constexpr):
    """Return the gradient before ReLU6 (if ``CLIP``), and the normalised input."""
    scale, shift, mean, deviation = folded
    c = plane % C
    value = tl.load(x + plane * size + p, mask=p < size, other=0.0).to(tl.float32)
    given = tl.load(gradient + plane * size + p, mask=p < size, other=0.0).to(tl.float32)
    if CLIP:
        made = value * tl.load(scale + c) + tl.load(shift + c)
        given = tl.where((made > 0.0) & (made < 6.0), given, 0.0)
    return given, (value - tl.load(mean + c)) / tl.load(deviation + c)


@triton.jit
def gradient_sums_kernel(x, gradient, folded, out, C, size, CLIP: constexpr, P_TILE: constexpr):
    """Write a tile's sums of the gradient, and of gradient times normalised input. Programs as `statistics_kernel`."""
    p, plane = tl.program_id(1) * P_TILE + tl.arange(0, P_TILE), tl.program_id(0).to(tl.int64)
    given, normal = passed(x, gradient, folded, plane, p, C, size, CLIP)
    to = out + (plane * tl.num_programs(1) + tl.program_id(1)) * 2
    tl.store(to, tl.sum(given, 0))
    tl.store(to + 1, tl.sum(given * normal, 0))


@triton.jit
def norm_gradient_kernel(x, gradient, folded, means, out, C, size, CLIP: constexpr, P_TILE: constexpr):
    """Compute the gradient of a batch norm's input from the means (C, 2) of the sums of `gradient_sums_kernel`."""
    p, plane = tl.program_id(1) * P_TILE + tl.arange(0, P_TILE), tl.program_id(0).to(tl.int64)
    given, normal = passed(x, gradient, folded, plane, p, C, size, CLIP)
    c = plane % C
    made = tl.load(folded[0] + c) * (given - tl.load(means + c * 2) - normal * tl.load(means + c * 2 + 1))
    tl.store(out + plane * size + p, made.to(out.dtype.element_ty), mask=p < size)
