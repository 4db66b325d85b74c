"""What every notebook needs: where its files go, where its video is, a recipe's entries, and pictures side by side."""

import os
from collections.abc import Mapping, Sequence
from functools import partialmethod
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import shipped, write_atomically


def load_ipython_extension(shell: Any) -> None:
    """Let the notebook that says ``%load_ext tinyhd_lib.notebooks.helpers`` show tables as `as_html` does.

    Bars leave stale lines in notebooks that run headless: where TQDM_DISABLE is set, which tqdm heeds everywhere but in
    notebooks, there are none.
    """
    from tqdm.notebook import tqdm

    shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, as_html)
    if os.environ.get("TQDM_DISABLE"):
        setattr(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True))  # noqa: B010


def as_html(table: pd.DataFrame) -> str:
    """Return a table as HTML, with digits that mean something, words for names, and no numbered rows."""
    named = table.reset_index() if any(table.index.names) else table
    spoken = named.rename(columns=lambda name: str(name).replace("_", " "))
    short = lambda number: f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"  # noqa: E731
    html = spoken.to_html(index=False, border=0, na_rep="", float_format=short, justify="right").replace(r"\n", "<br>")
    return f'<div style="overflow-x: auto; font-size: small; font-variant-numeric: tabular-nums">{html}</div>'


class Artefacts:
    """The folder that a notebook leaves its files in; it is made when the first one comes.

    Args:
        folder: where.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """Return where a file of that name goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def figure(self, figure: Figure, name: str) -> Figure:
        """Keep a figure as ``name``.png; return it, for the cell to show."""
        figure.savefig(self.path(f"{name}.png"), dpi=120)
        return figure

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keep a table as ``name``.csv; return it, for the cell to show."""
        write_atomically(self.path(f"{name}.csv"), table.to_csv(index=False, lineterminator="\n").encode())
        return table


def find_video(name: str | Path) -> Path:
    """Return the path of a video: the path itself, or that of one of our examples by its name.

    Raises:
        BadInput: there is neither.

    Examples:
        >>> find_video("pursuit.mp4").exists()
        True
    """
    examples = shipped("example_data")
    found = next((path for path in (Path(name), examples / name) if path.exists()), None)
    if found is None:
        raise BadInput(f"{name}: no such video; there are {', '.join(sorted(p.name for p in examples.glob('*.mp4')))}")
    return found


def recipe_changes(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a notebook's parameters, ``globals()``, is called like an entry of a recipe, in capitals."""
    from tinyhd_lib.training.recipe import Recipe

    return {name: parameters[name.upper()] for name in Recipe.__annotations__ if name.upper() in parameters}


def picture_grid(  # noqa: PLR0913
    rows: Mapping[str, Sequence[Image | Map]],
    columns: Sequence[str],
    *,
    title: str,
    bar: str = "",
    notes: Mapping[tuple[int, int], str] = {},
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
    pictures = [np.asarray(picture) for row in rows.values() for picture in row]
    values = np.concatenate([each.ravel() for each in pictures if each.ndim == 2] or [np.ones(1)])
    maps = values.size > 1
    # The root brings out what is faint beside what is bright.
    scale = PowerNorm(0.5, 0, float(np.percentile(values, 99.5)))
    height, breadth = pictures[0].shape[:2]
    tall = width * height / breadth + (0.22 if notes else 0.04)
    across = len(columns) * (width + 0.04) + (1.9 if maps else 1.0)
    lines = wrap(title, round(11 * across))  # letters an inch
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
