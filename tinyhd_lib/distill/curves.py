"""A training as a picture: its terms step by step, its scores epoch by epoch."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Entry = dict[str, Any]

_SMOOTHING = 0.9


def curves(entries: Sequence[Entry]) -> Figure:
    """Plot a log.

    Args:
        entries: what `tinyhd_lib.distill.train.train` yields, or `read_log` reads.

    Returns:
        the terms of the loss on the left, faint as they are and smoothed; the validation scores on the right.
    """
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [entry for entry in entries if "terms" in entry]
    for name in dict.fromkeys(name for entry in steps for name in entry["terms"]):
        points = [(entry["step"], entry["terms"][name]) for entry in steps if name in entry["terms"]]
        where, values = np.array(points, float).T
        (line,) = left.plot(where, _smoothed(values), label=name)
        left.plot(where, values, color=line.get_color(), alpha=0.2, linewidth=0.8)
    scored = [entry for entry in entries if "scores" in entry]
    for name in dict.fromkeys(name for entry in scored for name in entry["scores"]):
        points = [(entry["epoch"], entry["scores"][name]) for entry in scored if name in entry["scores"]]
        right.plot(*np.array(points, float).T, marker="o", label=name.upper())
    left.set(xlabel="step", ylabel="nats (levels: variances)", title="terms of the loss", yscale="log")
    right.set(xlabel="epoch", title="validation")
    for axes in (left, right):
        if axes.lines:
            axes.legend(fontsize="small")
    return figure


def watch(entries: Iterable[Entry], seconds: float = 5.0) -> Iterator[Entry]:
    """Pass a training on, and keep its `curves` up to date below a notebook's cell.

    Args:
        entries: a training under way.
        seconds: between two pictures, at least.
    """
    from IPython.display import display

    seen: list[Entry] = []
    handle = display(curves(seen), display_id=True)
    drawn = time.monotonic()
    for entry in entries:
        seen.append(entry)
        if time.monotonic() - drawn > seconds:
            handle.update(curves(seen))
            drawn = time.monotonic()
        yield entry
    handle.update(curves(seen))


def _smoothed(values: np.ndarray) -> np.ndarray:
    """An exponential moving average that begins at the first value."""
    smooth = values.copy()
    for place in range(1, len(values)):
        smooth[place] = _SMOOTHING * smooth[place - 1] + (1 - _SMOOTHING) * values[place]
    return smooth
