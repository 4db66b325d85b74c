"""Helpers of the notebooks: the folder of their files, example videos, entries of a recipe, and picture grids."""

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
    """Let a notebook with ``%load_ext tinyhd_lib.notebooks.helpers`` show tables as `as_html` does.

    Progress bars leave stale output in notebooks that run without a browser, so TQDM_DISABLE turns them off here, too:
    tqdm itself ignores it in notebooks.
    """
    from tqdm.notebook import tqdm

    shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, as_html)
    if os.environ.get("TQDM_DISABLE"):
        setattr(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True))  # noqa: B010


def as_html(table: pd.DataFrame) -> str:
    """Return a table as HTML, with rounded numbers, spaces in column names, and no row numbers."""
    named = table.reset_index() if any(table.index.names) else table
    spoken = named.rename(columns=lambda name: str(name).replace("_", " "))
    short = lambda number: f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"  # noqa: E731
    html = spoken.to_html(index=False, border=0, na_rep="", float_format=short, justify="right").replace(r"\n", "<br>")
    return f'<div style="overflow-x: auto; font-size: small; font-variant-numeric: tabular-nums">{html}</div>'


class Artefacts:
    """The folder of a notebook's files; it is created with the first one.

    Args:
        folder: its path.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """Return the path of a file, after creating the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def figure(self, figure: Figure, name: str) -> Figure:
        """Save a figure as ``name``.png; return it, for the cell to show."""
        figure.savefig(self.path(f"{name}.png"), dpi=120)
        return figure

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Save a table as ``name``.csv; return it, for the cell to show."""
        write_atomically(self.path(f"{name}.csv"), table.to_csv(index=False, lineterminator="\n").encode())
        return table


def find_video(name: str | Path) -> Path:
    """Return the path of a video, given by itself or by the name of a shipped example.

    Raises:
        BadInput: there is no such video.

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
    """Return the entries of a recipe, in capitals, among a notebook's parameters, ``globals()``."""
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
    """Return a figure of pictures in rows and columns, with a common colour scale for all maps.

    Args:
        rows: pictures (H, W, 3) uint8 RGB, or maps (H, W), by the name of their row.
        columns: the names of the columns.
        title: of the figure.
        bar: label of the colour bar; the scale ends at the 99.5th percentile.
        notes: short words below a picture, by (row, column).
        width: of a picture, in inches.
    """
    pictures = [np.asarray(picture) for row in rows.values() for picture in row]
    values = np.concatenate([each.ravel() for each in pictures if each.ndim == 2] or [np.ones(1)])
    maps = values.size > 1
    # A square-root scale keeps faint regions visible beside bright ones.
    scale = PowerNorm(0.5, 0, float(np.percentile(values, 99.5)))
    height, breadth = pictures[0].shape[:2]
    tall = width * height / breadth + (0.22 if notes else 0.04)
    across = len(columns) * (width + 0.04) + (1.9 if maps else 1.0)
    lines = wrap(title, round(11 * across))  # characters per inch
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
    """Return maps (..., H, W), not negative, each divided by its mean, so that a uniform map is 1 everywhere."""
    return maps / maps.mean(axis=(-2, -1), keepdims=True)
