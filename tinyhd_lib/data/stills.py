"""Photographs as clips of sixteen frames: the view zooms and pans over the photograph, and its fixations move along."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from tinyhd_lib.data.gaze import Gaze, gaze_file, read_fields
from tinyhd_lib.data.images import is_image, read_colours
from tinyhd_lib.data.video import DEFAULT_RATE
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.spec import CLIP_FRAMES

_LEAST = 0.7
"""Smallest fraction of a photograph's width and height that is in view."""


def clips_of_stills(folder: Path, out: Path, seed: int = 0) -> Iterator[Path]:
    """Write photographs with fixations as a data set of the kind gaze, and yield the path of each video.

    A quarter of them is static; in the others the view zooms and pans. Every fixation counts for all sixteen frames.

    Args:
        folder: photographs, each named by a number, and ``fixations.npz`` with ``image`` (that number), ``observer``,
            ``x``, ``y`` of every fixation, in pixels.
        out: folder of the data set to write.
        seed: of the zooms and pans.

    Raises:
        BadInput: it is no such folder, or a photograph cannot be read.
    """
    image, *fixations = read_fields(folder / "fixations.npz", ("image", "observer", "x", "y"), "fixations")
    numbered = {int(path.stem): path for path in sorted(folder.iterdir()) if is_image(path) and path.stem.isdecimal()}
    shown = [number for number in numbered if (image == number).any()]
    if not shown:
        raise BadInput(f"{folder}: no picture is called like a number in image of fixations.npz")
    for number in shown:
        observer, x, y = (field[image == number] for field in fixations)
        photograph = read_colours(numbered[number])
        height, width = photograph.shape[:2]
        video = out / f"{numbered[number].stem}.mp4"
        views = gliding(np.random.default_rng((seed, number)), (width, height))
        with VideoWriter(video, DEFAULT_RATE) as writer:
            for index, view in enumerate(views):
                frame = cv2.warpAffine(photograph, view, (width, height), borderMode=cv2.BORDER_REPLICATE)
                writer.write(frame, float(index / DEFAULT_RATE))
        across, down = (views[:, :, :2] @ np.stack((x, y)) + views[:, :, 2:]).transpose(1, 0, 2).reshape(2, -1)
        moments, who = np.repeat(np.arange(CLIP_FRAMES), len(x)), np.tile(observer, CLIP_FRAMES)
        gaze = Gaze(moments, who, across, down, (height, width), CLIP_FRAMES)
        write_atomically(video.with_suffix(".npz"), gaze_file(gaze.select(gaze.inside()), float(DEFAULT_RATE)))
        yield video


def gliding(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return (16, 2, 3): affine maps from a photograph's pixels (x, y) to those of each frame.

    Args:
        rng: decides where the view begins and ends.
        size: (width, height) of the photograph and of the frames.
    """
    parts = rng.uniform(_LEAST, 1, 2)
    corners = rng.random((2, 2)) * (1 - parts[:, None]) * size
    if rng.random() < 0.25:
        parts, corners = np.ones(2), np.zeros((2, 2))
    part = np.linspace(parts[0], parts[1], CLIP_FRAMES)[:, None]
    corner = np.linspace(corners[0], corners[1], CLIP_FRAMES)
    views = np.zeros((CLIP_FRAMES, 2, 3))
    views[:, 0, 0] = views[:, 1, 1] = 1 / part[:, 0]
    views[:, :, 2] = -corner / part
    return views
