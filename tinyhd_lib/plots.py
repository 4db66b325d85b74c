"""Figures that several notebooks share: pictures and maps side by side."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tinyhd_lib.data.transforms import Image, Map

_BRIGHTEST = 99.5
_LETTERS_PER_INCH = 11


def picture_grid(  # noqa: PLR0913
    rows: Mapping[str, Sequence[Image | Map]],
    columns: Sequence[str],
    *,
    title: str,
    bar: str = "",
    notes: Mapping[tuple[int, int], str] | None = None,
    width: float = 1.5,
) -> Figure:
    """Lay pictures out in rows and columns, every map on one colour scale.

    Args:
        rows: pictures (H, W, 3) uint8 RGB, or maps (H, W), by the name of their row.
        columns: the names of the columns.
        title: of the figure.
        bar: what the maps' colours mean; the scale ends where one pixel in two hundred is brighter.
        notes: short words below a picture, by (row, column).
        width: of a picture, in inches.
    """
    notes = notes or {}
    pictures = [np.asarray(picture) for row in rows.values() for picture in row]
    values = np.concatenate([each.ravel() for each in pictures if each.ndim == 2] or [np.ones(1)])
    maps = values.size > 1
    # The root brings out what is faint beside what is bright.
    scale = PowerNorm(0.5, 0, float(np.percentile(values, _BRIGHTEST)))
    height, breadth = pictures[0].shape[:2]
    tall = width * height / breadth + (0.22 if notes else 0.04)
    across = len(columns) * (width + 0.04) + (1.9 if maps else 1.0)
    lines = wrap(title, round(_LETTERS_PER_INCH * across))
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.04, wspace=0, hspace=0, compress=True)
    figure = Figure(figsize=(across, len(rows) * (tall + 0.04) + 0.3 + 0.2 * len(lines)), layout=layout)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, (name, shown) in enumerate(rows.items()):
        for column, picture in enumerate(shown):
            axes[row, column].imshow(picture, cmap="inferno", norm=scale, interpolation="bilinear")
            axes[row, column].set(xticks=[], yticks=[], frame_on=False)
            axes[row, column].set_xlabel(notes.get((row, column), ""), fontsize=8, labelpad=2)
        axes[row, 0].set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
    for column, name in enumerate(columns):
        axes[0, column].set_title(name, fontsize=9)
    if maps:
        colours = ScalarMappable(scale, "inferno")
        figure.colorbar(colours, ax=axes, label=bar, shrink=0.7, aspect=25, pad=0.01, extend="max")
    figure.suptitle("\n".join(lines), fontsize=11)
    return figure


def as_density(maps: Map) -> Map:
    """Return maps (..., H, W), not negative, each divided by its mean, so that 1 is what a uniform map has."""
    return maps / maps.mean(axis=(-2, -1), keepdims=True)
