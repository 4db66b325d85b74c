"""What of a video and its maps is drawn over time."""

from collections.abc import Callable
from itertools import islice, pairwise
from math import dist
from typing import NamedTuple

import cv2
import numpy as np

from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.metrics import cc, nss
from tinyhd_lib.viewer.sources import MapSource

_MOST_LOOKED_AT = 400  # frames of a video: a timeline has no more pixels
_LISTED = 8
_COARSE = (64, 48)


class Trace(NamedTuple):
    """How one value of a frame is computed.

    Attributes:
        unit: of the value.
        values: from a map source, the video, and who knows where people looked, to (frames,) float64.
        needs_gaze: whether it is there only with such a source.
        of_video: whether no map matters.
    """

    unit: str
    values: Callable[[MapSource, VideoReader, MapSource | None], Map]
    needs_gaze: bool = False
    of_video: bool = False


def map_change(source: MapSource) -> Map:
    """Return how much of a map's mass moves from frame to frame: total variation, 0 (none) to 1 (all).

    Args:
        source: of the maps.

    Returns:
        (frames,) float64, NaN where it was not looked at: for the first frame, for frames without a map, and, in long
        videos, for all but evenly spaced ones.
    """

    def change(after: Map, index: int) -> float | None:
        before = source.map(index - 1) if index else None
        return None if before is None else np.abs(_as_density(after) - _as_density(before)).sum() / 2

    return _of_maps(source, change)


def map_spread(source: MapSource) -> Map:
    """Return over how much of the frame a map spreads: the exponential of its entropy, in percent of the frame's area.

    Returns:
        (frames,) float64, likewise.
    """

    def spread(saliency: Map, _index: int) -> float:
        density = _as_density(saliency)
        nats = -(density * np.log(density, where=density > 0, out=np.zeros_like(density))).sum()
        return 100 * np.exp(nats) / density.size

    return _of_maps(source, spread)


def peak_distance(source: MapSource) -> Map:
    """Return how far a map's greatest value is from the centre, in percent of half of the diagonal.

    Returns:
        (frames,) float64, likewise.
    """
    return _of_maps(source, lambda saliency, _index: 100 * dist(peak_of(saliency), (0.5, 0.5)) / np.sqrt(0.5))


def motion(reader: VideoReader) -> Map:
    """Return how much a video changes from frame to frame: the mean change of a pixel, in grey levels of 255.

    Returns:
        (frames,) float64, NaN for the first.
    """
    return _changes(reader, lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).ravel()) / np.prod(_COARSE)


def cuts(reader: VideoReader) -> Map:
    """Return how unlike a frame's colours are to those of the frame before: high where the video is cut.

    Returns:
        (frames,) float64, likewise: the part of the pixels that would need another colour of 512, 0 to 1.
    """

    def histogram(image: Image) -> Map:
        return np.bincount((image >> 5).reshape(-1, 3) @ (64, 8, 1), minlength=512)

    return _changes(reader, histogram) / 2 / np.prod(_COARSE)


def score(source: MapSource, observers: MapSource | None, metric: str) -> Map:
    """Return NSS or CC of a map source at its own resolution.

    Args:
        source: of the maps.
        observers: who looked.
        metric: ``"NSS"`` or ``"CC"``.

    Returns:
        (frames,) float64, likewise.
    """

    def value(saliency: Map, index: int) -> float | None:
        truth = observers.truth(index) if observers is not None else None
        if truth is None:
            return None
        if metric == "CC":
            return float(cc(saliency, cv2.resize(truth.saliency, saliency.shape[::-1], interpolation=cv2.INTER_AREA)))
        fixations = np.zeros(saliency.shape, bool)
        places = np.argwhere(truth.fixations) * saliency.shape // truth.fixations.shape
        fixations[tuple(places.T)] = True
        return float(nss(saliency, fixations))

    return _of_maps(source, value)


TRACES: dict[str, Trace] = {
    "NSS": Trace("", lambda source, _reader, observers: score(source, observers, "NSS"), needs_gaze=True),
    "CC": Trace("", lambda source, _reader, observers: score(source, observers, "CC"), needs_gaze=True),
    "map change": Trace("of the map's mass moves", lambda source, _reader, _observers: map_change(source)),
    "map spread": Trace("% of the frame", lambda source, _reader, _observers: map_spread(source)),
    "peak from centre": Trace("% of half the diagonal", lambda source, _reader, _observers: peak_distance(source)),
    "motion": Trace("grey levels a pixel", lambda _source, reader, _observers: motion(reader), of_video=True),
    "cuts": Trace("of the colours change", lambda _source, reader, _observers: cuts(reader), of_video=True),
}
"""What can be drawn over time."""


def extreme_frames(values: Map, *, lowest: bool = False) -> list[int]:
    """Return the frames of the largest (or lowest) values, the most extreme first; of neighbours only one."""
    order = np.argsort(values if lowest else -values)
    apart = max(1, len(values) // 40)
    chosen: list[int] = []
    for index in order[np.isfinite(values[order])]:
        if len(chosen) < _LISTED and all(abs(index - other) >= apart for other in chosen):
            chosen.append(int(index))
    return chosen


def peak_of(saliency: Map) -> tuple[float, float]:
    """Return where a map is greatest: x and y of that pixel's middle, in parts of the width and height."""
    row, column = divmod(int(saliency.argmax()), saliency.shape[1])
    return (column + 0.5) / saliency.shape[1], (row + 0.5) / saliency.shape[0]


def _of_maps(source: MapSource, value: Callable[[Map, int], float | None]) -> Map:
    """Return what is known of every map that is looked at."""
    values = np.full(source.count, np.nan)
    for index in range(0, source.count, max(1, source.count // _MOST_LOOKED_AT)):
        saliency = source.map(index)
        found = None if saliency is None else value(saliency, index)
        values[index] = np.nan if found is None else found
    return values


def _as_density(saliency: Map) -> Map:
    small = cv2.resize(saliency, _COARSE, interpolation=cv2.INTER_AREA).astype(np.float64)
    return small / max(float(small.sum()), 1e-12)


def _changes(reader: VideoReader, told: Callable[[Image], Map]) -> Map:
    """Return the sum of how much each number changes that is told of a small picture of every frame."""
    images = (cv2.resize(frame.image, _COARSE, interpolation=cv2.INTER_AREA) for frame in read_frames(reader.path))
    every = [told(image).astype(np.int32) for image in islice(images, reader.count)]
    return np.array([np.nan, *(np.abs(after - before).sum() for before, after in pairwise(every))], float)
