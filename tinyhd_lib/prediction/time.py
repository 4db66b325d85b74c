"""Maps over time: which looks of a model are needed, and how their maps become one a frame. Pure functions.

Source: docs/model.md, maps over time.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import Frame
from tinyhd_lib.data.windows import Window

Item = TypeVar("Item")

REACH = 3.0
"""Standard deviations beyond which a Gaussian over time counts nothing."""

_MOST_NEIGHBOURS = 256  # frames, however their times run


@dataclass(frozen=True)
class Asked:
    """Hold a frame, and what its map is for.

    Attributes:
        frame: of the video.
        wanted: somebody wants its map.
        needed: its own map, before it is smoothed, is needed for that of a wanted frame.
    """

    frame: Frame
    wanted: bool
    needed: bool

    @cached_property
    def ready(self) -> Map:
        """Return the picture as a model wants it; made when a window that is computed sees it."""
        return preprocess(self.frame.image)


Planned = tuple[Window[Asked], bool]
"""A window, and whether it must be computed."""


def needs(frames: Iterable[Frame], wanted: Callable[[int], bool], reach: float) -> Iterator[Asked]:
    """Yield every frame with what its map is for; those within ``reach`` seconds of a wanted one are needed.

    Args:
        frames: of a video, in order.
        wanted: asked once a frame, by its number.
        reach: seconds; 0 where each map stands for itself, and then no frame is held back.
    """
    last = -math.inf
    asked = ((frame, wanted(frame.index)) for frame in frames)
    for (frame, chosen), ahead in _held_back(asked, lambda item: item[0].time, reach):
        last = frame.time if chosen else last
        near = frame.time - last <= reach or any(each.time - frame.time <= reach for each, other in ahead if other)
        yield Asked(frame, chosen, near)


def planned(windows: Iterable[Window[Asked]], needed: Callable[[int], bool], *, linear: bool) -> Iterator[Planned]:
    """Yield every window with whether it must be computed.

    Args:
        windows: of a video, in order.
        needed: whether a frame's map is, by its number.
        linear: frames in front of the next window's end need this one's map too.
    """
    behind_the_last = Window[Asked]([], 0, range(0))
    for window, following in pairwise(chain(windows, [behind_the_last])):
        later = following.owned[:-1] if linear else ()
        yield window, any(map(needed, (*window.owned, *later)))


def between(looked: Iterable[tuple[Window[Asked], Map | None]], outputs: int, *, linear: bool) -> Iterator[Map | None]:
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


def smoothed(answers: Iterable[tuple[Asked, Map | None]], seconds: float) -> Iterator[tuple[Frame, Map | None]]:
    """Yield every frame with its map smoothed by a Gaussian over time, None where it is not wanted.

    Near the video's ends the mean is over what is there.

    Args:
        answers: frames with their own maps, where they are needed.
        seconds: the Gaussian's standard deviation; it ends at `REACH` of them.
    """
    earlier: deque[tuple[float, Map]] = deque()
    for (each, saliency), ahead in _held_back(answers, lambda item: item[0].frame.time, REACH * seconds):
        time = each.frame.time
        while earlier and earlier[0][0] < time - REACH * seconds:
            earlier.popleft()
        if saliency is not None:
            earlier.append((time, saliency))
        later = ((other.frame.time, maps) for other, maps in ahead if maps is not None)
        yield each.frame, _weighted([*earlier, *later], time, seconds) if each.wanted else None


def _held_back(
    items: Iterable[Item], time: Callable[[Item], float], reach: float
) -> Iterator[tuple[Item, Iterable[Item]]]:
    """Yield every item, when all within ``reach`` seconds are known, with those that are known to follow it."""
    waiting: deque[Item] = deque()
    for item in items:
        waiting.append(item)
        while waiting and (time(waiting[0]) + reach <= time(item) or len(waiting) > _MOST_NEIGHBOURS):
            yield waiting.popleft(), waiting
    while waiting:
        yield waiting.popleft(), waiting


def _weighted(near: Sequence[tuple[float, Map]], time: float, seconds: float) -> Map:
    """Return the mean of maps around a time, weighted by a Gaussian."""
    distances = np.array([each - time for each, _ in near]) / seconds
    weights = np.where(np.abs(distances) <= REACH, np.exp(-(distances**2) / 2), 0)
    mean = np.zeros_like(near[0][1])
    for weight, (_, saliency) in zip(weights / weights.sum(), near, strict=True):
        if weight:
            mean += np.float32(weight) * saliency
    return mean
