"""Opening media files: films, whatever text their metadata holds, and images."""

import re
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from tinyhd_lib.data.transforms import Image

_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})

# From PyAV 19 on, text that is no UTF-8 is replaced by itself; before, only if asked.
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_media(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        av.error.FFmpegError: it is no media file.
        OSError: it cannot be read.
    """
    return av.open(str(path.absolute()), **_LENIENT)  # type: ignore[call-overload, no-any-return, unused-ignore]


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The moving pictures of a file, not the cover of a sound recording; None if it has none."""
    streams = container.streams.video
    return next((each for each in streams if not each.disposition & each.disposition.attached_pic), None)


def is_image(path: Path) -> bool:
    """Whether a file is called like an image."""
    return path.suffix.lower() in _IMAGE_SUFFIXES


def number_order(path: Path) -> list[str]:
    """What file names sort by, numbers in them taken as numbers: frame 10 comes after frame 9."""
    return [part.zfill(20) for part in re.split(r"(\d+)", path.name)]


def decode_image(path: Path, mode: int) -> Image | None:
    """An image file's pixels, as OpenCV orders them; None if it does not decode.

    Args:
        path: of the file.
        mode: one of OpenCV's, such as ``cv2.IMREAD_COLOR``.

    Raises:
        OSError: it cannot be read.
    """
    return cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), mode)


def as_jpeg(image: Image) -> bytes:
    """An RGB picture (H, W, 3) as a JPEG file."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def as_png(image: Image) -> bytes:
    """An RGB picture (H, W, 3) as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
