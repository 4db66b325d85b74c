"""An evaluation as one HTML page that needs no other file, with the frames that went worst."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.plan import Pair
from tinyhd_lib.evaluation.plots import set_plots, timelines
from tinyhd_lib.evaluation.scores import METRICS, NAMES
from tinyhd_lib.evaluation.summary import Summary
from tinyhd_lib.evaluation.tasks import PREDICTION
from tinyhd_lib.prediction.map_files import own_bounds
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import draw

_WORST = 6
_WORST_OF_A_VIDEO = 2
_APART = 25
_WIDTH = 320


@dataclass(frozen=True)
class Worst:
    """Show a frame that went badly.

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


def as_html(summary: Summary, frames: pd.DataFrame, pairs: Sequence[Pair]) -> str:
    """Return the page: figures with intervals, plots, videos, and the frames that went worst."""
    environment = Environment(
        loader=PackageLoader("tinyhd_lib.evaluation", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    means, intervals = summary.texts()
    videos = summary.videos[summary.videos["predictor"] == PREDICTION].sort_values("NSS")
    return environment.get_template("report.html").render(
        headline=summary.headline(),
        notes=summary.notes(),
        metrics=METRICS,
        figures={name: zip(means.loc[name], intervals.loc[name], strict=True) for name in means.index},
        plot=_as_data(_png(set_plots(summary)), "png"),
        timelines=_as_data(_png(timelines({PREDICTION: frames})), "png"),
        videos=[(row["video"], row["frames"], [f"{row[name]:.3f}" for name in NAMES]) for _, row in videos.iterrows()],
        worst=[(each, _as_data(as_jpeg(each.picture), "jpeg")) for each in worst_frames(frames, pairs)],
        settings={name: _said(value) for name, value in summary.settings.items() if value not in (None, [], {})},
    )


def worst_frames(frames: pd.DataFrame, pairs: Sequence[Pair]) -> list[Worst]:
    """Return the frames of lowest NSS: at most two of a video, and those apart; none of videos that do not decode."""
    rows = frames[(frames["predictor"] == PREDICTION) & frames["NSS"].notna()].sort_values(["NSS", "video", "index"])
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
    """Return the labels of the first rows of each video that are not of neighbouring frames."""
    taken: dict[str, list[int]] = {}
    labels = []
    for label, video, index in zip(rows.index, rows["video"], rows["index"], strict=True):
        others = taken.setdefault(video, [])
        if len(others) < _WORST_OF_A_VIDEO and all(abs(index - other) >= _APART for other in others):
            others.append(index)
            labels.append(label)
    return labels


def _images(video: Video, indices: set[int]) -> dict[int, Image]:
    found: dict[int, Image] = {}
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
    """Return where people looked, with a ring around every fixated pixel, beside the prediction."""
    truth = pair.video.truth(index)
    assert truth is not None
    size = (round(_WIDTH * image.shape[0] / image.shape[1]), _WIDTH)
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    looked, predicted = (
        draw(small, to_grey(each.astype(np.float32), size, own_bounds(each)), Drawing())
        for each in (truth.saliency, maps[index])
    )
    for row, column in np.argwhere(truth.fixations) * np.divide(size, truth.fixations.shape):
        cv2.circle(looked, (round(column), round(row)), 2, (255, 255, 255), 1, cv2.LINE_AA)
    return np.hstack([looked, predicted])


def _said(value: Any) -> str:
    """Return a setting in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _as_data(content: bytes, kind: str) -> str:
    """Return an image file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
