"""What a figure is to be compared with: chance, a centre bias, and how well people predict one another."""

import os
from collections.abc import Sequence
from itertools import cycle, islice
from zlib import crc32

import cv2
import numpy as np

from tinyhd_lib.data.gaze import Gaze, GroundTruth, places_of, read_gaze, truth_of
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Map

CENTRE_SIZE = (90, 160)
"""The size (height, width) at which a centre bias is learnt, whatever the videos' sizes."""

CENTRE_FRAMES = 16
OTHER_FRAMES = 10


def annotated_frames(video: Video, most: int) -> list[int]:
    """Return up to ``most`` frames, evenly spaced."""
    count = len(video.names)
    return sorted({round(position) for position in np.linspace(0, count - 1, min(most, count))})


def mean_truth(video: Video) -> Map | None:
    """Return (90, 160): the mean of a video's saliency maps, each of sum 1; None if nobody looked at any of them."""
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


def other_fixations(videos: Sequence[Video], without: int, seed: int) -> np.ndarray | None:
    """Return where people looked in up to ten frames of other videos: (n, 2), row and column as parts of the sides.

    None if there is no other video, or nothing is known of the drawn frames. Frames are drawn from the videos in turn,
    so that each has its share.
    """
    others = [video for index, video in enumerate(videos) if index != without]
    if not others:
        return None
    rng = np.random.default_rng([seed, crc32(os.fsencode(videos[without].name))])
    chosen = [others[index] for index in rng.permutation(len(others))[:OTHER_FRAMES]]
    drawn = islice(cycle(chosen), OTHER_FRAMES)
    truths = [video.truth(int(rng.integers(len(video.names)))) for video in drawn]
    places = [places_of(truth.fixations) for truth in truths if truth is not None]
    return np.concatenate(places) if places else None


def halves(video: Video, seed: int) -> tuple[Gaze, Gaze] | None:
    """Return a video's observers in two halves, drawn at random; None where fewer than two are known."""
    if video.gaze is None:
        return None
    gaze = read_gaze(video.gaze)
    observers = np.unique(gaze.observer)
    if len(observers) < 2:
        return None
    rng = np.random.default_rng([seed, crc32(os.fsencode(video.name))])
    drawn = rng.permutation(observers)
    middle = len(drawn) // 2
    return gaze.of(drawn[:middle]), gaze.of(drawn[middle:])


def half_truths(video: Video, parts: tuple[Gaze, Gaze], index: int) -> list[GroundTruth]:
    """Return what each half of the observers looked at in a frame."""
    return [truth_of(part.at(index), video.viewing) for part in parts]
