"""What happens over a clip: one number a frame, which a strip draws and a list of frames is chosen by."""

from collections.abc import Callable

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.viewer.layers import Layer
from tinyhd_lib.viewer.scene import Scene

# Frames looked at, at most: a strip has no more pixels.
_MOST = 400
_SMALL = (64, 48)
_LISTED = 8
_BLUE = "#0072b2"


def map_change(layer: Layer) -> Map:
    """How much of a map's mass moves from frame to frame: total variation, 0 (none) to 1 (all).

    Args:
        layer: the maps.

    Returns:
        (frames,) float64, NaN where it was not looked at: for the first frame, for frames without a map, and, in long
        films, for all but evenly spaced ones.
    """
    values = np.full(layer.count, np.nan)
    for index in _looked_at(layer.count):
        pair = [layer.map(each) for each in (index - 1, index)]
        if pair[0] is not None and pair[1] is not None:
            before, after = (_as_density(saliency) for saliency in pair if saliency is not None)
            values[index] = np.abs(after - before).sum() / 2
    return values


def map_spread(layer: Layer) -> Map:
    """Over how much of the frame a map spreads: the exponential of its entropy, in percent of the frame's area.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(layer.count, np.nan)
    for index in _looked_at(layer.count, first=0):
        saliency = layer.map(index)
        if saliency is not None:
            density = _as_density(saliency)
            nats = -(density * np.log(density, where=density > 0, out=np.zeros_like(density))).sum()
            values[index] = 100 * np.exp(nats) / density.size
    return values


def motion(reader: VideoReader) -> Map:
    """How much a film changes from frame to frame: the mean change of a pixel, in grey levels of 255.

    Returns:
        (frames,) float64, likewise.
    """
    values = np.full(reader.count, np.nan)
    for index in _looked_at(reader.count):
        before, after = (_luminance(reader[each]) for each in (index - 1, index))
        values[index] = np.abs(after - before).mean()
    return values


STRIPS: dict[str, tuple[Callable[[Scene, str], Map], str]] = {
    "map change": (lambda scene, layer: map_change(scene.layers[layer]), "of the map's mass moves"),
    "map spread": (lambda scene, layer: map_spread(scene.layers[layer]), "% of the frame"),
    "motion": (lambda scene, _layer: motion(scene.reader), "grey levels a pixel"),
}
"""What can be drawn over time: how it is computed, and its unit."""


def extreme_frames(values: Map, *, lowest: bool = False) -> list[int]:
    """The frames of the largest (or lowest) values, the most extreme first; of neighbours only one."""
    order = np.argsort(values if lowest else -values)
    apart = max(1, len(values) // 40)
    chosen: list[int] = []
    for index in order[np.isfinite(values[order])]:
        if len(chosen) < _LISTED and all(abs(index - other) >= apart for other in chosen):
            chosen.append(int(index))
    return chosen


def draw_strip(values: Map, name: str, unit: str, size: tuple[int, int] = (960, 90)) -> Image:
    """The values over time as a picture (H, W, 3) RGB, as wide as the film is long."""
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
    return range(first, count, max(1, count // _MOST))


def _as_density(saliency: Map) -> Map:
    small = cv2.resize(saliency, _SMALL, interpolation=cv2.INTER_AREA).astype(np.float64)
    return small / max(float(small.sum()), 1e-12)


def _luminance(image: Image) -> Map:
    return cv2.cvtColor(cv2.resize(image, _SMALL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float64)
