"""Find and read saliency maps of any model: a folder of images or arrays for each video, or a video of maps."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.gaze import read_arrays
from tinyhd_lib.data.images import read_grey
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import VIDEO_SUFFIXES, count_frames_in, read_frames
from tinyhd_lib.errors import BadInput

_ARRAYS = frozenset({".npz", ".npy", ".mat"})
MAP_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}) | _ARRAYS


class Maps(NamedTuple):
    """Say where the maps of one video are.

    Attributes:
        files: the map's file, by the index of each frame that has one.
        video: a video or an array with a map for each frame, None if there are files.
    """

    files: dict[int, Path]
    video: Path | None = None

    def read(self, indices: Sequence[int]) -> Iterator[Map]:
        """Yield the maps (h, w) of some frames, in ascending order; their scale and size are the author's own.

        Raises:
            BadInput: one of them cannot be read.
        """
        if self.video is None:
            yield from (read_any_map(self.files[index]) for index in indices)
        elif self.video.suffix.lower() in _ARRAYS:
            stack = _read_array(self.video)
            yield from (_checked(self.video, stack[index]) for index in indices)
        else:
            wanted, frames = set(indices), islice(read_frames(self.video, strict=True), indices[-1] + 1)
            yield from (cv2.cvtColor(each.image, cv2.COLOR_RGB2GRAY) for each in frames if each.index in wanted)

    def sources(self, indices: Iterable[int]) -> list[Path]:
        """Return the files that the maps of some frames are read from."""
        return [self.video] if self.video else [self.files[index] for index in indices]


def find_maps(root: Path, video: Video, first: int | None, *, optional: bool) -> Maps:
    """Find the maps of a video: files in ``root/<video>/`` called as its frames are, or one file for all of them.

    A folder may have them in ``maps/``; the file may be ``root/<video>.mp4``, or an array (frames, h, w) ``.npy``,
    ``.npz`` or ``.mat``; or the files lie where the folder would, called ``<video>_<frame>``.

    Args:
        root: the folder with the maps of a data set.
        video: of that data set.
        first: the number of the first frame, where files are numbered in another way than the data set's frames.
        optional: whether the video may lack maps altogether.

    Raises:
        BadInput: required maps are missing, a file belongs to no frame, or two files belong to the same frame.
    """
    place, name = (root / video.name).parent, Path(video.name).name
    names = (name, str(int(name))) if name.isdecimal() else (name,)
    beside = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
    near = [place / each for each in beside if each.startswith(names)]
    found = [path for path in near if path.name in names and path.is_dir()]
    found += [path for path in near if path.stem in names and path.suffix.lower() in VIDEO_SUFFIXES | _ARRAYS]
    flat = [path for path in near if path.stem.rpartition("_")[0] in names]
    if flat and not found:
        return Maps(_files(flat, video, first, f"{flat[0].stem.rpartition('_')[0]}_"))
    if len(found) > 1:
        raise BadInput(f"{found[1]}: a second source of maps beside {found[0].name}; keep one of them")
    if not found and optional:
        return Maps({})
    if not found:
        like = ", such as ".join([_seen(beside), *get_close_matches(name, beside, 1, cutoff=0.4)])
        told = f"not there, nor {name}.mp4 or .npy; the folder holds {like} (`generate` makes all)"
        raise BadInput(f"{place / name}: {told}")
    if found[0].is_dir():
        folder = found[0] / "maps" if (found[0] / "maps").is_dir() else found[0]
        inside = sorted(folder.iterdir())
        maps = _files(inside, video, first)
        if not maps and not optional:
            seen = _seen([path.name for path in inside])
            raise BadInput(f"{folder}: holds no map (found: {seen}); maps are {', '.join(sorted(MAP_SUFFIXES))}")
        return Maps(maps)
    is_array = found[0].suffix.lower() in _ARRAYS
    count = len(_read_array(found[0])) if is_array else count_frames_in(found[0])
    if count != len(video.names):
        raise BadInput(f"{found[0]}: {count} maps, but the video has {len(video.names)} frames: they cannot be paired")
    return Maps({}, found[0])


def _seen(names: Sequence[str]) -> str:
    """Return what a folder mostly holds, in a few words."""
    kinds = Counter(Path(each).suffix or "folders" for each in names).most_common(2)
    return ", ".join(f"{count} {kind}" for kind, count in kinds) or "nothing"


def _files(paths: Iterable[Path], video: Video, first: int | None, prefix: str = "") -> dict[int, Path]:
    numbers = {str(int(name)): index for index, name in enumerate(video.names) if name.isdecimal()}
    numbers |= {name: index for index, name in enumerate(video.names)}
    found: dict[int, Path] = {}
    for path in paths:
        if path.suffix.lower() not in MAP_SUFFIXES or path.name.startswith("."):
            continue
        digits = re.findall(r"\d+", path.stem) or ["-1"]
        index = numbers.get(path.stem.removeprefix(prefix)) if first is None else int(digits[-1]) - first
        if index is None or not 0 <= index < len(video.names):
            called = f"they are called {video.names[0]} to {video.names[-1]} here"
            remedy = "if your files are just numbered, say by `first` which number the first frame has"
            raise BadInput(f"{path}: belongs to no frame; {called}, and {remedy}")
        if index in found:
            raise BadInput(f"{path}: a second map of the frame of {found[index].name}; keep one of them")
        found[index] = path
    return found


def read_any_map(path: Path, kinds: str = "fiu") -> Map:
    """Return a map (h, w) from an image, from an .npy, or from an .npz or .mat with an array ``saliency`` or only one.

    Args:
        path: of the file.
        kinds: NumPy dtype kinds that it may have; add ``b`` where a binary fixation map will do.

    Raises:
        BadInput: it cannot be read, or holds no map.
    """
    is_array = path.suffix.lower() in _ARRAYS
    return _checked(path, _read_array(path) if is_array else read_grey(path), kinds)


def _checked(path: Path, saliency: Map, kinds: str = "fiu") -> Map:
    if saliency.ndim != 2 or not saliency.size or saliency.dtype.kind not in kinds:
        raise BadInput(f"{path}: a map is (height, width) numbers, got {saliency.shape} {saliency.dtype}")
    if not np.isfinite(saliency).all():
        raise BadInput(f"{path}: holds NaN or infinite values; make it anew")
    if saliency.min() < 0:
        raise BadInput(f"{path}: has negative values; of a log density, save its exp")
    return saliency


def _read_array(path: Path) -> Map:
    arrays = read_arrays(path)
    if "saliency" not in arrays and len(arrays) != 1:
        raise BadInput(f"{path}: which array is the map? it holds {', '.join(arrays) or 'none'}; call it 'saliency'")
    return arrays.get("saliency", next(iter(arrays.values())))
