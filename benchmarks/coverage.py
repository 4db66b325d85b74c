"""Coverage of confidence intervals in simulations with a known mean: the workbench's, and two common bootstraps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from benchmarks.report import Benchmark, Report
from tinyhd_lib.evaluation.summary import AVERAGINGS, estimate

Scores = Callable[[np.random.Generator, int], np.ndarray]

_SETS: dict[str, tuple[Scores, float]] = {
    "as NSS, skewed": (lambda rng, videos: rng.lognormal(0.9, 0.5, videos), float(np.exp(0.9 + 0.5**2 / 2))),
    "as AUC, near 1": (lambda rng, videos: rng.beta(20, 3, videos), 20 / 23),
}
"""Distributions of the means of videos, with the mean of each distribution."""


@dataclass(frozen=True, kw_only=True)
class Coverage(Benchmark):
    """Measure how often a 95 % interval covers the true mean, for sets of few and of many videos of 100 to 900 frames.

    Attributes:
        videos: numbers of videos of a set.
        trials: number of sets of each kind and size.
        draws: number of resamples of the bootstraps.
    """

    videos: tuple[int, ...] = (3, 6, 20, 50)
    trials: int = 500
    draws: int = 1000

    def measure(self) -> Report:
        """Return ``coverage``: the share of intervals that cover the true mean, by Student's t and bootstraps."""
        rows = []
        for averaging in AVERAGINGS:
            for name, (scores, truth) in _SETS.items():
                for videos in self.videos:
                    rng, held = np.random.default_rng(videos), np.zeros(3)
                    for _ in range(self.trials):
                        counts = rng.integers(100, 900, videos).astype(float)
                        sums = scores(rng, videos) * counts
                        ends = [estimate(sums, counts, averaging)[1:], *self._bootstraps(sums, counts, averaging, rng)]
                        held += [low <= truth <= high for low, high in ends]
                    share = dict(zip(("ours", "percentile", "BCa"), (held / self.trials).round(3), strict=True))
                    rows.append({"averaging": averaging, "scores": name, "videos": videos, **share})
        return {"coverage": rows}

    def _bootstraps(
        self, sums: np.ndarray, counts: np.ndarray, averaging: str, rng: np.random.Generator
    ) -> list[tuple[float, float]]:
        def mean(some: np.ndarray, of: np.ndarray, axis: int = -1) -> np.ndarray:
            return some.sum(axis) / of.sum(axis) if averaging == "pooled" else (some / of).mean(axis)

        found = []
        for method in ("percentile", "BCa"):
            given = {"paired": True, "vectorized": True, "n_resamples": self.draws, "method": method, "rng": rng}
            interval = bootstrap((sums, counts), mean, **given).confidence_interval
            found.append((float(interval.low), float(interval.high)))
        return found
