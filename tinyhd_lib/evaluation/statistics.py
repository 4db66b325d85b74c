"""From the scores of frames to estimates with intervals. Pure functions; a video is the unit.

Frames of one video resemble each other, so intervals over frames are far too narrow: these are over videos.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

AVERAGINGS = ("pooled", "per-video")
"""One mean over all frames (the benchmark), or over the frames of each video, then over videos (most papers)."""


class Estimate(NamedTuple):
    """A score of a set, with how sure it is.

    Attributes:
        mean: of the set.
        low: where its 95 % interval begins; NaN with fewer than two videos, or if the mean is infinite.
        high: where it ends.
    """

    mean: float
    low: float
    high: float


def units(videos: pd.Series, data: str) -> "pd.Series[str]":
    """Return what is drawn at random for each video: itself; of Hollywood-2, whose videos are shots, its film."""
    return videos.str.rpartition("_")[0] if data == "hollywood2" else videos.astype(str)


def totals(scores: npt.ArrayLike, videos: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and counts (V,) of the scores of each video that has any, NaN left out.

    Args:
        scores: (n,) of frames.
        videos: (n,) the video of each, by any name.
    """
    values = np.asarray(scores, float)
    valid = ~np.isnan(values)
    codes = np.unique(np.asarray(videos)[valid], return_inverse=True)[1]
    return np.bincount(codes, values[valid]), np.bincount(codes).astype(float)


def average(sums: np.ndarray, counts: np.ndarray, averaging: str) -> float:
    """Return the mean of a set, NaN where nothing is defined.

    Args:
        sums: (V,) of the scores of each video, see `totals`.
        counts: (V,) of its frames that have one, 1 or more.
        averaging: one of `AVERAGINGS`.
    """
    if not len(counts):
        return float("nan")
    return float(sums.sum() / counts.sum() if averaging == "pooled" else (sums / counts).mean())


def estimate(sums: np.ndarray, counts: np.ndarray, averaging: str) -> Estimate:
    """Return a set's mean and its 95 % interval, Student's over videos.

    Of few videos it holds the truth far more often than a bootstrap does (docs/evaluation.md). A pooled mean is a ratio
    of sums over videos, whose spread is that of what each video adds to it (Cochran, Sampling Techniques, 1977, 6.3).
    """
    mean = average(sums, counts, averaging)
    videos = len(counts)
    if videos < 2 or not np.isfinite(mean):
        return Estimate(mean, float("nan"), float("nan"))
    apart = (sums - mean * counts) / counts.mean() if averaging == "pooled" else sums / counts - mean
    reach = float(stats.t.ppf(0.975, videos - 1) * np.sqrt((apart**2).sum() / (videos * (videos - 1))))
    return Estimate(mean, mean - reach, mean + reach)


def paired_p(differences: np.ndarray, counts: np.ndarray, averaging: str, seed: int) -> float:
    """Return how probably a difference at least as large arises if the sign of every video's difference is a coin's.

    All sign patterns are tried up to 13 videos, 9,999 random ones beyond.

    Args:
        differences: (V,) sums over the frames of each video, see `totals`.
        counts: (V,) of those frames, 1 or more.
        averaging: one of `AVERAGINGS`.
        seed: of the patterns.
    """
    each = differences if averaging == "pooled" else differences / counts
    if len(each) < 2 or not np.isfinite(each).all():
        return float("nan")
    each = each / (np.abs(each).max() or 1)
    rng = np.random.default_rng(seed)
    return stats.permutation_test((each,), _rounded_mean, permutation_type="samples", n_resamples=9999, rng=rng).pvalue


def _rounded_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Return means without their last digits, in which sign patterns that tie differ by the order of adding up."""
    return np.asarray(np.mean(values, axis=axis).round(9))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values corrected for there being several (Holm, 1979); NaN stays, and is not counted."""
    corrected, order = np.full(len(p), np.nan), np.argsort(p)[: np.isfinite(p).sum()]
    corrected[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p[order]), 1)
    return corrected


def chosen_frames(frames: int, most: int | None, seed: int) -> np.ndarray:
    """Return the indices of at most ``most`` of a set's frames, drawn at random: the benchmark's rule."""
    if most is None or frames <= most:
        return np.arange(frames)
    return np.sort(np.random.default_rng(seed).choice(frames, most, replace=False))
