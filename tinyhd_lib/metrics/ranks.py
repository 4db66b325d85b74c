"""Rank values: count how many values of a map are less than a given one, or not greater."""

from typing import Any

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""


def below(rows: Array, asked: Array) -> tuple[Array, Array]:
    """Return how many of a row's values (N, P) are less than each ``asked`` of it (N, K), and how many not greater."""
    if isinstance(rows, np.ndarray):
        less, most = np.stack([_below(*pair) for pair in zip(rows, asked, strict=True)], axis=1)
        return less, most
    import torch

    ascending = rows.sort().values
    less, most = (torch.searchsorted(ascending, asked.contiguous(), side=side) for side in ("left", "right"))
    return less, most


@np.errstate(over="ignore")
def _below(row: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same for a single row (P,) and (K,).

    Its many values are sought among the few that are asked for, which takes a fraction of the time of sorting them.
    """
    before = np.nextafter(asked, -np.inf)  # what is less than a number is not greater than the one before it
    edges = np.sort(np.concatenate([before, asked]))
    up_to = np.bincount(np.searchsorted(edges, row), minlength=len(edges) + 1).cumsum()
    less, most = (up_to[np.searchsorted(edges, each)] for each in (before, asked))
    return less, most
