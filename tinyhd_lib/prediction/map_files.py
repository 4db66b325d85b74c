"""Map files: how a saliency map becomes a file, and a file grey levels again."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from tinyhd_lib.data.images import encode_grey
from tinyhd_lib.data.transforms import Image, Map, to_grey

Size = tuple[int, int]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class MapFormat:
    """A way to keep maps.

    Attributes:
        suffix: of the files.
        encode: (raw map, video size, saliencies of black and white) -> the file's content and 8-bit grey levels.
        grey: (the file's content, video size, saliencies of black and white or None) -> the same grey levels.
    """

    suffix: str
    encode: Callable[[Map, Size, Bounds], tuple[bytes, Image]]
    grey: Callable[[bytes, Size, Bounds | None], Image]


def own_bounds(saliency: Map) -> Bounds:
    """Return the extremes of a map, which the published post-processing makes black and white."""
    return float(saliency.min()), float(saliency.max())


def _decode(content: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def _encode_png(saliency: Map, size: Size, bounds: Bounds) -> tuple[bytes, Image]:
    grey = to_grey(saliency, size, bounds)
    return encode_grey(grey), grey


def _encode_png16(saliency: Map, size: Size, bounds: Bounds) -> tuple[bytes, Image]:
    levels = to_grey(saliency, size, bounds, np.uint16)
    return encode_grey(levels), (levels >> 8).astype(np.uint8)


def _encode_npz(saliency: Map, size: Size, bounds: Bounds) -> tuple[bytes, Image]:
    buffer = io.BytesIO()
    np.savez(buffer, saliency=saliency)
    return buffer.getvalue(), to_grey(saliency, size, bounds)


def _npz_grey(content: bytes, size: Size, bounds: Bounds | None) -> Image:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        saliency = file["saliency"]
    return to_grey(saliency, size, bounds or own_bounds(saliency))


MAP_FORMATS: dict[str, MapFormat] = {
    "png": MapFormat(".png", _encode_png, lambda content, _size, _bounds: _decode(content)),
    "png16": MapFormat(".png", _encode_png16, lambda content, _size, _bounds: (_decode(content) >> 8).astype(np.uint8)),
    "npz": MapFormat(".npz", _encode_npz, _npz_grey),
}
"""``png`` as published; ``png16`` with 65,536 levels; ``npz`` the raw float32 map at the model's size."""
