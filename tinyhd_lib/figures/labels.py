"""Names beside the points of a scatter plot, where they cover neither one another nor other points."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from tinyhd_lib.data.transforms import Map

_POINT = 5.0
_GAPS = (7.0, 14.0, 22.0, 32.0, 44.0, 58.0)
_DIRECTIONS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)], float)


def label_points(axes: Axes, points: Map, names: Sequence[str], size: float = 7.5) -> list[Annotation]:
    """Name every point; a thin line leads to a name that had to move away.

    The layout must be final, for places are measured on the page: call ``figure.draw_without_rendering()`` before.

    Args:
        axes: with the points.
        points: (n, 2) in its coordinates.
        names: of the points.
        size: of the letters, in points of typography.
    """
    places = axes.transData.transform(points)
    inch = axes.figure.dpi / 72
    taken = [Bbox.from_extents(*(place - _POINT * inch), *(place + _POINT * inch)) for place in places]
    drawn = []
    for point, place, name in zip(points, places, names, strict=True):
        text = axes.annotate(
            name, point, (0, 0), textcoords="offset points", ha="center", va="center", fontsize=size,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
        text.set_in_layout(False)
        extent = text.get_window_extent()
        half = np.array([extent.width, extent.height]) / 2 + inch
        shift, box = min(_boxes(place, half, inch), key=lambda each: _cost(each[1], taken, axes.bbox))
        text.xyann = tuple(shift / inch)
        assert text.arrow_patch is not None
        if np.maximum(np.abs(shift) - half, 0).max() < _GAPS[1] * inch:  # beside its point
            text.arrow_patch.set_visible(False)
        taken.append(box)
        drawn.append(text)
    return drawn


def _boxes(place: Map, half: Map, inch: float) -> Iterator[tuple[Map, Bbox]]:
    """Where a name of this half size may stand, the nearest places first: shifts from its point, and boxes."""
    for gap in _GAPS:
        for direction in _DIRECTIONS:
            shift = direction * (half + gap * inch / np.hypot(*direction))
            yield shift, Bbox.from_extents(*(place + shift - half), *(place + shift + half))


def _cost(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """The area of a box that is outside of the axes or covers something; the first of several without any is taken."""
    outside = box.width * box.height - _common(box, inside)
    return round(outside + sum(_common(box, other) for other in taken), 3)


def _common(first: Bbox, second: Bbox) -> float:
    both = Bbox.intersection(first, second)
    return 0.0 if both is None else float(both.width * both.height)
