"""What of a video and its maps is drawn over time."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Image, Map
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
    """

    unit: str
    values: Callable[[MapSource, VideoReader, MapSource | None], Map]
    needs_gaze: bool = False


def map_change(source: MapSource) -> Map:
    """Return how much of a map's mass moves from frame to frame: total variation, 0 (none) to 1 (all).

    Args:
        source: of the maps.

    Returns:
        (frames,) float64, NaN where it was not looked at: for the first frame, for frames without a map, and, in long
        videos, for all but evenly spaced ones.
    """
    values = np.full(source.count, np.nan)
    for index in _looked_at(source.count, first=1):
        pair = [source.map(each) for each in (index - 1, index)]
        if pair[0] is not None and pair[1] is not None:
            before, after = (_as_density(saliency) for saliency in pair if saliency is not None)
            values[index] = np.abs(after - before).sum() / 2
    return values


def map_spread(source: MapSource) -> Map:
    """Return over how much of the frame a map spreads: the exponential of its entropy, in percent of the frame's area.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(source.count, np.nan)
    for index, saliency in _maps(source):
        density = _as_density(saliency)
        nats = -(density * np.log(density, where=density > 0, out=np.zeros_like(density))).sum()
        values[index] = 100 * np.exp(nats) / density.size
    return values


def peak_distance(source: MapSource) -> Map:
    """Return how far a map's greatest value is from the centre, in percent of half of the diagonal.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(source.count, np.nan)
    for index, saliency in _maps(source):
        x, y = peak_of(saliency)
        values[index] = 100 * np.hypot(2 * x - 1, 2 * y - 1) / np.sqrt(2)
    return values


def motion(reader: VideoReader) -> Map:
    """Return how much a video changes from frame to frame: the mean change of a pixel, in grey levels of 255.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(reader.count, np.nan)
    for index in _looked_at(reader.count, first=1):
        before, after = (_luminance(reader[each]) for each in (index - 1, index))
        values[index] = np.abs(after - before).mean()
    return values


def score(source: MapSource, observers: MapSource | None, metric: str) -> Map:
    """Return NSS or CC of a map source at its own resolution.

    Args:
        source: of the maps.
        observers: who looked.
        metric: ``"nss"`` or ``"cc"``.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(source.count, np.nan)
    for index, saliency in _maps(source):
        truth = observers.truth(index) if observers is not None else None
        if truth is None:
            continue
        if metric == "cc":
            density = cv2.resize(truth.saliency, saliency.shape[::-1], interpolation=cv2.INTER_AREA)
            values[index] = float(cc(saliency, density))
        else:
            rows, columns = np.nonzero(truth.fixations)
            place = [rows * saliency.shape[0] // truth.fixations.shape[0]]
            place += [columns * saliency.shape[1] // truth.fixations.shape[1]]
            fixations = np.zeros(saliency.shape, bool)
            fixations[tuple(place)] = True
            values[index] = float(nss(saliency, fixations))
    return values


TRACES: dict[str, Trace] = {
    "NSS": Trace("", lambda source, _reader, observers: score(source, observers, "nss"), needs_gaze=True),
    "CC": Trace("", lambda source, _reader, observers: score(source, observers, "cc"), needs_gaze=True),
    "map change": Trace("of the map's mass moves", lambda source, _reader, _observers: map_change(source)),
    "map spread": Trace("% of the frame", lambda source, _reader, _observers: map_spread(source)),
    "peak from centre": Trace("% of half the diagonal", lambda source, _reader, _observers: peak_distance(source)),
    "motion": Trace("grey levels a pixel", lambda _source, reader, _observers: motion(reader)),
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


def _maps(source: MapSource) -> Iterator[tuple[int, Map]]:
    """Yield the frames that are looked at and have a map, with it."""
    for index in _looked_at(source.count):
        saliency = source.map(index)
        if saliency is not None:
            yield index, saliency


def _looked_at(count: int, first: int = 0) -> range:
    return range(first, count, max(1, count // _MOST_LOOKED_AT))


def _as_density(saliency: Map) -> Map:
    small = cv2.resize(saliency, _COARSE, interpolation=cv2.INTER_AREA).astype(np.float64)
    return small / max(float(small.sum()), 1e-12)


def _luminance(image: Image) -> Map:
    return cv2.cvtColor(cv2.resize(image, _COARSE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float64)
