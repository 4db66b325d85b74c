"""From settings to a picture: a video, its maps, and one frame of both drawn by the code that draws overlay videos."""

import base64
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.reader import VideoReader, narrowed
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.map_files import Bounds, own_bounds
from tinyhd_lib.prediction.overlay import draw, draw_difference, mark_peak, mark_points, wipe
from tinyhd_lib.viewer.sources import MapSource
from tinyhd_lib.viewer.state import NORMALISATIONS, Settings

logger = logging.getLogger(__name__)

_MOST_SAMPLED = 300  # frames that the bounds of a clip are taken from
_MOST_DRAWN = 400  # frames that a strip looks at: it has no more pixels
_LISTED = 8
_MOMENTS = 8
_COLUMNS = 4
_SMALL = 320  # width of a moment, and of the video beside them
_MOST_FRAMES = 250
_COARSE = (64, 48)
_BLUE = "#0072b2"


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
        sources: of maps, by name, the main one first.
        width: of pictures, at most; larger videos are scaled down.

    Raises:
        BadInput: the video cannot be used, or a map source covers other frames than it has.
    """

    def __init__(self, video: Path, sources: Mapping[str, MapSource], width: int | None = 960) -> None:
        self.video = video
        self.sources = dict(sources)
        self.reader = VideoReader(video, width=width)
        longest, most = max((source.count, name) for name, source in sources.items())[::-1]
        if most > self.reader.count:
            raise BadInput(f"{longest}: maps of {most} frames, but {video} has {self.reader.count}")
        if most < self.reader.count:  # not all of the video decodes, or not all of it is of interest
            told = longest, most, video, self.reader.count
            logger.warning("%s: maps of %d frames, but %s has %d; only the first ones are shown", *told)
            self.reader = VideoReader(video, most, width)
        self._clip_bounds = lru_cache(maxsize=None)(self._bounds_of_clip)

    def draw(self, settings: Settings) -> Image:
        """Return the picture, (H, W, 3) RGB, or (H, 2W, 3) side by side."""
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
            places = np.concatenate([source.points(settings.frame) for source in self.sources.values()])
            drawn = mark_points(drawn, places * image.shape[1::-1])
        return mark_peak(drawn, first) if settings.peak and first.any() else drawn

    def grey(self, name: str, settings: Settings, size: tuple[int, ...]) -> Image:
        """Return (H, W) grey levels of a map, black where the frame has none."""
        saliency = self.sources[name].map(settings.frame)
        if saliency is None:
            return np.zeros(size, np.uint8)
        return to_grey(saliency, (size[0], size[1]), self.bounds(name, saliency, settings.normalise))

    def bounds(self, name: str, saliency: Map, normalise: str) -> Bounds:
        """Return the saliencies that are black and white."""
        if normalise == "raw":
            return 0.0, self.sources[name].white
        return self._clip_bounds(name) if normalise == "clip" else own_bounds(saliency)

    def read(self, settings: Settings, x: float, y: float) -> Reading | None:
        """Return what is known of a place, x and y in parts of the frame's width and height; None without a map."""
        saliency = self.sources[settings.source].map(settings.frame)
        if saliency is None:
            return None
        height, width = self.reader[settings.frame].shape[:2]
        rows, columns = saliency.shape
        value = float(saliency[min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)])
        percentile = 100 * float((saliency <= value).mean())
        return Reading(min(int(x * width), width - 1), min(int(y * height), height - 1), value, percentile)

    def caption(self, settings: Settings) -> str:
        """Say what is seen, in words: for those who read, and those who have it read to them."""
        shown = settings.source
        if settings.view == "wipe":
            shown = f"left {settings.source}, right {settings.other}"
        elif settings.view == "difference":
            shown = f"{settings.source} more (orange, +) or less (purple, -) than {settings.other}"
        time = self.reader.times[settings.frame]
        missing = "; no map of this frame" if self.sources[settings.source].map(settings.frame) is None else ""
        scale = f"{settings.normalise}: {NORMALISATIONS[settings.normalise]}"
        return f"frame {settings.frame}, {time:.2f} s; {settings.view}: {shown}{missing}; {scale}"

    def _bounds_of_clip(self, name: str) -> Bounds:
        """Return the extremes of a map source; of evenly spaced frames, if there are very many."""
        source = self.sources[name]
        maps = (source.map(index) for index in range(0, source.count, max(1, source.count // _MOST_SAMPLED)))
        known = [own_bounds(saliency) for saliency in maps if saliency is not None]
        return (min(low for low, _ in known), max(high for _, high in known)) if known else (0.0, 1.0)


def contact_sheet(scene: Scene, settings: Settings, moments: int = _MOMENTS) -> Image:
    """Return evenly spaced frames as they are drawn, each with its number and time, in rows of four: (H, W, 3) RGB."""
    count = scene.reader.count
    indices = sorted({round(place) for place in np.linspace(0, count - 1, min(moments, count))})
    pictures = []
    for index in indices:
        picture = narrowed(scene.draw(replace(settings, frame=index)), _SMALL).copy()
        text = f"{index}  {scene.reader.times[index]:.2f} s"
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
        pictures.append(picture)
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (-len(pictures) % _COLUMNS)
    return np.vstack([np.hstack(pictures[row : row + _COLUMNS]) for row in range(0, len(pictures), _COLUMNS)])


def write_video(
    scene: Scene, shown: Sequence[Settings], path: Path, frames: Iterable[int] | None = None, width: int | None = None
) -> Iterator[int]:
    """Write a video of the clip as it is drawn; yield how many frames are done, after each.

    Args:
        scene: what is shown.
        shown: how, once for each picture of a row.
        path: of the .mp4; it appears when it is whole.
        frames: which ones; all if None.
        width: at most; as drawn if None.
    """
    times = scene.reader.times
    chosen = list(range(scene.reader.count) if frames is None else frames)
    with VideoWriter(path, scene.reader.rate) as writer:
        for done, index in enumerate(chosen, start=1):
            drawn = np.hstack([scene.draw(replace(settings, frame=index)) for settings in shown])
            writer.write(narrowed(drawn, width), times[index] - times[chosen[0]])
            yield done


def as_html(scene: Scene, settings: Settings) -> str:
    """Return a sheet of moments and a small video, as HTML that needs nothing else."""
    caption = escape(scene.caption(settings))
    sheet = base64.b64encode(as_jpeg(contact_sheet(scene, settings))).decode()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        for _ in write_video(scene, [settings], path, range(min(scene.reader.count, _MOST_FRAMES)), _SMALL):
            pass
        video = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="moments; {caption}" src="data:image/jpeg;base64,{sheet}" style="max-width:100%">'
        '<br><video controls loop muted playsinline style="max-width:100%" '
        f'src="data:video/mp4;base64,{video}"></video>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def map_change(source: MapSource) -> Map:
    """Return how much of a map's mass moves from frame to frame: total variation, 0 (none) to 1 (all).

    Args:
        source: of the maps.

    Returns:
        (frames,) float64, NaN where it was not looked at: for the first frame, for frames without a map, and, in long
        videos, for all but evenly spaced ones.
    """
    values = np.full(source.count, np.nan)
    for index in _looked_at(source.count):
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
    for index in _looked_at(source.count, first=0):
        saliency = source.map(index)
        if saliency is not None:
            density = _as_density(saliency)
            nats = -(density * np.log(density, where=density > 0, out=np.zeros_like(density))).sum()
            values[index] = 100 * np.exp(nats) / density.size
    return values


def motion(reader: VideoReader) -> Map:
    """Return how much a video changes from frame to frame: the mean change of a pixel, in grey levels of 255.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(reader.count, np.nan)
    for index in _looked_at(reader.count):
        before, after = (_luminance(reader[each]) for each in (index - 1, index))
        values[index] = np.abs(after - before).mean()
    return values


STRIPS: dict[str, tuple[Callable[[Scene, str], Map], str]] = {
    "map change": (lambda scene, name: map_change(scene.sources[name]), "of the map's mass moves"),
    "map spread": (lambda scene, name: map_spread(scene.sources[name]), "% of the frame"),
    "motion": (lambda scene, _name: motion(scene.reader), "grey levels a pixel"),
}
"""What can be drawn over time: how it is computed, and its unit."""


def extreme_frames(values: Map, *, lowest: bool = False) -> list[int]:
    """Return the frames of the largest (or lowest) values, the most extreme first; of neighbours only one."""
    order = np.argsort(values if lowest else -values)
    apart = max(1, len(values) // 40)
    chosen: list[int] = []
    for index in order[np.isfinite(values[order])]:
        if len(chosen) < _LISTED and all(abs(index - other) >= apart for other in chosen):
            chosen.append(int(index))
    return chosen


def draw_strip(values: Map, name: str, unit: str, size: tuple[int, int] = (960, 90)) -> Image:
    """Draw the values over time as a picture (H, W, 3) RGB, as wide as the video is long."""
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    known = np.flatnonzero(np.isfinite(values))
    axes.fill_between(known, values[known], color=_BLUE, alpha=0.3, linewidth=0)
    axes.plot(known, values[known], color=_BLUE, linewidth=1)
    axes.set(xlim=(-0.5, len(values) - 0.5))
    axes.margins(y=0.3)  # room for the words
    axes.axis("off")
    low, high = (np.nanmin(values), np.nanmax(values)) if len(known) else (0.0, 0.0)
    axes.text(0.005, 0.95, f"{name}: {low:.3g} to {high:.3g} {unit}", transform=axes.transAxes, va="top", fontsize=9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _looked_at(count: int, first: int = 1) -> range:
    return range(first, count, max(1, count // _MOST_DRAWN))


def _as_density(saliency: Map) -> Map:
    small = cv2.resize(saliency, _COARSE, interpolation=cv2.INTER_AREA).astype(np.float64)
    return small / max(float(small.sum()), 1e-12)


def _luminance(image: Image) -> Map:
    return cv2.cvtColor(cv2.resize(image, _COARSE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float64)
