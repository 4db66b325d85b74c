"""Read and write image files, check pictures in memory, and convert decoded frames to upright 8-bit RGB."""

import base64
import os
import re
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideData
from isal import isal_zlib

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.errors import BadInput, refusing

PICTURE_SHAPES = "(T, H, W, 3) or (T, 3, H, W), of uint8 or of floats from 0 to 1"

_MOST_PIXELS = "TINYHD_MOST_PIXELS"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


def is_image(path: Path) -> bool:
    """Return whether a file is named like an image; names that begin with a dot belong to the system."""
    return path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")


def number_order(path: Path) -> list[str]:
    """Return a sort key for file names that orders by their numbers: frame 10 comes after frame 9."""
    return [part.zfill(20) for part in re.split(r"(\d+)", path.name)]


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of their numbers.

    Raises:
        BadInput: there are none, or two of the same name; the folder cannot be read.
    """
    with refusing(f"{folder}: cannot be read", OSError):
        images = [path for path in folder.iterdir() if is_image(path) and path.is_file()]
    if not images:
        raise BadInput(f"{folder}: no images in this folder, and no video is a folder")
    if len({path.stem for path in images}) < len(images):
        raise BadInput(f"{folder}: two images of one name; keep one of each")
    return sorted(images, key=number_order)


def check_shape(path: Path, image: Image, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the shape of an image in a folder, given that of the images before it.

    Raises:
        BadInput: it differs from theirs.
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
    if content.startswith(_SIGNATURE) and len(content) >= 24:  # a small file may declare a huge picture
        width, height = struct.unpack(">II", content[16:24])
        if width * height > most_pixels():
            raise BadInput(f"{path}: {width}x{height} pixels are too many; if that is right, set {_MOST_PIXELS} higher")
    with suppress(cv2.error):
        return cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    return None


def most_pixels() -> int:
    """Return the largest allowed number of pixels of a picture: TINYHD_MOST_PIXELS, by default 100 million."""
    text = os.environ.get(_MOST_PIXELS, "100000000")
    with refusing(f"{_MOST_PIXELS}={text}: a whole number of pixels is needed", ValueError):
        return int(text)


def read_colours(path: Path) -> Image:
    """Return (H, W, 3) uint8 RGB of an image file, rotated as its metadata says.

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
    """Return an image file of a kind, such as ``png``, as a data URL, for a self-contained page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def read_grey(path: Path) -> Image:
    """Return the grey levels (H, W) of an image file, 8 or 16 bits deep.

    Raises:
        BadInput: it cannot be read, does not decode, or is a colour picture.
    """
    image = _decoded(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        return image
    # A lossy encoder makes the channels of a grey picture differ by up to this much.
    if np.ptp(image[..., :3], axis=-1).max() > 16:
        raise BadInput(f"{path}: a colour picture, whose colours are not ordered by saliency; save grey levels")
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
        what: its name in errors.

    Raises:
        BadInput: it is no such picture.
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


TONES = {16: "PQ", 18: "HLG"}
"""FFmpeg's numbers of the HDR transfer curves (SMPTE ST 2084 and ARIB STD-B67)."""


class Upright:
    """Convert decoded frames to (H, W, 3) uint8 RGB, at the first one's size, rotated and mirrored as the video says.

    HDR is tone-mapped to the standard dynamic range that the models were trained on.
    """

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._matrix = np.eye(3, dtype=np.int32)
        self._reformat = av.video.reformatter.VideoReformatter().reformat

    def __call__(self, decoded: av.VideoFrame) -> Image:
        """Return the picture."""
        if self._size is None:
            self._size = decoded.width, decoded.height
            matrix: Any = decoded.side_data.get(SideData.DISPLAYMATRIX)  # type: ignore[call-overload]
            if matrix:
                self._matrix = np.frombuffer(matrix, np.int32).reshape(3, 3)
        tone = TONES.get(decoded.color_trc)
        # Threads for each picture would take longer to start than most pictures take.
        image: Image = self._reformat(decoded, *self._size, "rgb48le" if tone else "rgb24", threads=1).to_ndarray()
        return oriented(_usual_range(tone)[image] if tone else image, self._matrix)


def oriented(image: Image, matrix: np.ndarray) -> Image:
    """Return a picture rotated and mirrored by a display matrix (3, 3), of which only signs and places count.

    Source: ISO/IEC 14496-12, the matrix of a track header: x' = a x + c y, y' = b x + d y.
    """
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


@cache
def _usual_range(tone: str) -> Image:
    """Return (65536,) uint8: the tone-mapped value of each HDR level; reference white, at 203 nits, is nearly white.

    Source: ITU-R BT.2100 for the curves, BT.2408 for white.
    """
    level = np.arange(2**16) / (2**16 - 1)
    if tone == "PQ":
        root = level ** (1 / 78.84375)
        nits = 1e4 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:
        scene = np.where(level <= 0.5, level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1e3 * scene**1.2
    white = nits / 203
    return np.rint(255 * (white / (1 + white**4) ** 0.25) ** (1 / 2.2)).astype(np.uint8)
