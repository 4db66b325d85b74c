"""The loops of a student, compiled: each makes the rows ``first`` to ``last`` of a step's result.

Everything is flat float32 of planar (C, T, H, W) arrays; widths are powers of two, `LANES` or more. The compiled code
checks no bounds: `planner` makes the shapes, and the tests hold every kernel against torch and its neighbours' memory.
Numba compiles anew when this file changes; it does not notice when `simd` does.

An inverted residual is made in one pass over bands of rows: a few hidden channels are expanded, convolved and projected
while they are in the cache. The hidden layer, twice to six times its input, is never written to memory, and memory is
what a student waits for.
"""

import numpy as np
from numba import njit

from tinyhd_lib.runtime.fused.simd import (
    LANES,
    add,
    after_zero,
    before_zero,
    divide,
    evens,
    fma,
    larger,
    load,
    multiply,
    nearest,
    odds,
    power_of_two,
    smaller,
    splat,
    store,
    subtract,
    zip_first,
    zip_last,
)

LINE = 16
"""Numbers that are left free after each channel.

Without them the channels of a pixel would lie at distances of a power of two, and compete for few places of a cache.
"""

PAD = LANES
"""Zeros on either side of a hidden row."""

STRIP = 4 * LANES
"""Pixels that are computed at once, in registers."""

EXPAND, COPY, ENLARGE = 0, 1, 2
"""Where hidden channels come from: a 1x1 convolution, the input itself, or an expansion made at half the size."""

_compiled = njit(nogil=True, error_model="numpy", boundscheck=False, cache=True)
_F = np.float32


# Four vectors side by side ---------------------------------------------------------------------------------------


@_compiled
def _load4(x, i):
    return load(x, i), load(x, i + LANES), load(x, i + 2 * LANES), load(x, i + 3 * LANES)


@_compiled
def _fma4(k, x, a):
    return fma(k, x[0], a[0]), fma(k, x[1], a[1]), fma(k, x[2], a[2]), fma(k, x[3], a[3])


@_compiled
def _relu6(v):
    return smaller(larger(v, splat(_F(0))), splat(_F(6)))


@_compiled
def _clipped(v):
    return _relu6(v[0]), _relu6(v[1]), _relu6(v[2]), _relu6(v[3])


@_compiled
def _store4(out, o, v):
    store(out, o, v[0])
    store(out, o + LANES, v[1])
    store(out, o + 2 * LANES, v[2])
    store(out, o + 3 * LANES, v[3])


@_compiled
def pitch(frames, height, width):
    """Numbers from one channel to the next."""
    return frames * height * width + LINE


# The steps -------------------------------------------------------------------------------------------------------


