"""Score some frames of one video, the unit of work, progress and resuming, together with three reference predictors.

These are chance, a centre bias, and one half of the observers as a predictor of the other.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import cv2
import numpy as np
import pandas as pd

from tinyhd_lib import metrics
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.gaze import Gaze, GroundTruth, as_fixations, places_of, read_gaze, truth_of
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.options import PROTOCOLS, EvaluateOptions
from tinyhd_lib.evaluation.predictions import Maps
from tinyhd_lib.evaluation.scores import Target, score, spread_of
from tinyhd_lib.files import digest_of, fingerprint, is_whole, write_atomically
from tinyhd_lib.metrics.arrays import Prepared
from tinyhd_lib.overlap import keep_freed_memory

CENTRE_SIZE = (90, 160)
"""The size (height, width) at which a centre bias is learnt, whatever the videos' sizes."""

CENTRE_FRAMES = 16
OTHER_FRAMES = 10


def annotated_frames(video: Video, most: int) -> list[int]:
    """Return the indices of up to ``most`` frames, evenly spaced."""
    count = len(video.names)
    return sorted({round(position) for position in np.linspace(0, count - 1, min(most, count))})


def mean_truth(video: Video) -> Map | None:
    """Return (90, 160): the mean of a video's saliency maps, each of sum 1; None if all of them are empty."""
    truths = [video.truth(index) for index in annotated_frames(video, CENTRE_FRAMES)]
    maps = [truth.saliency for truth in truths if truth is not None and truth.saliency.any()]
    small = [_shrink(each.astype(np.float64)) for each in maps]
    return np.mean([each / each.sum() for each in small], axis=0) if small else None


def _shrink(saliency: Map) -> Map:
    """Return a map at `CENTRE_SIZE`; one side at a time, since OpenCV averages no area where the other side grows."""
    rows = cv2.resize(saliency, (saliency.shape[1], CENTRE_SIZE[0]), interpolation=cv2.INTER_AREA)
    return cv2.resize(rows, CENTRE_SIZE[::-1], interpolation=cv2.INTER_AREA)


def centre_bias(means: Sequence[Map | None], without: int | None = None) -> Map:
    """Return the mean of the videos' mean maps; uniform if there are none.

    Args:
        means: of `mean_truth`.
        without: a video to leave out, where there is no training split to learn from.
    """
    others = [each for index, each in enumerate(means) if each is not None and index != without]
    return np.mean(others, axis=0) if others else np.ones(CENTRE_SIZE)


def other_fixations(videos: Sequence[Video], without: int, seed: int) -> np.ndarray:
    """Return fixations of up to ten frames of other videos: (n, 2), row and column as fractions of height and width.

    Empty, (0, 2), if there is no other video, or the drawn frames have no ground truth. Frames are drawn from the
    videos in turn, so that each has its share.
    """
    others = [video for index, video in enumerate(videos) if index != without]
    rng = np.random.default_rng([seed, crc32(os.fsencode(videos[without].name))])
    chosen = [others[index] for index in rng.permutation(len(others))[:OTHER_FRAMES]]
    drawn = islice(cycle(chosen), OTHER_FRAMES)
    truths = [video.truth(int(rng.integers(len(video.names)))) for video in drawn]
    places = [places_of(truth.fixations) for truth in truths if truth is not None]
    return np.concatenate([np.empty((0, 2)), *places])


