"""From settings to a picture: a video, its maps, and one frame of both drawn by the code that draws the film."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.map_files import Bounds, own_bounds
from tinyhd_lib.prediction.overlay import draw, draw_difference, mark_peak, mark_points, wipe
from tinyhd_lib.viewer.layers import Layer
from tinyhd_lib.viewer.settings import NORMALISATIONS, Settings

# Bounds of a clip are taken from no more frames than this.
_MOST_SAMPLED = 300


class Reading(NamedTuple):
    """What is known of one place of a frame.

    Attributes:
        x: in pixels of the video.
        y: likewise.
        value: of the map there, as it was given.
        percentile: how much of the map, in percent, is no more salient.
    """

    x: int
    y: int
    value: float
    percentile: float


class Scene:
    """A video with its maps.

    Args:
        video: a video file or a folder of images.
        layers: maps by name, the main one first.
        width: of pictures, at most; larger films are scaled down.

    Raises:
        BadInput: the video cannot be used, or a map covers other frames than it has.
    """

    def __init__(self, video: Path, layers: Mapping[str, Layer], width: int | None = 960) -> None:
        self.video = video
        self.layers = dict(layers)
        self.reader = VideoReader(video, width=width)
        longest, most = max((layer.count, name) for name, layer in layers.items())[::-1]
        if most > self.reader.count:
            raise BadInput(f"{longest}: maps of {most} frames, but {video} has {self.reader.count}")
        if most < self.reader.count:  # not all of the film decodes, or not all of it is of interest
            self.reader = VideoReader(video, most, width)
        self._clip_bounds = lru_cache(maxsize=None)(self._bounds_of_clip)

    def draw(self, settings: Settings) -> Image:
        """(H, W, 3) RGB, or (H, 2W, 3) side by side."""
        image = self.reader[settings.frame]
        first = self.grey(settings.layer, settings, image.shape[:2])
        if settings.view == "difference":
            drawn = draw_difference(image, first, self.grey(settings.other, settings, image.shape[:2]), settings.alpha)
        elif settings.view == "wipe":
            second = self.grey(settings.other, settings, image.shape[:2])
            drawn = wipe(draw(image, first, settings.style), draw(image, second, settings.style), settings.border)
        else:
            drawn = draw(image, first, settings.style)
        if settings.points:
            places = np.concatenate([layer.points(settings.frame) for layer in self.layers.values()])
            drawn = mark_points(drawn, places * image.shape[1::-1])
        return mark_peak(drawn, first) if settings.peak and first.any() else drawn

    def grey(self, name: str, settings: Settings, size: tuple[int, ...]) -> Image:
        """(H, W) grey levels of a map, black where the frame has none."""
        layer = self.layers[name]
        saliency = layer.map(settings.frame)
        if saliency is None:
            return np.zeros(size, np.uint8)
        return to_grey(saliency, (size[0], size[1]), self.bounds(name, saliency, settings.normalise))

    def bounds(self, name: str, saliency: Map, normalise: str) -> Bounds:
        """The saliencies that are black and white."""
        if normalise == "raw":
            return 0.0, self.layers[name].white
        return self._clip_bounds(name) if normalise == "clip" else own_bounds(saliency)

    def read(self, settings: Settings, x: float, y: float) -> Reading | None:
        """What is known of a place, x and y in parts of the frame's width and height; None without a map."""
        saliency = self.layers[settings.layer].map(settings.frame)
        if saliency is None:
            return None
        height, width = self.reader[settings.frame].shape[:2]
        rows, columns = saliency.shape
        value = float(saliency[min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)])
        percentile = 100 * float((saliency <= value).mean())
        return Reading(min(int(x * width), width - 1), min(int(y * height), height - 1), value, percentile)

    def caption(self, settings: Settings) -> str:
        """What is seen, in words: for those who read, and those who have it read to them."""
        shown = settings.layer
        if settings.view == "wipe":
            shown = f"left {settings.layer}, right {settings.other}"
        elif settings.view == "difference":
            shown = f"{settings.layer} more (orange, +) or less (purple, -) than {settings.other}"
        time = self.reader.times[settings.frame]
        missing = "; no map of this frame" if self.layers[settings.layer].map(settings.frame) is None else ""
        scale = f"{settings.normalise}: {NORMALISATIONS[settings.normalise]}"
        return f"frame {settings.frame}, {time:.2f} s; {settings.view}: {shown}{missing}; {scale}"

    def _bounds_of_clip(self, name: str) -> Bounds:
        """The extremes of a layer; of evenly spaced frames, if there are very many."""
        layer = self.layers[name]
        maps = (layer.map(index) for index in range(0, layer.count, max(1, layer.count // _MOST_SAMPLED)))
        known = [own_bounds(saliency) for saliency in maps if saliency is not None]
        return (min(low for low, _ in known), max(high for _, high in known)) if known else (0.0, 1.0)
