"""Rank values: count how many values of a map are less than a given one, or not greater."""

from typing import Any

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""

_BINS = 2**16
"""Number of bins, whose numbers fit 16 bits."""


def below(rows: Array, asked: Array) -> tuple[Array, Array]:
    """Return how many of a row's values (N, P) are less than each ``asked`` of it (N, K), and how many not greater."""
    if isinstance(rows, np.ndarray):
        less, most = np.stack([_below(*pair) for pair in zip(rows, asked, strict=True)], axis=1)
        return less, most
    import torch

    ascending, asked = rows.sort().values, asked.contiguous()
    return torch.searchsorted(ascending, asked), torch.searchsorted(ascending, asked, side="right")


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def _below(row: np.ndarray, asked: np.ndarray) -> list[np.ndarray]:
    """Return the same for a single row (P,) and (K,).

    Values are counted in bins. Those that share one with what is asked for are sought among the few that are asked for,
    which takes a fraction of the time of sorting them.
    """
    both = np.nextafter(asked, -np.inf), asked  # what is less than a number is not greater than the one before it
    edges = np.sort(np.concatenate(both))
    low, high = asked[np.isfinite(asked)].min(initial=np.inf), asked.max()

    def bins_of(values: np.ndarray) -> np.ndarray:
        """Return bins that are monotone in the values; a single one for all if the range overflows."""
        return np.fmax(np.fmin((values - low) / (high - low) * (_BINS - 1), _BINS - 1), 0).astype(np.uint16)

    bins, shared = bins_of(row), np.zeros(_BINS, dtype=bool)
    shared[bins_of(edges)] = True
    others = np.where(shared, 0, np.bincount(bins, minlength=_BINS)).cumsum()
    up_to = np.bincount(np.searchsorted(edges, row[shared[bins]]), minlength=len(edges) + 1).cumsum()
    return [up_to[np.searchsorted(edges, each)] + others[bins_of(each)] for each in both]
