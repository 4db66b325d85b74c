"""A frame whose true density is known, and predictions that are wrong in known ways: what metrics are tried on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from tinyhd_lib.data.gaze import ASSUMED_WIDTH_DEGREES, GroundTruth, Viewing, truth_of
from tinyhd_lib.data.synthetic.scenes import (
    SceneObject,
    SyntheticVideo,
    density,
    make_video,
    render,
    simulate_observers,
)
from tinyhd_lib.data.transforms import Image, Map

_OTHERS = 10
_FAR, _WIDE = 0.08, 0.06


@dataclass(frozen=True)
class Example:
    """A frame of a made-up clip, and how it was looked at.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        truth: what some observers left: a map and fixations.
        density: (H, W) where all observers there could be would look, sum 1.
        others: (H, W) bool: where observers looked in frames of other clips.
        predictions: (H, W) each, by name; each but the first two is wrong in one way.
    """

    frame: Image
    truth: GroundTruth
    density: Map
    others: Image
    predictions: dict[str, Map]


def make_example(seed: int = 0, observers: int = 24, size: tuple[int, int] = (180, 320)) -> Example:
    """Make up a clip, and let observers watch its first frame.

    Args:
        seed: decides everything else.
        observers: how many look at it, and at each of ten other clips.
        size: (H, W) in pixels.
    """
    clip = make_video(seed, 1, size)
    truth, seen = _watched(clip, observers, seed), density(clip, 0)
    seeds = range(seed + 1, seed + 1 + _OTHERS)
    elsewhere = [_watched(make_video(other, 1, size), observers, other) for other in seeds]
    return Example(
        frame=render(clip, 0),
        truth=truth,
        density=seen,
        others=np.any([each.fixations for each in elsewhere], axis=0),
        predictions={
            "ground truth": truth.saliency.astype(np.float64),
            "true density": seen,
            "blurred": cv2.GaussianBlur(seen, (0, 0), _WIDE * size[1], borderType=cv2.BORDER_REFLECT),
            "too sure": seen**3,
            "one missed": density(_with_things(clip, _but_heaviest), 0),
            "shifted": _shifted(seen, round(_FAR * size[1])),
            "centre bias": density(_with_things(clip, lambda _things: ()), 0),
            "uniform": np.ones(size),
            "inverted": seen.max() + seen.min() - seen,
        },
    )


def _watched(clip: SyntheticVideo, observers: int, seed: int) -> GroundTruth:
    gaze = simulate_observers(clip, observers, seed).at(0)
    return truth_of(gaze, Viewing(clip.size[1] / ASSUMED_WIDTH_DEGREES, assumed=True))


def _with_things(
    clip: SyntheticVideo, change: Callable[[tuple[SceneObject, ...]], tuple[SceneObject, ...]]
) -> SyntheticVideo:
    """Return the clip with other things in it, and the same habit of looking at the middle."""
    return replace(clip, shots=tuple(replace(shot, things=change(shot.things)) for shot in clip.shots))


def _but_heaviest(things: tuple[SceneObject, ...]) -> tuple[SceneObject, ...]:
    heaviest = max(things, key=lambda thing: thing.weight)
    return tuple(thing for thing in things if thing is not heaviest)


def _shifted(saliency: Map, pixels: int) -> Map:
    """Return the map moved to the right; what comes in at the left edge is what was there."""
    return np.pad(saliency, ((0, 0), (pixels, 0)), mode="edge")[:, : saliency.shape[1]]
