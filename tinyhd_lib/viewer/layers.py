"""Where a viewer's maps come from: files, arrays, the gaze of people, or a model that is asked once."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from tinyhd_lib.cache import cache_folder
from tinyhd_lib.data.gaze import GroundTruth
from tinyhd_lib.data.images import read_grey
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import Frame, count_frames_in, read_frames, source_files
from tinyhd_lib.data.windows import published_stride, windows
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.predictions import read_any_map
from tinyhd_lib.files import digest_of, fingerprint, write_array
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.prediction.inference import saliency_maps
from tinyhd_lib.runtime import open_runtime
from tinyhd_lib.runtime.base import model_source

if TYPE_CHECKING:
    from tinyhd_lib.training.models import StudentModel

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".npz"})
_MAPS_OF = {"d1": ("D1 map 1", "D1 map 2", "D1 map 3", "D1 map 4"), "d2": ("D2",), "d3": ("D3",)}
_CODE = 1
"""Changes whenever kept maps would."""


class Layer:
    """The maps of a video.

    Attributes:
        source: what makes it again: a folder, or weights; None for maps that are only in memory.
        count: how many frames it covers, with gaps or without.
        white: the most that a map can hold: 1 for saliencies, 255 or 65535 for grey levels.
    """

    source: str | None = None
    count: int
    white: float = 1.0

    def map(self, index: int) -> Map | None:
        """A frame's map (h, w) float32, None where it has none."""
        raise NotImplementedError

    def points(self, index: int) -> Map:  # noqa: ARG002
        """Where people looked, (n, 2) x and y in parts of the width and height; none where that is not known."""
        return np.empty((0, 2))


MapSource = str | Path | Map | Video | Layer
"""A folder of map files, the name or path of weights, an array (n, h, w), or a data set's video for people's gaze."""


class ArrayLayer(Layer):
    """Maps (n, h, w) in memory, or mapped into it.

    Raises:
        BadInput: the array holds something else.
    """

    def __init__(self, maps: Map, source: str | None = None) -> None:
        if maps.ndim != 3 or not maps.size or maps.dtype.kind not in "fiu":
            raise BadInput(f"maps: (frames, height, width) numbers are needed, got {maps.shape} {maps.dtype}")
        self._maps = maps
        self.source = source
        self.count = len(maps)
        self.white = float(np.iinfo(maps.dtype).max) if maps.dtype.kind in "iu" else 1.0

    def map(self, index: int) -> Map | None:
        """See `Layer`."""
        return self._maps[index].astype(np.float32) if index < self.count else None


