"""An ablation as tables and figures: what the models are, what they score and cost, and how their decoders differ."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.figures.grid import picture_grid
from tinyhd_lib.figures.labels import label_points
from tinyhd_lib.figures.levels import as_density
from tinyhd_lib.models.spec import MODEL_SPECS
from tinyhd_lib.models.student import build_model, count_gmac, count_parameters
from tinyhd_lib.training.ablate import Comparison

# Okabe and Ito's colours, which the colour-blind tell apart; every point has its name besides.
_COLOURS = {1: "#0072b2", 2: "#e69f00", 4: "#009e73", 8: "#cc79a7"}
_MARKERS = {1: "o", 8: "s", 16: "D"}
_SCORES = {"nss": "NSS (deviations) ↑", "cc": "CC ↑", "kl": "KL (nats) ↓"}
_COSTS = {"parameters": "parameters (millions)", "gmac": "GMAC a clip", "milliseconds": "milliseconds a clip"}
_SCALES = {"cc": ("PuOr_r", -1.0), "sim": ("cividis", 0.0)}
_LUMINANCE = (0.299, 0.587, 0.114)
_SIMILARITIES = {"cc": "CC: do they vary together?", "sim": "SIM: how much mass is in common?"}


def model_table(rows: Sequence[str]) -> pd.DataFrame:
    """What distinguishes models from one another, and what they cost.

    Args:
        rows: of `MODEL_SPECS`.

    Returns:
        a row each: ``model``, ``label``, ``decoders``, ``outputs`` (maps a clip), ``reduction`` (r), ``parameters`` and
        ``gmac`` (multiplications of a clip, in 10^9).
    """
    specs = {row: MODEL_SPECS[row] for row in rows}
    models = [build_model(spec).eval() for spec in specs.values()]
    return pd.DataFrame(
        {
            "model": list(specs),
            "label": [spec.label for spec in specs.values()],
            "decoders": ["+".join(spec.decoders).upper() for spec in specs.values()],
            "outputs": [spec.outputs for spec in specs.values()],
            "reduction": [spec.reduction for spec in specs.values()],
            "parameters": [count_parameters(model) for model in models],
            "gmac": [count_gmac(model) for model in models],
        }
    )


def score_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """What models that were trained alike score: ``model``, ``label``, and a column a score."""
    return pd.DataFrame([{"model": each.model, "label": each.label, **each.scores} for each in comparisons])


def accuracy_plots(table: pd.DataFrame, title: str) -> Figure:
    """Every score against every cost; up is better, left is cheaper.

    Args:
        table: of `model_table` with the columns of `score_table`, and ``milliseconds``.
        title: of the figure.
    """
    scores = [name for name in _SCORES if name in table]
    figure = Figure(figsize=(13, 3.4 * len(scores) + 0.4), layout="constrained")
    panels = figure.subplots(len(scores), len(_COSTS), sharex="col", sharey="row", squeeze=False)
    points = table.assign(parameters=table["parameters"] / 1e6)
    for row, score in zip(panels, scores, strict=True):
        for axes, cost in zip(row, _COSTS, strict=True):
            for _, each in points.iterrows():
                looks = {"marker": _MARKERS[each["outputs"]], "color": _COLOURS[each["reduction"]]}
                axes.plot(each[cost], each[score], linestyle="", markersize=7, **looks)
            axes.grid(color="#eeeeee")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(0.18, 0.15)
        row[0].set_ylabel(_SCORES[score])
        if score == "kl":
            row[0].invert_yaxis()
    for axes, name in zip(panels[-1], _COSTS.values(), strict=True):
        axes.set_xlabel(name)
    figure.suptitle(title)
    figure.draw_without_rendering()
    for row, score in zip(panels, scores, strict=True):
        for axes, cost in zip(row, _COSTS, strict=True):
            label_points(axes, points[[cost, score]].to_numpy(float), points["label"], size=8)
    return figure


def decoder_pictures(
    windows: Image, maps: Mapping[str, Map], weights: Mapping[str, float], numbers: Sequence[int], title: str
) -> Figure:
    """What each decoder says of some frames.

    Args:
        windows: (n, 16, H, W, 3) uint8 RGB, whose last frames are shown.
        maps: of `tinyhd_lib.training.heterogeneity.decoder_maps`.
        weights: of `tinyhd_lib.training.heterogeneity.fusion_weights`.
        numbers: of the frames.
        title: of the figure.
    """
    heads = [f"{name}\nweight {weights[name]:+.2f}" if name in weights else name for name in maps]
    rows = {
        f"frame {number}": [frames[-1], *(as_density(each[place]) for each in maps.values())]
        for place, (number, frames) in enumerate(zip(numbers, windows, strict=True))
    }
    return picture_grid(rows, ["the film", *heads], title=title, bar="times a uniform map", width=1.4)


def similarity_matrices(table: pd.DataFrame, names: Sequence[str], title: str) -> Figure:
    """How alike decoders' maps are, as two annotated matrices.

    Args:
        table: of `tinyhd_lib.training.heterogeneity.similarity_table`.
        names: of the decoders, in the order of the lines.
        title: of the figure.
    """
    figure = Figure(figsize=(1.5 * len(names) + 1.5, 0.75 * len(names) + 0.6), layout="constrained")
    for axes, (score, meaning) in zip(figure.subplots(1, 2), _SIMILARITIES.items(), strict=True):
        matrix = np.eye(len(names))
        for _, pair in table.iterrows():
            place = names.index(pair["first"]), names.index(pair["second"])
            matrix[place] = matrix[place[::-1]] = pair[score]
        _annotated(axes, matrix, names, *_SCALES[score])
        axes.set_title(meaning, fontsize=10)
    figure.suptitle(title)
    return figure


def _annotated(axes: Axes, matrix: Map, names: Sequence[str], colours: str, low: float) -> None:
    """A heat map with its numbers."""
    image = axes.imshow(matrix, cmap=colours, vmin=low, vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        if row != column:
            dark = np.dot(image.to_rgba(np.array(value))[:3], _LUMINANCE) < 0.5
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", color="white" if dark else "black", fontsize=9
            )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
