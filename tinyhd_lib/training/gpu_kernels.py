"""Triton kernels for the layers of a student whose training is slow in torch on a GPU; see `gpu_layers`.

Tensors are contiguous (N, C, T, H, W) of any floating type; sums are float32. No atomics are used, so that a step of
training is deterministic. In the kernels, ``To``, ``Ho`` and ``Wo`` are the sizes of the output; ``plane`` is a channel
of a clip, ``pad`` and ``edge`` are the paddings in time and in space; ``norm`` (4, C) is a batch norm's scale, shift,
mean and deviation, and ``parts`` has two sums of every program. With the environment variable ``TRITON_INTERPRET=1``
they run on a CPU, as in the tests.
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
def read(source, seen, scale, shift):
    """Load the pixels that are ``seen``, 0 for the others; scaled and shifted, with ReLU6, unless scale is None."""
    value = tl.load(source, mask=seen, other=0.0).to(tl.float32)
    if scale is not None:
        value = tl.where(seen, tl.minimum(tl.maximum(value * scale + shift, 0.0), 6.0), 0.0)
    return value


@triton.jit
def convolve_kernel(x, weight, out, norm, parts, sizes, P_TILE: constexpr):
    """Compute a depthwise convolution with (kernel, 3, 3) taps.

    If ``norm`` is not None, x is normalised as it is read, with ReLU6. The statistics of what is written go to
    ``parts``, if that is not None.
    """
    C, T, H, W, To, Ho, Wo, kernel, stride, space_stride, pad, edge = sizes
    p, to, plane = place(Ho * Wo, To, P_TILE)
    y, across, inside = p // Wo * space_stride - edge, p % Wo * space_stride - edge, p < Ho * Wo
    taps = weight + plane % C * kernel * 9
    scale = None if norm is None else tl.load(norm + plane % C)
    shift = None if norm is None else tl.load(norm + C + plane % C)
    total = tl.zeros((P_TILE,), tl.float32)
    for line in range(3 * kernel):
        t, iy = to * stride + line // 3 - pad, y + line % 3
        kept = inside & (t >= 0) & (t < T) & (iy >= 0) & (iy < H)
        for kx in tl.static_range(3):
            seen = kept & (across + kx >= 0) & (across + kx < W)
            source = x + (plane * T + t) * H * W + iy * W + across + kx
            total += tl.load(taps + line * 3 + kx) * read(source, seen, scale, shift)
    made = total.to(out.dtype.element_ty)
    tl.store(out + (plane * To + to) * Ho * Wo + p, made, mask=inside)
    if parts is not None:
        store_statistics(made.to(tl.float32), inside, parts + tl.program_id(0) * 2)


@triton.jit
def input_gradient_kernel(gradient, weight, out, x, norm, parts, sizes, P_TILE: constexpr):
    """Gather the gradient of every input pixel from the outputs that it contributes to.

    If ``norm`` is not None, it is the gradient before the ReLU6 with which x was read, and its sums go to ``parts``.
    """
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
    here = (plane * T + t) * H * W + p
    if norm is not None:
        value = tl.load(x + here, mask=inside, other=0.0).to(tl.float32)
        total, normal = passed(value, total, norm + plane % C, C, CLIP=True)
        store_sums(total, normal, parts + tl.program_id(0) * 2)
    tl.store(out + here, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def weight_gradient_kernel(x, gradient, out, norm, sizes, frames, share, P_TILE: constexpr):
    """Sum the gradient of a row of three taps over a share of all frames. Programs: rows of taps, channels, shares.

    If ``norm`` is not None, x is normalised as it is read, with ReLU6.
    """
    C, T, H, W, To, Ho, Wo, _, stride, space_stride, pad, edge = sizes
    line, c, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    scale = None if norm is None else tl.load(norm + c)
    shift = None if norm is None else tl.load(norm + C + c)
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
            left += given * read(source, kept & (ix >= 0) & (ix < W), scale, shift)
            middle += given * read(source + 1, kept & (ix >= -1) & (ix < W - 1), scale, shift)
            right += given * read(source + 2, kept & (ix >= -2) & (ix < W - 2), scale, shift)
    to_taps = out + ((part * C + c) * tl.num_programs(0) + line) * 3
    tl.store(to_taps, tl.sum(left, 0))
    tl.store(to_taps + 1, tl.sum(middle, 0))
    tl.store(to_taps + 2, tl.sum(right, 0))


@triton.jit
def store_statistics(value, inside, to):
    """Write the mean of a tile's pixels ``inside``, and their sum of squared deviations."""
    mean = tl.sum(tl.where(inside, value, 0.0), 0) / tl.sum(inside.to(tl.float32), 0)
    apart = tl.where(inside, value - mean, 0.0)
    tl.store(to, mean)
    tl.store(to + 1, tl.sum(apart * apart, 0))


@triton.jit
def store_sums(given, normal, to):
    """Write a tile's sums of the gradient, and of gradient times normalised input."""
    tl.store(to, tl.sum(given, 0))
    tl.store(to + 1, tl.sum(given * normal, 0))


