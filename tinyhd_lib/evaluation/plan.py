"""What is to be scored: predictions paired with ground truth, frames chosen, baselines learnt."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from tinyhd_lib.data.datasets import Dataset, check_names
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.baselines import centre_bias, mean_truth, other_fixations
from tinyhd_lib.evaluation.predictions import Maps, NoMaps, find_maps
from tinyhd_lib.evaluation.statistics import AVERAGINGS, chosen_frames
from tinyhd_lib.evaluation.tasks import Task
from tinyhd_lib.metrics import DIALECTS, Dialect
from tinyhd_lib.overlap import MapFunction

# Frames a task: seconds of work, which is what an interruption may cost.
_STRETCH = 64


@dataclass(frozen=True)
class Rules:
    """How to evaluate.

    Args:
        dialect: a name of `tinyhd_lib.metrics.DIALECTS`.
        averaging: one of `AVERAGINGS`; the dialect's own if None.
        every: score every so many frames.
        min_fixations: leave out frames with fewer fixated pixels.
        first: the number of the first frame in the predictions' file names; as the data set's own if None.
        allow_missing: patterns of videos (``0601``) or frames (``0601/00*``) that may lack a map.
        seed: of everything that is drawn.

    Raises:
        BadInput: a value is none of these.
    """

    dialect: str = "dhf1k"
    averaging: str | None = None
    every: int = 1
    min_fixations: int = 1
    first: int | None = None
    allow_missing: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise BadInput(f"dialect {self.dialect!r}: there are {', '.join(DIALECTS)}")
        if self.averaging is not None and self.averaging not in AVERAGINGS:
            raise BadInput(f"averaging {self.averaging!r}: there are {', '.join(AVERAGINGS)}")
        for name, value, least in (("every", self.every, 1), ("seed", self.seed, 0)):
            if value < least:
                raise BadInput(f"{name} {value}: at least {least}")
        if self.min_fixations < 1:
            raise BadInput(f"min-fixations {self.min_fixations}: at least 1, no metric is defined without")

    @property
    def row(self) -> Dialect:
        """The dialect."""
        return DIALECTS[self.dialect]

    @property
    def averaged(self) -> str:
        """How frames become a figure of the set."""
        return self.averaging or self.row.averaging

    @property
    def most_frames(self) -> int | None:
        """How many frames of the set are scored at most."""
        return self.row.most_frames if self.averaged == "pooled" else None


@dataclass(frozen=True)
class Evaluation:
    """What is scored, and how.

    Attributes:
        predictions: a folder with a folder or film of maps for each video.
        dataset: all splits of the data set: a centre bias is learnt from the training split.
        split: which one to score, None for all.
        rules: how.
    """

    predictions: Path
    dataset: Dataset
    split: str | None
    rules: Rules


@dataclass(frozen=True)
class Pair:
    """A video with its predictions.

    Attributes:
        video: of the data set.
        maps: somebody's.
        known: indices of the frames whose ground truth is known.
        missing: indices of those that lack a map.
    """

    video: Video
    maps: Maps
    known: list[int]
    missing: set[int]

    @property
    def unannotated(self) -> int:
        """How many frames lack a ground truth."""
        return len(self.video.names) - len(self.known)


@dataclass(frozen=True)
class Plan:
    """What is to be scored.

    Attributes:
        tasks: the work.
        pairs: of all videos.
        centre: in words, what the centre bias was learnt from.
    """

    tasks: tuple[Task, ...]
    pairs: tuple[Pair, ...]
    centre: str


def make_plan(evaluation: Evaluation, run_all: MapFunction = map) -> Plan:
    """Pair maps with ground truth, choose frames and learn the baselines.

    Args:
        evaluation: what is scored.
        run_all: runs a function over videos.

    Raises:
        BadInput: predictions or ground truth are missing, or do not fit each other.
    """
    predictions, rules = evaluation.predictions, evaluation.rules
    if not predictions.is_dir():
        raise BadInput(f"{predictions}: no such folder; predictions are a folder with one for each video")
    videos = evaluation.dataset.of_split(evaluation.split).videos
    check_names(videos)
    _check_patterns(videos, rules)
    pairs = [_pair(predictions, video, rules) for video in videos]
    centres = _centres(evaluation.dataset, videos, run_all)
    tasks = []
    for number, frames in _choose(pairs, rules).items():
        pair, others = pairs[number], other_fixations(videos, number, rules.seed)
        # A film is decoded from its start, and once is enough.
        stretch = len(frames) if pair.maps.film else _STRETCH
        tasks += [
            Task(
                video=pair.video,
                indices=tuple(frames[start : start + stretch]),
                maps=pair.maps,
                centre=centres.maps[number],
                others=others,
                others_know_centre=centres.from_others,
                dialect=rules.dialect,
                seed=rules.seed,
            )
            for start in range(0, len(frames), stretch)
        ]
    if not tasks:
        raise BadInput(f"{predictions}: no map belongs to a frame whose ground truth is known; nothing to score")
    return Plan(tuple(tasks), tuple(pairs), centres.source)


def _pair(predictions: Path, video: Video, rules: Rules) -> Pair:
    if not video.has_truth:
        raise BadInput(f"{video.name}: where people looked is not known; score a split that has ground truth")
    count = len(video.names)
    known = [index for index in range(count) if video.gaze is not None or video.truth_files(index) is not None]
    try:
        maps = find_maps(predictions, video, rules.first)
    except NoMaps:
        if not any(_matches(video.name, pattern) for pattern in rules.allow_missing):
            raise
        maps = Maps({}, None, count)
    missing = set(maps.missing())
    barred = [video.names[index] for index in sorted(missing) if not _may_miss(video, index, rules)]
    if barred:
        raise BadInput(
            f"{predictions / video.name}: {len(barred)} of {count} frames have no map, the first is {barred[0]}; "
            f"make them, or allow it by name: --allow-missing {shlex.quote(video.name)}"
        )
    return Pair(video, maps, known, missing)


def _may_miss(video: Video, index: int, rules: Rules) -> bool:
    names = video.name, f"{video.name}/{video.names[index]}"
    return any(_matches(name, pattern) for name in names for pattern in rules.allow_missing)


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch(name, pattern)


def _check_patterns(videos: Sequence[Video], rules: Rules) -> None:
    """Refuse a name that allows nothing, and so was mistyped."""
    for pattern in rules.allow_missing:
        video, _, frame = pattern.rpartition("/")
        matching = [each for each in videos if _matches(each.name, pattern) or _matches(each.name, video)]
        if not any(_matches(each.name, pattern) or _has_frame(each, frame) for each in matching):
            raise BadInput(f"--allow-missing {pattern}: there is no such video or frame")


def _has_frame(video: Video, pattern: str) -> bool:
    return any(_matches(name, pattern) for name in video.names)


def _choose(pairs: Sequence[Pair], rules: Rules) -> dict[int, list[int]]:
    """The frames to be scored, by the number of their video: the same for all predictions, but for what these lack."""
    candidates = [(number, index) for number, pair in enumerate(pairs) for index in pair.known[:: rules.every]]
    chosen: dict[int, list[int]] = {}
    for position in chosen_frames(len(candidates), rules.most_frames, rules.seed):
        number, index = candidates[position]
        if index not in pairs[number].missing:
            chosen.setdefault(number, []).append(index)
    return chosen


def _centres(dataset: Dataset, videos: Sequence[Video], run_all: MapFunction) -> "_Centres":
    fitted = dataset.kind.fitted
    if fitted in dataset.splits and videos[0].split != fitted:
        means = list(run_all(mean_truth, dataset.of_split(fitted).videos))
        learnt = sum(mean is not None for mean in means)
        if learnt:
            return _Centres([centre_bias(means)] * len(videos), f"learnt from {learnt} videos of {fitted}")
    means = list(run_all(mean_truth, videos))
    maps = [centre_bias(means, without=number) for number in range(len(videos))]
    if sum(mean is not None for mean in means) < 2:
        return _Centres(maps, "uniform, for there is nothing to learn it from")
    return _Centres(maps, "learnt from the other videos", from_others=True)


class _Centres(NamedTuple):
    """A centre bias for each video, in words what it was learnt from, and whether that is the other videos."""

    maps: list[Map]
    source: str
    from_others: bool = False