@_compiled
def stem(x, apart, weight, bias, out, shape, channels, first, last):
    """A 3x3x3 convolution with stride 2 and ReLU6, of a clip (3, T, H, W) = ``shape`` whose colours lie ``apart``.

    The number of channels is a multiple of four.
    """
    _, frames, height, width = shape
    plane = pitch(frames // 2, height // 2, width // 2)
    for t in range(frames // 2):
        for row in range(first, last):
            o = (t * (height // 2) + row) * (width // 2)
            for w in range(0, width // 2, 2 * LANES):
                for c in range(0, channels, 4):
                    a = splat(bias[c]), splat(bias[c + 1]), splat(bias[c + 2]), splat(bias[c + 3])
                    b = a
                    for source in range(3):
                        for dt in range(max(0, 1 - 2 * t), 3):
                            for dr in range(max(0, 1 - 2 * row), 3):
                                i = source * apart + ((2 * t + dt - 1) * height + 2 * row + dr - 1) * width + 2 * w
                                k = ((c * 3 + source) * 3 + dt) * 9 + 3 * dr
                                v = _load4(x, i)
                                before = load(x, i - 1) if w else after_zero(v[0])
                                a = _spread4(evens(before, load(x, i + LANES - 1)), weight, k, 81, a)
                                a = _spread4(evens(v[0], v[1]), weight, k + 1, 81, a)
                                a = _spread4(odds(v[0], v[1]), weight, k + 2, 81, a)
                                before = load(x, i + 2 * LANES - 1)
                                b = _spread4(evens(before, load(x, i + 3 * LANES - 1)), weight, k, 81, b)
                                b = _spread4(evens(v[2], v[3]), weight, k + 1, 81, b)
                                b = _spread4(odds(v[2], v[3]), weight, k + 2, 81, b)
                    for n in range(4):
                        store(out, o + (c + n) * plane + w, _relu6(a[n]))
                        store(out, o + (c + n) * plane + w + LANES, _relu6(b[n]))


@_compiled
def pointwise(x, weight, bias, out, channels, pixels, clip6, first, last):
    """A 1x1 convolution from ``channels[0]`` to ``channels[1]`` of ``pixels`` each; ReLU6 if ``clip6``."""
    plane = pixels + LINE
    _mix(x, first, plane, last - first, weight, bias, channels, clip6, out, first, plane)


@_compiled
def _mix(x, i, plane, width, weight, bias, channels, clip6, out, o, far):
    """A 1x1 convolution of x[i:i + width], channels ``plane`` apart, to out[o:o + width], channels ``far`` apart."""
    inputs, outputs = channels
    strips = width - width % STRIP
    for w in range(0, strips, STRIP):
        for c in range(0, outputs - 1, 2):
            a, b = splat(bias[c]), splat(bias[c + 1])
            a, b = (a, a, a, a), (b, b, b, b)
            k = c * inputs
            for source in range(inputs):
                strip = _load4(x, i + source * plane + w)
                a = _fma4(splat(weight[k + source]), strip, a)
                b = _fma4(splat(weight[k + inputs + source]), strip, b)
            if clip6:
                a, b = _clipped(a), _clipped(b)
            _store4(out, o + c * far + w, a)
            _store4(out, o + (c + 1) * far + w, b)
        if outputs % 2:
            c = outputs - 1
            b = splat(bias[c])
            a = b, b, b, b
            for source in range(inputs):
                a = _fma4(splat(weight[c * inputs + source]), _load4(x, i + source * plane + w), a)
            _store4(out, o + c * far + w, _clipped(a) if clip6 else a)
    for w in range(strips, width, LANES):
        for c in range(0, outputs - 3, 4):
            a = splat(bias[c]), splat(bias[c + 1]), splat(bias[c + 2]), splat(bias[c + 3])
            for source in range(inputs):
                a = _spread4(load(x, i + source * plane + w), weight, c * inputs + source, inputs, a)
            if clip6:
                a = _clipped(a)
            for n in range(4):
                store(out, o + (c + n) * far + w, a[n])
        for c in range(outputs - outputs % 4, outputs):
            u = splat(bias[c])
            for source in range(inputs):
                u = fma(splat(weight[c * inputs + source]), load(x, i + source * plane + w), u)
            store(out, o + c * far + w, _relu6(u) if clip6 else u)


@_compiled
def _spread4(v, weight, k, step, a):
    """What a vector adds to four channels."""
    return (
        fma(splat(weight[k]), v, a[0]),
        fma(splat(weight[k + step]), v, a[1]),
        fma(splat(weight[k + 2 * step]), v, a[2]),
        fma(splat(weight[k + 3 * step]), v, a[3]),
    )


@_compiled
def widen(x, shares, out, channels, rows, width, first, last):
    """Rows of twice the width, linear with aligned corners; shares (2, width): of the left, of the right neighbour."""
    for c in range(channels):
        for row in range(first, last):
            for w in range(0, width, LANES):
                i = c * (rows * width + LINE) + row * width + w
                o = c * (2 * rows * width + LINE) + 2 * (row * width + w)
                here = load(x, i)
                left = load(x, i - 1) if w else after_zero(here)
                right = load(x, i + 1) if w + LANES < width else before_zero(here)
                even = fma(load(shares, w), subtract(left, here), here)
                odd = fma(load(shares, width + w), subtract(right, here), here)
                store(out, o, zip_first(even, odd))
                store(out, o + LANES, zip_last(even, odd))


@_compiled
def _between(place, count):
    """Place of 2 count, linear with aligned corners: the two sources of count, and the second one's share."""
    near = place // 2
    # In float32, as torch computes it.
    source = _F(count - 1) / _F(2 * count - 1) * _F(place)
    if place % 2:
        return near, min(near + 1, count - 1), source - _F(near)
    return max(near - 1, 0), near, source - _F(near - 1)


@_compiled
def enlarge(x, other, out, low, frames, first, last):
    """Widened maps (C, t, h, W) = ``low`` with twice the rows and ``frames`` frames, and ``other`` added, if any."""
    channels, few, height, width = low
    for c in range(channels):
        for t in range(frames):
            for row in range(first, last):
                o = c * pitch(frames, 2 * height, width) + (t * 2 * height + row) * width
                _blend(x, c, few, height, width, t, frames, row, out, o, False)
                if other.size:
                    for w in range(0, width, LANES):
                        store(out, o + w, add(load(out, o + w), load(other, o + w)))


@_compiled
def _blend(x, c, few, height, width, t, frames, row, out, o, clip6):
    """One row of a channel between the rows and frames of (C, few, height, width)."""
    t0, t1, late = (t, t, _F(0)) if frames == few else _between(t, few)
    r0, r1, low = _between(row, height)
    i = c * pitch(few, height, width)
    i00, i01 = i + (t0 * height + r0) * width, i + (t0 * height + r1) * width
    i10, i11 = i + (t1 * height + r0) * width, i + (t1 * height + r1) * width
    k00, k01 = splat((_F(1) - late) * (_F(1) - low)), splat((_F(1) - late) * low)
    k10, k11 = splat(late * (_F(1) - low)), splat(late * low)
    for w in range(0, width, LANES):
        total = fma(k00, load(x, i00 + w), multiply(k01, load(x, i01 + w)))
        if frames != few:
            total = fma(k10, load(x, i10 + w), fma(k11, load(x, i11 + w), total))
        store(out, o + w, _relu6(total) if clip6 else total)


@_compiled
def shuffle(x, other, out, low, frames, first, last):
    """Pixel shuffle x2 of (4 C, t, h, w) = ``low``, in time to ``frames`` frames, and ``other`` added, if any."""
    channels, few, height, width = low
    plane = pitch(few, height, width)
    for c in range(channels // 4):
        for t in range(frames):
            t0, t1, late = (t, t, _F(0)) if frames == few else _between(t, few)
            share = splat(late)
            for row in range(first, last):
                near = (4 * c + 2 * (row % 2)) * plane + row // 2 * width
                o = c * pitch(frames, 2 * height, 2 * width) + (t * 2 * height + row) * 2 * width
                for w in range(0, width, LANES):
                    i, j = near + t0 * height * width + w, near + t1 * height * width + w
                    left, right = load(x, i), load(x, i + plane)
                    if frames != few:
                        left = fma(share, subtract(load(x, j), left), left)
                        right = fma(share, subtract(load(x, j + plane), right), right)
                    one, two = zip_first(left, right), zip_last(left, right)
                    if other.size:
                        one, two = add(one, load(other, o + 2 * w)), add(two, load(other, o + 2 * w + LANES))
                    store(out, o + 2 * w, one)
                    store(out, o + 2 * w + LANES, two)


@_compiled
def block(x, expand, depthwise, project, other, out, scratch, mode, channels, shape, frames, time, stride, first, last):
    """An inverted residual.

    Args:
        x: its input; with ``ENLARGE`` the expansion of it, widened, which is linear and cheaper at half the size.
        expand: weight (hidden, inputs) and bias of the 1x1 convolution.
        depthwise: weight (hidden, kernel, 3, 3) and bias.
        project: weight (outputs, hidden) and bias.
        other: what is added to the result, empty for nothing.
        out: (outputs, T', H', W').
        scratch: room for `hidden_rows` and `convolved_row`.
        mode: where hidden channels come from.
        channels: inputs, hidden, outputs.
        shape: T, H, W of the hidden layer before the depthwise convolution.
        frames: T of ``x`` and T' of ``out``.
        time: kernel, stride and padding of the depthwise convolution in time.
        stride: of it in space.
        first: row of the result.
        last: row of the result that is not made any more.
    """
    inputs, hidden, outputs = channels
    total, height, width = shape
    narrow = width // stride
    far = frames[1] * narrow + LINE
    rows = hidden_rows(hidden, total, width)
    scratch[:rows] = _F(0)
    convolved = scratch[rows:]
    ready = first * stride - 1
    for row in range(first, last):
        while ready < row * stride + 2:
            _fill(x, expand, scratch, mode, (inputs, hidden), shape, frames[0], ready)
            ready += 1
        for c in range(hidden):
            k, bias = c * time[0] * 9, depthwise[1][c]
            if time[0] == 3 and time[1] == 1 and stride == 1 and total > 1 and width > LANES:
                _roll(scratch, c, total, width, row, depthwise[0], k, bias, convolved, c * far)
            else:
                _convolve(
                    scratch,
                    c,
                    total,
                    width,
                    row * stride,
                    depthwise[0],
                    k,
                    bias,
                    convolved,
                    c * far,
                    frames[1],
                    time,
                    stride,
                )
        plane = pitch(frames[1], height // stride, narrow)
        for t in range(frames[1]):
            o = (t * (height // stride) + row) * narrow
            _mix(convolved, t * narrow, far, narrow, project[0], project[1], (hidden, outputs), False, out, o, plane)
            if other.size:
                for c in range(outputs):
                    for w in range(o + c * plane, o + c * plane + narrow, LANES):
                        store(out, w, add(load(out, w), load(other, w)))


@_compiled
def hidden_rows(hidden, frames, width):
    """Numbers of the hidden layer that are kept: three rows of every channel and frame, with zeros around."""
    return hidden * frames * 3 * _span(width)


@_compiled
def convolved_row(hidden, frames, width):
    """Numbers of a row after the depthwise convolution."""
    return hidden * (frames * width + LINE)


@_compiled
def _span(width):
    return max(width, STRIP) + 2 * PAD


@_compiled
def _fill(x, expand, e, mode, channels, shape, few, row):
    """Make a row of the hidden layer, in the place of the one three rows above."""
    total, height, width = shape
    span = _span(width)
    far = total * 3 * span
    for t in range(total):
        at = (3 * t + (row + 3) % 3) * span + PAD
        if row < 0 or row >= height:
            for c in range(channels[1]):
                e[at + c * far : at + c * far + width] = _F(0)
        elif mode == EXPAND:
            i = (t * height + row) * width
            _mix(x, i, pitch(total, height, width), width, expand[0], expand[1], channels, True, e, at, far)
        elif mode == COPY:
            for c in range(channels[1]):
                i = c * pitch(total, height, width) + (t * height + row) * width
                for w in range(0, width, LANES):
                    store(e, at + c * far + w, load(x, i + w))
        else:
            for c in range(channels[1]):
                _blend(x, c, few, height // 2, width, t, total, row, e, at + c * far, True)


@_compiled
def _places(c, frames, width, row):
    """Where the rows above, at and below ``row`` of a channel's first frame lie."""
    span = _span(width)
    at = c * frames * 3 * span + PAD
    return at + (row + 2) % 3 * span, at + row % 3 * span, at + (row + 1) % 3 * span


@_compiled
def _roll(e, c, frames, width, row, weight, k, bias, out, o):
    """A row of a depthwise 3x3x3 with stride 1: every frame is read once, for the three results that it is in."""
    step = 3 * _span(width)
    b = splat(bias)
    for w in range(0, width, 2 * LANES):
        above, here, below = _places(c, frames, width, row)
        above, here, below = above + w - 1, here + w - 1, below + w - 1
        past = now = b, b
        to = o + w
        for t in range(frames):
            coming = b, b
            for dc in range(3):
                past, now, coming = _tap(e, above + dc, weight, k + dc, past, now, coming)
            for dc in range(3):
                past, now, coming = _tap(e, here + dc, weight, k + 3 + dc, past, now, coming)
            for dc in range(3):
                past, now, coming = _tap(e, below + dc, weight, k + 6 + dc, past, now, coming)
            if t:
                store(out, to, _relu6(past[0]))
                store(out, to + LANES, _relu6(past[1]))
                to += width
            past, now = now, coming
            above, here, below = above + step, here + step, below + step
        store(out, to, _relu6(past[0]))
        store(out, to + LANES, _relu6(past[1]))


@_compiled
def _tap(e, i, weight, k, past, now, coming):
    """What two vectors add to the results of the frame before, of their own and of the next one."""
    a, b = load(e, i), load(e, i + LANES)
    before, same, after = splat(weight[k]), splat(weight[k + 9]), splat(weight[k + 18])
    past = fma(after, a, past[0]), fma(after, b, past[1])
    now = fma(same, a, now[0]), fma(same, b, now[1])
    return past, now, (fma(before, a, coming[0]), fma(before, b, coming[1]))


@_compiled
def _convolve(e, c, frames, width, row, weight, k, bias, out, o, lasting, time, stride):
    """A row of a depthwise convolution with any kernel and stride in time."""
    step = 3 * _span(width)
    above, here, below = _places(c, frames, width, row)
    b = splat(bias)
    for t in range(lasting):
        begin, end = max(0, time[2] - t * time[1]), min(time[0], frames + time[2] - t * time[1])
        for w in range(0, width, STRIP):
            total = b, b, b, b
            for dt in range(begin, end):
                i, j = (t * time[1] + dt - time[2]) * step + w - 1, k + 9 * dt
                for dc in range(3):
                    total = _fma4(splat(weight[j + dc]), _load4(e, above + i + dc), total)
                for dc in range(3):
                    total = _fma4(splat(weight[j + 3 + dc]), _load4(e, here + i + dc), total)
                for dc in range(3):
                    total = _fma4(splat(weight[j + 6 + dc]), _load4(e, below + i + dc), total)
            _keep(out, o + (t * width + w) // stride, _clipped(total), width, stride)


@_compiled
def _keep(out, o, v, width, stride):
    """Write a strip, or every other pixel of it; of narrow rows only what there is."""
    if stride == 2:
        store(out, o, evens(v[0], v[1]))
        if width > 2 * LANES:
            store(out, o + LANES, evens(v[2], v[3]))
        return
    store(out, o, v[0])
    if width > LANES:
        store(out, o + LANES, v[1])
    if width > 2 * LANES:
        store(out, o + 2 * LANES, v[2])
        store(out, o + 3 * LANES, v[3])


@_compiled
def fuse(maps, counts, lengths, weight, bias, out, frames, pixels, first, last):
    """The fused maps (frames, pixels): a sigmoid of the weighted sum of the decoders' sigmoids.

    Args:
        maps: the logits of three decoders, empty ones of those that are not there.
        counts: maps a frame of each.
        lengths: frames of each: 1, or as many as ``frames``.
        weight: of every map, in the decoders' order.
        bias: of the sum.
        out: (frames, pixels).
        frames: of the result.
        pixels: of a frame.
        first: pixel.
        last: pixel that is not made any more.
    """
    for p in range(first, last, LANES):
        for t in range(frames):
            total, k = splat(bias), 0
            for x, count, length in zip(maps, counts, lengths):
                for c in range(count):
                    i = c * (length * pixels + LINE) + (t if length > 1 else 0) * pixels + p
                    total = fma(splat(weight[k]), _sigmoid(load(x, i)), total)
                    k += 1
            store(out, t * pixels + p, _sigmoid(total))


@_compiled
def _sigmoid(v):
    one = splat(_F(1))
    return divide(one, add(one, _exponential(subtract(splat(_F(0)), v))))


@_compiled
def _exponential(v):
    """e^v within two units in the last place, by Cephes' polynomial."""
    v = smaller(larger(v, splat(_F(-87))), splat(_F(87)))
    n = nearest(multiply(v, splat(_F(1.44269504088896341))))
    r = fma(n, splat(_F(2.12194440e-4)), fma(n, splat(_F(-0.693359375)), v))
    y = splat(_F(1.9875691500e-4))
    for k in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        y = fma(y, r, splat(_F(k)))
    return multiply(fma(multiply(r, r), y, add(r, splat(_F(1)))), power_of_two(n))