@triton.jit
def statistics_kernel(x, parts, T, size, P_TILE: constexpr):
    """Write the statistics of a tile."""
    p, t, plane = place(size, T, P_TILE)
    value = tl.load(x + (plane * T + t) * size + p, mask=p < size, other=0.0).to(tl.float32)
    store_statistics(value, p < size, parts + tl.program_id(0) * 2)


@triton.jit
def tiles_of(parts, begin, sizes, P_TILE: constexpr):
    """Return, for a channel's tiles from ``begin`` on: pixels (0 past the last), mean, sum of squared deviations."""
    N, frames, size, tile, _, _ = sizes
    row, tiles = begin + tl.arange(0, P_TILE), tl.cdiv(size, tile)
    known, every = row < N * frames * tiles, frames * tiles
    place = parts + ((row // every * tl.num_programs(0) + tl.program_id(0)) * every + row % every) * 2
    count = tl.where(known, tl.minimum(tile, size - row % tiles * tile), 0)
    mean, square = tl.load(place, mask=known, other=0.0), tl.load(place + 1, mask=known, other=0.0)
    return count, mean.to(tl.float64), square.to(tl.float64)


@triton.jit
def fold_kernel(parts, weights, running, norm, sizes, P_TILE: constexpr):
    """Merge a channel's tiles into scale, shift, mean and deviation; update running statistics. Programs: channels."""
    N, frames, size, tile, eps, share = sizes
    c, total, tiles = tl.program_id(0), N * frames * size, N * frames * tl.cdiv(size, tile)
    sums, squares = tl.zeros((P_TILE,), tl.float64), tl.zeros((P_TILE,), tl.float64)
    for begin in range(0, tiles, P_TILE):
        count, own, square = tiles_of(parts, begin, sizes, P_TILE)
        sums += count * own
    mean = tl.sum(sums, 0) / total
    for begin in range(0, tiles, P_TILE):
        count, own, square = tiles_of(parts, begin, sizes, P_TILE)
        squares += square + count * (own - mean) * (own - mean)
    variance = tl.sum(squares, 0) / total
    deviation = tl.sqrt(variance + eps)
    scale = tl.load(weights[0] + c) / deviation
    C = tl.num_programs(0)
    tl.store(norm + c, scale.to(tl.float32))
    tl.store(norm + C + c, (tl.load(weights[1] + c) - mean * scale).to(tl.float32))
    tl.store(norm + 2 * C + c, mean.to(tl.float32))
    tl.store(norm + 3 * C + c, deviation.to(tl.float32))
    before, spread = tl.load(running[0] + c), tl.load(running[1] + c)
    tl.store(running[0] + c, (before + share * (mean - before)).to(tl.float32))
    tl.store(running[1] + c, (spread + share * (variance * total / (total - 1) - spread)).to(tl.float32))


@triton.jit
def normalise_kernel(x, norm, out, C, T, size, CLIP: constexpr, P_TILE: constexpr):
    """Scale and shift every channel, with ReLU6 if ``CLIP``."""
    p, t, plane = place(size, T, P_TILE)
    here = (plane * T + t) * size + p
    value = tl.load(x + here, mask=p < size, other=0.0).to(tl.float32)
    value = value * tl.load(norm + plane % C) + tl.load(norm + C + plane % C)
    if CLIP:
        value = tl.minimum(tl.maximum(value, 0.0), 6.0)
    tl.store(out + here, value.to(out.dtype.element_ty), mask=p < size)


@triton.jit
def passed(value, given, norm, C, CLIP: constexpr):
    """Return the gradient before ReLU6 (if ``CLIP``), and the normalised input, of the channel that norm points at."""
    if CLIP:
        made = value * tl.load(norm) + tl.load(norm + C)
        given = tl.where((made > 0.0) & (made < 6.0), given, 0.0)
    return given, (value - tl.load(norm + 2 * C)) / tl.load(norm + 3 * C)


@triton.jit
def gradient_sums_kernel(x, gradient, norm, parts, C, T, size, CLIP: constexpr, P_TILE: constexpr):
    """Write a tile's sums of the gradient, and of gradient times normalised input."""
    p, t, plane = place(size, T, P_TILE)
    here = (plane * T + t) * size + p
    value = tl.load(x + here, mask=p < size, other=0.0).to(tl.float32)
    given = tl.load(gradient + here, mask=p < size, other=0.0).to(tl.float32)
    given, normal = passed(value, given, norm + plane % C, C, CLIP)
    store_sums(given, normal, parts + tl.program_id(0) * 2)


@triton.jit
def norm_gradient_kernel(x, gradient, norm, means, out, C, T, size, CLIP: constexpr, P_TILE: constexpr):
    """Compute the gradient of a batch norm's input from the means (C, 2) of the sums of `store_sums`."""
    p, t, plane = place(size, T, P_TILE)
    c, here = plane % C, (plane * T + t) * size + p
    value = tl.load(x + here, mask=p < size, other=0.0).to(tl.float32)
    given = tl.load(gradient + here, mask=p < size, other=0.0).to(tl.float32)
    given, normal = passed(value, given, norm + c, C, CLIP)
    made = tl.load(norm + c) * (given - tl.load(means + c * 2) - normal * tl.load(means + c * 2 + 1))
    tl.store(out + here, made.to(out.dtype.element_ty), mask=p < size)
