"""Compiled loops to train a depthwise convolution; see `tinyhd_lib.runtime.fused.kernels`.

It is 3x3 in space, with stride 1 there, and has any kernel size and stride in time. Arrays are flat float32 of
contiguous (N, C, T, H, W) tensors, W a multiple of `LANES`. Every kernel computes the planes (a channel of a clip)
``first`` to ``last``; ``sizes`` are channels, frames of the input and of the output, H, W, and in time kernel size,
stride, spacing of the input's frames (1), and padding.
"""

import numpy as np

from tinyhd_lib.runtime.fused.kernels import around, compiled
from tinyhd_lib.runtime.fused.simd import LANES, add, fma, load, splat, store


@compiled
def convolve(x, taps, out, sizes, first, last):
    """Convolve planes of x with their channel's taps (kernel, 3, 3).

    Frames of x are spaced ``apart``, with zeros between them: a transposed convolution. With reversed taps it computes
    the input's gradient of a convolution with that stride.
    """
    channels, frames, lasting, height, width, kernel, stride, apart, padding = sizes
    size = height * width
    for plane in range(first, last):
        for t in range(lasting):
            o = (plane * lasting + t) * size
            out[o : o + size] = 0
            for dt in range(kernel):
                place = t * stride + dt - padding
                if place >= 0 and place % apart == 0 and place // apart < frames:
                    k = (plane % channels * kernel + dt) * 9
                    _add_frame(x, (plane * frames + place // apart) * size, taps, k, out, o, height, width)


@compiled
def weight_gradient(x, gradient, out, sizes, first, last):
    """Add each plane's gradient of its taps to ``out`` (plane, kernel, 3, 3, LANES), summed for each SIMD lane."""
    _, frames, lasting, height, width, kernel, stride, _, padding = sizes
    zero = splat(np.float32(0))
    for plane in range(first, last):
        for dt in range(kernel):
            o = (plane * kernel + dt) * 9 * LANES
            for later in range(lasting):
                t = later * stride + dt - padding
                if t < 0 or t >= frames:
                    continue
                above = here = below = zero, zero, zero
                for row in range(height):
                    for w in range(0, width, LANES):
                        given = load(gradient, ((plane * lasting + later) * height + row) * width + w)
                        i = ((plane * frames + t) * height + row) * width + w
                        if row:
                            above = _fma3(given, around(x, i - width, w, width), above)
                        here = _fma3(given, around(x, i, w, width), here)
                        if row + 1 < height:
                            below = _fma3(given, around(x, i + width, w, width), below)
                _grow3(out, o, above)
                _grow3(out, o + 3 * LANES, here)
                _grow3(out, o + 6 * LANES, below)


@compiled
def _add_frame(x, i, taps, k, out, o, height, width):
    """Add to a frame of ``out`` a frame of x convolved with the nine taps from ``k`` on."""
    for row in range(height):
        for w in range(0, width, LANES):
            total = load(out, o + row * width + w)
            for dr in range(max(0, 1 - row), min(3, height + 1 - row)):
                left, here, right = around(x, i + (row + dr - 1) * width + w, w, width)
                j = k + 3 * dr
                total = fma(splat(taps[j]), left, total)
                total = fma(splat(taps[j + 1]), here, total)
                total = fma(splat(taps[j + 2]), right, total)
            store(out, o + row * width + w, total)


@compiled
def _fma3(k, x, a):
    return fma(k, x[0], a[0]), fma(k, x[1], a[1]), fma(k, x[2], a[2])


@compiled
def _grow3(out, o, a):
    for n in range(3):
        store(out, o + n * LANES, add(load(out, o + n * LANES), a[n]))
