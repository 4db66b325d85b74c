"""Pictures in memory as the frames of a video: arrays, tensors, PIL images, or the frames themselves."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.video import Frame, read_frames
from tinyhd_lib.errors import BadInput

Pictures = str | bytes | Path | Iterable[Any]
"""A path; or pictures, each a `Frame`, an array or tensor (H, W, 3) or (3, H, W) of uint8 or of floats from 0 to 1, or
a PIL image; one array or tensor with another axis in front is a video of them."""

_SHAPES = "(T, H, W, 3) or (T, 3, H, W), of uint8 or of floats from 0 to 1"


def frames_of(video: Pictures, fps: float = 25.0) -> Iterator[Frame]:
    """Return the frames of a video file, of a folder of frames, or of pictures in memory.

    Args:
        video: see `Pictures`.
        fps: frames a second of pictures that have no times.

    Raises:
        BadInput: it is no video; of single pictures, that is told when they come.
    """
    if isinstance(video, str | bytes | Path):
        return read_frames(Path(os.fsdecode(video)))
    shape = getattr(video, "shape", None)
    if shape is not None and len(shape) != 4:
        raise BadInput(f"a video of shape {tuple(shape)}: {_SHAPES}")
    return (each if isinstance(each, Frame) else _frame(index, fps, each) for index, each in enumerate(video))


def _frame(index: int, fps: float, picture: Any) -> Frame:
    return Frame(index, index / fps, _image(picture, f"picture {index} of a video"))


def _image(picture: Any, what: str) -> Image:
    """Return a picture (H, W, 3) uint8.

    Raises:
        BadInput: it is none.
    """
    if hasattr(picture, "convert"):  # PIL's
        picture = picture.convert("RGB")
    if hasattr(picture, "is_floating_point"):  # torch's
        picture = (picture.float() if picture.is_floating_point() else picture).detach().cpu()
    values = np.asarray(picture)
    if values.ndim == 3 and values.shape[0] == 3 != values.shape[2]:
        values = values.transpose(1, 2, 0)
    if values.ndim != 3 or values.shape[2] != 3 or 0 in values.shape:
        raise BadInput(f"{what} has the shape {values.shape}: a video is {_SHAPES}")
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:
        values = np.rint(255 * values.astype(np.float32)).astype(np.uint8)
    if values.dtype != np.uint8:
        raise BadInput(f"{what} is {values.dtype} from {values.min():g} to {values.max():g}: a video is {_SHAPES}")
    return np.ascontiguousarray(values)
