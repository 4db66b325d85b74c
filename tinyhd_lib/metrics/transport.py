"""The earth mover's distance of two maps, by the library POT."""

import numpy as np

from tinyhd_lib.metrics.arrays import Array, Prepared, prepare, with_maps
from tinyhd_lib.metrics.maps import density

_CELL = 32
"""Pixels, as in the MIT benchmark: of whole maps, the distance would take hours."""


def emd(saliency: Array | Prepared, ground_truth: Array | Prepared) -> Array:
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
    xp, prediction, truth = frames.saliency.xp, frames.saliency, frames.truths[0]
    height, width = truth.maps.shape[-2:]
    cells = max(1, round(height / _CELL)), max(1, round(width / _CELL))
    places = np.argwhere(np.ones(cells)).astype(np.float64)
    apart = ot.dist(places, metric="euclidean")
    reduced = [prepare(each, cells) for each in (prediction, truth)]
    masses = [np.asarray(density(each)(each.rows).tolist()) for each in reduced]
    distances = [ot.emd2(*pair, apart, numItermax=10**7) for pair in zip(*masses, strict=True)]
    return frames.answer(xp.where(truth.high[:, 0] > 0, xp.asarray(distances, dtype=truth.rows.dtype), xp.nan))
