"""The data of a video and its maps for the browser, part by part; js/src/parts.ts reads them.

The video is fragmented H.264, which a browser plays from any frame on; it is made once and cached. Every video is
re-encoded, even if a browser could play it directly: its frames are then those that the model got, upright, at their
own times, and small enough to be sent to a notebook while it plays.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from isal import isal_zlib

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.gaze import as_fixations, places_of
from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.reader import VideoReader, narrowed
from tinyhd_lib.data.transforms import Image, Map, own_bounds, stretched
from tinyhd_lib.data.video import read_frames, source_files
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import digest_of, fingerprint
from tinyhd_lib.metrics import cc, nss
from tinyhd_lib.prediction.overlay import colours_of
from tinyhd_lib.viewer.drawing import Scene, peak_of
from tinyhd_lib.viewer.sources import MapSource
from tinyhd_lib.viewer.state import COLORMAPS, COMPARING_VIEWS, NORMALISATIONS, SPEEDS, VIEWS, Settings, known_values

KINDS = ("times", "maps", "points", "trace", "bounds", "colours", "still", "video")
CHUNK = 64
"""Frames per part, of the video and of everything else."""

_WIDEST_MAP = 320
_MOST_LOOKED_AT = 400  # frames of a video that are scored: a timeline has no more pixels
_COARSE = (64, 48)
_FRAGMENT = 16  # frames of the browser's video from one seek point to the next
_WIDEST_VIDEO = 1280
_CACHE = Cache("videos", version=3, most_bytes=4 * 2**30)


class Parts:
    """The parts of a scene by kind, name and index.

    Args:
        scene: the video and its maps.
        scores: further values over time, by name.
        gaze: the name of the map source with ground truth, None without.

    Attributes:
        video: for the browser; None until it is made.
        trace: function of a strip and a map source ("" if it is the same for all) that returns values over time,
            (frames,) float64, NaN where unknown; each is computed once.
        chunks: number of chunks of `CHUNK` frames.
        strips: names of the values that can be drawn over time.
        shared: the strips that are the same for all map sources.
    """

    def __init__(self, scene: Scene, scores: dict[str, Map], gaze: str | None) -> None:
        self.video: BrowserVideo | None = None
        self._scene, self._scores = scene, scores
        self._observers = scene.sources[gaze] if gaze else None
        self.strips, self.shared = [*scores, *(OF_GAZE if gaze else ()), *OF_MAPS, *OF_VIDEO], [*scores, *OF_VIDEO]
        self.trace = lru_cache(maxsize=None)(self._values)
        self.chunks = -(-scene.reader.count // CHUNK)
        self.meta: dict[str, Any] = {
            "name": scene.video.stem,
            "frames": scene.reader.count,
            "duration": scene.reader.times[scene.reader.count - 1] + 1 / float(scene.reader.rate),
            "size": list(scene.reader[0].shape[1::-1]),
            "chunk": CHUNK,
            "views": list(VIEWS),
            "comparing": list(COMPARING_VIEWS),
            "sources": list(scene.sources),
            "strips": self.strips,
            "shared": self.shared,
            "settings": [*(each.name for each in fields(Settings)), "playing"],
            "scales": NORMALISATIONS,
            "colormaps": list(COLORMAPS),
            "speeds": list(SPEEDS),
            "gaze": [gaze] if gaze else [],
            "observers": self._observers.observers if self._observers else [],
        }

    def part(self, kind: str, name: str, index: int) -> bytes:
        """Return a part.

        Raises:
            BadInput: there is none, or none yet.
        """
        if kind not in KINDS:
            raise BadInput(f"{kind}: no kind of part; there are {', '.join(KINDS)}")
        with refusing(f"there is no {kind} {name} {index}", KeyError, IndexError):
            return getattr(self, f"_{kind}")(name, index)

    def _values(self, strip: str, source: str) -> Map:
        if strip in self._scores:
            return self._scores[strip]
        if strip in OF_VIDEO:
            return OF_VIDEO[strip](self._scene.reader)
        return score(self._scene.sources[source], self._observers, strip)

    def _times(self, _name: str, _index: int) -> bytes:
        return np.array(self._scene.reader.times[: self._scene.reader.count], "<f8").tobytes()

    def _maps(self, name: str, chunk: int) -> bytes:
        source = self._scene.sources[name]
        return packed_maps([source.map(index) for index in self._frames(chunk)])

    def _points(self, name: str, chunk: int) -> bytes:
        source = self._scene.sources[name]
        rows = [np.insert(source.points(index), 0, index, axis=1) for index in self._frames(chunk)]
        return np.concatenate(rows).astype("<f4").tobytes()

    def _trace(self, name: str, _index: int) -> bytes:
        strip, source = name.rsplit("@", 1)
        if strip not in self.strips or strip in OF_MAPS:
            raise KeyError(strip)
        values = known_values(self.trace(strip, source).round(6))
        return json.dumps({"unit": UNITS.get(strip, ""), "values": values}).encode()

    def _bounds(self, name: str, _index: int) -> bytes:
        return np.array(self._scene.clip_bounds(name), "<f8").tobytes()

    def _colours(self, name: str, _index: int) -> bytes:
        return colours_of(name).tobytes()

    def _still(self, _name: str, index: int) -> bytes:
        return as_jpeg(self._scene.reader[index])

    def _video(self, _name: str, chunk: int) -> bytes:
        if self.video is None:
            raise BadInput("the video is being made for the browser; frames are shown one by one until it is there")
        return self.video.part(chunk)

    def _frames(self, chunk: int) -> range:
        if chunk not in range(self.chunks):
            raise IndexError(chunk)
        return range(self._scene.reader.count)[chunk * CHUNK : (chunk + 1) * CHUNK]


def packed_maps(maps: list[Map | None]) -> bytes:
    """Return maps in the browser's format: 8 bits between each map's own extremes, compressed without further loss.

    The head holds rows, columns and frames (16 bits each) and, for every frame, its least and greatest value, the
    position of the latter, and the mean value of the pixels at level 0 (32-bit floats; NaN without a map). The levels
    follow, deflated, as differences to the previous frame and then to the pixel on the left: about 9 KB per frame of
    192x256.
    """
    shape = next((narrowed(saliency, _WIDEST_MAP).shape for saliency in maps if saliency is not None), (1, 1))
    about, levels = np.full((len(maps), 5), np.nan, "<f4"), np.zeros((len(maps), *shape), np.uint8)
    for index, saliency in enumerate(maps):
        if saliency is not None:
            small = cv2.resize(narrowed(saliency, _WIDEST_MAP), shape[::-1], interpolation=cv2.INTER_AREA)
            levels[index] = stretched(small)
            about[index] = (*own_bounds(saliency), *peak_of(saliency), small[levels[index] == 0].mean())
    changes = np.diff(levels, axis=0, prepend=np.uint8(0))
    packed = isal_zlib.compress(np.diff(changes, axis=2, prepend=np.uint8(0)).tobytes(), 3)
    return struct.pack("<3H", *shape, len(maps)) + about.tobytes() + packed


def motion(reader: VideoReader) -> Map:
    """Return a video's change from frame to frame: the mean absolute change of a pixel, in grey levels of 0 to 255.

    Returns:
        (frames,) float64, NaN for the first.
    """
    return _changes(reader, lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).ravel()) / np.prod(_COARSE)


def cuts(reader: VideoReader) -> Map:
    """Return the distance of each frame's colour histogram to that of the frame before: high at cuts.

    Returns:
        (frames,) float64, likewise: the fraction of pixels that change between the histogram's 512 colours, 0 to 1.
    """
    changes = _changes(reader, lambda image: np.bincount((image >> 5).reshape(-1, 3) @ (64, 8, 1), minlength=512))
    return changes / 2 / np.prod(_COARSE)


def score(source: MapSource, observers: MapSource | None, metric: str) -> Map:
    """Return NSS or CC of a map source at its own resolution.

    Args:
        source: of the maps.
        observers: the map source with ground truth.
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
"""Strips that follow from the maps alone, which js/src/map_traces.ts computes."""

