"""Map files: how a saliency map becomes a file, a file grey levels again, and many an archive for a benchmark."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np

from tinyhd_lib.data.images import encode_grey
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Bounds, Image, Map, to_grey
from tinyhd_lib.files import appears_whole

MAP_SUFFIXES = {"png": ".png", "png16": ".png", "npz": ".npz"}
"""Ways to keep maps: ``png`` as published, ``png16`` of 65,536 levels, ``npz`` the raw float32 map of the model."""


def encode_map(maps: str, saliency: Map, size: tuple[int, ...], bounds: Bounds | None = None) -> tuple[bytes, Image]:
    """Return the content of a map's file, and its 8-bit grey levels (H, W).

    Args:
        maps: a name of `MAP_SUFFIXES`.
        saliency: the raw map.
        size: (H, W) of the video.
        bounds: saliencies of black and white, None for the map's own extremes.
    """
    if maps == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, saliency=saliency)
        return buffer.getvalue(), to_grey(saliency, size, bounds)
    levels = to_grey(saliency, size, bounds, np.uint16 if maps == "png16" else np.uint8)
    return encode_grey(levels), _as_8_bit(levels)


def read_grey(maps: str, content: bytes, size: tuple[int, ...], bounds: Bounds | None = None) -> Image:
    """Return the 8-bit grey levels (H, W) of a map's file, the same as when it was written.

    Args:
        maps: a name of `MAP_SUFFIXES`.
        content: of the file.
        size: (H, W) of the video.
        bounds: saliencies of black and white, None for the map's own extremes.
    """
    if maps == "npz":
        return to_grey(np.load(io.BytesIO(content), allow_pickle=False)["saliency"], size, bounds)
    return _as_8_bit(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))


def _as_8_bit(levels: Any) -> Image:
    return levels if levels.dtype == np.uint8 else (levels >> 8).astype(np.uint8)


def pack_maps(out: Path, videos: Sequence[Video]) -> Path:
    """Put the maps of a data set into one archive, as METHOD/VIDEO/FRAME.png, and return its path.

    Source: "Results submission" in the README of DHF1K's repository, github.com/wenguanwang/DHF1K; its authors alone
    have the fixations of the test split.

    Args:
        out: called like the method, with a folder of PNG for each video; the archive goes beside it.
        videos: all that were predicted.

    Raises:
        OSError: a map is not there, or the archive cannot be written.
    """
    place = out.resolve().with_name(f"{out.resolve().name}.zip")  # of ".", too
    with appears_whole(place) as partial, ZipFile(partial, "w") as archive:  # PNG is compressed already
        for video in videos:
            for name in video.names:
                archive.write(out / video.name / f"{name}.png", f"{place.stem}/{video.name}/{name}.png")
    return place
