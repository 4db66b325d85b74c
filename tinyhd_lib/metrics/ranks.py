"""Rank values: count how many values of a map are less than a given one, or not greater."""

from typing import Any

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""

PART = 2**15
"""Values per block that stay in a processor's cache: a quarter of a megabyte."""

_BINS = 2**16
"""Number of bins, whose numbers fit 16 bits."""


class Histogram:
    """Rank values exactly without sorting them; made once for a map, however often it is asked.

    Args:
        values: (P,).
        low: the least of them, (1,).
        span: the greatest less the least, (1,), more than 0.
    """

    def __init__(self, values: np.ndarray, low: np.ndarray, span: np.ndarray) -> None:
        self.pixels, self.low, self.span = len(values), low, span
        self.values = values[values > low]  # often most pixels have the least value: then their number is enough
        self.bins = self._bins_of(self.values)
        self.counts = np.bincount(self.bins, minlength=_BINS)

    @np.errstate(over="ignore")
    def below(self, asked: np.ndarray) -> list[np.ndarray]:
        """Return how many values are less than each of ``asked`` (K,), and how many are not greater.

        Those that share a bin with what is asked for are sought among the few that are asked for.
        """
        both = np.nextafter(asked, -np.inf), asked  # what is less than a number is not greater than the one before it
        edges = np.sort(np.concatenate(both))
        shared = np.bincount(self._bins_of(edges), minlength=_BINS) > 0
        near = np.searchsorted(edges, self.values[shared[self.bins]])
        up_to = np.bincount(near, minlength=len(edges) + 1).cumsum()
        others = np.where(shared, 0, self.counts).cumsum() + self.pixels - len(self.values)
        places = [(each >= self.low, np.searchsorted(edges, each), self._bins_of(each)) for each in both]
        return [np.where(above, up_to[edge] + others[place], 0) for above, edge, place in places]

    @np.errstate(over="ignore", invalid="ignore")
    def _bins_of(self, values: np.ndarray) -> np.ndarray:
        """Return bins, monotone in the values; at most two bins if the span overflows a float."""
        parts = np.array_split(values, len(values) // PART + 1)
        scaled = ((part - self.low) / self.span * (_BINS - 1) for part in parts)
        return np.concatenate([np.fmax(np.fmin(each, _BINS - 1), 0).astype(np.uint16) for each in scaled])
