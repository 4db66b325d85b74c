"""The pictures of a report: figures with intervals, scores over time, and the frames that went worst."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Plot

from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.plan import Pair
from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.summary import Summary
from tinyhd_lib.evaluation.tasks import CEILING, PREDICTION
from tinyhd_lib.maps import own_bounds
from tinyhd_lib.overlay import Style, draw

# Okabe and Ito's colours, which the colour-blind tell apart; each predictor has a marker of its own besides.
_LOOKS = (("#999999", "o"), ("#e69f00", "s"), ("#0072b2", "D"), ("#009e73", "^"))
_MOST_TIMELINES = 6
_WORST = 6
_WORST_OF_A_VIDEO = 2
_APART = 25
_WIDTH = 320


@dataclass(frozen=True)
class Worst:
    """A frame that went badly.

    Attributes:
        video: its name.
        frame: its name.
        nss: its score.
        picture: (H, 2W, 3) RGB: where people looked, and the prediction.
    """

    video: str
    frame: str
    nss: float
    picture: Image


def plot_figures(summary: Summary) -> bytes:
    """PNG: every metric's mean and interval for each predictor, with its videos as faint points."""
    plot = Plot(figsize=(12, 2.2), layout="constrained")
    names = list(summary.figures)
    for axes, metric in zip(plot.subplots(1, len(METRICS)), METRICS, strict=True):
        for row, name in enumerate(names):
            colour, marker = _LOOKS[row]
            each = summary.figures[name][metric.name]
            videos = summary.videos.loc[summary.videos["predictor"] == name, metric.name]
            axes.plot(videos, np.full(len(videos), row), marker, color=colour, alpha=0.25, markersize=3)
            axes.plot([each.low, each.high], [row, row], color=colour, linewidth=2)
            axes.plot([each.mean], [row], marker, color=colour, markersize=6)
        axes.set_title(f"{metric.name} {'→' if metric.higher_is_better else '←'}", fontsize=9)
        axes.set_yticks(range(len(names)), names if metric is METRICS[0] else [])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return _png(plot)


def plot_timelines(table: pd.DataFrame) -> bytes:
    """PNG: NSS over the frames of the videos that went worst."""
    rows = table[table["predictor"] == PREDICTION]
    worst = list(rows.groupby("video")["NSS"].mean().sort_values().index[:_MOST_TIMELINES])
    plot = Plot(figsize=(12, 1.5 * len(worst) + 0.4), layout="constrained")
    for axes, video in zip(np.atleast_1d(plot.subplots(len(worst), 1)), worst, strict=True):
        for name, (colour, style) in {CEILING: ("#009e73", ":"), PREDICTION: ("#0072b2", "-")}.items():
            line = table[(table["predictor"] == name) & (table["video"] == video)]
            if len(line):
                axes.plot(line["index"], line["NSS"], style, color=colour, linewidth=1, label=name)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.set_ylabel("NSS", fontsize=8)
        axes.set_title(str(video), fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("frame, from 0" if video == worst[-1] else "", fontsize=8)
    plot.axes[0].legend(fontsize=8, loc="upper right")
    return _png(plot)


def worst_frames(table: pd.DataFrame, pairs: Sequence[Pair]) -> list[Worst]:
    """The frames of lowest NSS, drawn: at most two of a video, and those apart; none of videos that do not decode."""
    rows = table[(table["predictor"] == PREDICTION) & table["NSS"].notna()].sort_values(["NSS", "video", "index"])
    chosen = rows.loc[_apart(rows)].head(_WORST)
    pair_of = {pair.video.name: pair for pair in pairs}
    found = []
    for video, part in chosen.groupby("video", sort=False):
        pair = pair_of[str(video)]
        images = _images(pair.video, set(part["index"]))
        maps = dict(pair.maps.read(sorted(images)))
        found += [
            Worst(str(video), row["frame"], float(row["NSS"]), _beside(pair, row["index"], images[row["index"]], maps))
            for _, row in part.iterrows()
            if row["index"] in images
        ]
    return sorted(found, key=lambda each: each.nss)


def _apart(rows: pd.DataFrame) -> list[int]:
    """The labels of the first rows of each video that are not of neighbouring frames."""
    taken: dict[str, list[int]] = {}
    labels = []
    for label, video, index in zip(rows.index, rows["video"], rows["index"], strict=True):
        others = taken.setdefault(video, [])
        if len(others) < _WORST_OF_A_VIDEO and all(abs(index - other) >= _APART for other in others):
            others.append(index)
            labels.append(label)
    return labels


def _images(video: Video, indices: set[int]) -> dict[int, Image]:
    found = {}
    try:
        for frame in video.frames():
            if frame.index in indices:
                found[frame.index] = frame.image
            if len(found) == len(indices):
                break
    except BadInput:  # scores need no pictures
        return found
    return found


def _beside(pair: Pair, index: int, image: Image, maps: dict[int, Map]) -> Image:
    """Where people looked, with a ring around every fixated pixel; and the prediction."""
    truth = pair.video.truth(index)
    assert truth is not None
    size = (round(_WIDTH * image.shape[0] / image.shape[1]), _WIDTH)
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    style = Style()
    looked, predicted = (
        draw(small, to_grey(each.astype(np.float32), size, own_bounds(each)), style)
        for each in (truth.saliency, maps[index])
    )
    for row, column in np.argwhere(truth.fixations) * np.divide(size, truth.fixations.shape):
        cv2.circle(looked, (round(column), round(row)), 2, (255, 255, 255), 1, cv2.LINE_AA)
    return np.hstack([looked, predicted])


def as_data(content: bytes, kind: str) -> str:
    """An image file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _png(plot: Plot) -> bytes:
    buffer = io.BytesIO()
    plot.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
