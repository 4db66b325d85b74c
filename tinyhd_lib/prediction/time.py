"""Maps over time: how a model's looks at a video become a map for each of its frames. Pure functions.

Source: docs/model.md, maps over time.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import Frame
from tinyhd_lib.data.windows import Window

MOST_NEIGHBOURS = 256
"""Frames that a map is smoothed over on each side, at most, however their times run."""

_REACH = 3.0  # standard deviations beyond which a Gaussian over time counts nothing

Answer = tuple[Frame, Map | None]
"""A frame with its map, None where it has none."""


def between(looked: Iterable[tuple[Window[Any], Map | None]], outputs: int, *, linear: bool) -> Iterator[Map | None]:
    """Yield a map for every frame, None where its window was not computed.

    Args:
        looked: windows with their maps (outputs, 192, 256), None where they were not computed.
        outputs: maps a window.
        linear: frames between two ends get both in proportion; else the later one.
    """
    earlier: Map | None = None
    for window, maps in looked:
        for place, index in enumerate(window.owned, start=1):
            if maps is None:
                yield None
            elif linear and earlier is not None and place < len(window.owned):
                share = np.float32(place / len(window.owned))
                yield (1 - share) * earlier[0] + share * maps[0]
            else:
                yield maps[window.output(index, outputs)]
        earlier = maps


def smoothed(answers: Iterable[Answer], seconds: float, first: int = 0) -> Iterator[Answer]:
    """Yield every frame with its map smoothed by a Gaussian over time.

    Near the video's ends the mean is over what is there.

    Args:
        answers: frames with their own maps.
        seconds: the Gaussian's standard deviation; it ends at three of them.
        first: number of the first frame whose map is wanted; those before it get None.
    """
    earlier: deque[tuple[float, Map]] = deque()
    for (frame, saliency), ahead in _held_back(answers, _REACH * seconds):
        while earlier and earlier[0][0] < frame.time - _REACH * seconds:
            earlier.popleft()
        if saliency is not None:
            earlier.append((frame.time, saliency))
        later = ((other.time, maps) for other, maps in ahead if maps is not None)
        near = [*earlier, *later] if frame.index >= first else []
        yield frame, _weighted(near, frame.time, seconds) if near else None


def _held_back(answers: Iterable[Answer], reach: float) -> Iterator[tuple[Answer, Iterable[Answer]]]:
    """Yield every answer, when all within ``reach`` seconds are known, with those that are known to follow it."""
    waiting: deque[Answer] = deque()
    for answer in answers:
        waiting.append(answer)
        while waiting and (waiting[0][0].time + reach <= answer[0].time or len(waiting) > MOST_NEIGHBOURS):
            yield waiting.popleft(), waiting
    while waiting:
        yield waiting.popleft(), waiting


def _weighted(near: Sequence[tuple[float, Map]], time: float, seconds: float) -> Map:
    """Return the mean of maps around a time, weighted by a Gaussian."""
    distances = np.array([each - time for each, _ in near]) / seconds
    weights = np.where(np.abs(distances) <= _REACH, np.exp(-(distances**2) / 2), 0)
    mean = np.zeros_like(near[0][1])
    for weight, (_, saliency) in zip(weights / weights.sum(), near, strict=True):
        if weight:
            mean += np.float32(weight) * saliency
    return mean
