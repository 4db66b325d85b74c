"""Plan an evaluation: pair predictions with ground truth, choose frames, and learn the baselines."""

from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from tinyhd_lib.data.datasets import Dataset, check_names
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.gaze import places_of
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.engine import Client, results
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.options import PROTOCOLS, EvaluateOptions
from tinyhd_lib.evaluation.predictions import Maps, find_maps, read_any_map
from tinyhd_lib.evaluation.tasks import Task, centre_bias, mean_truth, other_fixations

# Frames per task: seconds of work, the most that an interruption may cost.
_STRETCH = 64


class Pair(NamedTuple):
    """Pair a video with its predictions.

    Attributes:
        video: of the data set.
        maps: its predicted maps.
        known: indices of the frames whose ground truth is known.
        missing: indices of the frames that lack a map.
    """

    video: Video
    maps: Maps
    known: list[int]
    missing: set[int]


class Plan(NamedTuple):
    """Describe what is to be scored.

    Attributes:
        tasks: the units of work.
        pairs: one for each video.
        centre: a phrase that says what the centre bias was learnt from.
    """

    tasks: tuple[Task, ...]
    pairs: tuple[Pair, ...]
    centre: str


def make_plan(
    options: EvaluateOptions, dataset: Dataset, videos: Sequence[Video], client: "Client | None" = None
) -> Plan:
    """Pair maps with ground truth, choose frames and learn the baselines.

    Args:
        options: what is scored, and how.
        dataset: the data set with all splits: a centre bias is learnt from the training split.
        videos: its videos that are scored.
        client: of a cluster, which reads the ground truth that a centre bias is learnt from; None for this process.

    Raises:
        BadInput: predictions or ground truth are missing, or do not fit each other.
    """
    predictions = options.predictions
    if not predictions.is_dir():
        raise BadInput(f"{predictions}: no such folder; tinyhd generate makes one, with a folder for each video")
    if options.emd and not find_spec("ot"):
        raise BadInput("`emd`: needs POT (pip install -e '.[emd]' from the checkout)")
    check_names((video.name for video in videos), "choose one split by `split`")
    _check_patterns(videos, options.allow_missing)
    pairs = [_pair(video, options) for video in tqdm(videos, "finding maps", unit=" videos", leave=False)]
    centres, source, from_others = _centres(dataset, videos, client)
    shuffled = _shuffled(options.shuffle) if options.shuffle else None
    others_know_centre = from_others and shuffled is None
    tasks: list[Task] = []
    for number, frames in tqdm(_choose(pairs, options).items(), "false alarms", unit=" videos", leave=False):
        pair = pairs[number]
        others = other_fixations(videos, number, options.seed) if shuffled is None else shuffled
        whole = Task(pair.video, tuple(frames), pair.maps, centres[number], others, others_know_centre, options)
        # A video of maps can only be decoded from its start, so one task reads all of it.
        stretch = len(frames) if pair.maps.video else _STRETCH
        starts = range(0, len(frames), stretch)
        tasks += [whole._replace(indices=whole.indices[start : start + stretch]) for start in starts]
    if not tasks:
        raise BadInput(f"{predictions}: no map belongs to a frame whose ground truth is known; nothing to score")
    return Plan(tuple(tasks), tuple(pairs), source)


def _shuffled(path: Path) -> np.ndarray:
    """Return the fixations that a map of counts holds: (n, 2), row and column as fractions of height and width."""
    places = places_of(read_any_map(path, kinds="bfiu") > 0)
    if not len(places):
        raise BadInput(f"{path}: holds no fixation; `shuffle` takes a map of those of other videos")
    return places


def _pair(video: Video, options: EvaluateOptions) -> Pair:
    if not video.has_truth:
        raise BadInput(f"{video.name}: where people looked is not known; score a split that has ground truth")
    count = len(video.names)
    known = [index for index in range(count) if video.gaze is not None or video.truth_files(index) is not None]
    maps = find_maps(options.predictions, video, options.first, optional=_is_allowed(options.allow_missing, video.name))
    missing = set() if maps.video else set(known[:: options.every]).difference(maps.files)
    lacking = [video.names[index] for index in sorted(missing)]
    barred = [frame for frame in lacking if not _is_allowed(options.allow_missing, video.name, f"{video.name}/{frame}")]
    if barred:
        told = f"{len(barred)} of {count} frames have no map, the first is {barred[0]}; make them, or allow it by name"
        raise BadInput(f"{options.predictions / video.name}: {told}: `allow_missing` {video.name!r}")
    return Pair(video, maps, known, missing)


def _is_allowed(patterns: Sequence[str], *names: str) -> bool:
    return any(name == pattern or fnmatch(name, pattern) for name in names for pattern in patterns)


def _check_patterns(videos: Sequence[Video], patterns: Sequence[str]) -> None:
    """Refuse a pattern that matches no video or frame, since it must be a typing mistake."""
    names = [each for video in videos for each in (video.name, *(f"{video.name}/{frame}" for frame in video.names))]
    for pattern in patterns:
        if not _is_allowed([pattern], *names):
            raise BadInput(f"`allow_missing` {pattern!r}: there is no such video or frame")


def _choose(pairs: Sequence[Pair], options: EvaluateOptions) -> dict[int, list[int]]:
    """Return the indices of the frames to score, by their video's number: the same for all complete predictions."""
    candidates = [(number, index) for number, pair in enumerate(pairs) for index in pair.known[:: options.every]]
    chosen: dict[int, list[int]] = {}
    most = PROTOCOLS[options.protocol].most_frames if options.averaged == "pooled" else None
    for position in chosen_frames(len(candidates), most, options.seed):
        number, index = candidates[position]
        if index not in pairs[number].missing:
            chosen.setdefault(number, []).append(index)
    return chosen


def chosen_frames(frames: int, most: int | None, seed: int) -> np.ndarray:
    """Return the indices of at most ``most`` of a set's frames, drawn at random: the benchmark's rule."""
    if most is None or frames <= most:
        return np.arange(frames)
    return np.sort(np.random.default_rng(seed).choice(frames, most, replace=False))


def _centres(dataset: Dataset, videos: Sequence[Video], client: "Client | None") -> tuple[list[Map], str, bool]:
    """Return a centre bias for each video, a phrase for what it was learnt from, and if that is the other videos."""
    fitted = None if dataset.kind.fitted in {video.split for video in videos} else dataset.kind.fitted
    apart = [each for each in dataset.videos if each.has_truth and each.split == fitted]
    learning = apart or videos
    means = list(tqdm(results(mean_truth, learning, client), "centre bias", len(learning), unit=" videos", leave=False))
    learnt = sum(mean is not None for mean in means)
    if apart:
        return [centre_bias(means)] * len(videos), f"learnt from {learnt} videos of {fitted}", False
    maps = [centre_bias(means, without=number) for number in range(len(videos))]
    if learnt < 2:
        return maps, "uniform, for there is nothing to learn it from", False
    return maps, "learnt from the other videos", True