def halves(video: Video, seed: int) -> tuple[Gaze, Gaze] | None:
    """Return a video's observers in two halves, drawn at random; None where fewer than two are known."""
    if video.gaze is None:
        return None
    gaze = read_gaze(video.gaze)
    observers = np.unique(gaze.observer)
    if len(observers) < 2:
        return None
    rng = np.random.default_rng([seed, crc32(os.fsencode(video.name))])
    first, second = np.split(rng.permutation(observers), [len(observers) // 2])
    return gaze.of(first), gaze.of(second)


CHANCE, CENTRE, PREDICTION, CEILING = "chance", "centre bias", "prediction", "half of the observers"
PREDICTORS = (CHANCE, CENTRE, PREDICTION, CEILING)
"""The rows of every table, from the one that knows nothing to the one that knows half of the observers."""

# Raise this when scores change, so that those of an older version are not reused.
_VERSION = 6


class Task(NamedTuple):
    """Describe some frames of one video that are to be scored.

    Attributes:
        video: of a data set.
        indices: of its frames, ascending.
        maps: the predictions.
        centre: a centre bias, of any size.
        others: fixations in other videos, see `other_fixations`.
        others_know_centre: whether the centre bias was learnt from those videos: then its shuffled AUC is meaningless,
            since the negatives come from the bias's own training data.
        options: how it is scored: by its ``protocol``, ``matched`` and ``seed``.
    """

    video: Video
    indices: tuple[int, ...]
    maps: Maps
    centre: Map
    others: np.ndarray
    others_know_centre: bool
    options: EvaluateOptions

    def key(self) -> str:
        """Return the name of its result: a hash of everything that the result depends on."""
        video, options = self.video, self.options
        pictures = [path for index in self.indices for path in video.truth_files(index) or ()]
        how = options.protocol, options.matched, options.emd, options.seed
        stated = video.split, video.name, video.viewing, self.indices, how
        files = fingerprint([video.gaze] if video.gaze else pictures), fingerprint(self.maps.sources(self.indices))
        arrays = [sha256(each.tobytes()).hexdigest() for each in (self.centre, self.others)]
        return digest_of(str(_VERSION), repr(stated), *files, *arrays)


def run_task(job: tuple[Task, Path]) -> int:
    """Score a task's frames into a Parquet file, written atomically; return the number of frames.

    Args:
        job: the task, and the file.

    Raises:
        BadInput: a prediction or its ground truth cannot be read.
    """
    task, place = job
    if not is_whole(place):
        keep_freed_memory()
        write_atomically(place, pd.DataFrame(_rows(task)).to_parquet(index=False))
    return len(task.indices)


def _rows(task: Task) -> list[dict[str, Any]]:
    options, viewing = task.options, task.video.viewing

    @lru_cache(maxsize=1)  # a video's frames hardly ever differ in size
    def baselines(size: tuple[int, int]) -> tuple[Prepared, Prepared]:
        return metrics.prepare(np.zeros(size)), metrics.prepare(task.centre, size)

    parts = halves(task.video, options.seed)
    rows = []
    for index, saliency in zip(task.indices, task.maps.read(task.indices), strict=True):
        truth = task.video.truth(index)
        if truth is None:
            raise BadInput(f"{task.video.name}: the ground truth of frame {task.video.names[index]} went missing")
        size = truth.fixations.shape
        chance, centre = baselines(size)
        baseline = None if saliency.dtype == np.uint8 else centre  # 8-bit grey levels are stretched: no density
        spread = (viewing.sigma if viewing else spread_of(truth)) if options.matched else None
        if options.matched and baseline is None:
            raise BadInput(f"{task.video.name}: `matched` is for densities, not for 8-bit maps; make .npz or 16 bits")
        others = metrics.prepare_fixations(as_fixations(task.others, size))
        target = Target(truth, others, PROTOCOLS[options.protocol], baseline, spread, options.emd)
        found = {CHANCE: score(chance, target), CENTRE: score(centre, target), PREDICTION: score(saliency, target)}
        if parts is not None:
            found[CEILING] = _ceiling([truth_of(part.at(index), viewing) for part in parts], target)
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


def _ceiling(truths: list[GroundTruth], target: Target) -> dict[str, float]:
    """Return how well either half of the observers predicts the other, on average."""
    one, other = (replace(target, truth=truth) for truth in truths)
    first, second = score(one.saliency, other), score(other.saliency, one)
    return {name: (first[name] + second[name]) / 2 for name in first}
