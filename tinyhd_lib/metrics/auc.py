"""The area under the ROC curve of "people looked here", in the field's four forms, each from one pass over the pixels.

Source: specification section 6, which pins the DHF1K benchmark's MATLAB code by its answers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyhd_lib.metrics.arrays import Array, Frames, is_constant, with_fixations

_STEPS = 10
"""Borji's and the shuffled AUC look at the thresholds 0, 0.1, ... 1 of the stretched map."""


def auc_judd(saliency: Array, fixations: Array) -> Array:
    """AUC-Judd without jitter: thresholds are the saliencies at the fixations, false alarms are all other pixels.

    Ties count against the prediction, as in the MATLAB code without its jitter; `auc_rank` counts them as half.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.

    Returns:
        0 to 1; NaN without fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`.
    """
    frames = with_fixations(saliency, fixations)
    xp, pixels = frames.xp, frames.saliency.shape[-1]
    sorted_map, thresholds, count = _sorted(frames)
    rank = xp.arange(1, thresholds.shape[-1] + 1, dtype=sorted_map.dtype, device=sorted_map.device)[None]
    above = pixels - xp.astype(_search(sorted_map, thresholds, "left"), sorted_map.dtype)
    # Rows with fewer fixations than others end in points (1, 1), which add nothing.
    hits = xp.where(rank <= count, rank / count, 1.0)
    alarms = xp.where(rank <= count, (above - rank) / (pixels - count), 1.0)
    return frames.answer(_decide(frames, _area(xp, alarms, hits)))


def auc_rank(saliency: Array, fixations: Array) -> Array:
    """Exact AUC: how probably a fixated pixel is more salient than another one, ties counting half (Mann-Whitney).

    Args, returns and errors are those of `auc_judd`. Any monotone transform of the map leaves it as it is.
    """
    frames = with_fixations(saliency, fixations)
    xp, pixels = frames.xp, frames.saliency.shape[-1]
    sorted_map, thresholds, count = _sorted(frames)
    below = _search(sorted_map, thresholds, "left") + _search(sorted_map, thresholds, "right")
    position = xp.arange(thresholds.shape[-1], device=sorted_map.device)[None]
    # Twice the pixels below a fixation, ties half, without the fixations among themselves: their sum is known.
    total = xp.sum(xp.where(position < count, xp.astype(below, sorted_map.dtype), 0.0), axis=-1) / 2
    count = count[:, 0]
    return frames.answer(_decide(frames, (total - count**2 / 2) / (count * (pixels - count))))


def auc_borji(saliency: Array, fixations: Array, splits: int | None = None, seed: int = 0) -> Array:
    """AUC-Borji: false alarms are as many random pixels as there are fixations, drawn with replacement.

    The area is linear in the false alarms, so its mean over infinitely many draws is known in closed form. That exact
    value, free of chance, is the default.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.
        splits: how many draws to average, as the MATLAB code does with 100; None for the exact mean.
        seed: of the draws.

    Returns:
        0 to 1; NaN without fixations. With one fixation too, where the MATLAB code fails.

    Raises:
        ValueError: see `tinyhd_lib.metrics`; or ``splits`` is less than 1.
    """
    frames = with_fixations(saliency, fixations)
    everywhere = frames.xp.ones_like(frames.truths[0])

    def draw(rng: np.random.Generator, fixated: int, counts: np.ndarray, draws: int) -> np.ndarray:
        return rng.multinomial(fixated, counts / counts.sum(), draws)

    return _auc_by_levels(frames, everywhere, draw, splits, seed)


def auc_shuffled(
    saliency: Array, fixations: Array, other_fixations: Array, splits: int | None = None, seed: int = 0
) -> Array:
    """Shuffled AUC: false alarms are where people looked in other frames, so that a mere centre bias gains nothing.

    Each draw takes min(fixations, others) of the other locations without replacement; its exact mean is the default,
    as in `auc_borji`.

    Args:
        saliency: (H, W) or (N, H, W).
        fixations: boolean, likewise.
        other_fixations: boolean, likewise: fixations of other frames, in this frame's pixels.
        splits: how many draws to average, as the MATLAB code does with 100; None for the exact mean.
        seed: of the draws.

    Returns:
        0 to 1; NaN without fixations or without other fixations.

    Raises:
        ValueError: see `tinyhd_lib.metrics`; or ``splits`` is less than 1.
    """
    frames = with_fixations(saliency, fixations, other_fixations)

    def draw(rng: np.random.Generator, fixated: int, counts: np.ndarray, draws: int) -> np.ndarray:
        return rng.multivariate_hypergeometric(counts, min(fixated, counts.sum()), draws)

    return _auc_by_levels(frames, frames.truths[1], draw, splits, seed)


