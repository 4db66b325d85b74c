"""The pictures of a report: the frames that went worst, and any picture as a part of a page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.plan import Pair
from tinyhd_lib.evaluation.tasks import PREDICTION
from tinyhd_lib.prediction.map_files import own_bounds
from tinyhd_lib.prediction.overlay import Style, draw

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
