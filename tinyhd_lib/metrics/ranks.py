"""How many of many values are less than one: by sorting them, or by counting them in bins."""

from functools import cached_property
from typing import Any, Literal

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""

PART = 2**15
"""Values that stay in a processor's cache: a quarter of a megabyte."""

BINS = 2**16
"""As many as 16 bits count; smaller maps are sorted sooner than counted."""


class Histogram:
    """Rank values exactly without sorting all of them: only those are sorted that share a bin with one asked for.

    Where many values share bins with what is asked for, all are sorted, once.

    Args:
        values: (P,).
        low: the least of them, (1,).
        span: the greatest less the least, (1,), more than 0.
        levels: what will be asked for as well, (11,): values are gone through once for both.
    """

    def __init__(self, values: np.ndarray, low: np.ndarray, span: np.ndarray, levels: np.ndarray) -> None:
        above = values > low
        self.least = len(values) - int(np.count_nonzero(above))
        # The least value is often that of most of a map: then how many these are is enough.
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
        """Return how many of the values are less than each of these (K,), and how many are no greater; kept, too."""
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
        """Return bins, of a greater value never a lesser one; two at most where a float cannot hold the span."""
        bins = np.empty(len(values), np.uint16)
        for start in range(0, len(values), PART):
            scaled = values[start : start + PART] - self.low
            scaled /= self.span
            scaled *= BINS - 1
            bins[start : start + PART] = np.fmax(np.fmin(scaled, BINS - 1), 0)
        return bins


def search(ascending: Array, values: Array, side: Literal["left", "right"] = "left") -> Array:
    """Return where each of the values (N, K) belongs in its row (N, P), which is sorted."""
    if isinstance(ascending, np.ndarray):
        return np.stack([np.searchsorted(*pair, side) for pair in zip(ascending, values, strict=True)])
    import torch

    return torch.searchsorted(ascending, values.contiguous(), side=side)