def _sorted(frames: Frames) -> tuple[Array, Array, Array]:
    """The maps in ascending order (N, P), the fixations' saliencies in descending order (N, K), their counts (N, 1)."""
    xp, saliency, fixations = frames.xp, frames.saliency, frames.truths[0]
    count = xp.count_nonzero(fixations, axis=-1)
    row, _ = xp.nonzero(fixations)
    position = xp.arange(row.shape[0], device=saliency.device) - (xp.cumulative_sum(count) - count)[row]
    # Frames differ in their number of fixations: shorter rows end in -inf.
    fixated = xp.full((count.shape[0], int(xp.max(count))), -xp.inf, dtype=saliency.dtype, device=saliency.device)
    fixated[row, position] = saliency[fixations]
    ordered = xp.flip(xp.sort(fixated, axis=-1, stable=False), axis=-1)
    return xp.sort(saliency, axis=-1, stable=False), ordered, xp.astype(count, saliency.dtype)[:, None]


def _search(sorted_rows: Array, values: Array, side: str) -> Array:
    """Where each of the values (N, K) belongs in its sorted row (N, P)."""
    if isinstance(sorted_rows, np.ndarray):
        pairs = zip(sorted_rows, values, strict=True)
        return np.stack([np.searchsorted(row, each, side) for row, each in pairs])  # type: ignore[call-overload]
    import torch

    return torch.searchsorted(sorted_rows, values.contiguous(), side=side)


def _area(xp: Any, alarms: Array, hits: Array) -> Array:
    """Trapezoids under curves (N, K) of hits against false alarms, with (0, 0) and (1, 1) added at their ends."""
    ends = xp.zeros_like(alarms[:, :1])
    x = xp.concat([ends, alarms, ends + 1], axis=-1)
    y = xp.concat([ends, hits, ends + 1], axis=-1)
    return xp.sum((x[:, 1:] - x[:, :-1]) * (y[:, 1:] + y[:, :-1]), axis=-1) / 2


def _decide(frames: Frames, areas: Array) -> Array:
    """Chance where the map is constant; NaN where nobody looked."""
    xp = frames.xp
    areas = xp.where(is_constant(xp, frames.saliency), 0.5, areas)
    return xp.where(xp.any(frames.truths[0], axis=-1), areas, xp.nan)


def _auc_by_levels(
    frames: Frames,
    negatives: Array,
    draw: Callable[[np.random.Generator, int, np.ndarray, int], np.ndarray],
    splits: int | None,
    seed: int,
) -> Array:
    """AUC over the eleven thresholds, false alarms drawn (or taken in expectation) from the negatives' levels."""
    if splits is not None and splits < 1:
        raise ValueError(f"splits {splits}: at least 1, or None for the exact mean")
    xp, saliency = frames.xp, frames.saliency
    low, high = xp.min(saliency, axis=-1, keepdims=True), xp.max(saliency, axis=-1, keepdims=True)
    levels = (saliency - low) * _STEPS / xp.where(high > low, high - low, 1.0)
    fixated, other = (_histogram(xp, levels, chosen) for chosen in (frames.truths[0], negatives))
    if splits is not None:
        rng = np.random.default_rng(seed)
        pairs = zip(_to_numpy(fixated), _to_numpy(other), strict=True)
        drawn = [
            draw(rng, hits.sum(), counts, splits).mean(0) if counts.any() else counts * 1.0 for hits, counts in pairs
        ]
        other = xp.asarray(np.stack(drawn), device=saliency.device)
    area = _area(xp, _rates(xp, other, saliency.dtype), _rates(xp, fixated, saliency.dtype))
    return frames.answer(xp.where(xp.any(negatives, axis=-1), _decide(frames, area), xp.nan))


def _histogram(xp: Any, levels: Array, chosen: Array) -> Array:
    """(N, 11): how many of the chosen pixels of each row (N, P) are at each level, rounded down."""
    rows, bins = levels.shape[0], _STEPS + 1
    first = xp.broadcast_to(xp.arange(rows, device=levels.device)[:, None] * bins, levels.shape)
    return xp.reshape(
        xp.bincount(xp.astype(levels[chosen], xp.int64) + first[chosen], minlength=rows * bins), (rows, bins)
    )


def _rates(xp: Any, counts: Array, dtype: Any) -> Array:
    """From counts at each level, the share at or above each threshold, from the highest threshold down."""
    shares = xp.flip(xp.astype(counts, dtype), axis=-1)
    total = xp.sum(shares, axis=-1, keepdims=True)
    return xp.cumulative_sum(shares, axis=-1) / xp.where(total > 0, total, 1.0)


def _to_numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
