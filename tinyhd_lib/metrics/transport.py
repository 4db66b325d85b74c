"""The earth mover's distance of two maps, by the library POT."""

from typing import Any

import numpy as np

from tinyhd_lib.metrics.arrays import Array, resize, with_maps
from tinyhd_lib.metrics.maps import density

_CELL = 32
"""Pixels, as in the MIT benchmark: of whole maps, the distance would take hours."""


def emd(saliency: Array, ground_truth: Array) -> Array:
    """Return the earth mover's distance: how far the mass of a map lies, on average, from where the other has it.

    Both maps are reduced to cells of 32 x 32 pixels and divided by their sums.

    Args:
        saliency: (H, W) or (N, H, W), not negative.
        ground_truth: likewise.

    Returns:
        the sides of cells that mass is moved by: 0 (equal) and more; NaN for an empty ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
        ImportError: POT is not installed.
    """
    import ot

    frames = with_maps(saliency, ground_truth)
    xp, size = frames.xp, tuple(ground_truth.shape[-2:])
    cells = max(1, round(size[0] / _CELL)), max(1, round(size[1] / _CELL))
    places = np.argwhere(np.ones(cells)).astype(np.float64)
    apart = ot.dist(places, metric="euclidean")

    def masses(rows: Array) -> Any:
        reduced = resize(xp.reshape(rows, (-1, *size)), cells)
        return np.asarray(density(xp, xp.reshape(reduced, (-1, len(places)))).tolist())

    pairs = zip(masses(frames.saliency), masses(frames.truths[0]), strict=True)
    distances = xp.asarray([ot.emd2(*pair, apart, numItermax=10**7) for pair in pairs], dtype=frames.saliency.dtype)
    return frames.answer(xp.where(xp.any(frames.truths[0] > 0, axis=-1), distances, xp.nan))
