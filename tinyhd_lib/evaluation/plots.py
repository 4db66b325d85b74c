"""What sets of videos score, as figures and tables: of the report, and of the notebooks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.summary import Summary
from tinyhd_lib.evaluation.tasks import CEILING, CENTRE, CHANCE, PREDICTION

if TYPE_CHECKING:  # what they come with makes the report, which draws with these
    from tinyhd_lib.evaluation.compare import Comparison
    from tinyhd_lib.evaluation.pictures import Worst

# Okabe and Ito's colours, which the colour-blind tell apart, and a marker besides.
_BASELINES = {CHANCE: ("#999999", "o"), CENTRE: ("#e69f00", "s"), CEILING: ("#009e73", "^")}
_PREDICTIONS = (("#0072b2", "D"), ("#d55e00", "v"), ("#cc79a7", "P"), ("#56b4e9", "X"))
_UNITS = {"NSS": "deviations", "KL": "nats"}
_MOST_TIMELINES = 6


def set_table(summary: Summary) -> pd.DataFrame:
    """The figures of a set: ``predictor``, ``metric``, ``mean``, and the ends of its interval ``low`` and ``high``.

    What is not defined has no row.
    """
    rows = [
        (predictor, name, each.mean, each.low, each.high)
        for predictor, row in summary.figures.items()
        for name, each in row.items()
        if not np.isnan(each.mean)
    ]
    return pd.DataFrame(rows, columns=["predictor", "metric", "mean", "low", "high"])


def set_plots(summary: Summary) -> Figure:
    """Every metric's mean and interval for each predictor, with its videos as faint points."""
    names = list(summary.figures)
    figure = Figure(figsize=(12, 1.1 + 0.32 * len(names)), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        for row, (name, (colour, marker)) in enumerate(_looks(names).items()):
            each = summary.figures[name][metric.name]
            videos = summary.videos.loc[summary.videos["predictor"] == name, metric.name]
            axes.plot(videos, np.full(len(videos), row), marker, color=colour, alpha=0.25, markersize=3)
            axes.plot([each.low, each.high], [row, row], color=colour, linewidth=2)
            axes.plot([each.mean], [row], marker, color=colour, markersize=6)
        _bare(axes)
        axes.set_title(f"{metric.name} {'→' if metric.higher_is_better else '←'}", fontsize=9)
        axes.set_xlabel(_UNITS.get(metric.name, ""), fontsize=8)
        axes.set_yticks(range(len(names)), names if metric is METRICS[0] else [])
        axes.set_ylim(len(names) - 0.5, -0.5)
    return figure


def timelines(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """NSS over the frames of the videos in which the first prediction went worst.

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


def worst_pictures(worst: "Sequence[Worst]", title: str) -> Figure:
    """The frames of lowest NSS: where people looked on the left, the prediction on the right.

    Args:
        worst: of `tinyhd_lib.evaluation.pictures.worst_frames`.
        title: of the figure.
    """
    lines = max(1, -(-len(worst) // 2))
    tall = max((each.picture.shape[0] / each.picture.shape[1] for each in worst), default=0.3)
    figure = Figure(figsize=(12, (6 * tall + 0.3) * lines + 0.3), layout="constrained")
    panels = figure.subplots(lines, 2, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, each in zip(panels, worst, strict=False):
        axes.imshow(each.picture)
        axes.set_title(f"{each.video}, frame {each.frame}: NSS {each.nss:.2f}", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def comparison_table(comparison: "Comparison") -> pd.DataFrame:
    """Two predictions against each other, a row a metric.

    Returns:
        ``metric``, the means ``A`` and ``B``, their ``difference`` B - A, the ends of its interval ``low`` and
        ``high``, and ``p`` of the paired test.
    """
    rows = [
        (name, each.first, each.second, each.difference.mean, each.difference.low, each.difference.high, each.p)
        for name, each in comparison.metrics.items()
    ]
    return pd.DataFrame(rows, columns=["metric", "A", "B", "difference", "low", "high", "p"])


def comparison_plots(comparison: "Comparison", summary: Summary, names: Sequence[str], title: str) -> Figure:
    """How much better or worse the second prediction is, video by video, and on average with its interval.

    Args:
        comparison: of the two.
        summary: of `tinyhd_lib.evaluation.summary.side_by_side`, with both.
        names: of the two in it.
        title: of the figure.
    """
    figure = Figure(figsize=(12, 2.2), layout="constrained")
    first, second = (summary.videos[summary.videos["predictor"] == name].set_index("video") for name in names)
    for axes, metric in zip(figure.subplots(1, len(METRICS), sharey=True), METRICS, strict=True):
        each = comparison.metrics[metric.name]
        differences = (second[metric.name] - first[metric.name]).dropna().sort_values()
        places = np.linspace(0.35, 0.95, len(differences))
        axes.axvline(0, color="#999999", linewidth=0.8)
        axes.plot(differences, places, "o", color="#0072b2", alpha=0.6, markersize=4)
        axes.plot([each.difference.low, each.difference.high], [0.12, 0.12], color="#000000", linewidth=2)
        axes.plot([each.difference.mean], [0.12], "D", color="#000000", markersize=6)
        _bare(axes)
        axes.set_title(f"{metric.name} {'→' if metric.higher_is_better else '←'}", fontsize=9)
        axes.set_xlabel(f"{_UNITS.get(metric.name, '')}\np = {each.p:.3f}".strip(), fontsize=8)
        axes.set_yticks((0.12, 0.65), ("mean", "videos"))
        axes.set_ylim(0, 1.05)
    figure.suptitle(title, fontsize=11)
    return figure


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each predictor."""
    others = [name for name in names if name not in _BASELINES]
    own = {name: _PREDICTIONS[number % len(_PREDICTIONS)] for number, name in enumerate(others)}
    return {name: {**_BASELINES, **own}[name] for name in names}


def _bare(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
