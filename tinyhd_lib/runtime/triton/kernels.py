"""The steps of a student as Triton kernels on contiguous (N, C, T, H, W) tensors.

A program makes a tile of channels and pixels of one frame. Numbers are float32 in registers, whatever the tensors hold.
Parameters are named alike in all of them: ``x`` is read, ``out`` written, and ``other`` added if it is not None. Sizes
are C (channels), T, H, W, with an o behind them where the result has others; what ends in ``_TILE`` is a power of two.
With the environment variable ``TRITON_INTERPRET=1`` they run on a CPU, as in the tests.
"""

import triton
import triton.language as tl
from triton.language import constexpr


@triton.jit
def relu6(x):
    return tl.minimum(tl.maximum(x, 0.0), 6.0)


@triton.jit
def product(weight, x, PRECISION: constexpr):
    """Return weight (A, B) times x (B, P): where A is less than matrix units take, by a sum, else by them.

    They multiply in what x is kept in.
    """
    if weight.shape[0] < 16:
        made = tl.sum(weight[:, :, None] * x.to(tl.float32)[None, :, :], 1)
    else:
        made = tl.dot(weight.to(x.dtype), x, input_precision=PRECISION)
    return made


@triton.jit
def matrix(weight, first_row, rows, first, columns, ROW_TILE: constexpr, TILE: constexpr):
    """Load a tile of weights (rows, columns); what lies beyond them is zero."""
    row, column = first_row + tl.arange(0, ROW_TILE)[:, None], first + tl.arange(0, TILE)[None, :]
    return tl.load(weight + row * columns + column, mask=(row < rows) & (column < columns), other=0.0)


