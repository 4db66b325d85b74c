"""Which clips an epoch is made of, and how each of them is varied: a pure function of the seed, epoch and position."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyhd_lib.data.clips import Clip, Source, clip_reach, clip_starts
from tinyhd_lib.training.recipe import Recipe


@dataclass(frozen=True)
class Variation:
    """What happens to a clip on its way to the student.

    Attributes:
        box: (top, left, height, width) of the part that is kept, each in parts of the whole.
        brightness: added to colours of 0 to 1.
        contrast: colours are spread about their mean by this.
        saturation: 0 for grey, 1 for as it is.
    """

    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0


@dataclass(frozen=True)
class Sample:
    """A clip and its variation."""

    clip: Clip
    variation: Variation


def epoch_samples(sources: Sequence[Source], recipe: Recipe, epoch: int) -> list[Sample]:
    """The samples of an epoch in their order.

    Every labelled video gives ``clips_per_video`` clips, and the auxiliary ones together ``auxiliary_ratio`` times as
    many; where nothing is labelled, it is the auxiliary videos that give ``clips_per_video`` each.
    """
    rng = np.random.default_rng((recipe.seed, epoch))
    labelled = [number for number, source in enumerate(sources) if source.labelled]
    auxiliary = [number for number, source in enumerate(sources) if not source.labelled]
    videos = [number for number in labelled or auxiliary for _ in range(recipe.clips_per_video)]
    if labelled and auxiliary:
        wanted = round(len(videos) * recipe.auxiliary_ratio)
        rounds = -(-wanted // len(auxiliary))
        drawn = [number for _ in range(rounds) for number in rng.permutation(auxiliary)]
        videos += drawn[:wanted]
    order = rng.permutation(videos)
    return [_sample(int(number), sources[number].count, recipe, rng) for number in order]


def clip_counts(sources: Sequence[Source], recipe: Recipe) -> dict[int, int]:
    """How many different clips of each video the recipe may ever draw, flips counted."""
    return {
        number: sum(2 * len(clip_starts(source.count, step, recipe.every)) for step in recipe.speeds)
        for number, source in enumerate(sources)
    }


def validation_clips(sources: Sequence[Source], clips: int) -> list[Clip]:
    """Evenly spaced clips of every video."""
    found = []
    for number, source in enumerate(sources):
        starts = clip_starts(source.count, 1)
        places = np.linspace(0, len(starts) - 1, min(clips, len(starts)))
        found += [Clip(number, starts[round(place)]) for place in places]
    return found


def _sample(video: int, count: int, recipe: Recipe, rng: np.random.Generator) -> Sample:
    speeds = [step for step in recipe.speeds if count > clip_reach(step)] or [1]
    step = int(rng.choice(speeds))
    starts = clip_starts(count, step, recipe.every)
    clip = Clip(video, int(rng.choice(starts)), step, flip=bool(rng.random() < 0.5))
    height, width = rng.uniform(recipe.crop, 1, 2) if recipe.crop < 1 else (1.0, 1.0)
    top, left = rng.random(2) * (1 - np.array([height, width]))
    low, high = 1 - 0.5 * recipe.colour, 1 + 0.5 * recipe.colour
    grey = rng.random() < 0.15 * recipe.colour
    variation = Variation(
        box=(float(top), float(left), float(height), float(width)),
        brightness=float(rng.uniform(-0.2, 0.2) * recipe.colour),
        contrast=float(rng.uniform(low, high)),
        saturation=0.0 if grey else float(rng.uniform(low, high)),
    )
    return Sample(clip, variation)
