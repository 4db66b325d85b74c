"""Inspect teachers and students: their maps over time, how far these are from uniform, and how much they agree."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Clip, Source, decoded, resized
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import count_frames_in
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.training.models import Answers, OpenModel


def open_clip(path: Path) -> Source:
    """Open any video as a source of clips, at the models' input size.

    Raises:
        BadInput: it cannot be read.
    """
    return decoded(Video(path.stem, "all", path, tuple(map(str, range(count_frames_in(path))))))


def window_frames(source: Source, clips: Sequence[Clip]) -> Image:
    """Return the frames of several windows, (n, 16, 192, 256, 3) uint8 RGB, decoded in one pass."""
    indices = [index for clip in clips for index in clip.indices(source.count)]
    return source.frames(indices).reshape(len(clips), CLIP_FRAMES, *INPUT_SIZE, 3)


def maps_over_time(model: OpenModel, windows: Iterable[Image]) -> Answers:
    """Return a model's answers for each window's last frame.

    Args:
        model: the model to run.
        windows: (16, h, w, 3) uint8 RGB each.

    Returns:
        ``map`` (n, H, W), ``d1`` (n, 4, H, W), and the other answers that it has, (n, H, W).
    """
    answers = [model(frames) for frames in windows]
    last = {name: np.stack([answer[name][:, -1] for answer in answers]) for name in answers[0]}
    return {name: maps if name.startswith("d1") else maps[:, 0] for name, maps in last.items()}


def matching_table(names: Sequence[str], target: Map, found: Map) -> pd.DataFrame:
    """Return how far maps are from their targets.

    Args:
        names: of the maps: levels, or frames.
        target: (n, h, w) the teacher's maps.
        found: (n, H, W) the student's maps.

    Returns:
        one row per map: ``kl``, the divergence that a loss sums up, ``kl_uniform``, that of a uniform map, both in
        nats, and the correlation ``cc``.
    """
    target = np.ascontiguousarray(resized(target, (found.shape[1], found.shape[2])))
    wanted, maps = torch.from_numpy(target), torch.from_numpy(np.ascontiguousarray(found))
    columns = {"kl": kl_divergence(maps, wanted), "kl_uniform": kl_divergence(torch.ones_like(wanted), wanted)}
    return pd.DataFrame({"name": names, **columns, "cc": metrics.cc(found, target)})
