"""Metrics as pictures: predictions of one frame, and what each metric thinks of them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.evaluation.examples import Example
from tinyhd_lib.evaluation.scores import METRICS, Scene, score
from tinyhd_lib.metrics import DIALECTS
from tinyhd_lib.prediction.overlay import mark_points

# Okabe and Ito's colours, which the colour-blind tell apart.
_ROC_LOOKS = (
    ("#000000", "-"), ("#0072b2", "-"), ("#56b4e9", "--"), ("#cc79a7", ":"), ("#d55e00", "-"), ("#e69f00", "--"),
    ("#009e73", "-"), ("#999999", "-"), ("#999999", ":"),
)  # fmt: skip
_PART = 0.1


def metric_table(example: Example, dialect: str) -> pd.DataFrame:
    """Every metric of every prediction of an example: a row a prediction.

    Args:
        example: whose predictions are scored.
        dialect: a name of `tinyhd_lib.metrics.DIALECTS`.
    """
    scene = Scene(example.truth, example.others, DIALECTS[dialect])
    rows = [{"prediction": name, **score(saliency, scene)} for name, saliency in example.predictions.items()]
    return pd.DataFrame(rows)


def metric_pictures(example: Example, table: pd.DataFrame, title: str) -> Figure:
    """Predictions in a row, and below each what every metric thinks of it: the darker, the better in its line.

    Args:
        example: whose predictions are shown, each on a scale of its own.
        table: of `metric_table`; the first prediction is the ground truth itself and takes no part in the contest.
        title: of the figure.
    """
    shown = {"where people looked": _with_fixations(example), **example.predictions}
    layout = ConstrainedLayoutEngine(w_pad=0.02, wspace=0)
    figure = Figure(figsize=(1.5 * len(shown), 3.9), layout=layout)
    grid = figure.add_gridspec(2, len(shown), height_ratios=(1, 2.6))
    for place, (name, picture) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.imshow(picture, cmap="inferno", vmin=0)
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    _contest(figure.add_subplot(grid[1, 1:]), table)
    figure.suptitle(title, fontsize=11)
    return figure


def auc_pictures(example: Example, name: str, title: str) -> Figure:
    """What the area under a curve is: hits and false alarms of one threshold, and of all of them.

    Args:
        example: whose predictions have their curves drawn.
        name: of the prediction whose most salient tenth is shown on the frame.
        title: of the figure.
    """
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    saliency, fixations = example.predictions[name], example.truth.fixations
    salient = saliency >= np.quantile(saliency, 1 - _PART)
    left.imshow(example.frame)
    left.contourf(salient, levels=(0.5, 1.5), colors=["#56b4e9"], alpha=0.35)
    left.contour(salient, levels=(0.5,), colors=["#ffffff"], linewidths=1)
    for what, chosen, marker in (("hit", fixations & salient, "o"), ("missed", fixations & ~salient, "X")):
        rows, columns = np.nonzero(chosen)
        looks = {"color": "#ffffff", "markeredgecolor": "#000000", "markersize": 6, "linestyle": ""}
        left.plot(columns, rows, marker, label=f"{what}: {len(rows)} of {fixations.sum()}", **looks)
    left.set(xticks=[], yticks=[], title=f"the most salient {_PART:.0%} of the {name}")
    left.legend(loc="lower right", fontsize="small")
    for (other, values), (colour, style) in zip(example.predictions.items(), _ROC_LOOKS, strict=True):
        right.plot(*roc(values, fixations), style, color=colour, label=other, linewidth=1.5)
    alarms = float((salient & ~fixations).sum() / (~fixations).sum())
    hits = float((salient & fixations).sum() / fixations.sum())
    right.plot(alarms, hits, "o", color="#56b4e9", markeredgecolor="#000000", markersize=8, label="shown on the left")
    right.set(xlabel="false alarms (part of all other pixels)", ylabel="hits (part of all fixations)", aspect="equal")
    right.set_title("every threshold is a point; AUC is the area below")
    right.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    right.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    return figure


def roc(saliency: Map, fixations: Image) -> tuple[Map, Map]:
    """False alarms and hits, 0 to 1 each, of every threshold from above the maximum down to the minimum.

    The area below is that of `tinyhd_lib.metrics.auc_rank`.

    Args:
        saliency: (H, W).
        fixations: (H, W) bool.
    """
    order = np.argsort(saliency, axis=None)[::-1]
    levels, fixated = saliency.ravel()[order], fixations.ravel()[order]
    last = np.append(np.diff(levels) != 0, True)  # pixels of one level pass the threshold together
    hits, alarms = np.cumsum(fixated)[last], np.cumsum(~fixated)[last]
    return np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1])


def _contest(axes: Axes, table: pd.DataFrame) -> None:
    """Scores as a table: a line a metric, the best in bold, and shaded by how they stand within their line."""
    scores = table[[metric.name for metric in METRICS]].to_numpy().T
    better = np.array([1 if metric.higher_is_better else -1 for metric in METRICS])[:, None] * scores
    worst, best = better.min(axis=1, keepdims=True), better.max(axis=1, keepdims=True)
    axes.imshow(0.55 * (better - worst) / (best - worst), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(scores):
        wins = column > 0 and better[row, column] == better[row, 1:].max()
        text = axes.text(column, row, f"{value:.2f}".replace("-0.00", "0.00"), ha="center", va="center", fontsize=9)
        if wins:
            text.set(weight="bold", fontsize=10)
    arrows = [f"{metric.name} {'↑' if metric.higher_is_better else '↓'}" for metric in METRICS]
    axes.set_yticks(range(len(arrows)), arrows, fontsize=9)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.axvline(0.5, color="#ffffff", linewidth=3)


def _with_fixations(example: Example) -> Image:
    return mark_points(example.frame, np.argwhere(example.truth.fixations)[:, ::-1])
