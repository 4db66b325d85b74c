"""Metrics of maps against maps, and of densities at the fixations.

Source: the DHF1K benchmark's MATLAB code, see docs/evaluation.md.
"""

from typing import Any

import numpy as np

from tinyhd_lib.metrics.arrays import Array, is_constant, with_fixations, with_maps

EPSILON = 2.0**-52
"""MATLAB's ``eps``, which the benchmark adds in its KL divergence; no probability is taken to be less."""


def cc(saliency: Array, ground_truth: Array) -> Array:
    """Linear correlation of two maps.

    Args:
        saliency: (H, W) or (N, H, W).
        ground_truth: likewise.

    Returns:
        -1 to 1; 0 for a constant prediction, NaN for a constant ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_maps(saliency, ground_truth)
    xp = frames.xp
    prediction, truth = _centred(xp, frames.saliency), _centred(xp, frames.truths[0])
    scale = xp.sqrt(xp.sum(prediction**2, axis=-1) * xp.sum(truth**2, axis=-1))
    correlation = xp.sum(prediction * truth, axis=-1) / xp.where(scale > 0, scale, 1.0)
    return frames.answer(xp.where(is_constant(xp, frames.truths[0]), xp.nan, correlation))


def nss(saliency: Array, fixations: Array) -> Array:
    """Normalised scanpath saliency: the mean of the standardised map at the fixated pixels.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.

    Returns:
        standard deviations above the mean; 0 is chance; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_fixations(saliency, fixations)
    xp = frames.xp
    centred = _centred(xp, frames.saliency)
    deviation = xp.sqrt(xp.sum(centred**2, axis=-1) / max(centred.shape[-1] - 1, 1))
    return frames.answer(_mean_at(xp, centred, frames.truths[0]) / xp.where(deviation > 0, deviation, 1.0))


def sim(saliency: Array, ground_truth: Array) -> Array:
    """Similarity: the common mass of two maps, each stretched to 0..1 and then divided by its sum.

    Args:
        saliency: (H, W) or (N, H, W).
        ground_truth: likewise.

    Returns:
        0 to 1; NaN for an empty ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_maps(saliency, ground_truth)
    xp, truth = frames.xp, frames.truths[0]
    lowest = xp.min(truth, axis=-1, keepdims=True)
    stretched = frames.saliency - xp.min(frames.saliency, axis=-1, keepdims=True)
    common = xp.minimum(_distribution(xp, stretched), _distribution(xp, truth - lowest))
    return frames.answer(xp.where(xp.any(truth != 0, axis=-1), xp.sum(common, axis=-1), xp.nan))


def kl_div(saliency: Array, ground_truth: Array, epsilon: float = EPSILON) -> Array:
    """Kullback-Leibler divergence of the prediction from the ground truth, each divided by its sum.

    Args:
        saliency: (H, W) or (N, H, W), not negative.
        ground_truth: likewise.
        epsilon: what is added in sum g log(epsilon + g / (p + epsilon)); 0 for the definition itself, as in the
            published training code, which is infinite where people looked at a zero of the prediction.

    Returns:
        0 (equal) and more, in nats; NaN for an empty ground truth.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_maps(saliency, ground_truth)
    xp = frames.xp
    prediction, truth = density(xp, frames.saliency), density(xp, frames.truths[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = truth * xp.log(truth / (prediction + epsilon) + epsilon)
    terms = xp.where(truth > 0, terms, 0.0)  # 0 log 0 = 0
    return frames.answer(xp.where(xp.any(frames.truths[0] > 0, axis=-1), xp.sum(terms, axis=-1), xp.nan))


def log_likelihood(saliency: Array, fixations: Array) -> Array:
    """Return the mean log probability of a fixated pixel, the prediction divided by its sum.

    A map of fixations tells who was first at a pixel and nothing of the others: with very many observers, even the true
    density is scored as too peaked.

    Args:
        saliency: (H, W) or (N, H, W), not negative: a density up to a factor. A map that was stretched to grey levels
            is not one, and is punished for its zeros.
        fixations: boolean, likewise.

    Returns:
        bits a fixation, -52 (what is less probable than `EPSILON` counts as that) to 0; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    return _log_likelihood(saliency, fixations, "saliency")


def information_gain(saliency: Array, fixations: Array, baseline: Array) -> Array:
    """Return how many bits a fixation the prediction knows more than a baseline does: the difference in log-likelihood.

    Args:
        saliency: as of `log_likelihood`.
        fixations: likewise.
        baseline: as ``saliency``: usually a centre bias.

    Returns:
        bits a fixation; 0 for the baseline itself; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    return log_likelihood(saliency, fixations) - _log_likelihood(baseline, fixations, "baseline")


def _log_likelihood(saliency: Array, fixations: Array, what: str) -> Array:
    frames = with_fixations(saliency, fixations, what=what)
    xp = frames.xp
    bits = xp.log2(xp.clip(density(xp, frames.saliency), EPSILON))
    return frames.answer(_mean_at(xp, bits, frames.truths[0]))


def _centred(xp: Any, values: Array) -> Array:
    """Rows (N, P) less their mean, in units of their range, so that no scale is too small or too large to be squared.

    Exactly zero where a row is constant.
    """
    low, high = xp.min(values, axis=-1, keepdims=True), xp.max(values, axis=-1, keepdims=True)
    stretched = (values - low) / xp.where(high > low, high - low, 1.0)
    return stretched - xp.mean(stretched, axis=-1, keepdims=True)


def _distribution(xp: Any, values: Array) -> Array:
    """Rows (N, P) that sum to 1; uniform where a row is all zero."""
    total = xp.sum(values, axis=-1, keepdims=True)
    if bool(xp.any(total <= 0)):  # it hardly ever is, and then costs no pass
        return _distribution(xp, xp.where(total > 0, values, 1.0))
    return values / total


def density(xp: Any, values: Array) -> Array:
    """Return rows (N, P) that sum to 1, of the array library ``xp``; uniform where a row is all zero.

    Raises:
        ValueError: one has negative values.
    """
    if float(xp.min(values)) < 0:
        raise ValueError("a density has no negative values: subtract the minimum, or take exp of a log density")
    return _distribution(xp, values)


def _mean_at(xp: Any, values: Array, fixations: Array) -> Array:
    """Return (N,) means of the rows (N, P) over their fixated pixels; NaN where there are none."""
    count = xp.sum(xp.astype(fixations, values.dtype), axis=-1)
    total = xp.sum(xp.where(fixations, values, 0.0), axis=-1)
    return xp.where(count > 0, total / xp.where(count > 0, count, 1.0), xp.nan)
