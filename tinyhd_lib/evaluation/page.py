"""Plot an evaluation, and render it as one self-contained HTML page with the worst-scored frames."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyhd_lib.data.gaze import GroundTruth, places_of
from tinyhd_lib.data.images import as_address, as_jpeg
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.plan import Pair
from tinyhd_lib.evaluation.summary import Summary, as_text, template
from tinyhd_lib.evaluation.tasks import CEILING, CENTRE, CHANCE, PREDICTION
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import draw, mark_points

# Okabe and Ito's palette, which is safe for the colour-blind, and a marker for each as well.
_BASELINES = {CHANCE: ("#999999", "o"), CENTRE: ("#e69f00", "s"), CEILING: ("#009e73", "^")}
_PREDICTIONS = (("#0072b2", "D"), ("#d55e00", "v"), ("#cc79a7", "P"), ("#56b4e9", "X"))
_UNITS = {"NSS": "deviations", "KL": "nats", "KL matched": "nats", "IG": "bits", "LL": "bits", "EMD": "cells"}
_MOST_TIMELINES = 6


def set_plots(summary: Summary) -> Figure:
    """Draw every metric's mean and interval for each predictor, with its videos as faint points."""
    names = list(summary.figures["predictor"].unique())
    cells = summary.figures.set_index(["predictor", "metric"])
    figure = Figure(figsize=(1.5 * len(summary.metrics), 1.1 + 0.32 * len(names)), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(summary.metrics)), summary.metrics, strict=True):
        for row, (name, (colour, marker)) in enumerate(_looks(names).items()):
            if (name, metric.name) not in cells.index:
                continue
            each = cells.loc[(name, metric.name)]
            videos = summary.videos.loc[summary.videos["predictor"] == name, metric.name]
            axes.plot(videos, np.full(len(videos), row), marker, color=colour, alpha=0.25, markersize=3)
            axes.plot([each.low, each.high], [row, row], color=colour, linewidth=2)
            axes.plot([each["mean"]], [row], marker, color=colour, markersize=6)
        _bare(axes)
        axes.set_title(f"{metric.name} {'→' if metric.higher_is_better else '←'}", fontsize=9)
        axes.set_xlabel(_UNITS.get(metric.name, ""), fontsize=8)
        axes.set_yticks(range(len(names)), names if metric is summary.metrics[0] else [])
        axes.set_ylim(len(names) - 0.5, -0.5)
    return figure


def timelines(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw NSS over the frames of the videos in which the first prediction scores worst.

    Args:
        tables: tables of frame scores, by the name of the prediction.
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
    own = cycle(_PREDICTIONS)
    return {name: _BASELINES.get(name) or next(own) for name in names}


def _bare(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


_WORST = 6
_WIDTH = 320


class Worst(NamedTuple):
    """Describe one of the worst-scored frames.

    Attributes:
        video: its name.
        frame: its name.
        nss: its score.
        picture: (H, 2W, 3) RGB: the ground truth beside the prediction.
    """

    video: str
    frame: str
    nss: float
    picture: Image


def as_html(summary: Summary, frames: pd.DataFrame, pairs: Sequence[Pair]) -> str:
    """Return the page: figures with intervals, plots, videos, and the worst-scored frames."""
    means, intervals = summary.texts()
    videos = summary.videos[summary.videos["predictor"] == PREDICTION].sort_values("NSS")
    return template("report.html").render(
        headline=summary.headline(),
        notes=summary.notes(),
        metrics=summary.metrics,
        figures={name: zip(means.loc[name], intervals.loc[name], strict=True) for name in means.index},
        plot=as_address(_png(set_plots(summary)), "png"),
        timelines=as_address(_png(timelines({PREDICTION: frames})), "png"),
        videos=[(row["video"], row["frames"], [as_text(row[name]) for name in means]) for _, row in videos.iterrows()],
        worst=[(each, as_address(as_jpeg(each.picture), "jpeg")) for each in worst_frames(frames, pairs)],
        settings=summary.settings,
    )


def worst_frames(frames: pd.DataFrame, pairs: Sequence[Pair]) -> list[Worst]:
    """Return the frames with the lowest NSS, at most one per video; videos that do not decode are left out."""
    rows = frames[(frames["predictor"] == PREDICTION) & frames["NSS"].notna()].sort_values(["NSS", "video", "index"])
    chosen = rows.drop_duplicates("video").head(_WORST)
    pair_of = {pair.video.name: pair for pair in pairs}
    found = []
    for video, name, index, nss in zip(*(chosen[each] for each in ("video", "frame", "index", "NSS")), strict=True):
        pair = pair_of[video]
        (saliency,) = pair.maps.read([index])
        with suppress(BadInput):  # the scores stand without the picture of a video that does not decode
            for frame in islice(pair.video.frames(), index, index + 1):
                picture = _beside(frame.image, pair.video.truth(index), saliency)
                found.append(Worst(video, name, nss, picture))
    return found


def _beside(image: Image, truth: GroundTruth | None, saliency: Map) -> Image:
    """Return the ground-truth map, with a ring around every fixated pixel, beside the prediction."""
    assert truth is not None
    size = (round(_WIDTH * image.shape[0] / image.shape[1]), _WIDTH)
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    greys = [to_grey(each.astype(np.float32), size) for each in (truth.saliency, saliency)]
    looked, predicted = (draw(small, grey, Drawing()) for grey in greys)
    points = places_of(truth.fixations)[:, ::-1] * size[::-1]
    return np.hstack([mark_points(looked, points), predicted])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
