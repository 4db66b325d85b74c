"""The samples of an epoch: which clips, how each is augmented, and the tensors that student and loss get.

Clips and augmentations are a pure function of the seed, the epoch and the position, which makes a training repeatable.
Clips are loaded as they are stored, as uint8; they are cropped and coloured on the student's device (`varied`), so that
few cores keep up with a GPU.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm

from tinyhd_lib.data import clips
from tinyhd_lib.data.clips import Clip, Source
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.entries import Video
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.graph import normalised, planes
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.teachers import Teacher

logger = logging.getLogger(__name__)

_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Sample:
    """A clip with its augmentation.

    Attributes:
        clip: of a video.
        box: (top, left, height, width) of the crop, as fractions of the frame's sides.
        colours: brightness, added to colours from 0 to 1; contrast, a factor of their distance from the mean; and
            saturation, 0 for grey, 1 for unchanged.
    """

    clip: Clip
    box: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0)
    colours: tuple[float, ...] = (0.0, 1.0, 1.0)


def epoch_samples(sources: Sequence[Source], recipe: Recipe, epoch: int) -> list[Sample]:
    """Return the samples of an epoch, in order.

    Every labelled video contributes ``clips_per_video`` clips, and all auxiliary videos together ``auxiliary_ratio``
    times as many; if none is labelled, every auxiliary video contributes ``clips_per_video``.
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
    """Return how many clips an epoch draws from a video: the number of its folder, else the first or only one."""
    folders = zip(recipe.labelled_dir, recipe.clips_per_video, strict=False)
    own = (wanted for folder, wanted in folders if source.video.source.is_relative_to(folder))
    return next(own, recipe.clips_per_video[0])  # a symbolic link may lead out of the folder


def _sample(video: int, count: int, recipe: Recipe, rng: np.random.Generator) -> Sample:
    speeds = [step for step in recipe.speeds if count > clips.clip_reach(step)] or [1]
    step = int(rng.choice(speeds))
    starts = clips.clip_starts(count, step, recipe.every)
    clip = Clip(video, int(rng.choice(starts)), step, flip=bool(rng.random() < 0.5))
    height, width = rng.uniform(recipe.crop, 1, 2) if recipe.crop < 1 else (1.0, 1.0)
    top, left = rng.random(2) * (1 - np.array([height, width]))
    low, high = 1 - 0.5 * recipe.colour, 1 + 0.5 * recipe.colour
    grey = rng.random() < 0.15 * recipe.colour
    brightness, contrast = rng.uniform(-0.2, 0.2) * recipe.colour, rng.uniform(low, high)
    colours = brightness, contrast, 0.0 if grey else rng.uniform(low, high)
    return Sample(clip, (float(top), float(left), float(height), float(width)), tuple(map(float, colours)))


def clip_count(sources: Sequence[Source], recipe: Recipe) -> int:
    """Return how many different clips the recipe can draw, counting flips."""
    starts = (clips.clip_starts(source.count, step, recipe.every) for source in sources for step in recipe.speeds)
    return 2 * sum(map(len, starts))


def validation_clips(sources: Sequence[Source], most: int) -> list[Clip]:
    """Return at most ``most`` evenly spaced clips of every video."""
    found = []
    for number, source in enumerate(sources):
        starts = clips.clip_starts(source.count, 1)
        places = np.linspace(0, len(starts) - 1, min(most, len(starts)))
        found += [Clip(number, starts[round(place)]) for place in places]
    return found


class LeftOut(set[str]):
    """Log once for each unreadable video or clip that it is left out: the set of the messages so far."""

    def tell(self, error: BadInput) -> None:
        """Log a line, unless the same one was logged before."""
        if str(error) not in self:
            self.add(str(error))
            logger.warning("left out: %s", error)


