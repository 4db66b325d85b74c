"""Images in files: colours and grey levels, read and written."""

import base64
import os
import re
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from isal import isal_zlib

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.errors import BadInput, refusing

PICTURE_SHAPES = "(T, H, W, 3) or (T, 3, H, W), of uint8 or of floats from 0 to 1"

_MOST_PIXELS = "TINYHD_MOST_PIXELS"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


def is_image(path: Path) -> bool:
    """Return whether a file is called like an image; those that begin with a dot are some system's own."""
    return path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")


def number_order(path: Path) -> list[str]:
    """Return what file names sort by, numbers in them taken as numbers: frame 10 comes after frame 9."""
    return [part.zfill(20) for part in re.split(r"(\d+)", path.name)]


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of their numbers.

    Raises:
        BadInput: there are none, or two of one name; the folder cannot be read.
    """
    with refusing(f"{folder}: cannot be read", OSError):
        images = [path for path in folder.iterdir() if is_image(path) and path.is_file()]
    if not images:
        raise BadInput(f"{folder}: no images in this folder, and no video is a folder")
    if len({path.stem for path in images}) < len(images):
        raise BadInput(f"{folder}: two images of one name; keep one of each")
    return sorted(images, key=number_order)


def check_shape(path: Path, image: Image, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the shape of an image of a folder.

    Raises:
        BadInput: those before it have another.
    """
    if shape not in (None, image.shape):
        raise BadInput(f"{path}: {image.shape[1]}x{image.shape[0]}, but the images before it are {shape[1]}x{shape[0]}")
    return image.shape


def decode_image(path: Path, mode: int) -> Image | None:
    """Return an image file's pixels, as OpenCV orders them; None if it does not decode.

    Args:
        path: of the file.
        mode: one of OpenCV's, such as ``cv2.IMREAD_COLOR``.

    Raises:
        BadInput: it is a PNG of more than `most_pixels`, or cannot be read.
    """
    with refusing(f"{path}: cannot be read", OSError):
        content = path.read_bytes() or b"\0"
    if content.startswith(_SIGNATURE) and len(content) >= 24:  # a small file may say that it is very large
        width, height = struct.unpack(">II", content[16:24])
        if width * height > most_pixels():
            raise BadInput(f"{path}: {width}x{height} pixels are too many; if that is right, set {_MOST_PIXELS} higher")
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error:
        return None


def most_pixels() -> int:
    """Return how many pixels a picture has at most, 100 million; the environment's TINYHD_MOST_PIXELS may differ."""
    return int(os.environ.get(_MOST_PIXELS, "100000000"))


def read_colours(path: Path) -> Image:
    """Return (H, W, 3) uint8 RGB of an image file, turned where it says so.

    Raises:
        BadInput: it cannot be read, or does not decode.
    """
    return cv2.cvtColor(_decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def as_jpeg(image: Image) -> bytes:
    """Return an RGB picture (H, W, 3) as a JPEG file."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def as_png(image: Image) -> bytes:
    """Return an RGB picture (H, W, 3) as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def as_address(content: bytes, kind: str) -> str:
    """Return an image file of a kind, such as ``png``, as an address that holds it, for a page that needs no others."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


# Channels of grey levels that differ by no more were written by a lossy encoder.
_COLOUR = 16


def read_grey(path: Path) -> Image:
    """Return the grey levels (H, W) of an image file, 8 or 16 bits deep.

    Raises:
        BadInput: it cannot be read, does not decode, or is a colour picture.
    """
    image = _decoded(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        return image
    if np.ptp(image[..., :3], axis=-1).max() > _COLOUR:
        raise BadInput(f"{path}: a colour picture, of which nobody can tell what is more salient; save grey levels")
    return cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)


def _decoded(path: Path, mode: int) -> Image:
    image = decode_image(path, mode)
    if image is None:
        raise BadInput(f"{path}: this image does not decode; fetch or make it anew")
    return image


_GREY = 0
_UP = 2  # each byte less the one above it: maps are smooth


def encode_grey(levels: Image) -> bytes:
    """Return a picture of grey levels, (H, W) uint8 or uint16, as the content of a PNG file."""
    height, width = levels.shape
    rows = np.ascontiguousarray(levels, levels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8 * levels.itemsize, _GREY, 0, 0, 0)
    parts = _chunk(b"IHDR", header), _chunk(b"IDAT", isal_zlib.compress(filtered, 1)), _chunk(b"IEND", b"")
    return b"".join((_SIGNATURE, *parts))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))


def to_image(picture: Any, what: str) -> Image:
    """Return a picture in memory as (H, W, 3) uint8.

    Args:
        picture: an array or tensor (H, W, 3) or (3, H, W) of uint8 or of floats from 0 to 1, or a PIL image.
        what: it is called in errors.

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
        raise BadInput(f"{what} has the shape {values.shape}: give {PICTURE_SHAPES}")
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:
        values = np.rint(255 * values.astype(np.float32)).astype(np.uint8)
    if values.dtype != np.uint8:
        raise BadInput(f"{what} is {values.dtype} from {values.min():g} to {values.max():g}: give {PICTURE_SHAPES}")
    return np.ascontiguousarray(values)
