"""Rank values: count how many values of a map are less than a given one, or not greater."""

from typing import Any, Literal

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""


@np.errstate(over="ignore")
def below(values: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of the values (P,) are less than each of ``asked`` (K,), and how many are not greater.

    The many values are sought among the few that are asked for, which takes a fraction of the time of sorting them.
    """
    before = np.nextafter(asked, -np.inf)  # what is less than a number is not greater than the one before it
    edges = np.sort(np.concatenate([before, asked]))
    up_to = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).cumsum()
    less, most = (up_to[np.searchsorted(edges, each)] for each in (before, asked))
    return less, most


def search(ascending: Array, values: Array, side: Literal["left", "right"] = "left") -> Array:
    """Return the insertion index of each of the values (N, K) in its sorted row (N, P)."""
    if isinstance(ascending, np.ndarray):
        return np.stack([np.searchsorted(*pair, side) for pair in zip(ascending, values, strict=True)])
    import torch

    return torch.searchsorted(ascending, values.contiguous(), side=side)
