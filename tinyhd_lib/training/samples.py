"""What an epoch is made of: which clips, how each is varied, and the tensors that student and loss get.

Clips and variations are a pure function of the seed, the epoch and the position, which makes a training repeatable.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm

from tinyhd_lib.data import clips
from tinyhd_lib.data.clips import Clip, Source
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map, normalise
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.teachers import Teacher

logger = logging.getLogger(__name__)

_GREY = np.array((0.299, 0.587, 0.114), np.float32)


@dataclass(frozen=True)
class Sample:
    """A clip, and what happens to it on its way to the student.

    Attributes:
        clip: of a video.
        box: (top, left, height, width) of the part that is kept, each in parts of the whole.
        brightness: added to colours of 0 to 1.
        contrast: colours are spread about their mean by this.
        saturation: 0 for grey, 1 for as it is.
    """

    clip: Clip
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0


def epoch_samples(sources: Sequence[Source], recipe: Recipe, epoch: int) -> list[Sample]:
    """Return the samples of an epoch in their order.

    Every labelled video gives ``clips_per_video`` clips, and the auxiliary ones together ``auxiliary_ratio`` times as
    many; where nothing is labelled, it is the auxiliary videos that give ``clips_per_video`` each.
    """
    rng = np.random.default_rng((recipe.seed, epoch))
    labelled = [number for number, source in enumerate(sources) if source.labelled]
    auxiliary = [number for number, source in enumerate(sources) if not source.labelled]
    videos = [number for number in labelled or auxiliary for _ in range(_clips_of(sources[number], recipe))]
    if labelled and auxiliary:
        wanted = round(len(videos) * recipe.auxiliary_ratio)
        rounds = -(-wanted // len(auxiliary))
        drawn = [number for _ in range(rounds) for number in rng.permutation(auxiliary)]
        videos += drawn[:wanted]
    return [_sample(int(number), sources[number].count, recipe, rng) for number in rng.permutation(videos)]


def _clips_of(source: Source, recipe: Recipe) -> int:
    """Return how many clips an epoch draws from a video: as its folder says, else as the first or only one does."""
    folders = zip(recipe.labelled_dir, recipe.clips_per_video, strict=False)
    own = (wanted for folder, wanted in folders if source.video.source.is_relative_to(folder))
    return next(own, recipe.clips_per_video[0])  # a link may have led elsewhere


def _sample(video: int, count: int, recipe: Recipe, rng: np.random.Generator) -> Sample:
    speeds = [step for step in recipe.speeds if count > clips.clip_reach(step)] or [1]
    step = int(rng.choice(speeds))
    starts = clips.clip_starts(count, step, recipe.every)
    clip = Clip(video, int(rng.choice(starts)), step, flip=bool(rng.random() < 0.5))
    height, width = rng.uniform(recipe.crop, 1, 2) if recipe.crop < 1 else (1.0, 1.0)
    top, left = rng.random(2) * (1 - np.array([height, width]))
    low, high = 1 - 0.5 * recipe.colour, 1 + 0.5 * recipe.colour
    grey = rng.random() < 0.15 * recipe.colour
    return Sample(
        clip,
        box=(float(top), float(left), float(height), float(width)),
        brightness=float(rng.uniform(-0.2, 0.2) * recipe.colour),
        contrast=float(rng.uniform(low, high)),
        saturation=0.0 if grey else float(rng.uniform(low, high)),
    )


def clip_count(sources: Sequence[Source], recipe: Recipe) -> int:
    """Return how many different clips the recipe may ever draw, flips counted."""
    starts = (clips.clip_starts(source.count, step, recipe.every) for source in sources for step in recipe.speeds)
    return 2 * sum(map(len, starts))


def validation_clips(sources: Sequence[Source], most: int) -> list[Clip]:
    """Return evenly spaced clips of every video."""
    found = []
    for number, source in enumerate(sources):
        starts = clips.clip_starts(source.count, 1)
        places = np.linspace(0, len(starts) - 1, min(most, len(starts)))
        found += [Clip(number, starts[round(place)]) for place in places]
    return found


class LeftOut(set[str]):
    """Says of what cannot be read that it is left out, once, and remembers what it said."""

    def tell(self, error: BadInput) -> None:
        """Log a line, unless the same was said before."""
        if str(error) not in self:
            self.add(str(error))
            logger.warning("left out: %s", error)


@dataclass(eq=False)
class DistillationSet(TorchDataset[dict[str, Tensor]]):
    """The samples of an epoch as dicts of tensors: ``clip`` (3, 16, H, W) and targets (C, T, H, W).

    The place of a sample that cannot be read is taken by the next one that can.

    Args:
        sources: the videos.
        teacher: who answers for them, None for labels alone.
        samples: of the epoch.
        recipe: how they are made.
        left_out: tells what cannot be read.
    """

    sources: Sequence[Source]
    teacher: Teacher | None
    samples: Sequence[Sample]
    recipe: Recipe
    left_out: LeftOut = field(default_factory=LeftOut)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        """Return the sample of a place.

        Raises:
            BadInput: no sample of the epoch can be read.
        """
        for number in range(place, place + len(self)):
            try:
                return self._item(self.samples[number % len(self)])
            except BadInput as error:
                self.left_out.tell(error)
                reason = error
        raise BadInput(f"nothing to learn from: no clip of the epoch can be read ({reason})")

    def _item(self, sample: Sample) -> dict[str, Tensor]:
        clip, box, size = sample.clip, sample.box, self.recipe.size
        source, frames = self.sources[clip.video], output_frames(self.recipe.spec.outputs)
        cv2.setNumThreads(1)
        colours = vary(cut(clips.clip_frames(source, clip), box, size), sample)
        item = {"clip": colours.transpose(3, 0, 1, 2)}
        if any(each.labelled for each in self.sources):
            item["label"] = cut(clips.clip_truth(source, clip), box, size)[frames][None]
        for name, values in (self.teacher.targets(source, clip) if self.teacher else {}).items():
            chosen = values[:, frames] if values.shape[1] == CLIP_FRAMES else values
            sized = cut(chosen.reshape(-1, *chosen.shape[-2:]), box, size)
            item[name] = sized.reshape(*chosen.shape[:2], *size)
        return {name: torch.from_numpy(np.array(values, np.float32)) for name, values in item.items()}


def output_frames(outputs: int) -> slice:
    """Return which of a clip's frames a student's maps stand for: the last one that each of them covers."""
    every = CLIP_FRAMES // outputs
    return slice(every - 1, None, every)


def cut(images: Image, box: tuple[float, float, float, float], size: tuple[int, int]) -> Image:
    """Return a part of every picture (n, h, w) or (n, h, w, 3), at another size (n, H, W[, 3]).

    Args:
        images: of any type.
        box: (top, left, height, width) in parts of the whole.
        size: (H, W).
    """
    height, width = images.shape[1:3]
    top, left = round(box[0] * height), round(box[1] * width)
    return clips.resized(images[:, top : top + round(box[2] * height), left : left + round(box[3] * width)], size)


def vary(frames: Image, sample: Sample) -> Map:
    """Return frames (n, H, W, 3) uint8 in a sample's colours, normalised as a student wants them; float32."""
    colours = frames.astype(np.float32) / 255
    if (sample.brightness, sample.contrast, sample.saturation) != (0, 1, 1):
        grey = (colours @ _GREY)[..., None]
        colours = grey + sample.saturation * (colours - grey)
        mean = colours.mean()
        colours = (mean + sample.contrast * (colours - mean) + sample.brightness).clip(0, 1)
    return normalise(colours).astype(np.float32)


