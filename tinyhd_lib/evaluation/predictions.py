"""Anybody's saliency maps of a data set: a folder of images or arrays for each video, or a video of maps."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tinyhd_lib.data.gaze import read_arrays, read_map
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import VIDEO_SUFFIXES, count_frames_in, read_frames
from tinyhd_lib.errors import BadInput

MAP_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npz"})


class NoMaps(BadInput):
    """Tell that there is nothing for a video."""


@dataclass(frozen=True)
class Maps:
    """Say where the maps of one video are.

    Attributes:
        files: of each frame that has one.
        video: a video with a map for each frame, None if there are files.
        frames: how many frames the video has.
    """

    files: dict[int, Path]
    video: Path | None
    frames: int

    def missing(self) -> list[int]:
        """Return the frames without a map."""
        return [] if self.video else [index for index in range(self.frames) if index not in self.files]

    def read(self, indices: Iterable[int]) -> Iterator[tuple[int, Map]]:
        """Yield the maps (h, w) of some frames, in ascending order; their scale and size are the author's own.

        Raises:
            BadInput: one of them cannot be read.
        """
        if self.video is None:
            yield from ((index, read_any_map(self.files[index])) for index in indices)
            return
        wanted = set(indices)
        for frame in read_frames(self.video, strict=True):
            if frame.index in wanted:
                yield frame.index, cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
                wanted.remove(frame.index)
            if not wanted:
                return
        raise BadInput(f"{self.video}: ends before frame {min(wanted)}; make it anew")

    def sources(self, indices: Iterable[int]) -> list[Path]:
        """Return the files that the maps of some frames are read from."""
        return [self.video] if self.video else [self.files[index] for index in indices]


def find_maps(root: Path, video: Video, first: int | None = None) -> Maps:
    """Find the maps of a video: files in ``root/<video>/`` called as its frames are, or the video ``root/<video>.mp4``.

    Args:
        root: somebody's maps of a data set.
        video: of that data set.
        first: the number of the first frame, where files are numbered in another way than the data set's frames.

    Raises:
        BadInput: nothing is found, or a file belongs to no frame, or two to the same.
    """
    folder = root / video.name
    if folder.is_dir():
        return Maps(_files(folder, video, first), None, len(video.names))
    beside = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    found = [path for path in beside if path.stem == folder.name and path.suffix.lower() in VIDEO_SUFFIXES]
    if len(found) > 1:
        raise BadInput(f"{found[1]}: a second video of maps beside {found[0].name}; keep one of them")
    if not found:
        raise NoMaps(f"{folder}: not there, nor a video {folder.name}.mp4; maps lie in a folder for each video")
    count = count_frames_in(found[0])
    if count != len(video.names):
        raise BadInput(f"{found[0]}: {count} maps, but the video has {len(video.names)} frames: they cannot be paired")
    return Maps({}, found[0], count)


def _files(folder: Path, video: Video, first: int | None) -> dict[int, Path]:
    numbers = {name: index for index, name in enumerate(video.names)}
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in MAP_SUFFIXES or path.name.startswith("."):
            continue
        index = numbers.get(path.stem) if first is None else _number(path) - first
        if index is None or not 0 <= index < len(video.names):
            raise BadInput(
                f"{path}: belongs to no frame; they are called {video.names[0]} to {video.names[-1]} here, and if your "
                "files are just numbered, say by `first` which number the first frame has"
            )
        if index in found:
            raise BadInput(f"{path}: a second map of the frame of {found[index].name}; keep one of them")
        found[index] = path
    return found


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1


def read_any_map(path: Path) -> Map:
    """Return a map (h, w) from an image, or from an .npz with an array ``saliency`` (or a single one of any name).

    Raises:
        BadInput: it cannot be read, or holds no map.
    """
    saliency = read_map(path) if path.suffix.lower() != ".npz" else _read_npz(path)
    if saliency.ndim != 2 or not saliency.size or saliency.dtype.kind not in "fiu":
        raise BadInput(f"{path}: a map is (height, width) numbers, got {saliency.shape} {saliency.dtype}")
    if not np.isfinite(saliency).all():
        raise BadInput(f"{path}: holds NaN or infinite values; make it anew")
    if saliency.min() < 0:
        raise BadInput(f"{path}: has negative values; of a log density, save its exp")
    return saliency


def _read_npz(path: Path) -> Map:
    arrays = read_arrays(path)
    if "saliency" not in arrays and len(arrays) != 1:
        raise BadInput(f"{path}: which array is the map? it holds {', '.join(arrays) or 'none'}; call it 'saliency'")
    return arrays.get("saliency", next(iter(arrays.values())))
