"""Scoring a stretch of one video, in whatever process: the unit of work, of progress and of resuming."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from tinyhd_lib.data.datasets import DHF1K_SIGMA
from tinyhd_lib.data.gaze import GroundTruth, as_fixations, places_of
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.baselines import half_truths, halves
from tinyhd_lib.evaluation.options import PROTOCOLS
from tinyhd_lib.evaluation.predictions import Maps
from tinyhd_lib.evaluation.scores import Target, score
from tinyhd_lib.files import fingerprint, write_atomically
from tinyhd_lib.metrics.arrays import resize
from tinyhd_lib.overlap import keep_freed_memory

CHANCE, CENTRE, PREDICTION, CEILING = "chance", "centre bias", "prediction", "half of the observers"
PREDICTORS = (CHANCE, CENTRE, PREDICTION, CEILING)
"""The rows of every table: from knowing nothing, over the prediction, to knowing half of the observers."""

# Raised when scores change, so that none of an older version are taken over.
_VERSION = 5


@dataclass(frozen=True)
class Task:
    """Name some frames of one video that are to be scored.

    Attributes:
        video: of a data set.
        indices: of its frames, ascending.
        maps: the predictions.
        centre: a centre bias, of any size.
        others: where people looked in other videos, see `other_fixations`; None without.
        others_know_centre: whether the centre bias was learnt from those videos: then its shuffled AUC, whose false
            alarms are drawn from what it knows, says nothing.
        protocol: a name of `PROTOCOLS`.
        matched: whether densities are also scored by the maps that they call for, see `MATCHED`.
        seed: of everything that is drawn.
    """

    video: Video
    indices: tuple[int, ...]
    maps: Maps
    centre: Map
    others: np.ndarray | None
    others_know_centre: bool
    protocol: str
    matched: bool
    seed: int

    def key(self) -> str:
        """Return the name of its result: a hash of everything that decides it."""
        stated = {
            "version": _VERSION,
            "video": [self.video.split, self.video.name],
            "viewing": self.video.viewing and asdict(self.video.viewing),
            "indices": self.indices,
            "truth": fingerprint(self._truth_files()),
            "predictions": fingerprint(self.maps.sources(self.indices)),
            "how": [self.others_know_centre, self.protocol, self.matched, self.seed],
        }
        digest = hashlib.sha256(json.dumps(stated).encode())
        digest.update(self.centre.tobytes())
        digest.update(b"" if self.others is None else self.others.tobytes())
        return digest.hexdigest()

    def _truth_files(self) -> list[Path]:
        if self.video.gaze is not None:
            return [self.video.gaze]
        return [path for index in self.indices for path in self.video.truth_files(index) or ()]


def run_task(job: tuple[Task, Path]) -> int:
    """Score a task's frames into a Parquet file, all at once; return how many frames they were.

    Args:
        job: the task, and the file.

    Raises:
        BadInput: a prediction or its ground truth cannot be read.
    """
    task, place = job
    if not place.exists():
        keep_freed_memory()
        write_atomically(place, pd.DataFrame(_rows(task)).to_parquet(index=False))
    return len(task.indices)


def _rows(task: Task) -> list[dict[str, Any]]:
    parts, centre = halves(task.video, task.seed), task.centre
    rows = []
    for index, saliency in task.maps.read(task.indices):
        truth = task.video.truth(index)
        if truth is None:
            raise BadInput(f"{task.video.name}: the ground truth of frame {task.video.names[index]} went missing")
        size = truth.fixations.shape
        others = None if task.others is None else as_fixations(task.others, size)
        if centre.shape != size:
            centre = resize(task.centre, size)
        baseline = None if saliency.dtype == np.uint8 else centre  # grey levels are stretched, and no density
        sigma = _sigma(task.video, size[1]) if task.matched else None
        if task.matched and baseline is None:
            raise BadInput(f"{task.video.name}: `matched` is for densities, not for 8-bit maps; make .npz or 16 bits")
        target = Target(truth, others, PROTOCOLS[task.protocol], baseline, sigma)
        predictions = {CHANCE: np.zeros(size), CENTRE: centre, PREDICTION: saliency}
        found = {predictor: score(each, target) for predictor, each in predictions.items()}
        if parts is not None:
            found[CEILING] = _ceiling(half_truths(task.video, parts, index), target)
        if task.others_know_centre:
            found[CENTRE]["sAUC"] = float("nan")
        about = {
            "video": task.video.name,
            "frame": task.video.names[index],
            "index": index,
            "fixations": int(truth.fixations.sum()),
            "at_zeros": bool((saliency[as_fixations(places_of(truth.fixations), saliency.shape)] <= 0).any()),
            "truth": crc32(truth.fixations.tobytes(), crc32(truth.saliency.tobytes())),
        }
        rows += [{"predictor": predictor, **about, **scores} for predictor, scores in found.items()]
    return rows


def _sigma(video: Video, width: int) -> float:
    """Return how far a fixation spreads in the saliency maps of gaze, or of DHF1K, in pixels."""
    return DHF1K_SIGMA * width if video.viewing is None else video.viewing.sigma


def _ceiling(truths: list[GroundTruth], target: Target) -> dict[str, float]:
    """Return how well either half of the observers predicts the other, on average."""
    first, second = (
        score(map_of.saliency, replace(target, truth=held_against))
        for map_of, held_against in (truths, reversed(truths))
    )
    return {name: (first[name] + second[name]) / 2 for name in first}
