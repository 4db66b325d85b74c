"""Rank values: count how many values are less than a given one, by sorting or with a histogram."""

from functools import cached_property
from typing import Any, Literal

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""

PART = 2**15
"""Values per block that stay in a processor's cache: a quarter of a megabyte."""

BINS = 2**16
"""Number of bins, so that their indices fit 16 bits; sorting is faster for maps with fewer pixels."""


class Histogram:
    """Rank values exactly without sorting all of them: only values that share a bin with a queried one are sorted.

    If many values share bins with queried ones, all are sorted, once.

    Args:
        values: (P,).
        low: the least of them, (1,).
        span: the greatest less the least, (1,), more than 0.
        levels: further values that will be queried, (11,): they are ranked in the same pass.
    """

    def __init__(self, values: np.ndarray, low: np.ndarray, span: np.ndarray, levels: np.ndarray) -> None:
        above = values > low
        self.least = len(values) - int(np.count_nonzero(above))
        # Often most pixels have the least value: then their number is enough.
        self.values = values[above] if self.least > len(values) / 8 else values
        self.pixels, self.low, self.span, self.levels = len(values), low, span, levels
        self.bins = self._bins_of(self.values)
        self.counts = np.bincount(self.bins, minlength=BINS)
        self.known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def ascending(self) -> np.ndarray:
        """Return all values sorted."""
        return np.sort(self.values)

    def below(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many values are less than each of ``asked`` (K,), and how many are not greater; cached."""
        if asked.tobytes() not in self.known:
            both = self._below(np.concatenate([asked, self.levels]))
            for each, part in ((asked, np.s_[: len(asked)]), (self.levels, np.s_[len(asked) :])):
                self.known[each.tobytes()] = both[0][part], both[1][part]
        return self.known[asked.tobytes()]

    def _below(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bins, shared = self._bins_of(asked), np.zeros(BINS, dtype=bool)
        shared[bins[asked > self.low]] = True
        if self.counts[shared].sum() > len(self.values) / 8:
            near, others = self.ascending, np.zeros(len(asked), int)
        else:
            near = np.sort(self.values[np.take(shared, self.bins)])
            others = np.cumsum(np.where(shared, 0, self.counts))[bins]
        others += self.pixels - len(self.values)
        less, most = (others + np.searchsorted(near, asked, side) for side in ("left", "right"))
        return np.where(asked > self.low, less, 0), np.where(asked > self.low, most, self.least * (asked == self.low))

    @np.errstate(over="ignore", invalid="ignore")
    def _bins_of(self, values: np.ndarray) -> np.ndarray:
        """Return bins, monotone in the values; at most two bins if the span overflows a float."""
        bins = np.empty(len(values), np.uint16)
        for start in range(0, len(values), PART):
            scaled = values[start : start + PART] - self.low
            scaled /= self.span
            scaled *= BINS - 1
            bins[start : start + PART] = np.fmax(np.fmin(scaled, BINS - 1), 0)
        return bins


def search(ascending: Array, values: Array, side: Literal["left", "right"] = "left") -> Array:
    """Return the insertion index of each of the values (N, K) in its sorted row (N, P)."""
    if isinstance(ascending, np.ndarray):
        return np.stack([np.searchsorted(*pair, side) for pair in zip(ascending, values, strict=True)])
    import torch

    return torch.searchsorted(ascending, values.contiguous(), side=side)