@dataclass(eq=False)
class DistillationSet(TorchDataset[dict[str, Tensor]]):
    """The samples of an epoch as dicts of tensors, before the augmentation by `varied`.

    They are ``clip`` (16, h, w, 3) uint8 RGB, ``label`` and the teacher's answers (C, T, h, w) float32, and the
    `Sample`'s ``box`` (4) and ``colours`` (3): brightness, contrast and saturation.

    A sample that cannot be read is replaced by the next one that can.

    Args:
        sources: the videos.
        teacher: gives the targets, None for labels alone.
        samples: of the epoch.
        recipe: how they are made.
        left_out: logs what cannot be read.
    """

    sources: Sequence[Source]
    teacher: Teacher | None
    samples: Sequence[Sample]
    recipe: Recipe
    left_out: LeftOut = field(default_factory=LeftOut)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        """Return the sample at a position.

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
        clip, source = sample.clip, self.sources[sample.clip.video]
        frames = output_frames(self.recipe.spec.outputs)
        known = self.teacher.targets(source, clip) if self.teacher else {}
        item = {name: each[:, frames] if each.shape[1] == CLIP_FRAMES else each for name, each in known.items()}
        if any(each.labelled for each in self.sources):
            item["label"] = clips.clip_truth(source, clip, frames)[None]
        item["box"] = np.array(sample.box)
        item["colours"] = np.array(sample.colours)
        tensors = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in item.items()}
        return tensors | {"clip": torch.from_numpy(clips.clip_frames(source, clip))}


def output_frames(outputs: int) -> slice:
    """Return the frames of a clip that a student's maps belong to: the last of the frames that each map covers."""
    every = CLIP_FRAMES // outputs
    return slice(every - 1, None, every)


def varied(batch: Mapping[str, Tensor], size: tuple[int, int], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return the augmented batch for a student: every sample cropped to its box, coloured and normalised.

    Args:
        batch: samples of a `DistillationSet`, stacked.
        size: (H, W) of the result.
        device: where it is computed.

    Returns:
        ``clip`` (N, 3, 16, H, W), normalised for a student, and targets (N, C, T, H, W), float32.
    """
    boxes = batch["box"].tolist()  # kept on the CPU: reading them from a GPU would wait for it
    moved = {name: values.to(device, non_blocking=True) for name, values in batch.items() if name != "box"}
    colours = moved.pop("colours")
    moved["clip"] = planes(moved["clip"])
    found = {name: cut(values, boxes, size) for name, values in moved.items()}
    return found | {"clip": normalised(coloured(found["clip"], colours))}


def cut(pictures: Tensor, boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> Tensor:
    """Return pictures (N, C, T, h, w) float32, each of the N cropped to its own box and resized, as (N, C, T, H, W).

    Args:
        pictures: are averaged where they shrink.
        boxes: (top, left, height, width), as fractions of the sides.
        size: (H, W).
    """
    sides, found = pictures.shape[-2:], []
    for picture, box in zip(pictures, boxes, strict=True):
        top, left, height, width = (round(share * side) for share, side in zip(box, sides * 2, strict=True))
        part = picture[..., top : top + height, left : left + width]
        shrinks = size[0] <= height and size[1] <= width
        found.append(F.interpolate(part, size, mode="area" if shrinks else "bilinear"))
    return torch.stack(found)


def coloured(clips: Tensor, colours: Tensor) -> Tensor:
    """Return clips (N, 3, T, H, W), from 0 to 255, with changed colours.

    Args:
        clips: RGB.
        colours: (N, 3): brightness, contrast and saturation, see `Sample`.
    """
    brightness, contrast, saturation = colours.unsqueeze(2).unbind(1)
    # All three changes are linear in red, green and blue, so they are one matrix product.
    grey, own = clips.new_tensor(_GREY).expand(3, 3), torch.eye(3, device=clips.device)
    mixed = torch.lerp(grey, own, saturation.unsqueeze(2))
    mean = (mixed @ clips.mean((2, 3, 4)).unsqueeze(2)).mean(1)
    shift = (1 - contrast) * mean + 255 * brightness
    product = torch.baddbmm(shift.unsqueeze(2), contrast.unsqueeze(2) * mixed, clips.flatten(2))
    return product.clamp_(0, 255).view_as(clips)


def open_sources(recipe: Recipe) -> tuple[list[Source], list[Source]]:
    """Open the videos to train on and those to measure on; unreadable ones are left out, with a log line.

    Raises:
        BadInput: a data set is missing, or none of its videos can be used.
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
    """Return a recipe's data sets for a use, one per folder; without folders, that of the environment variable."""
    kind, folders = getattr(recipe, use), getattr(recipe, f"{use}_dir") or (None,)
    sigma = recipe.sigma if use == "labelled" else None
    return [open_dataset(kind, each, getattr(recipe, split), sigma_degrees=sigma) for each in folders] if kind else []


def _usable(videos: Sequence[Video], make: Callable[[Video], Source]) -> Iterator[Source]:
    for video in tqdm(videos, desc="decoding", unit=" videos", delay=2, leave=False):
        try:
            yield make(video)
        except BadInput as error:
            logger.warning("left out: %s", error)