@triton.jit
def stem(x, weights, out, sizes, C_TILE: constexpr, P_TILE: constexpr):
    """Convolve 3x3x3 with stride 2 and ReLU6 a clip of three colours.

    Programs: tiles of pixels, frames of the result, clips.
    """
    (weight, bias), (C, T, H, W, Ho, Wo) = weights, sizes
    p, c = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.arange(0, C_TILE)
    to, n = tl.program_id(1), tl.program_id(2).to(tl.int64)
    total = tl.zeros((C_TILE, P_TILE), tl.float32)
    for tap in range(81):
        colour, t = tap // 27, 2 * to + tap // 9 % 3 - 1
        y, across = 2 * (p // Wo) + tap // 3 % 3 - 1, 2 * (p % Wo) + tap % 3 - 1
        there = (t >= 0) & (t < T) & (y >= 0) & (y < H) & (across >= 0) & (across < W)
        value = tl.load(x + ((n * 3 + colour) * T + t) * H * W + y * W + across, mask=there, other=0.0)
        total += tl.load(weight + c * 81 + tap, mask=c < C, other=0.0)[:, None] * value.to(tl.float32)[None, :]
    total = relu6(total + tl.load(bias + c, mask=c < C, other=0.0)[:, None])
    To = tl.num_programs(1)
    to_pixel = (c[:, None] * To + to) * Ho * Wo + p[None, :]
    inside = (c < C)[:, None] & (p < Ho * Wo)[None, :]
    tl.store(out + n * C * To * Ho * Wo + to_pixel, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def pointwise(
    x,
    weights,
    out,
    sizes,
    CLIP: constexpr,
    CI_TILE: constexpr,
    CO_TILE: constexpr,
    P_TILE: constexpr,
    PRECISION: constexpr,
):
    """Convolve 1x1, with ReLU6 if ``CLIP``, all frames' ``pixels``. Programs: their tiles, channels' tiles, clips."""
    (weight, bias), (Ci, Co, pixels) = weights, sizes
    p, n = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(2).to(tl.int64)
    first = tl.program_id(1) * CO_TILE
    c = first + tl.arange(0, CO_TILE)
    total = tl.zeros((CO_TILE, P_TILE), tl.float32)
    for begin in range(0, Ci, CI_TILE):
        ci = begin + tl.arange(0, CI_TILE)
        there = (ci < Ci)[:, None] & (p < pixels)[None, :]
        tile = tl.load(x + n * Ci * pixels + ci[:, None] * pixels + p[None, :], mask=there, other=0.0)
        total += product(matrix(weight, first, Co, begin, Ci, CO_TILE, CI_TILE), tile, PRECISION)
    total += tl.load(bias + c, mask=c < Co, other=0.0)[:, None]
    if CLIP:
        total = relu6(total)
    inside = (c < Co)[:, None] & (p < pixels)[None, :]
    place = c[:, None] * pixels + p[None, :]
    tl.store(out + n * Co * pixels + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def finish(total, first, bias, other, out, n, t, p, Co, To, plane, CO_TILE: constexpr):
    """Add bias and ``other`` to a tile from channel ``first``, and write it into frame t."""
    c, clip = first + tl.arange(0, CO_TILE), n * Co * To * plane
    inside = (c < Co)[:, None] & (p < plane)[None, :]
    place = (c[:, None] * To + t) * plane + p[None, :]
    total += tl.load(bias + c, mask=c < Co, other=0.0)[:, None]
    if other is not None:
        total += tl.load(other + clip + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + clip + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def block(
    x, weights, other, out, sizes, C_TILE: constexpr, CO_TILE: constexpr, P_TILE: constexpr, PRECISION: constexpr
):
    """Convolve a hidden layer depthwise (kernel, 3, 3), with ReLU6, and project it: an inverted residual's second half.

    Programs: tiles of pixels, frames of the result and clips, tiles of its channels.
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
                tap = tl.load(depthwise + c * kernel * 9 + line * 3 + kx, mask=c < C, other=0.0)
                hidden += tap[:, None] * value.to(tl.float32)
        hidden = relu6(hidden + tl.load(bias + c, mask=c < C, other=0.0)[:, None])
        weight = matrix(projection, first, Co, begin, C, CO_TILE, C_TILE)
        total += product(weight, hidden.to(x.dtype.element_ty), PRECISION)
    finish(total, first, last_bias, other, out, n, to, p, Co, To, Ho * Wo, CO_TILE)


@triton.jit
def rolling_block(
    x, weights, other, out, sizes, C_TILE: constexpr, CO_TILE: constexpr, P_TILE: constexpr, PRECISION: constexpr
):
    """Do as `block` with a depthwise 3x3x3 of stride 1, where the hidden channels fit into one tile.

    Every frame is read once, for the three results that it is in. Programs: tiles of pixels, clips.
    """
    (depthwise, bias, projection, last_bias), (C, Co, T, H, W) = weights, sizes
    p, n = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(1).to(tl.int64)
    c, y, across = tl.arange(0, C_TILE), p // W - 1, p % W - 1
    there = (c < C)[:, None] & (p < H * W)[None, :]
    bias_tile = tl.load(bias + c, mask=c < C, other=0.0)[:, None]
    past = tl.zeros((C_TILE, P_TILE), tl.float32)
    now = tl.zeros((C_TILE, P_TILE), tl.float32)
    for t in range(T + 1):  # one more, in which nothing is read, for the last result
        coming = tl.zeros((C_TILE, P_TILE), tl.float32)
        for line in range(3):
            iy = y + line
            row = (c * T + t)[:, None] * H * W + (iy * W)[None, :]
            kept = there & ((t < T) & (iy >= 0) & (iy < H))[None, :]
            for kx in tl.static_range(3):
                ix = across + kx
                seen = kept & ((ix >= 0) & (ix < W))[None, :]
                value = tl.load(x + n * C * T * H * W + row + ix[None, :], mask=seen, other=0.0).to(tl.float32)
                tap = depthwise + c * 27 + line * 3 + kx
                coming += tl.load(tap, mask=c < C, other=0.0)[:, None] * value
                now += tl.load(tap + 9, mask=c < C, other=0.0)[:, None] * value
                past += tl.load(tap + 18, mask=c < C, other=0.0)[:, None] * value
        if t > 0:
            hidden = relu6(past + bias_tile).to(x.dtype.element_ty)
            for first in range(0, Co, CO_TILE):
                total = product(matrix(projection, first, Co, 0, C, CO_TILE, C_TILE), hidden, PRECISION)
                finish(total, first, last_bias, other, out, n, t - 1, p, Co, T, H * W, CO_TILE)
        past = now
        now = coming


@triton.jit
def between(place, count, ratio):
    """Return the two sources, of ``count``, of a place between them, and the second one's share, as torch has it."""
    source = place.to(tl.float32) * ratio
    near = source.to(tl.int32)
    return near, tl.minimum(near + 1, count - 1), source - near.to(tl.float32)


@triton.jit
def shuffled(frame, plane, W, y, across, inside):
    """Return pixels of twice the size, from four channels that lie ``plane`` apart from ``frame``."""
    place = (y % 2 * 2 + across % 2) * plane + y // 2 * W + across // 2
    return tl.load(frame + place, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def stretched(frame, H, W, y, across, down, right, inside):
    """Return pixels of a frame of twice the size, linear with aligned corners."""
    top, bottom, low = between(y, H, down)
    left, end, late = between(across, W, right)
    one = tl.load(frame + top * W + left, mask=inside, other=0.0).to(tl.float32)
    two = tl.load(frame + top * W + end, mask=inside, other=0.0).to(tl.float32)
    three = tl.load(frame + bottom * W + left, mask=inside, other=0.0).to(tl.float32)
    four = tl.load(frame + bottom * W + end, mask=inside, other=0.0).to(tl.float32)
    return (1.0 - low) * ((1.0 - late) * one + late * two) + low * ((1.0 - late) * three + late * four)


@triton.jit
def enlarge(x, other, out, sizes, steps, SHUFFLE: constexpr, LENGTHEN: constexpr, CLIP: constexpr, P_TILE: constexpr):
    """Make frames of twice the height and width, linear or of four channels each, and more of them if ``LENGTHEN``.

    Then ReLU6 if ``CLIP``. C channels of the result; ``steps`` lead in the source from one frame, row and column to the
    next. Programs: tiles of all channels' pixels, frames of the result, clips.
    """
    (C, T, H, W), (later, down, right) = sizes, steps
    p, to = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(1)
    n, To, plane = tl.program_id(2).to(tl.int64), tl.num_programs(1), H * W
    c, y, across, inside = p // (4 * plane), p % (4 * plane) // (2 * W), p % (2 * W), p < C * 4 * plane
    early, late, share = between(to, T, later)
    if not LENGTHEN:
        early = to
    if SHUFFLE:
        frames = x + (n * C + c) * 4 * T * plane
        value = shuffled(frames + early * plane, T * plane, W, y, across, inside)
    else:
        frames = x + (n * C + c) * T * plane
        value = stretched(frames + early * plane, H, W, y, across, down, right, inside)
    if LENGTHEN:
        if SHUFFLE:
            following = shuffled(frames + late * plane, T * plane, W, y, across, inside)
        else:
            following = stretched(frames + late * plane, H, W, y, across, down, right, inside)
        value = (1.0 - share) * value + share * following
    if CLIP:
        value = relu6(value)
    place = ((n * C + c) * To + to) * 4 * plane + p % (4 * plane)
    if other is not None:
        value += tl.load(other + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def add_sigmoids(total, x, weight, n, t, p, pixels, T, COUNT: constexpr):
    """Add a decoder's maps in their proportions; one frame stands for all of them."""
    for c in tl.static_range(COUNT):
        place = ((n * COUNT + c) * T + tl.minimum(t, T - 1)) * pixels + p
        total += tl.load(weight + c) * sigmoid(tl.load(x + place, mask=p < pixels, other=0.0).to(tl.float32))
    return total


@triton.jit
def fuse(
    logits, weights, out, pixels, lengths, COUNT: constexpr, SECOND: constexpr, THIRD: constexpr, P_TILE: constexpr
):
    """Make fused maps of three decoders' logits, so many maps a frame of each. Programs: pixels, frames, clips."""
    p, t = tl.program_id(0) * P_TILE + tl.arange(0, P_TILE), tl.program_id(1)
    (weight, bias), n = weights, tl.program_id(2).to(tl.int64)
    total = tl.zeros((P_TILE,), tl.float32) + tl.load(bias)
    total = add_sigmoids(total, logits[0], weight, n, t, p, pixels, lengths[0], COUNT)
    total = add_sigmoids(total, logits[1], weight + COUNT, n, t, p, pixels, lengths[1], SECOND)
    total = add_sigmoids(total, logits[2], weight + COUNT + SECOND, n, t, p, pixels, lengths[2], THIRD)
    place = (n * tl.num_programs(1) + t) * pixels + p
    tl.store(out + place, sigmoid(total), mask=p < pixels)
