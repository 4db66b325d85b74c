"""A video in, saliency maps out: a generator that knows no file format."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from tinyhd_lib.data.images import PICTURE_SHAPES, to_image
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import Frame, probe, read_frames
from tinyhd_lib.data.windows import Window, looks
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES, Sampling
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS
from tinyhd_lib.overlap import parallel_map, prefetch
from tinyhd_lib.prediction.options import WindowOptions
from tinyhd_lib.prediction.time import REACH, Asked, between, needs, planned, smoothed
from tinyhd_lib.records import usable_cores
from tinyhd_lib.runtime import Runtime, open_runtime

if TYPE_CHECKING:
    from tinyhd_lib.models.student import TinyHD
    from tinyhd_lib.runtime.foreign import Saliency


Batch = tuple[list[tuple[Window[Asked], bool]], list[Map]]
_MARGIN = 1.01  # so that no neighbour is missed by rounding
_WAITING_FRAMES = 128  # decoded, for one batch of windows that lie far apart


Pictures = str | bytes | Path | Iterable[Any]
"""A path; or pictures, each a `Frame`, an array or tensor (H, W, 3) or (3, H, W) of uint8 or of floats from 0 to 1, or
a PIL image; one array or tensor with another axis in front is a video of them."""


class Prediction(NamedTuple):
    """Hold the saliency of one frame.

    Attributes:
        frame: its index, from 0.
        time: seconds since the first frame.
        map: (192, 256) float32 in (0, 1), as the model gives it.
    """

    frame: int
    time: float
    map: Map


def predict(  # noqa: PLR0913
    video: Pictures,
    model: "str | Path | TinyHD | Saliency" = DEFAULT_WEIGHTS,
    *,
    device: str = "auto",
    every: int | str | None = None,
    between: Literal["linear", "hold"] | None = None,
    smooth: float | None = None,
    batch: int | None = None,
    fps: float = 25.0,
) -> Iterator[Prediction]:
    """Yield the saliency of every frame of a video, in order; decoding and forward pass overlap.

    Args:
        video: a video file, a folder of frames, or pictures; see `frames_of`.
        model: the name of published weights, a checkpoint's path, or a model; or another one, see `foreign_runtime`.
        device: see `open_runtime`.
        every: from one look of the model to the next, in frames or as a time such as ``0.3s``; this and the next two
            are what the weights say if None, which for the published ones is as published.
        between: of S, what frames between two looks get: their maps in proportion, or the later one.
        smooth: seconds (standard deviation) over which maps are smoothed in time.
        batch: windows a forward pass; what the runtime likes best if None.
        fps: frames a second of pictures that have no times.

    Raises:
        BadInput: the video, the weights, the device or an option cannot be used.
    """
    chosen = WindowOptions(every=every, between=between, smooth=smooth, batch=batch)
    frames = frames_of(video, fps)
    runtime = open_runtime(model, device)
    if isinstance(chosen.every, str) and isinstance(video, str | bytes | Path):
        fps = float(probe(Path(os.fsdecode(video))).rate)
    sampling = chosen.sampling(runtime.spec, runtime.sampling, fps)
    maps = saliency_maps(frames, runtime, sampling, batch=chosen.batch)
    return (Prediction(frame.index, frame.time, saliency) for frame, saliency in maps if saliency is not None)


def frames_of(video: Pictures, fps: float = 25.0) -> Iterator[Frame]:
    """Return the frames of a video file, of a folder of frames, or of pictures in memory.

    Args:
        video: see `Pictures`.
        fps: frames a second of pictures that have no times.

    Raises:
        BadInput: it is no video; of single pictures, that is told when they come.
    """
    if isinstance(video, str | bytes | Path):
        return read_frames(Path(os.fsdecode(video)))
    shape = getattr(video, "shape", None)
    if shape is not None and len(shape) != 4:
        raise BadInput(f"a video of shape {tuple(shape)}: give {PICTURE_SHAPES}")
    return (each if isinstance(each, Frame) else _frame(index, fps, each) for index, each in enumerate(video))


def _frame(index: int, fps: float, picture: Any) -> Frame:
    return Frame(index, index / fps, to_image(picture, f"picture {index} of a video"))


def saliency_maps(
    frames: Iterable[Frame],
    runtime: Runtime,
    sampling: Sampling | None = None,
    *,
    batch: int | None = None,
    wanted: Callable[[int], bool] = lambda _index: True,
) -> Iterator[tuple[Frame, Map | None]]:
    """Yield every frame with its raw map (192, 256), None where the frame is not wanted.

    The windows of one batch wait decoded while another is computed. Those that no wanted frame needs are left out.

    Args:
        frames: of a video, in order.
        runtime: the model, ready to run.
        sampling: when it looks, and what becomes of its maps; what its weights say if None.
        batch: windows a forward pass; what the runtime likes best if None.
        wanted: asked once a frame, by its number; its answer may change while files appear.
    """
    sampling = sampling or runtime.sampling
    asked: dict[int, Asked] = {}
    outputs = runtime.spec.outputs
    linear = sampling.between == "linear" and outputs == 1

    def prepared() -> Iterator[Asked]:
        for index, each in enumerate(needs(frames, wanted, _MARGIN * REACH * sampling.smooth)):
            asked[index] = each
            yield each

    size = batch or max(1, min(runtime.batch, _WAITING_FRAMES // sampling.every))
    windows = looks(prepared(), runtime.spec, sampling.every)
    used = planned(windows, lambda index: asked[index].needed, linear=linear)
    looked = _computed(prefetch(_batches(used, size), depth=1), runtime)
    maps = between(looked, outputs, linear=linear)
    every = ((asked.pop(index), saliency) for index, saliency in enumerate(maps))
    answers = ((each, saliency if each.needed else None) for each, saliency in every)
    unsmoothed = ((each.frame, saliency) for each, saliency in answers)
    yield from smoothed(answers, sampling.smooth) if sampling.smooth else unsmoothed


def _computed(batches: Iterable[Batch], runtime: Runtime) -> Iterator[tuple[Window[Asked], Map | None]]:
    """Each window with the maps of its look, None where that is not needed."""
    for group, clips in batches:
        maps: Map = runtime(clips) if clips else np.empty((0, 0, 0, 0), np.float32)
        if not np.isfinite(maps).all():
            raise BadInput(f"{runtime.name}: the model's maps are not finite; try another device, or precision float32")
        found: Iterator[Map] = iter(maps)
        for window, is_needed in group:
            yield window, next(found) if is_needed else None


def _batches(source: Iterator[tuple[Window[Asked], bool]], size: int) -> Iterator[Batch]:
    """Windows in groups, and the clips (3, 16, H, W) of those that are needed.

    The clips of a group are views of one array, in which a frame that several of them see is there once.
    """
    while group := list(islice(source, size)):
        yield group, _overlapping([window for window, is_needed in group if is_needed])


def threads_for_frames() -> int:
    """Return how many threads prepare or write single frames: of the cores at hand, as many as a decoder keeps busy."""
    return max(2, min(8, usable_cores()))


def _overlapping(windows: Sequence[Window[Asked]]) -> list[Map]:
    if not windows:
        return []
    seen = {number: each for window in windows for number, each in enumerate(window.clip, start=window.start)}
    threads = threads_for_frames()
    ready = parallel_map(attrgetter("ready"), seen.values(), threads, 2 * threads)
    frames = np.stack(list(ready), axis=1)
    places = {number: place for place, number in enumerate(seen)}
    return [frames[:, places[window.start] :][:, :CLIP_FRAMES] for window in windows]
