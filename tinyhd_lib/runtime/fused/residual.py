"""Compiled loops of an inverted residual; see `kernels`.

It is computed in one pass over bands of rows: a few rows of hidden channels are expanded, convolved and projected while
they are in the cache. The hidden layer, two to six times its input, is never written to memory, whose bandwidth limits
a student's speed.
"""

from typing import Any

import numpy as np

from tinyhd_lib.runtime.fused.kernels import STRIP, blend, clipped, compiled, fma4, load4, mix, pitch, relu6
from tinyhd_lib.runtime.fused.plan import COPY, EXPAND, LINE
from tinyhd_lib.runtime.fused.simd import LANES, add, evens, fma, load, splat, store

PAD = LANES
"""Zeros on either side of a hidden row."""

_F = np.float32


@compiled
def block(inputs, weights, other, out, scratch, settings, first, last):
    """Compute rows of an inverted residual.

    The weights and biases are those of the 1x1 convolution that expands (hidden, inputs), of the depthwise convolution
    (hidden, kernel, 3, 3), and of the 1x1 convolution that projects (outputs, hidden). Settings:

    - mode: source of the hidden channels; with ``ENLARGE`` the input is already expanded and widened, which is cheaper
      at half the size and exact, since both are linear.
    - channels: inputs, hidden, outputs.
    - shape: T, H, W of the hidden layer before the depthwise convolution.
    - few, lasting: frames of the input and of the result.
    - time: kernel, stride and padding of the depthwise convolution in time.
    - stride: its stride in space.
    """
    mode, channels, shape, few, lasting, time, stride = settings
    depthwise, bias = weights[2], weights[3]
    reads, hidden, outputs = channels
    total, height, width = shape
    narrow = width // stride
    far = lasting * narrow + LINE
    rows = _hidden_rows(hidden, total, width)
    scratch[:rows] = _F(0)
    convolved = scratch[rows:]
    ready = first * stride - 1
    for row in range(first, last):
        while ready < row * stride + 2:
            _fill(inputs[0], weights[0], weights[1], scratch, mode, (reads, hidden), shape, few, ready)
            ready += 1
        for c in range(hidden):
            k, o = c * time[0] * 9, c * far
            if time[0] == 3 and time[1] == 1 and stride == 1 and total > 1 and width > LANES:
                _roll(scratch, c, total, width, row, depthwise, k, bias[c], convolved, o)
            else:
                line = row * stride
                _convolve(scratch, c, total, width, line, depthwise, k, bias[c], convolved, o, lasting, time, stride)
        plane = pitch(lasting, height // stride, narrow)
        for t in range(lasting):
            o = (t * (height // stride) + row) * narrow
            mix(convolved, t * narrow, far, narrow, weights[4], weights[5], (hidden, outputs), False, out, o, plane)
            if other.size:
                for c in range(outputs):
                    for w in range(o + c * plane, o + c * plane + narrow, LANES):
                        store(out, w, add(load(out, w), load(other, w)))


def room(settings: tuple[Any, ...]) -> int:
    """Return a block's scratch memory in floats: three rows of its hidden layer, and one of the convolved layer."""
    _, (_, hidden, _), (frames, _, width), *_ = settings
    return _hidden_rows(hidden, frames, width) + hidden * (frames * width + LINE)


@compiled
def _hidden_rows(hidden, frames, width):
    """Return the floats of three rows of every channel and frame, with zero padding."""
    return hidden * frames * 3 * _span(width)


@compiled
def _span(width):
    return max(width, STRIP) + 2 * PAD


@compiled
def _fill(x, weight, bias, e, mode, channels, shape, few, row):
    """Compute a row of the hidden layer, over the one three rows above."""
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
            mix(x, i, pitch(total, height, width), width, weight, bias, channels, True, e, at, far)
        elif mode == COPY:
            for c in range(channels[1]):
                i = c * pitch(total, height, width) + (t * height + row) * width
                for w in range(0, width, LANES):
                    store(e, at + c * far + w, load(x, i + w))
        else:
            for c in range(channels[1]):
                blend(x, c, few, height // 2, width, t, total, row, e, at + c * far, True)


@compiled
def _places(c, frames, width, row):
    """Return the indices of the rows above, at and below ``row`` of a channel's first frame."""
    span = _span(width)
    at = c * frames * 3 * span + PAD
    return at + (row + 2) % 3 * span, at + row % 3 * span, at + (row + 1) % 3 * span


@compiled
def _roll(e, c, frames, width, row, weight, k, bias, out, o):
    """Compute a row of a depthwise 3x3x3 with stride 1: every frame is read once, for the three outputs that use it."""
    step, places = 3 * _span(width), _places(c, frames, width, row)
    b = splat(bias)
    for w in range(0, width, 2 * LANES):
        past = now = b, b
        to = o + w
        for t in range(frames):
            coming = b, b
            for dr in range(3):
                for dc in range(3):
                    i = places[dr] + t * step + w - 1 + dc
                    past, now, coming = _tap(e, i, weight, k + 3 * dr + dc, past, now, coming)
            if t:
                store(out, to, relu6(past[0]))
                store(out, to + LANES, relu6(past[1]))
                to += width
            past, now = now, coming
        store(out, to, relu6(past[0]))
        store(out, to + LANES, relu6(past[1]))


@compiled
def _tap(e, i, weight, k, past, now, coming):
    """Return the sums of the frame before, their own and the next one, after two vectors' contributions."""
    a, b = load(e, i), load(e, i + LANES)
    before, same, after = splat(weight[k]), splat(weight[k + 9]), splat(weight[k + 18])
    past = fma(after, a, past[0]), fma(after, b, past[1])
    now = fma(same, a, now[0]), fma(same, b, now[1])
    return past, now, (fma(before, a, coming[0]), fma(before, b, coming[1]))


@compiled
def _convolve(e, c, frames, width, row, weight, k, bias, out, o, lasting, time, stride):
    """Compute a row of a depthwise convolution with any kernel and stride in time."""
    step, places = 3 * _span(width), _places(c, frames, width, row)
    b = splat(bias)
    for t in range(lasting):
        begin, end = max(0, time[2] - t * time[1]), min(time[0], frames + time[2] - t * time[1])
        for w in range(0, width, STRIP):
            total = b, b, b, b
            for dt in range(begin, end):
                i = (t * time[1] + dt - time[2]) * step + w - 1
                for dr in range(3):
                    for dc in range(3):
                        tap = splat(weight[k + 9 * dt + 3 * dr + dc])
                        total = fma4(tap, load4(e, places[dr] + i + dc), total)
            _keep(out, o + (t * width + w) // stride, clipped(total), width, stride)


@compiled
def _keep(out, o, v, width, stride):
    """Write a strip, or every other pixel of it for stride 2, up to the end of the row."""
    if stride == 2:
        store(out, o, evens(v[0], v[1]))
        if width > 2 * LANES:
            store(out, o + LANES, evens(v[2], v[3]))
        return
    for n in range(min(4, width // LANES)):
        store(out, o + n * LANES, v[n])
