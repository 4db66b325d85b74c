"""From a sample to tensors: the student's clip, the labels, and what the teacher says, all cut and sized alike."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from tinyhd_lib.data.clips import Source, clip_frames, clip_truth, decoded, resized, stored, stored_bytes, without
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map, normalise
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.sampling import Sample, Variation
from tinyhd_lib.training.teachers import Teacher

logger = logging.getLogger(__name__)

_GREY = np.array((0.299, 0.587, 0.114), np.float32)


class LeftOut:
    """Says of what cannot be read that it is left out, once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, error: BadInput) -> None:
        """Log a line, unless the same was said before."""
        if str(error) not in self._told:
            self._told.add(str(error))
            logger.warning("left out: %s", error)


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

    def __init__(
        self,
        sources: Sequence[Source],
        teacher: Teacher | None,
        samples: Sequence[Sample],
        recipe: Recipe,
        left_out: LeftOut | None = None,
    ) -> None:
        self._sources, self._teacher, self._samples, self._recipe = sources, teacher, samples, recipe
        self._left_out = left_out or LeftOut()
        self._labelled = any(source.labelled for source in sources)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        """The sample of a place.

        Raises:
            BadInput: no sample of the epoch can be read.
        """
        for number in range(place, place + len(self)):
            try:
                return self._item(self._samples[number % len(self)])
            except BadInput as error:
                self._left_out.tell(error)
                reason = error
        raise BadInput(f"nothing to learn from: no clip of the epoch can be read ({reason})")

    def _item(self, sample: Sample) -> dict[str, Tensor]:
        clip, variation = sample.clip, sample.variation
        source = self._sources[clip.video]
        size, outputs = self._recipe.size, self._recipe.spec.outputs
        cv2.setNumThreads(1)
        frames = cut(clip_frames(source, clip), variation.box, size)
        item = {"clip": torch.from_numpy(vary(frames, variation).transpose(3, 0, 1, 2).copy())}
        if self._labelled:
            label = cut(clip_truth(source, clip), variation.box, size)
            item["label"] = torch.from_numpy(label[output_frames(outputs)][None].copy())
        if self._teacher is not None:
            for name, values in self._teacher.targets(source, clip).items():
                if name.startswith("level"):
                    if self._recipe.hints:
                        item[name] = torch.from_numpy(values)
                    continue
                chosen = values[:, output_frames(outputs)] if values.shape[1] == CLIP_FRAMES else values
                sized = cut(chosen.reshape(-1, *chosen.shape[-2:]), variation.box, size)
                item[name] = torch.from_numpy(np.array(sized.reshape(*chosen.shape[:2], *size), np.float32))
        return item


def output_frames(outputs: int) -> slice:
    """Which of a clip's frames a student's maps stand for: the last one that each of them covers."""
    every = CLIP_FRAMES // outputs
    return slice(every - 1, None, every)


def cut(images: Image, box: tuple[float, float, float, float], size: tuple[int, int]) -> Image:
    """A part of every picture (n, h, w) or (n, h, w, 3), at another size (n, H, W[, 3]).

    Args:
        images: of any type.
        box: (top, left, height, width) in parts of the whole.
        size: (H, W).
    """
    height, width = images.shape[1:3]
    top, left = round(box[0] * height), round(box[1] * width)
    return resized(images[:, top : top + round(box[2] * height), left : left + round(box[3] * width)], size)


def vary(frames: Image, variation: Variation) -> Map:
    """Frames (n, H, W, 3) uint8 with other colours, normalised as a student wants them; float32."""
    colours = frames.astype(np.float32) / 255
    if variation != replace(Variation(), box=variation.box):
        grey = (colours @ _GREY)[..., None]
        colours = grey + variation.saturation * (colours - grey)
        mean = colours.mean()
        colours = (mean + variation.contrast * (colours - mean) + variation.brightness).clip(0, 1)
    return normalise(colours).astype(np.float32)


def open_sources(recipe: Recipe) -> tuple[list[Source], list[Source]]:
    """The videos to learn from and those to measure on; what cannot be read is left out, with a line.

    Raises:
        BadInput: a data set is not there, or nothing of it can be used.
    """
    make = stored if recipe.store else decoded
    names: list[str] = []
    learnt: list[Source] = []
    measured: list[Source] = []
    for kind, folder, split in (
        (recipe.labelled, recipe.labelled_dir, recipe.labelled_split),
        (recipe.auxiliary, recipe.auxiliary_dir, recipe.auxiliary_split),
    ):
        if kind is None:
            continue
        dataset = open_dataset(kind, folder, split)
        for each in dataset.skipped:
            logger.warning("skipped: %s: %s", each.path.name, each.reason)
        if recipe.store:
            gibibytes = stored_bytes(dataset.videos) / 2**30
            logger.info("%s: up to %.1f GiB of decoded frames in the cache", dataset.root.name, gibibytes)
        names += [video.name for video in dataset.videos]
        learnt += [part for source in _usable(dataset.videos, make) for part in without(source, recipe.exclude)]
    if recipe.validation_split is not None:
        kind = recipe.labelled or recipe.auxiliary
        folder = recipe.labelled_dir if recipe.labelled else recipe.auxiliary_dir
        assert kind is not None
        seen = partial(make, view=recipe.validation_view)
        measured = list(_usable(open_dataset(kind, folder, recipe.validation_split).videos, seen))
    for entry in recipe.exclude:
        if entry.partition(":")[0] not in names:
            logger.warning("EXCLUDE %r: there is no such video, nothing is left out for it", entry)
    if not learnt:
        raise BadInput("nothing to learn from: every video was left out or cannot be read")
    return learnt, measured


def _usable(videos: Sequence[Video], make: Callable[[Video], Source]) -> Iterator[Source]:
    for video in videos:
        try:
            yield make(video)
        except BadInput as error:
            logger.warning("left out: %s", error)
