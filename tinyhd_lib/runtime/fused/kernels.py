"""Compiled loops of a student; those of an inverted residual are in `residual`.

All steps' kernels have the same arguments: the input maps, the weights, a map to be added (empty for none), the output,
the thread's scratch memory, the settings, and the part of the output to compute, ``first`` to ``last``.

All arrays are flat float32 of planar (C, T, H, W) maps; widths are powers of two, `LANES` or more. The compiled code
checks no bounds: `planner` makes the shapes, and the tests compare every kernel with torch and check that it writes
nowhere else. Numba recompiles a file's functions when that file changes, but not when a file that it imports does.
"""

import numpy as np
from numba import njit

from tinyhd_lib.runtime.fused.plan import LINE
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

STRIP = 4 * LANES
"""Pixels that are computed together, in registers."""

compiled = njit(nogil=True, error_model="numpy", boundscheck=False, cache=True)
_F = np.float32


# Four vectors side by side ---------------------------------------------------------------------------------------


@compiled
def load4(x, i):
    return load(x, i), load(x, i + LANES), load(x, i + 2 * LANES), load(x, i + 3 * LANES)


@compiled
def fma4(k, x, a):
    return fma(k, x[0], a[0]), fma(k, x[1], a[1]), fma(k, x[2], a[2]), fma(k, x[3], a[3])


@compiled
def relu6(v):
    return smaller(larger(v, splat(_F(0))), splat(_F(6)))


@compiled
def clipped(v):
    return relu6(v[0]), relu6(v[1]), relu6(v[2]), relu6(v[3])


@compiled
def store4(out, o, v):
    for n in range(4):
        store(out, o + n * LANES, v[n])


@compiled
def around(x, i, w, width):
    """Return the left neighbours of a row's vector, the vector, and its right neighbours; zero beyond the row."""
    here = load(x, i)
    left = load(x, i - 1) if w else after_zero(here)
    right = load(x, i + 1) if w + LANES < width else before_zero(here)
    return left, here, right


@compiled
def pitch(frames, height, width):
    """Return the distance, in floats, from one channel to the next."""
    return frames * height * width + LINE


# The steps -------------------------------------------------------------------------------------------------------


@compiled
def stem(inputs, weights, other, out, scratch, settings, first, last):
    """Convolve a clip (3, T, H, W) = ``shape``, whose colours are ``apart`` floats apart, 3x3x3, stride 2, with ReLU6.

    The number of channels is a multiple of four.
    """
    apart, shape, channels = settings
    x, weight, bias = inputs[0], weights[0], weights[1]
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
                                v = load4(x, i)
                                before = load(x, i - 1) if w else after_zero(v[0])
                                a = _spread4(evens(before, load(x, i + LANES - 1)), weight, k, 81, a)
                                a = _spread4(evens(v[0], v[1]), weight, k + 1, 81, a)
                                a = _spread4(odds(v[0], v[1]), weight, k + 2, 81, a)
                                before = load(x, i + 2 * LANES - 1)
                                b = _spread4(evens(before, load(x, i + 3 * LANES - 1)), weight, k, 81, b)
                                b = _spread4(evens(v[2], v[3]), weight, k + 1, 81, b)
                                b = _spread4(odds(v[2], v[3]), weight, k + 2, 81, b)
                    for n in range(4):
                        store(out, o + (c + n) * plane + w, relu6(a[n]))
                        store(out, o + (c + n) * plane + w + LANES, relu6(b[n]))


@compiled
def pointwise(inputs, weights, other, out, scratch, settings, first, last):
    """Convolve 1x1 from ``channels[0]`` to ``channels[1]`` of ``pixels`` each; ReLU6 if ``clip6``."""
    channels, pixels, clip6 = settings
    plane = pixels + LINE
    mix(inputs[0], first, plane, last - first, weights[0], weights[1], channels, clip6, out, first, plane)


@compiled
def mix(x, i, plane, width, weight, bias, channels, clip6, out, o, far):
    """Convolve x[i:i + width], with channels ``plane`` apart, 1x1 to out[o:o + width], with channels ``far`` apart."""
    inputs, outputs = channels
    strips = width - width % STRIP
    for w in range(0, strips, STRIP):
        for c in range(0, outputs, 2):
            last = min(c + 1, outputs - 1)  # with an odd number of channels, the last one is computed twice
            a, b = splat(bias[c]), splat(bias[last])
            a, b = (a, a, a, a), (b, b, b, b)
            for source in range(inputs):
                strip = load4(x, i + source * plane + w)
                a = fma4(splat(weight[c * inputs + source]), strip, a)
                b = fma4(splat(weight[last * inputs + source]), strip, b)
            if clip6:
                a, b = clipped(a), clipped(b)
            store4(out, o + c * far + w, a)
            store4(out, o + last * far + w, b)
    for w in range(strips, width, LANES):
        for c in range(0, outputs - 3, 4):
            a = splat(bias[c]), splat(bias[c + 1]), splat(bias[c + 2]), splat(bias[c + 3])
            for source in range(inputs):
                a = _spread4(load(x, i + source * plane + w), weight, c * inputs + source, inputs, a)
            if clip6:
                a = clipped(a)
            for n in range(4):
                store(out, o + (c + n) * far + w, a[n])
        for c in range(outputs - outputs % 4, outputs):
            u = splat(bias[c])
            for source in range(inputs):
                u = fma(splat(weight[c * inputs + source]), load(x, i + source * plane + w), u)
            store(out, o + c * far + w, relu6(u) if clip6 else u)


