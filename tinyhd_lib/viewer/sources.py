"""Sources of a viewer's maps: files, arrays, the gaze of observers, or a model, whose maps are cached."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.clips import seen
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.gaze import GroundTruth, places_of, read_gaze
from tinyhd_lib.data.transforms import Map, looks
from tinyhd_lib.data.video import Frame, count_frames_in, read_frames, source_files
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.predictions import MAP_SUFFIXES, read_any_map
from tinyhd_lib.files import digest_of, fingerprint, write_array
from tinyhd_lib.models.source import model_source
from tinyhd_lib.models.spec import Sampling
from tinyhd_lib.prediction.inference import predict
from tinyhd_lib.runtime.foreign import foreign_runtime

_CACHE = Cache("viewer", version=3, most_bytes=4 * 2**30)


@dataclass(frozen=True)
class MapSource:
    """The maps of a video; its functions take the index of a frame.

    Attributes:
        count: number of frames that it covers, some of which may lack a map.
        map: returns a frame's map (h, w) float32, None if it has none.
        points: returns a frame's gaze points (n, 3): observer, and x and y as fractions of width and height; empty if
            unknown. The observer is -1 if unknown.
        truth: returns a frame's ground truth, None if unknown.
        observers: numbers of the observers, if known.
    """

    count: int
    map: Callable[[int], Map | None]
    points: Callable[[int], Map] = lambda _index: np.empty((0, 3))
    truth: Callable[[int], GroundTruth | None] = lambda _index: None
    observers: Sequence[int] = ()


Maps = str | Path | Map | Video | MapSource
"""A folder of map files, the name or path of weights, an array (n, h, w), or a data set's video for its gaze."""


def open_maps(maps: Maps, video: Path) -> MapSource:
    """Return the source of some maps.

    Args:
        maps: see `Maps`; with weights, the maps of the whole video are computed once, and cached.
        video: the video of the maps.

    Raises:
        BadInput: the maps cannot be used.
    """
    if isinstance(maps, MapSource):
        return maps
    if isinstance(maps, Video):
        return _of_gaze(maps)
    if isinstance(maps, np.ndarray):
        return _of_array(maps)
    if Path(maps).is_dir():
        return _of_folder(Path(maps), video)
    source = foreign_runtime(maps) or model_source(maps)
    frames, what = _with_bar(video, source.spec.label), f"fused {source.sampling}"
    return _of_array(_kept(video, what, source.digest, lambda: (each.map for each in predict(frames, maps))))


def open_decoders(video: Path, weights: str | Path) -> dict[str, MapSource]:
    """Return the maps of each of a model's decoders, D1's four maps as one source each; computed once, and cached.

    Raises:
        BadInput: the video or the weights cannot be used.
    """
    source = model_source(weights)
    names: list[str] = []
    for each in map(str.upper, source.spec.names):
        names += [f"{each} map {number}" for number in range(1, 5)] if each.startswith("D1") else [each]
    maps = _kept(video, "decoders", source.digest, lambda: _side_maps(video, weights))
    return {name: _of_array(maps[:, n]) for n, name in enumerate(names)}


def _of_gaze(video: Video) -> MapSource:
    """Return the ground truth of a data set's video as a map source.

    Raises:
        BadInput: it has none.
    """
    if not video.has_truth:
        raise BadInput(f"{video.name}: nothing is known of where people looked in it")
    gaze = read_gaze(video.gaze) if video.gaze else None
    count, read = len(video.names), lru_cache(8)(video.truth)

    def truth(index: int) -> GroundTruth | None:
        found = read(index) if index < count else None
        return found if found is not None and found.fixations.any() else None

    def points(index: int) -> Map:
        if gaze is not None:
            at = gaze.at(index)
            height, width = at.size
            return np.stack([at.observer, (at.x + 0.5) / width, (at.y + 0.5) / height], axis=1)[at.inside()]
        found = truth(index)
        places = np.empty((0, 2)) if found is None else places_of(found.fixations)
        return np.insert(places[:, ::-1], 0, -1, axis=1)

    observers = np.unique(gaze.observer).tolist() if gaze else ()
    return MapSource(count, lambda index: getattr(truth(index), "saliency", None), points, truth, observers)


def _of_array(maps: Map) -> MapSource:
    """Return an array (n, h, w), in memory or memory-mapped, as a map source.

    Raises:
        BadInput: the array holds something else.
    """
    if maps.ndim != 3 or not maps.size or maps.dtype.kind not in "fiu":
        raise BadInput(f"maps: (frames, height, width) numbers are needed, got {maps.shape} {maps.dtype}")
    return MapSource(len(maps), lambda index: maps[index].astype(np.float32) if index < len(maps) else None)


def _of_folder(folder: Path, video: Path) -> MapSource:
    """Return map files, as `predict` and others write them, in a folder or its subfolder named like the video.

    Files named by numbers are matched with frames from 0, or from 1 if none is called 0; others are taken in order.

    Raises:
        BadInput: there are no map files; later, if one cannot be read.
    """
    own = folder / (video.name if video.is_dir() else video.stem)
    place = own if own.is_dir() else folder
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() in MAP_SUFFIXES and path.is_file())
    if not paths:
        told = f"{place}: no map files in it, and {own}: no folder with the maps of {video}"
        raise BadInput(f"{told}; tinyhd predict makes one")
    known = dict(enumerate(paths))
    if all(path.stem.isdecimal() for path in paths):
        first = min(1, *(int(path.stem) for path in paths))
        known = {int(path.stem) - first: path for path in paths}
    read = lru_cache(8)(lambda path: read_any_map(path).astype(np.float32))
    return MapSource(max(known) + 1, lambda index: read(known[index]) if index in known else None)


def _kept(video: Path, what: str, digest: str, compute: Callable[[], Iterable[Map]]) -> Map:
    """Return the maps of each frame, (n, ...) float16, memory-mapped from the cache; computed if they are missing."""
    key = digest_of(what, fingerprint(source_files(video)), digest)
    place = _CACHE.file(key, lambda path: write_array(path, (maps.astype(np.float16) for maps in compute())))
    return np.load(place, mmap_mode="r")


def _side_maps(video: Path, weights: str | Path) -> Iterator[Map]:
    """Yield the decoders' maps (maps, 192, 256) of every frame."""
    from tinyhd_lib.training.models import open_model

    model, spec = open_model(str(weights), "openvino"), model_source(weights).spec
    small = (seen(frame.image, "whole") for frame in _with_bar(video, model.name))
    for window in looks(small, spec, Sampling.published(spec).every):
        outputs = model(np.stack(window.clip))
        for index in window.owned:
            maps = [outputs[name][:, window.output(index, outputs[name].shape[1])] for name in spec.names]
            yield np.concatenate(maps)


def _with_bar(video: Path, label: str) -> Iterator[Frame]:
    """Yield a video's frames, with a progress bar."""
    yield from tqdm(read_frames(video), desc=f"{label} on {video.name}", total=count_frames_in(video))