class FolderLayer(Layer):
    """Map files, as ``tinyhd predict`` and others write them.

    A file whose name is a number is that frame's, from 0, or from 1 if none is called 0; others are taken in order.

    Raises:
        BadInput: there are no map files, or they cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
        if not paths:
            raise BadInput(f"{folder}: no map files in it; make them with tinyhd predict VIDEO --out {folder}")
        self._paths = _numbered(paths)
        self._read = lru_cache(8)(read_any_map)
        self.source = str(folder)
        self.count = max(self._paths) + 1
        if paths[0].suffix.lower() != ".npz":
            self.white = float(np.iinfo(read_grey(paths[0]).dtype).max)

    def map(self, index: int) -> Map | None:
        """See `Layer`."""
        return self._read(self._paths[index]).astype(np.float32) if index in self._paths else None


class GazeLayer(Layer):
    """Where people looked in a video of a data set.

    Raises:
        BadInput: that is not known.
    """

    def __init__(self, video: Video) -> None:
        if not video.has_truth:
            raise BadInput(f"{video.name}: nothing is known of where people looked in it")
        self._truth = lru_cache(8)(video.truth)
        self.count = len(video.names)
        some = (self._truth(index) for index in range(0, self.count, max(1, self.count // 20)))
        self.white = max((float(truth.saliency.max()) for truth in some if truth is not None), default=0.0) or 1.0

    def map(self, index: int) -> Map | None:
        """See `Layer`."""
        truth = self._known(index)
        return None if truth is None else truth.saliency

    def points(self, index: int) -> Map:
        """See `Layer`."""
        truth = self._known(index)
        if truth is None:
            return np.empty((0, 2))
        rows, columns = np.nonzero(truth.fixations)
        height, width = truth.fixations.shape
        return np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=1)

    def _known(self, index: int) -> GroundTruth | None:
        truth = self._truth(index) if index < self.count else None
        return truth if truth is not None and truth.fixations.any() else None


def open_layer(source: MapSource, video: Path) -> Layer:
    """The maps of a source.

    Args:
        source: see `MapSource`; weights are asked for the whole video, once, and their maps kept in the cache folder.
        video: whose maps they are.

    Raises:
        BadInput: the source cannot be used.
    """
    if isinstance(source, Layer):
        return source
    if isinstance(source, Video):
        return GazeLayer(source)
    if isinstance(source, np.ndarray):
        return ArrayLayer(source)
    if Path(source).is_dir():
        return FolderLayer(Path(source))
    return predicted(video, source)


def predicted(video: Path, weights: str | Path) -> Layer:
    """What a model says of every frame, raw; computed once, and kept as float16 in the cache folder.

    Raises:
        BadInput: the video or the weights cannot be used.
    """
    place = _place(video, "fused", model_source(weights).digest)
    if not place.exists():
        runtime = open_runtime(weights)
        maps = saliency_maps(_watched(video, runtime.spec.label), runtime)
        write_array(place, (saliency.astype(np.float16) for _, saliency in maps if saliency is not None))
    return ArrayLayer(np.load(place, mmap_mode="r"), str(weights))


def decoder_layers(video: Path, weights: str | Path) -> dict[str, Layer]:
    """What each of a model's decoders says of every frame, D1's four maps one by one; computed once, and kept likewise.

    Raises:
        BadInput: the video or the weights cannot be used.
    """
    source = model_source(weights)
    place = _place(video, "decoders", source.digest)
    if not place.exists():
        from tinyhd_lib.training.models import StudentModel

        model = StudentModel(weights, "openvino")
        write_array(place, _side_maps(_watched(video, model.name), model))
    maps = np.load(place, mmap_mode="r")
    names = [name for decoder in source.spec.decoders for name in _MAPS_OF[decoder]]
    return {name: ArrayLayer(maps[:, number]) for number, name in enumerate(names)}


def _side_maps(frames: Iterator[Frame], model: "StudentModel") -> Iterator[Map]:
    """(maps, 192, 256) float16 for every frame."""
    small = (_at_models_size(frame.image) for frame in frames)
    for window in windows(small, published_stride(model.spec)):
        answers = model(np.stack(window.clip))
        for index in window.owned:
            maps = [answers[name][:, window.output(index, answers[name].shape[1])] for name in model.spec.decoders]
            yield np.concatenate(maps).astype(np.float16)


def _at_models_size(image: Image) -> Image:
    """A frame at the model's size, in whole grey levels."""
    return np.rint(cv2.resize(image.astype(np.float32), INPUT_SIZE[::-1], interpolation=cv2.INTER_LINEAR)).astype(
        np.uint8
    )


def _watched(video: Path, label: str) -> Iterator[Frame]:
    """A video's frames, with a bar that tells how many are done."""
    yield from tqdm(read_frames(video), desc=f"{label} on {video.name}", total=count_frames_in(video))


def _place(video: Path, what: str, digest: str) -> Path:
    folder = cache_folder() / "viewer"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{digest_of(str(_CODE), what, fingerprint(source_files(video)), digest)}.npy"


def _numbered(paths: list[Path]) -> dict[int, Path]:
    """Files by the frame that they are of."""
    if all(path.stem.isdecimal() for path in paths):
        first = min(1, *(int(path.stem) for path in paths))
        return {int(path.stem) - first: path for path in paths}
    return dict(enumerate(paths))
