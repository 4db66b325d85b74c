"""What the browser is sent of a video and its maps, part by part; js/src/parts.ts reads it."""

import json
import struct
from dataclasses import fields
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from isal import isal_zlib

from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.reader import narrowed
from tinyhd_lib.data.transforms import Map, own_bounds, stretched
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.prediction.overlay import colours_of
from tinyhd_lib.viewer.browser_video import CHUNK, BrowserVideo
from tinyhd_lib.viewer.drawing import Scene
from tinyhd_lib.viewer.state import COLORMAPS, COMPARING_VIEWS, NORMALISATIONS, SPEEDS, VIEWS, Settings, known_values
from tinyhd_lib.viewer.traces import OF_GAZE, OF_MAPS, OF_VIDEO, UNITS, peak_of, score

KINDS = ("times", "maps", "points", "trace", "bounds", "colours", "still", "video")
_WIDEST_MAP = 320


class Parts:
    """The parts of a scene by kind, name and index.

    Args:
        scene: the video and its maps.
        scores: more values over time, by name.
        gaze: the name of the map source that knows where people looked, None without.

    Attributes:
        video: for the browser; None until it is made.
        trace: from a strip and a map source ("" where it is the same for all) to values over time, (frames,) float64,
            NaN where they are not known; each is computed once.
        chunks: how many there are.
        strips: what can be drawn over time.
        shared: those of them that are the same for all maps.
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
        frames = range(self._scene.reader.count)[chunk * CHUNK : (chunk + 1) * CHUNK]
        if not frames or chunk < 0:
            raise IndexError(chunk)
        return frames


def packed_maps(maps: list[Map | None]) -> bytes:
    """Return maps as the browser reads them: 8 bits between each map's own extremes, without loss from there on.

    The head holds rows, columns and frames (16 bits each) and of every frame its lowest and greatest value and the
    place of the latter (32-bit floats; NaN without a map). The levels follow as differences to the frame before, of
    these as differences to the pixel on the left, deflated: about 9 KB a frame of 192x256.
    """
    shape = next((narrowed(saliency, _WIDEST_MAP).shape for saliency in maps if saliency is not None), (1, 1))
    about, levels = np.full((len(maps), 4), np.nan, "<f4"), np.zeros((len(maps), *shape), np.uint8)
    for index, saliency in enumerate(maps):
        if saliency is not None:
            small = cv2.resize(narrowed(saliency, _WIDEST_MAP), shape[::-1], interpolation=cv2.INTER_AREA)
            levels[index] = stretched(small)
            about[index] = (*own_bounds(saliency), *peak_of(saliency))
    changes = np.diff(levels, axis=0, prepend=np.uint8(0))
    packed = isal_zlib.compress(np.diff(changes, axis=2, prepend=np.uint8(0)).tobytes(), 3)
    return struct.pack("<3H", *shape, len(maps)) + about.tobytes() + packed
