"""Whether an exported model gives torch's maps: on a video that comes with us, loaded back from its file."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import shipped
from tinyhd_lib.metrics import cc
from tinyhd_lib.models.graph import Input
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.runtime.base import ModelSource
from tinyhd_lib.runtime.conversion import PARITY_TOLERANCE
from tinyhd_lib.runtime.eager import TorchRuntime

EXAMPLE = "pursuit.mp4"
CLIPS = 2  # more than one: a batch has to be free

Loaded = Callable[[npt.NDArray[Any]], Map]
"""An exported model: maps of its input."""


class Parity(NamedTuple):
    """How near an exported model's maps are to those of eager torch.

    Attributes:
        difference: the greatest.
        cc: the least CC of two maps.
        maps: how many were compared.
    """

    difference: float
    cc: float
    maps: int

    def __str__(self) -> str:
        found = f"greatest difference {self.difference:.1e}, least CC {self.cc:.6f}"
        return f"against torch, {self.maps} maps of {EXAMPLE}: {found}"


def check_parity(loaded: Loaded, source: ModelSource, takes: Input, path: Path) -> Parity:
    """Hold an exported model against eager torch.

    Args:
        loaded: the model.
        source: what it was made from.
        takes: its input.
        path: its name in a refusal.

    Raises:
        BadInput: a map differs by more than 1e-5.
    """
    frames = _frames()
    clips = np.stack([[preprocess(image) for image in clip] for clip in frames]).swapaxes(1, 2)
    expected = TorchRuntime(source, "cpu")(clips)
    parity = compare(loaded(frames if takes.name == "frames" else np.ascontiguousarray(clips)), expected)
    if not parity.difference <= PARITY_TOLERANCE:
        raise BadInput(
            f"{path}: not written, for its maps differ from torch's by {parity.difference:.1e} ({PARITY_TOLERANCE:.0e} "
            f"is allowed; CC {parity.cc:.4f}); try another version of what runs it, or another `to`"
        )
    return parity


def compare(found: Map, expected: Map) -> Parity:
    """Two arrays of maps (N, outputs, H, W) against each other; no numbers, or another shape, differ infinitely."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Parity(float("inf"), 0.0, 0)
    size = expected.shape[-2:]
    pairs = zip(found.reshape(-1, *size), expected.reshape(-1, *size), strict=True)
    least = min(float(cc(ours, theirs)) for ours, theirs in pairs)
    return Parity(float(np.abs(found - expected).max()), least, expected.shape[0] * expected.shape[1])


def _frames() -> npt.NDArray[np.uint8]:
    """Clips (2, 16, H, W, 3) of a video that comes with us."""
    images = [frame.image for frame in islice(read_frames(shipped("example_data", EXAMPLE)), CLIPS * CLIP_FRAMES)]
    return np.stack(images).reshape(CLIPS, CLIP_FRAMES, *images[0].shape)
