"""Metrics of saliency maps against saliency maps, and of maps and densities at the fixations.

Source: the DHF1K benchmark's MATLAB code, see docs/evaluation.md.
"""

from collections.abc import Callable

import numpy as np

from tinyhd_lib.metrics.arrays import Fixations, Frames, Prepared, prepare, summed, with_fixations, with_maps
from tinyhd_lib.metrics.ranks import Array

EPSILON = 2.0**-52
"""MATLAB's ``eps``, which the benchmark adds in its KL divergence; also the least probability in log-likelihoods."""

_CELL = 32
"""Side of a cell in pixels, as in the MIT benchmark: at full size, the earth mover's distance would take hours."""


def cc(saliency: Array | Prepared, ground_truth: Array | Prepared) -> Array:
    """Return the linear correlation coefficient of two maps.

    Args:
        saliency: (H, W) or (N, H, W).
        ground_truth: likewise.

    Returns:
        -1 to 1; 0 for a constant prediction, NaN for a constant ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_maps(saliency, ground_truth)
    xp, prediction, truth = frames.saliency.xp, frames.saliency, frames.truths[0]
    products = xp.vecdot(prediction.levelled[1], truth.levelled[1])
    deviations = (prediction.deviation * truth.deviation)[:, 0]
    correlation = products / max(truth.rows.shape[-1] - 1, 1) / deviations
    return frames.answer(xp.where(truth.constant, xp.nan, correlation))


def nss(saliency: Array | Prepared, fixations: Array | Fixations) -> Array:
    """Return the normalised scanpath saliency: the mean of the standardised map at the fixated pixels.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.

    Returns:
        standard deviations above the mean; 0 is chance; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_fixations(saliency, fixations)
    maps, (level, _) = frames.saliency, frames.saliency.levelled
    return frames.answer(_mean_at(frames, lambda at: ((at - maps.low) / maps.range - level) / maps.deviation))


def sim(saliency: Array | Prepared, ground_truth: Array | Prepared) -> Array:
    """Return the similarity: the common mass of two maps, each scaled to 0..1 and then divided by its sum.

    Args:
        saliency: (H, W) or (N, H, W).
        ground_truth: likewise.

    Returns:
        0 to 1; NaN for an empty ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_maps(saliency, ground_truth)
    xp, prediction, truth = frames.saliency.xp, frames.saliency, frames.truths[0]
    # A pixel's share of a scaled map's sum is (1 + centred / level) / pixels; in a constant map, 1 / pixels.
    maps = [each.levelled for each in (prediction, truth)]
    levels = [xp.where(level > 0, level, 1.0) for level, _ in maps]

    def terms(p: Array, g: Array) -> Array:
        return xp.minimum(p / levels[0], g / levels[1])

    common = 1 + summed(xp, terms, *(centred for _, centred in maps)) / truth.rows.shape[-1]
    empty = (truth.low == 0) & (truth.high == 0)
    return frames.answer(xp.where(empty[:, 0], xp.nan, common))


def kl_div(saliency: Array | Prepared, ground_truth: Array | Prepared, epsilon: float = EPSILON) -> Array:
    """Return the Kullback-Leibler divergence of the prediction from the ground truth, each divided by its sum.

    Args:
        saliency: (H, W) or (N, H, W), not negative.
        ground_truth: likewise.
        epsilon: in sum g log(epsilon + g / (p + epsilon)); 0 for the definition itself, as in the published training
            code, which is infinite if the ground truth is positive where the prediction is 0.

    Returns:
        0 (equal) or more, in nats; NaN for an empty ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_maps(saliency, ground_truth)
    xp, prediction, truth = frames.saliency.xp, frames.saliency, frames.truths[0]
    of_prediction, of_truth = density(prediction), density(truth)

    def terms(p: Array, g: Array) -> Array:
        people = of_truth(g)
        logarithm = xp.log(people / (of_prediction(p) + epsilon) + epsilon)
        return xp.where(people > 0, people * logarithm, 0.0)  # 0 log 0 = 0

    # Most of a ground truth is often 0, and adds nothing.
    places, people = truth.positive
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = summed(xp, terms, prediction.taken(places), people)
    return frames.answer(xp.where(truth.high[:, 0] > 0, divergence, xp.nan))


def emd(saliency: Array | Prepared, ground_truth: Array | Prepared) -> Array:
    """Return the earth mover's distance: the mean distance by which mass must move to turn one map into the other.

    Both maps are reduced to cells of 32 x 32 pixels and divided by their sums.

    Args:
        saliency: (H, W) or (N, H, W), not negative.
        ground_truth: likewise.

    Returns:
        distance in sides of cells: 0 (equal) or more; NaN for an empty ground truth.

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


def log_likelihood(saliency: Array | Prepared, fixations: Array | Fixations) -> Array:
    """Return the mean log probability of a fixated pixel, the prediction divided by its sum.

    A fixation map counts repeated fixations of a pixel once: with very many observers, even the true density is scored
    as too peaked.

    Args:
        saliency: (H, W) or (N, H, W), not negative: a density up to a factor. A map scaled to grey levels is not one,
            and is penalised for its zeros.
        fixations: boolean, likewise.

    Returns:
        bits per fixation, -52 (smaller probabilities count as `EPSILON`) to 0; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    return _log_likelihood(saliency, fixations, "saliency")


def information_gain(saliency: Array | Prepared, fixations: Array | Fixations, baseline: Array | Prepared) -> Array:
    """Return the information gain over a baseline: the difference of their log-likelihoods.

    Args:
        saliency: as of `log_likelihood`.
        fixations: likewise.
        baseline: as ``saliency``: usually a centre bias.

    Returns:
        bits per fixation; 0 for the baseline itself; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    return log_likelihood(saliency, fixations) - _log_likelihood(baseline, fixations, "baseline")


def _log_likelihood(saliency: Array | Prepared, fixations: Array | Fixations, what: str) -> Array:
    frames = with_fixations(saliency, fixations, what=what)
    xp, as_density = frames.saliency.xp, density(frames.saliency)
    return frames.answer(_mean_at(frames, lambda values: xp.log2(xp.clip(as_density(values), EPSILON))))


def density(maps: Prepared) -> Callable[[Array], Array]:
    """Return a function that divides values (N, K) by their rows' sums; a row that is all zero becomes uniform.

    Raises:
        ValueError: a row has negative values.
    """
    if float(maps.xp.min(maps.low)) < 0:
        raise ValueError("a density has no negative values: subtract the minimum, or take exp of a log density")
    if not bool(maps.xp.any(maps.total <= 0)):
        return lambda values: values / maps.total
    uniform = maps.xp.astype(maps.total <= 0, maps.total.dtype) / maps.rows.shape[-1]
    divisor = maps.xp.where(maps.total > 0, maps.total, 1.0)
    return lambda values: values / divisor + uniform


def _mean_at(frames: Frames, scale: Callable[[Array], Array]) -> Array:
    """Return (N,) means of the predictions, after ``scale``, over the fixated pixels; NaN where there are none."""
    xp = frames.saliency.xp
    values, count = frames.saliency.at(frames.truths[0])
    total = xp.sum(xp.where(values > -xp.inf, scale(values), 0.0), axis=-1)
    return xp.where(count > 0, total / xp.where(count > 0, count, 1.0), xp.nan)