@compiled
def _spread4(v, weight, k, step, a):
    """Return the sums of four channels after a vector's weighted contribution to each."""
    return (
        fma(splat(weight[k]), v, a[0]),
        fma(splat(weight[k + step]), v, a[1]),
        fma(splat(weight[k + 2 * step]), v, a[2]),
        fma(splat(weight[k + 3 * step]), v, a[3]),
    )


@compiled
def widen(inputs, weights, other, out, scratch, settings, first, last):
    """Upsample rows x2, linearly with aligned corners; weights (2, width) of the left and of the right neighbour."""
    channels, frames, height, width = settings
    x, shares = inputs[0], weights[0]
    for c in range(channels):
        for t in range(frames):
            for row in range(t * height + first, t * height + last):
                for w in range(0, width, LANES):
                    i = c * pitch(frames, height, width) + row * width + w
                    o = c * pitch(frames, height, 2 * width) + 2 * (row * width + w)
                    left, here, right = around(x, i, w, width)
                    even = fma(load(shares, w), subtract(left, here), here)
                    odd = fma(load(shares, width + w), subtract(right, here), here)
                    store(out, o, zip_first(even, odd))
                    store(out, o + LANES, zip_last(even, odd))


@compiled
def _between(place, count):
    """Return the two of ``count`` source indices for a target index of 2 count, and the second one's weight."""
    near = place // 2
    # In float32, as torch computes it.
    source = _F(count - 1) / _F(2 * count - 1) * _F(place)
    if place % 2:
        return near, min(near + 1, count - 1), source - _F(near)
    return max(near - 1, 0), near, source - _F(near - 1)


@compiled
def enlarge(inputs, weights, other, out, scratch, settings, first, last):
    """Upsample widened maps (C, t, h, W) = ``low`` to twice the rows and ``frames`` frames; add ``other``, if any."""
    low, frames = settings
    channels, few, height, width = low
    x = inputs[0]
    for c in range(channels):
        for t in range(frames):
            for row in range(first, last):
                o = c * pitch(frames, 2 * height, width) + (t * 2 * height + row) * width
                blend(x, c, few, height, width, t, frames, row, out, o, False)
                if other.size:
                    for w in range(0, width, LANES):
                        store(out, o + w, add(load(out, o + w), load(other, o + w)))


@compiled
def blend(x, c, few, height, width, t, frames, row, out, o, clip6):
    """Interpolate one row of a channel from the rows and frames of (C, few, height, width)."""
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
        store(out, o + w, relu6(total) if clip6 else total)


@compiled
def shuffle(inputs, weights, other, out, scratch, settings, first, last):
    """Pixel-shuffle (4 C, t, h, w) = ``low`` x2, interpolate to ``frames`` frames, and add ``other``, if any."""
    low, frames = settings
    channels, few, height, width = low
    x = inputs[0]
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


@compiled
def fuse(inputs, weights, other, out, scratch, settings, first, last):
    """Compute the fused maps (frames, pixels): the sigmoid of the weighted sum of the decoders' sigmoids.

    The inputs are the decoders' logits, with ``counts`` maps per frame and ``lengths`` frames (1 or all) of each.
    """
    counts, lengths, frames, pixels = settings
    weight, bias = weights[0], weights[1][0]
    for p in range(first, last, LANES):
        for t in range(frames):
            total, k = splat(bias), 0
            for x, count, length in zip(inputs, counts, lengths):
                for c in range(count):
                    i = c * (length * pixels + LINE) + (t if length > 1 else 0) * pixels + p
                    total = fma(splat(weight[k]), _sigmoid(load(x, i)), total)
                    k += 1
            store(out, t * pixels + p, _sigmoid(total))


@compiled
def _sigmoid(v):
    one = splat(_F(1))
    return divide(one, add(one, _exponential(subtract(splat(_F(0)), v))))


@compiled
def _exponential(v):
    """Return e^v within two units in the last place, by Cephes' polynomial."""
    v = smaller(larger(v, splat(_F(-87))), splat(_F(87)))
    n = nearest(multiply(v, splat(_F(1.44269504088896341))))
    r = fma(n, splat(_F(2.12194440e-4)), fma(n, splat(_F(-0.693359375)), v))
    y = splat(_F(1.9875691500e-4))
    for k in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        y = fma(y, r, splat(_F(k)))
    return multiply(fma(multiply(r, r), y, add(r, splat(_F(1)))), power_of_two(n))
