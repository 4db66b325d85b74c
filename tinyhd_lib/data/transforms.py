"""From a decoded frame to the model's input, and from its map to grey levels, exactly as published.

Source: docs/model.md, preprocessing and windows. Pure functions on NumPy arrays.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tinyhd_lib.models.spec import INPUT_SIZE, MEAN, STD

Image = npt.NDArray[Any]
"""A picture: uint8, (H, W, 3) RGB or (H, W) grey levels."""

Map = npt.NDArray[Any]
"""float32: a saliency map, or what the model computes it from."""

Bounds = tuple[float, float]
"""The saliencies that become black and white."""

_MEAN = np.array(MEAN, np.float32)
_STD = np.array(STD, np.float32)


def normalise(colours: Map) -> Map:
    """Colours (..., 3) RGB in [0, 1], float32, less ImageNet's mean and divided by its deviation."""
    return (colours - _MEAN) / _STD


def preprocess(image: Image) -> Map:
    """Return a frame as the model wants it.

    Args:
        image: (H, W, 3) RGB.

    Returns:
        (3, 192, 256) float32, normalised with ImageNet's mean and deviation. Resizing comes before normalising, which
        gives the same numbers as the published order at a fraction of the cost, since both are linear.
    """
    height, width = INPUT_SIZE
    small = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    planes: Map = np.ascontiguousarray(small.transpose(2, 0, 1))  # arithmetic on whole planes is many times faster
    planes /= np.float32(255)
    planes -= _MEAN[:, np.newaxis, np.newaxis]
    planes /= _STD[:, np.newaxis, np.newaxis]
    return planes


def own_bounds(saliency: Map) -> Bounds:
    """Return the extremes of a map, which the published post-processing makes black and white."""
    return float(saliency.min()), float(saliency.max())


def to_grey(saliency: Map, size: tuple[int, ...], bounds: Bounds | None = None, levels: type[Any] = np.uint8) -> Image:
    """Return a map as grey levels at the video's size: stretched, cut off, enlarged bicubically, blurred by 5x5.

    Args:
        saliency: (h, w) raw map.
        size: (height, width) of the video.
        bounds: the saliencies that become black and white; the map's own extremes, as published, if None.
        levels: ``np.uint8`` (published) or ``np.uint16``.

    Returns:
        (height, width) of that type; black where the bounds coincide.
    """
    large = cv2.resize(stretched(saliency, bounds, levels), size[::-1], interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(large, (5, 5), 0)


def stretched(saliency: Map, bounds: Bounds | None = None, levels: type[Any] = np.uint8) -> Image:
    """Return a map's grey levels (h, w) at its own size, cut off; black where the bounds coincide: see `to_grey`."""
    low, high = bounds or own_bounds(saliency)
    white = np.iinfo(levels).max
    scale = white / (high - low) if high > low else 0.0
    return ((saliency - np.float32(low)) * np.float32(scale)).clip(0, white).astype(levels)
