"""What a teacher sees level by level, as figures: its features, its conspicuity maps, and what a student makes of them.

Maps are shown as the loss sees them: each divided by its mean, so that 1 is what a uniform map has everywhere.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.figures.grid import picture_grid
from tinyhd_lib.training.models import Answers

_LOOKS = (("#e69f00", "o"), ("#56b4e9", "s"), ("#009e73", "D"), ("#cc79a7", "^"), ("#000000", "x"))
"""Okabe and Ito's colours, which the colour-blind tell apart, and a marker besides: four levels and their fusion."""

_DENSITY = "times a uniform map"


def frame_pictures(windows: Image, numbers: Sequence[int], title: str) -> Figure:
    """The first and the last frame of every window.

    Args:
        windows: (n, 16, H, W, 3) uint8 RGB.
        numbers: of the last frames.
        title: of the figure.
    """
    rows = {"first": list(windows[:, 0]), "last": list(windows[:, -1])}
    return picture_grid(rows, [f"{number - windows.shape[1] + 1} to {number}" for number in numbers], title=title)


def tap_pictures(taps: Mapping[str, Mapping[str, Map]], title: str) -> Figure:
    """The mean over channels of every tap, at the last moment that it has, each on a scale of its own.

    Args:
        taps: (C, T, H, W) by the name of the model and the name of the tap.
        title: of the figure.
    """
    most = max(map(len, taps.values()))
    figure = Figure(figsize=(2.6 * most, 2.1 * len(taps) + 0.35), layout="constrained")
    below = figure.subfigures(len(taps), 1, squeeze=False)[:, 0]
    for (name, features), subfigure in zip(taps.items(), below, strict=True):
        subfigure.suptitle(name, fontsize=10)
        for axes, (tap, values) in zip(subfigure.subplots(1, most, squeeze=False)[0], features.items(), strict=False):
            mean = values[:, -1].mean(axis=0)
            low, high = np.percentile(mean, (1, 99))
            image = axes.imshow(mean, cmap="viridis", vmin=low, vmax=high)
            axes.set_title(f"{tap}: {values.shape[0]} x {values.shape[2]} x {values.shape[3]}", fontsize=9)
            axes.set(xticks=[], yticks=[])
            subfigure.colorbar(image, ax=axes, shrink=0.8, aspect=15, extend="both").ax.tick_params(labelsize=7)
        for axes in subfigure.axes[len(features) : most]:
            axes.remove()
    figure.suptitle(title, fontsize=11)
    return figure


def level_pictures(
    windows: Image, answers: Answers, levels: Sequence[str], numbers: Sequence[int], title: str
) -> Figure:
    """The four conspicuity maps and the fused map over time.

    Args:
        windows: (n, 16, H, W, 3) uint8 RGB.
        answers: of `tinyhd_lib.training.inspection.maps_over_time`.
        levels: the names of the four, the finest first.
        numbers: of the windows' last frames.
        title: of the figure.
    """
    rows: dict[str, Sequence[Image | Map]] = {"frame": list(windows[:, -1])}
    rows |= {name: list(as_density(maps)) for name, maps in zip(levels, np.moveaxis(answers["d1"], 1, 0), strict=True)}
    rows["fused"] = list(as_density(answers["map"]))
    return picture_grid(rows, [f"frame {number}" for number in numbers], title=title, bar=_DENSITY)


def statistics_lines(statistics: pd.DataFrame, size: tuple[int, int], title: str) -> Figure:
    """Entropy and centre bias of every level over time.

    Args:
        statistics: of `tinyhd_lib.training.inspection.level_statistics`.
        size: (H, W) of the maps.
        title: of the figure.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (colour, marker), (level, rows) in zip(_LOOKS, statistics.groupby("level", sort=False), strict=True):
        wide = 2.2 if level == "fused" else 1.2
        for axes, name in ((left, "entropy"), (right, "centre_bias")):
            axes.plot(rows["frame"], rows[name], marker=marker, color=colour, linewidth=wide, label=str(level))
    uniform = float(np.log2(np.prod(size)))
    left.axhline(uniform, color="#999999", linestyle="--", linewidth=1)
    left.annotate("uniform map", (statistics["frame"].min(), uniform), (0, 3), textcoords="offset points", fontsize=8)
    lowest = float(statistics["entropy"].min())
    left.set_ylim(lowest - 0.08 * (uniform - lowest), uniform + 0.08 * (uniform - lowest))
    area = left.secondary_yaxis("right", functions=_area_and_back(uniform))
    area.set_ylabel("effective area (% of the frame)")
    right.axhline(0, color="#999999", linestyle="--", linewidth=1)
    left.set(xlabel="frame", ylabel="entropy (bits)", title="how spread out")
    right.set(xlabel="frame", ylabel="CC with a centred Gaussian", title="how central")
    right.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    for axes in (left, right):
        axes.spines["top"].set_visible(False)
    right.spines["right"].set_visible(False)
    figure.suptitle(title, fontsize=11)
    return figure


def matching_pictures(frame: Image, target: Map, said: Map, table: pd.DataFrame, title: str) -> Figure:
    """The teacher's four maps beside those of the student's D1, with the divergence of each pair.

    Args:
        frame: (H, W, 3) the window's last frame.
        target: (4, H, W) what D1 is to say.
        said: (4, H, W) what it says.
        table: of `tinyhd_lib.training.inspection.matching_table`.
        title: of the figure.
    """
    rows = {"teacher": [frame, *as_density(target)], "student's D1": [frame, *as_density(said)]}
    notes = {(1, place): f"KL {kl:.3f} nats" for place, kl in enumerate(table["kl"], start=1)}
    return picture_grid(rows, ["frame", *table["level"]], title=title, bar=_DENSITY, notes=notes, width=2.0)


def as_density(maps: Map) -> Map:
    """Maps (..., H, W), not negative, each divided by its mean."""
    return maps / maps.mean(axis=(-2, -1), keepdims=True)


def _area_and_back(uniform: float) -> tuple[Callable[[Map], Map], Callable[[Map], Map]]:
    """From bits to the part of the frame, in percent, that a uniform patch of that entropy takes; and back."""
    smallest = 1e-9  # an axis may ask for less than nothing
    return (
        lambda bits: 100 * 2.0 ** (bits - uniform),
        lambda percent: np.log2(np.maximum(percent, smallest) / 100) + uniform,
    )