def open_sources(recipe: Recipe) -> tuple[list[Source], list[Source]]:
    """Open the videos to learn from and those to measure on; what cannot be read is left out, with a line.

    Raises:
        BadInput: a data set is not there, or nothing of it can be used.
    """
    make = clips.stored if recipe.store else clips.decoded
    datasets = [each for use in ("labelled", "auxiliary") for each in _datasets(recipe, use, f"{use}_split")]
    learnt: list[Source] = []
    for dataset in datasets:
        for each in dataset.skipped:
            logger.warning("skipped: %s: %s", each.path.name, each.reason)
        if recipe.store:
            gibibytes = clips.stored_bytes(dataset.videos) / 2**30
            logger.info("%s: up to %.1f GiB of decoded frames in the cache", dataset.root.name, gibibytes)
        learnt += [part for source in _usable(dataset.videos, make) for part in clips.without(source, recipe.exclude)]
    names = {video.name for dataset in datasets for video in dataset.videos}
    for entry in recipe.exclude:
        if entry.partition(":")[0] not in names:
            logger.warning("EXCLUDE %r: there is no such video, nothing is left out for it", entry)
    if not learnt:
        raise BadInput("nothing to learn from: every video was left out or cannot be read")
    if recipe.validation_split is None:
        return learnt, []
    seen = partial(make, view=recipe.validation_view)
    measured = _datasets(recipe, "labelled" if recipe.labelled else "auxiliary", "validation_split")
    return learnt, [source for dataset in measured for source in _usable(dataset.videos, seen)]


def _datasets(recipe: Recipe, use: str, split: str) -> list[Dataset]:
    """Return the data sets of a recipe for a use, one for each folder, or that of the kind's environment variable."""
    kind, folders = getattr(recipe, use), getattr(recipe, f"{use}_dir") or (None,)
    sigma = recipe.sigma if use == "labelled" else None
    return [open_dataset(kind, each, getattr(recipe, split), sigma_degrees=sigma) for each in folders] if kind else []


def _usable(videos: Sequence[Video], make: Callable[[Video], Source]) -> Iterator[Source]:
    for video in tqdm(videos, desc="decoding", unit=" videos", delay=2, leave=False):
        try:
            yield make(video)
        except BadInput as error:
            logger.warning("left out: %s", error)
