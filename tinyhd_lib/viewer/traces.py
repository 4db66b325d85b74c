"""What of a video and its maps is drawn over time."""

from collections.abc import Callable
from itertools import islice, pairwise

import cv2
import numpy as np

from tinyhd_lib.data.gaze import as_fixations, places_of
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.metrics import cc, nss
from tinyhd_lib.viewer.sources import MapSource

_MOST_LOOKED_AT = 400  # frames of a video: a timeline has no more pixels
_COARSE = (64, 48)


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
    changes = _changes(reader, lambda image: np.bincount((image >> 5).reshape(-1, 3) @ (64, 8, 1), minlength=512))
    return changes / 2 / np.prod(_COARSE)


def score(source: MapSource, observers: MapSource | None, metric: str) -> Map:
    """Return NSS or CC of a map source at its own resolution.

    Args:
        source: of the maps.
        observers: who looked.
        metric: ``"NSS"`` or ``"CC"``.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(source.count, np.nan)
    for index in range(0, source.count, max(1, source.count // _MOST_LOOKED_AT)):
        saliency, truth = source.map(index), observers.truth(index) if observers else None
        if saliency is None or truth is None:
            continue
        if metric == "CC":
            small = cv2.resize(truth.saliency, saliency.shape[::-1], interpolation=cv2.INTER_AREA)
            values[index] = float(cc(saliency, small))
        else:
            values[index] = float(nss(saliency, as_fixations(places_of(truth.fixations), saliency.shape)))
    return values


OF_GAZE = ("NSS", "CC")
OF_MAPS = ("map change", "map spread", "peak from centre")
"""What maps alone tell, which js/src/map_traces.ts computes."""

OF_VIDEO = {"motion": motion, "cuts": cuts}
UNITS = {"motion": "grey levels a pixel", "cuts": "of the colours change"}


def peak_of(saliency: Map) -> tuple[float, float]:
    """Return where a map is greatest: x and y of that pixel's middle, in parts of the width and height."""
    row, column = divmod(int(saliency.argmax()), saliency.shape[1])
    return (column + 0.5) / saliency.shape[1], (row + 0.5) / saliency.shape[0]


def _changes(reader: VideoReader, told: Callable[[Image], Map]) -> Map:
    """Return the sum of how much each number changes that is told of a small picture of every frame."""
    images = (cv2.resize(frame.image, _COARSE, interpolation=cv2.INTER_AREA) for frame in read_frames(reader.path))
    every = [told(image).astype(np.int32) for image in islice(images, reader.count)]
    return np.array([np.nan, *(np.abs(after - before).sum() for before, after in pairwise(every))], float)
