"""The area under the ROC curve (AUC) of fixations, in the field's four variants, each from one pass over the pixels.

Source: the DHF1K benchmark's MATLAB code, see docs/evaluation.md.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from array_api_compat import to_device

from tinyhd_lib.metrics.arrays import Fixations, Frames, Prepared, with_fixations
from tinyhd_lib.metrics.ranks import Array


def auc_judd(
    saliency: Array | Prepared, fixations: Array | Fixations, ties: Literal["random", "below"] = "random"
) -> Array:
    """Return AUC-Judd: thresholds are the saliency values at the fixations, negatives are all other pixels.

    The MATLAB code adds a tiny random number to every pixel, which breaks ties at random. The mean over all such draws
    has a closed form: the exact area of `auc_rank`, plus 1 / (2 fixations) times the share of other pixels that are
    expected above the lowest fixation.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.
        ties: ``random``, that mean; ``below``, the MATLAB code without its jitter, in which ties count against the
            prediction (if nearly all pixels are fixated and tied, the area can even be negative).

    Returns:
        0 to 1; NaN without fixations, or if every pixel is fixated.

    Raises:
        ValueError: see `tinyhd_lib.metrics`; or ``ties`` is neither.
    """
    if ties not in {"random", "below"}:
        raise ValueError(f"ties {ties!r}: random or below")
    return _auc_by_values(saliency, fixations, _random_ties if ties == "random" else _ties_below)


def auc_rank(saliency: Array | Prepared, fixations: Array | Fixations) -> Array:
    """Return the exact AUC: the probability that a fixated pixel is more salient than another (Mann-Whitney).

    Ties count half. Args, returns and errors are those of `auc_judd`. It is invariant to monotone transforms.
    """
    return _auc_by_values(saliency, fixations, _rank_area)


def auc_borji(
    saliency: Array | Prepared, fixations: Array | Fixations, splits: int | None = None, seed: int = 0
) -> Array:
    """Return AUC-Borji: negatives are as many random pixels as there are fixations, drawn with replacement.

    The area is linear in the false-alarm rates, so its mean over all draws has a closed form. That exact, deterministic
    value is the default.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.
        splits: number of draws to average, 100 in the MATLAB code; None for the exact mean.
        seed: of the draws.

    Returns:
        0 to 1; NaN without fixations. Defined for a single fixation, too, for which the MATLAB code fails.

    Raises:
        ValueError: see `tinyhd_lib.metrics`; or ``splits`` is less than 1.
    """
    frames = with_fixations(saliency, fixations)
    *_, alarms = frames.saliency.ranks(frames.truths[0])
    return frames.answer(_auc_by_levels(frames, alarms, splits, seed, replace=True))


def auc_shuffled(
    saliency: Array | Prepared,
    fixations: Array | Fixations,
    other_fixations: Array | Fixations,
    splits: int | None = None,
    seed: int = 0,
) -> Array:
    """Return the shuffled AUC: negatives are fixations of other frames, so that a mere centre bias gains nothing.

    Each draw takes min(fixations, others) of the other fixations without replacement; the exact mean over draws is the
    default, as in `auc_borji`.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.
        other_fixations: boolean, likewise: fixations of other frames, in this frame's pixels.
        splits: number of draws to average, 100 in the MATLAB code; None for the exact mean.
        seed: of the draws.

    Returns:
        0 to 1; NaN without fixations or without other fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`; or ``splits`` is less than 1.
    """
    frames = with_fixations(saliency, fixations, other_fixations)
    alarms = _reaching(frames.saliency, frames.truths[1])
    return frames.answer(_auc_by_levels(frames, alarms, splits, seed, replace=False))


class _Ranked(NamedTuple):
    """The saliency values at the fixations, with their ranks among all pixels of their map.

    Attributes:
        xp: the array library's namespace.
        values: (N, K) ascending; rows with fewer fixations are padded with -inf at their start.
        count: (N,) number of fixations.
        less: (N, K) number of pixels that are less salient.
        most: (N, K) number of pixels that are not more salient.
        pixels: number of pixels of a map.
    """

    xp: Any
    values: Array
    count: Array
    less: Array
    most: Array
    pixels: int


@np.errstate(divide="ignore", invalid="ignore")
def _auc_by_values(saliency: Array | Prepared, fixations: Array | Fixations, area: Callable[[_Ranked], Array]) -> Array:
    """Return AUCs whose thresholds are the saliency values at the fixations.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.
        area: computes areas (N,) from the ranks.

    Returns:
        0.5 if the map is constant; NaN without fixations, or if all pixels are fixated and there are no negatives.
    """
    frames = with_fixations(saliency, fixations)
    maps, xp = frames.saliency, frames.saliency.xp
    values, count = maps.at(frames.truths[0])
    less, most, _ = (xp.astype(each, values.dtype) for each in maps.ranks(frames.truths[0]))
    ranked = _Ranked(xp, values, count, less, most, maps.rows.shape[-1])
    areas = xp.where(maps.constant, 0.5, area(ranked))
    return frames.answer(xp.where((count > 0) & (count < ranked.pixels), areas, xp.nan))


def _rank_area(ranked: _Ranked) -> Array:
    """Return the exact area (N,)."""
    xp, _, count, less, most, pixels = ranked
    # The pixels below a fixation, ties counting half; none is below the -inf that pads shorter rows.
    total = xp.sum(less + most, axis=-1) / 2
    # count^2 / 2 of these pairs are among the fixations themselves.
    return (total - count**2 / 2) / (count * (pixels - count))


def _random_ties(ranked: _Ranked) -> Array:
    """Return the mean of AUC-Judd (N,) over all orders of tied pixels; meaningless where count is 0 or P."""
    xp, values, count, less, most, pixels = ranked
    looked = values > -xp.inf
    least, up_to = (xp.min(xp.where(looked, each, pixels), axis=-1) for each in (less, most))
    tied = xp.sum(xp.astype(looked & (less == least[:, None]), values.dtype), axis=-1)
    # Among a pixel and ``tied`` fixations of equal value, each is the lowest with equal probability.
    expected = (pixels - up_to - (count - tied)) + (up_to - least - tied) * tied / (tied + 1)
    return _rank_area(ranked) + expected / (pixels - count) / (2 * count)


def _ties_below(ranked: _Ranked) -> Array:
    """Return AUC-Judd (N,) without jitter; see `_random_ties` for the one with it."""
    xp, values, count, less, _, pixels = ranked
    rank = xp.arange(1, values.shape[-1] + 1, dtype=values.dtype, device=values.device)[None]
    above, count = pixels - xp.flip(less, axis=-1), count[:, None]
    # Rows with fewer fixations than others end in points (1, 1), which add nothing.
    hits = xp.where(rank <= count, rank / count, 1.0)
    alarms = xp.where(rank <= count, (above - rank) / (pixels - count), 1.0)
    return _area(xp, alarms, hits)


def _area(xp: Any, alarms: Array, hits: Array) -> Array:
    """Return areas under curves (N, K) of hits against false alarms by trapezoids, with (0, 0) and (1, 1) added."""
    ends = xp.zeros_like(alarms[:, :1])
    x = xp.concat([ends, alarms, ends + 1], axis=-1)
    y = xp.concat([ends, hits, ends + 1], axis=-1)
    return xp.sum((x[:, 1:] - x[:, :-1]) * (y[:, 1:] + y[:, :-1]), axis=-1) / 2


def _auc_by_levels(frames: Frames, alarms: Array, splits: int | None, seed: int, *, replace: bool) -> Array:
    """Return AUCs (N,) over the eleven thresholds from the number of negatives (N, 11) that reach each, or from draws.

    0.5 if the map is constant, with all pixels at the first threshold. NaN without fixations or negatives.
    """
    if splits is not None and splits < 1:
        raise ValueError(f"splits {splits}: at least 1, or None for the exact mean")
    xp, saliency = frames.saliency.xp, frames.saliency.rows
    hits = _reaching(frames.saliency, frames.truths[0])
    if splits is not None:
        counts, among = (np.asarray(to_device(each, "cpu")) for each in (hits[:, -1], alarms))
        drawn = [_drawn(*each, splits, seed, replace=replace) for each in zip(counts, among, strict=True)]
        alarms = xp.asarray(np.stack(drawn), dtype=saliency.dtype, device=saliency.device)
    return _area(xp, _shares(xp, alarms, saliency.dtype), _shares(xp, hits, saliency.dtype))


def _reaching(saliency: Prepared, fixations: Fixations) -> Array:
    """Return how many of the fixated pixels reach each of the eleven thresholds, (N, 11)."""
    (values, _), xp = saliency.at(fixations), saliency.xp
    return xp.sum(xp.astype(values[:, None] >= saliency.levels[..., None], xp.int64), axis=-1)


def _drawn(fixated: int, alarms: np.ndarray, splits: int, seed: int, *, replace: bool) -> np.ndarray:
    """Return how many of the drawn negatives reach each threshold (11,), given how many of all do, ``alarms`` (11,).

    As many are drawn as there are fixations, and several draws are averaged; frames of a batch use the same seed.
    """
    if not fixated or not alarms[-1]:
        return np.zeros(alarms.shape)
    rng, counts = np.random.default_rng(seed), np.diff(alarms, prepend=0)
    if replace:
        found = rng.multinomial(fixated, counts / counts.sum(), splits)
    else:
        found = rng.multivariate_hypergeometric(counts, min(fixated, counts.sum()), splits)
    return np.cumsum(found, axis=-1).mean(axis=0)


def _shares(xp: Any, counts: Array, dtype: Any) -> Array:
    """Return counts (N, 11) as fractions of the last one, which counts all; NaN where that is 0."""
    parts = xp.astype(counts, dtype)
    with np.errstate(invalid="ignore"):
        return parts / parts[:, -1:]
