"""Ground truth in files: saliency maps as grey levels, fixations as PNG or MATLAB files, arrays as .npz."""

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from tinyhd_lib.data.media import decode_image
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput

# All that a damaged or foreign archive makes its readers raise.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    BadZipFile,
    MatReadError,
)

# Channels of grey levels that differ by no more were written by a lossy encoder.
_COLOUR = 16


def read_grey(path: Path) -> Image:
    """The grey levels (H, W) of an image file, 8 or 16 bits deep.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        image = decode_image(path, cv2.IMREAD_UNCHANGED)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    if image is None:
        raise BadInput(f"{path}: not an image that can be read; fetch or make it anew")
    if image.ndim == 2:
        return image
    if np.ptp(image[..., :3].astype(float), axis=-1).max() > _COLOUR:
        raise BadInput(f"{path}: a colour picture, of which nobody can tell what is more salient; save grey levels")
    return cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)


def read_map(path: Path) -> Map:
    """A saliency map (H, W) float32.

    Raises:
        BadInput: it cannot be read.
    """
    return read_grey(path).astype(np.float32)


def read_fixations(path: Path) -> Image:
    """A fixation map (H, W) bool from a PNG, or from the variable ``I`` of a .mat file.

    Raises:
        BadInput: it cannot be read.
    """
    if path.suffix != ".mat":
        return read_grey(path) > 0
    try:
        fixations = loadmat(path, variable_names=["I"])["I"]
    except KeyError as error:
        raise BadInput(f"{path}: holds no variable I") from error
    except _UNREADABLE as error:
        raise BadInput(f"{path}: not a MATLAB file that can be read ({error}); fetch it anew") from error
    if fixations.ndim != 2:
        raise BadInput(f"{path}: I is a map (height, width), got {fixations.shape}")
    return fixations > 0


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an .npz.

    Raises:
        BadInput: it cannot be read, or holds pickled objects.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (AttributeError, *_UNREADABLE) as error:  # a lone array is no archive: it has no files
        raise BadInput(f"{path}: not an .npz that can be read ({error}); fetch or make it anew") from error
