"""Draw the viewer's picture for its settings: a frame with its maps, by the code that draws overlay videos."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from math import ceil, sqrt
from pathlib import Path

import numpy as np

from tinyhd_lib.data.images import as_address, as_jpeg
from tinyhd_lib.data.reader import VideoReader, narrowed
from tinyhd_lib.data.transforms import Bounds, Image, Map, own_bounds, to_grey
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.overlay import draw, draw_difference, mark_peak, mark_points, mark_region, wipe, write
from tinyhd_lib.viewer.sources import MapSource
from tinyhd_lib.viewer.state import NORMALISATIONS, Settings, corners_at

logger = logging.getLogger(__name__)

_MOST_SAMPLED = 300  # frames that a clip's bounds are computed from


class Scene:
    """A video with its maps.

    Args:
        video: a video file or a folder of images.
        sources: of maps, by name, the main one first.
        width: maximum width of pictures; larger videos are scaled down.

    Raises:
        BadInput: the video cannot be used, or a map source has more frames than the video.
    """

    def __init__(self, video: Path, sources: Mapping[str, MapSource], width: int | None = 960) -> None:
        self.video = video
        self.sources = dict(sources)
        most, longest = max((source.count, name) for name, source in sources.items())
        self.reader = VideoReader(video, most, width)
        told = f"{longest}: maps of {most} frames, but {video} has {len(self.reader.times)}"
        if most > len(self.reader.times):
            raise BadInput(told)
        if most < len(self.reader.times):  # damaged in part, or only in part of interest
            logger.warning("%s; only the first ones are shown", told)
        self.clip_bounds = lru_cache(maxsize=None)(self._bounds_of_clip)

    def draw(self, settings: Settings) -> Image:
        """Return the picture, (H, W, 3) RGB; (H, 2W, 3) side by side; as a grid, one tile per map."""
        if settings.view == "grid":
            tiles = [self.draw(replace(settings, view="overlay", source=name)) for name in self.sources]
            area = 1.78 * len(tiles) * tiles[0].shape[0] / tiles[0].shape[1]  # as js/src/tiles.ts has it
            return _in_rows(map(_labelled, tiles, self.sources), ceil(sqrt(area) - 0.2))
        image = self.reader[settings.frame]
        first = self.grey(settings.source, settings, image.shape[:2])
        if settings.view == "difference":
            drawn = draw_difference(image, first, self.grey(settings.other, settings, image.shape[:2]), settings.alpha)
        elif settings.view == "wipe":
            second = self.grey(settings.other, settings, image.shape[:2])
            drawn = wipe(draw(image, first, settings.drawing), draw(image, second, settings.drawing), settings.border)
        else:
            drawn = draw(image, first, settings.drawing)
        if settings.points:
            points = np.concatenate([source.points(settings.frame) for source in self.sources.values()])
            chosen = points[(points[:, 0] == settings.observer) | (settings.observer < 0), 1:]
            drawn = mark_points(drawn, chosen * image.shape[1::-1])
        for region in settings.regions:
            mark_region(drawn, corners_at(region, settings.frame) * image.shape[1::-1], region["name"])
        saliency = self.sources[settings.source].map(settings.frame) if settings.peak else None
        if saliency is not None and saliency.max() > saliency.min():
            mark_peak(drawn, np.multiply(peak_of(saliency), image.shape[1::-1]))
        return drawn

    def grey(self, name: str, settings: Settings, size: tuple[int, ...]) -> Image:
        """Return the grey levels (H, W) of a map, black if the frame has none."""
        saliency = self.sources[name].map(settings.frame)
        if saliency is None:
            return np.zeros(size, np.uint8)
        bounds = None if settings.normalise == "frame" else self.clip_bounds(name)
        if bounds and settings.normalise == "raw":
            bounds = 0.0, bounds[1]
        return to_grey(saliency, size, bounds)

    def caption(self, settings: Settings) -> str:
        """Describe the picture in words, also for screen readers."""
        what = {
            "wipe": f"left {settings.source}, right {settings.other}",
            "difference": f"{settings.source} more (orange, +) or less (purple, -) than {settings.other}",
            "grid": ", ".join(self.sources),
        }
        shown = what.get(settings.view, settings.source)
        time = self.reader.times[settings.frame]
        missing = "; no map of this frame" if self.sources[settings.source].map(settings.frame) is None else ""
        scale = f"{settings.normalise}: {NORMALISATIONS[settings.normalise]}"
        return f"frame {settings.frame}, {time:.2f} s; {settings.view}: {shown}{missing}; {scale}"

    def _bounds_of_clip(self, name: str) -> Bounds:
        """Return the extremes of a map source's values, over evenly spaced frames if there are very many."""
        source = self.sources[name]
        maps = (source.map(index) for index in range(0, source.count, max(1, source.count // _MOST_SAMPLED)))
        known = [own_bounds(saliency) for saliency in maps if saliency is not None]
        return (min(low for low, _ in known), max(high for _, high in known)) if known else (0.0, 1.0)


def peak_of(saliency: Map) -> tuple[float, float]:
    """Return the maximum of a map: x and y of that pixel's centre, as fractions of width and height."""
    row, column = divmod(int(saliency.argmax()), saliency.shape[1])
    return (column + 0.5) / saliency.shape[1], (row + 0.5) / saliency.shape[0]


def contact_sheet(scene: Scene, settings: Settings, moments: int = 8) -> Image:
    """Return a contact sheet of drawn frames, each with its index and time, in rows of four: (H, W, 3) RGB.

    They are evenly spaced; in a long video the nearest key frames are taken, which decode fastest.
    """
    count = scene.reader.count
    known = [key for key in scene.reader.keys if key < count]
    frames = known if len(known) > 2 * moments else range(count)
    places = np.linspace(0, count - 1, min(moments, count))
    indices = sorted({min(frames, key=lambda frame: abs(frame - place)) for place in places})
    pictures = (narrowed(scene.draw(replace(settings, frame=index)), width=320) for index in indices)
    labels = (f"{index}  {scene.reader.times[index]:.2f} s" for index in indices)
    return _in_rows(map(_labelled, pictures, labels), columns=4)


def _labelled(picture: Image, text: str) -> Image:
    """Write a text into a picture's upper left corner, and return the picture."""
    write(picture, text, (6, 18), scale=0.5, width=1)
    return picture


def _in_rows(pictures: Iterable[Image], columns: int) -> Image:
    """Return pictures of equal size as one, in rows of ``columns``."""
    each = list(pictures)
    each += [np.full_like(each[0], 255)] * (-len(each) % columns)
    return np.vstack([np.hstack(each[row : row + columns]) for row in range(0, len(each), columns)])


def write_video(scene: Scene, shown: Sequence[Settings], path: Path, frames: Sequence[int]) -> Iterator[int]:
    """Write a video of the drawn frames, with sound; yield the number of frames done, after each.

    Args:
        scene: the video with its maps.
        shown: settings of each of the pictures that are shown side by side.
        path: of the .mp4; it is written atomically.
        frames: their indices, in order.
    """
    times = scene.reader.times
    with VideoWriter(path, scene.reader.rate, scene.video, sound_from=times[frames[0]]) as writer:
        for done, index in enumerate(frames, start=1):
            drawn = np.hstack([scene.draw(replace(settings, frame=index)) for settings in shown])
            writer.write(drawn, times[index] - times[frames[0]])
            yield done


def as_html(scene: Scene, settings: Settings) -> str:
    """Return a contact sheet as self-contained HTML."""
    caption = escape(scene.caption(settings))
    sheet = as_address(as_jpeg(contact_sheet(scene, settings)), "jpeg")
    picture = f'<img alt="moments; {caption}" src="{sheet}" style="max-width:100%">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
