"""From the scores of frames to estimates with intervals. Pure functions; a video is the unit that is drawn.

Frames of one video resemble each other, so intervals that draw frames are far too narrow: these draw videos.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import permutation_test

AVERAGINGS = ("pooled", "per-video")
"""One mean over all frames (the benchmark), or over the frames of each video, then over videos (most papers)."""

BOOTSTRAP_DRAWS = 10_000
_CONFIDENCE = 0.95


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


def totals(scores: np.ndarray, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and counts (V,) of the scores of each video, NaN left out.

    Args:
        scores: (n,) of frames.
        videos: (n,) index of the video of each.
    """
    valid = ~np.isnan(scores)
    size = int(videos.max()) + 1 if len(videos) else 0
    sums = np.bincount(videos[valid], scores[valid], minlength=size).astype(float)
    return sums, np.bincount(videos[valid], minlength=size).astype(float)


def average(sums: np.ndarray, counts: np.ndarray, averaging: str, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of a set, NaN where nothing is defined.

    Args:
        sums: (V,) of the scores of each video.
        counts: (V,) of its frames.
        averaging: one of `AVERAGINGS`.
        weights: (B, V) how often each video is drawn; once if None.
    """
    drawn = np.ones((1, len(sums))) if weights is None else weights
    seen = counts > 0
    if averaging == "pooled":
        above, below = drawn @ sums, drawn @ counts
    else:
        above, below = drawn @ np.divide(sums, counts, out=np.zeros_like(sums), where=seen), drawn @ seen
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def estimate(sums: np.ndarray, counts: np.ndarray, averaging: str, seed: int) -> Estimate:
    """Return a set's mean and its interval: the middle 95 % of means of as many videos, drawn with replacement."""
    mean = float(average(sums, counts, averaging)[0])
    videos = int((counts > 0).sum())
    if videos < 2 or not np.isfinite(mean):
        return Estimate(mean, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    seen = counts > 0
    weights = rng.multinomial(videos, np.full(videos, 1 / videos), BOOTSTRAP_DRAWS)
    means = average(sums[seen], counts[seen], averaging, weights)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high))


def paired_p(differences: np.ndarray, counts: np.ndarray, averaging: str, seed: int) -> float:
    """Return how probably a difference at least as large arises if the sign of every video's difference is a coin's.

    All sign patterns are tried up to 13 videos, 9,999 random ones beyond.

    Args:
        differences: (V,) sums over the frames of each video, NaN left out.
        counts: (V,) of those frames.
        averaging: one of `AVERAGINGS`.
        seed: of the patterns.
    """
    seen = counts > 0
    each = differences[seen] if averaging == "pooled" else differences[seen] / counts[seen]
    if len(each) < 2 or not np.isfinite(each).all():
        return float("nan")
    test = permutation_test(
        (each,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(seed)
    )
    return float(test.pvalue)


def chosen_frames(frames: int, most: int | None, seed: int) -> np.ndarray:
    """Return the indices of at most ``most`` of a set's frames, drawn at random: the benchmark's rule."""
    if most is None or frames <= most:
        return np.arange(frames)
    return np.sort(np.random.default_rng(seed).choice(frames, most, replace=False))