OF_VIDEO = {"motion": motion, "cuts": cuts}
UNITS = {"motion": "grey levels a pixel", "cuts": "of the colours change"}


def _changes(reader: VideoReader, told: Callable[[Image], Map]) -> Map:
    """Return the sum of absolute changes from frame to frame of the features that ``told`` computes of each."""
    images = (cv2.resize(frame.image, _COARSE, interpolation=cv2.INTER_AREA) for frame in read_frames(reader.path))
    every = [told(image).astype(np.int32) for image in islice(images, reader.count)]
    return np.array([np.nan, *(np.abs(after - before).sum() for before, after in pairwise(every))], float)


class BrowserVideo(NamedTuple):
    """A fragmented mp4 with the positions of its parts.

    Attributes:
        path: of the file.
        starts: byte offsets of the head, of each chunk, and of the end of the last one.
    """

    path: Path
    starts: list[int]

    def part(self, chunk: int) -> bytes:
        """Return the bytes of a chunk of frames, or of the head for -1.

        Raises:
            IndexError: there is no such chunk.
        """
        start, end = self.starts[chunk + 1], self.starts[chunk + 2]
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


def browser_video(reader: VideoReader, width: int, told: Callable[[int, int], None]) -> BrowserVideo:
    """Return a video for browsers, with its sound, from the cache; it is made if it is missing there.

    Args:
        reader: of the video.
        width: maximum width of its pictures.
        told: called with the number of frames that are done, and the number of all frames.
    """

    def write(path: Path) -> None:
        with VideoWriter(path, reader.rate, reader.path, fragment=_FRAGMENT) as writer:
            for frame in islice(read_frames(reader.path), reader.count):
                writer.write(narrowed(frame.image, width), reader.times[frame.index])
                told(frame.index + 1, reader.count)

    width = min(width, _WIDEST_VIDEO)
    key = digest_of(fingerprint(source_files(reader.path)), str(width), str(reader.count))
    return _parsed(_CACHE.file(key, write))


def _parsed(path: Path) -> BrowserVideo:
    """Find the chunks of a fragmented mp4, whose boxes begin with a length and a name of four bytes each."""
    starts, at = [], 0
    with path.open("rb") as file:
        while box := file.read(8):
            if box[4:] in {b"moof", b"mfra"}:  # fragments, and the index after the last of them
                starts.append(at)
            at += int.from_bytes(box[:4])
            file.seek(at)
    return BrowserVideo(path, [0, *starts[: -1 : CHUNK // _FRAGMENT], starts[-1]])
