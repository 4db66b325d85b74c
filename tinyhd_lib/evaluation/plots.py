"""What sets of videos score, as figures of the report and of notebook 04."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.summary import Summary
from tinyhd_lib.evaluation.tasks import CEILING, CENTRE, CHANCE, PREDICTION

# Okabe and Ito's colours, which the colour-blind tell apart, and a marker besides.
_BASELINES = {CHANCE: ("#999999", "o"), CENTRE: ("#e69f00", "s"), CEILING: ("#009e73", "^")}
_PREDICTIONS = (("#0072b2", "D"), ("#d55e00", "v"), ("#cc79a7", "P"), ("#56b4e9", "X"))
_UNITS = {"NSS": "deviations", "KL": "nats"}
_MOST_TIMELINES = 6


def set_plots(summary: Summary) -> Figure:
    """Draw every metric's mean and interval for each predictor, with its videos as faint points."""
    names = list(summary.figures["predictor"].unique())
    cells = summary.figures.set_index(["predictor", "metric"])
    figure = Figure(figsize=(12, 1.1 + 0.32 * len(names)), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        for row, (name, (colour, marker)) in enumerate(_looks(names).items()):
            each = cells.loc[(name, metric.name)]
            videos = summary.videos.loc[summary.videos["predictor"] == name, metric.name]
            axes.plot(videos, np.full(len(videos), row), marker, color=colour, alpha=0.25, markersize=3)
            axes.plot([each.low, each.high], [row, row], color=colour, linewidth=2)
            axes.plot([each["mean"]], [row], marker, color=colour, markersize=6)
        _bare(axes)
        axes.set_title(f"{metric.name} {'→' if metric.higher_is_better else '←'}", fontsize=9)
        axes.set_xlabel(_UNITS.get(metric.name, ""), fontsize=8)
        axes.set_yticks(range(len(names)), names if metric is METRICS[0] else [])
        axes.set_ylim(len(names) - 0.5, -0.5)
    return figure


def timelines(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw NSS over the frames of the videos in which the first prediction went worst.

    Args:
        tables: of frames, by the name of the prediction.
    """
    first = next(iter(tables.values()))
    own = first[first["predictor"] == PREDICTION]
    worst = list(own.groupby("video")["NSS"].mean().sort_values().index[:_MOST_TIMELINES])
    looks = _looks([CEILING, *tables])
    figure = Figure(figsize=(12, 1.5 * len(worst) + 0.4), layout="constrained")
    panels = figure.subplots(len(worst), 1, squeeze=False)[:, 0]
    for axes, video in zip(panels, worst, strict=True):
        for name, (colour, _) in looks.items():
            table, predictor = (first, CEILING) if name == CEILING else (tables[name], PREDICTION)
            line = table[(table["predictor"] == predictor) & (table["video"] == video)]
            if len(line):
                style = ":" if name == CEILING else "-"
                axes.plot(line["index"], line["NSS"], style, color=colour, linewidth=1.2, label=name)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.set_ylabel("NSS (deviations)", fontsize=8)
        axes.set_title(str(video), fontsize=9, loc="left")
        _bare(axes)
    panels[-1].set_xlabel("frame, from 0", fontsize=8)
    panels[0].legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(looks), frameon=False)
    return figure


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker for each predictor."""
    others = [name for name in names if name not in _BASELINES]
    own = {name: _PREDICTIONS[number % len(_PREDICTIONS)] for number, name in enumerate(others)}
    return {name: {**_BASELINES, **own}[name] for name in names}


def _bare(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
