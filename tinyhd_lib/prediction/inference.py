"""Predict the saliency maps of a video, as a generator that is independent of file formats.

Which windows are needed, and how their maps become one per frame: docs/model.md, maps over time.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from tinyhd_lib.data.images import PICTURE_SHAPES, to_image
from tinyhd_lib.data.transforms import Image, Map, Window, clip_of, looks, preprocess
from tinyhd_lib.data.video import Frame, probe, read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES, Sampling
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS
from tinyhd_lib.overlap import parallel_map, prefetch
from tinyhd_lib.prediction.options import WindowOptions
from tinyhd_lib.records import usable_cores
from tinyhd_lib.runtime import Model, Runtime, open_runtime

Item = TypeVar("Item")

REACH = 3.0
"""Standard deviations at which a Gaussian over time is cut off."""

_MARGIN = 1.01  # so that no neighbour is missed by rounding
_MOST_NEIGHBOURS = 256  # frames held back at most, whatever their times
_WAITING_FRAMES = 128  # decoded at most for one batch of widely spaced windows


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
    model: Model = DEFAULT_WEIGHTS,
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
        model: the name of published weights, a checkpoint's path, a model, or a model of other software, see
            `foreign_runtime`.
        device: see `open_runtime`.
        every: from one window to the next, in frames or as a time such as ``0.3s``; if None, this and the next two are
            the defaults stored with the weights, which for the published ones are as published.
        between: S models: the map of a frame between two windows: ``linear``, interpolated, or ``hold``, the later one.
        smooth: standard deviation, in seconds, of a Gaussian that smooths maps over time.
        batch: windows per forward pass; what suits the runtime best if None.
        fps: frame rate of pictures that have no times.

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
        fps: frame rate of pictures that have no times.

    Raises:
        BadInput: it is no video; for a sequence of pictures, raised on iteration: it is empty, or they differ in size.
    """
    if isinstance(video, str | bytes | Path):
        return read_frames(Path(os.fsdecode(video)))
    shape = getattr(video, "shape", None)
    if shape is not None and len(shape) != 4:
        raise BadInput(f"a video of shape {tuple(shape)}: give {PICTURE_SHAPES}")
    return _frames(video, fps)


def _frames(pictures: Iterable[Any], fps: float) -> Iterator[Frame]:
    size = None
    for index, each in enumerate(pictures):
        image = each.image if isinstance(each, Frame) else to_image(each, f"picture {index} of a video")
        size = size or image.shape
        if image.shape != size:
            raise BadInput(f"picture {index} of a video: of shape {image.shape}, those before are of {size}")
        yield each if isinstance(each, Frame) else Frame(index, index / fps, image)
    if size is None:
        raise BadInput("a video without a picture")


@dataclass(frozen=True)
class Asked:
    """Hold a frame, and whether its map is wanted or needed.

    Attributes:
        frame: of the video.
        wanted: the caller wants its map.
        needed: its map before smoothing is needed for the map of a wanted frame.
        prepare: as of `Runtime`.
    """

    frame: Frame
    wanted: bool
    needed: bool
    prepare: Callable[[Image], Map] = preprocess

    @cached_property
    def ready(self) -> Map:
        """Return the frame as a model's input; computed once, when the first window needs it."""
        return self.prepare(self.frame.image)


Planned = tuple[Window[Asked], bool]
"""A window, and whether it must be computed."""

Batch = tuple[list[Planned], list[Map]]
"""Windows, and the clips (3, 16, H, W) of those that must be computed."""


def saliency_maps(
    frames: Iterable[Frame],
    runtime: Runtime,
    sampling: Sampling | None = None,
    *,
    batch: int | None = None,
    wanted: Callable[[int], bool] = lambda _index: True,
) -> Iterator[tuple[Frame, Map | None]]:
    """Yield every frame with its raw map (192, 256), None where the frame is not wanted.

    One batch of windows is decoded while another is computed. Windows that no wanted frame needs are not computed.

    Args:
        frames: of a video, in order.
        runtime: the model, ready to run.
        sampling: how windows are placed, and how their maps are combined; the default of the weights if None.
        batch: windows per forward pass; what suits the runtime best if None.
        wanted: called once for each frame's index; its answer may change as files appear.
    """
    sampling = sampling or runtime.sampling
    asked: dict[int, Asked] = {}
    outputs = runtime.spec.outputs
    linear = sampling.between == "linear" and outputs == 1

    def prepared() -> Iterator[Asked]:
        for index, each in enumerate(needs(frames, wanted, _MARGIN * REACH * sampling.smooth)):
            asked[index] = replace(each, prepare=runtime.prepare)
            yield asked[index]

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
    """Yield each window with its maps, None where it need not be computed."""
    for group, clips in batches:
        maps: Map = runtime(clips) if clips else np.empty((0, 0, 0, 0), np.float32)
        if not np.isfinite(maps).all():
            told = "the model's maps are not finite; try another device, or precision float32"
            raise BadInput(f"{runtime.name}: {told}")
        found: Iterator[Map] = iter(maps)
        for window, is_needed in group:
            yield window, next(found) if is_needed else None


def _batches(source: Iterator[Planned], size: int) -> Iterator[Batch]:
    """Yield windows in groups, with the clips (3, 16, H, W) of those that must be computed.

    The clips of a group are views of one array, so a frame that several of them share is stored once.
    """
    threads = threads_for_frames()
    while group := list(islice(source, size)):
        looked = [window for window, is_needed in group if is_needed]
        seen = {number: each for window in looked for number, each in enumerate(window.clip, start=window.start)}
        ready = list(parallel_map(attrgetter("ready"), seen.values(), threads, 2 * threads))
        frames = clip_of(ready) if ready else np.empty(0)
        places = {number: place for place, number in enumerate(seen)}
        yield group, [frames[:, places[window.start] :][:, :CLIP_FRAMES] for window in looked]


def threads_for_frames() -> int:
    """Return how many threads prepare or write single frames: no more cores than one decoder keeps busy."""
    return max(2, min(8, usable_cores()))


def needs(frames: Iterable[Frame], wanted: Callable[[int], bool], reach: float) -> Iterator[Asked]:
    """Yield every frame, marked as wanted or not; frames within ``reach`` seconds of a wanted one are needed.

    Args:
        frames: of a video, in order.
        wanted: called once for each frame's index.
        reach: seconds; 0 without smoothing, and then no frame is held back.
    """
    last = -math.inf
    asked = ((frame, wanted(frame.index)) for frame in frames)
    for (frame, chosen), ahead in _held_back(asked, lambda item: item[0].time, reach):
        last = frame.time if chosen else last
        near = frame.time - last <= reach or any(each.time - frame.time <= reach for each, other in ahead if other)
        yield Asked(frame, chosen, near)


def planned(windows: Iterable[Window[Asked]], needed: Callable[[int], bool], *, linear: bool) -> Iterator[Planned]:
    """Yield every window with whether it must be computed.

    Args:
        windows: of a video, in order.
        needed: tells by a frame's index whether its map is needed.
        linear: maps are interpolated: frames between this window's end and the next one's need both maps.
    """
    behind_the_last = Window[Asked]([], 0, range(0))
    for window, following in pairwise(chain(windows, [behind_the_last])):
        later = following.owned[:-1] if linear else ()
        yield window, any(map(needed, (*window.owned, *later)))


def between(looked: Iterable[tuple[Window[Asked], Map | None]], outputs: int, *, linear: bool) -> Iterator[Map | None]:
    """Yield a map for every frame, None where its window was not computed.

    Args:
        looked: windows with their maps (outputs, 192, 256), None where they were not computed.
        outputs: maps per window.
        linear: frames between the ends of two windows get their maps interpolated; else the later window's map.
    """
    earlier: Map | None = None
    for window, maps in looked:
        for place, index in enumerate(window.owned, start=1):
            if maps is None:
                yield None
            elif linear and earlier is not None and place < len(window.owned):
                share = np.float32(place / len(window.owned))
                yield (1 - share) * earlier[0] + share * maps[0]
            else:
                yield maps[window.output(index, outputs)]
        earlier = maps


def smoothed(answers: Iterable[tuple[Asked, Map | None]], seconds: float) -> Iterator[tuple[Frame, Map | None]]:
    """Yield every frame with its map smoothed by a Gaussian over time, None where it is not wanted.

    Near the video's ends the mean is over the frames that exist.

    Args:
        answers: frames with their own maps, where they are needed.
        seconds: the Gaussian's standard deviation; it is cut off at `REACH` of them.
    """
    earlier: deque[tuple[float, Map]] = deque()
    for (each, saliency), ahead in _held_back(answers, lambda item: item[0].frame.time, REACH * seconds):
        time = each.frame.time
        while earlier and earlier[0][0] < time - REACH * seconds:
            earlier.popleft()
        if saliency is not None:
            earlier.append((time, saliency))
        later = ((other.frame.time, maps) for other, maps in ahead if maps is not None)
        yield each.frame, _weighted([*earlier, *later], time, seconds) if each.wanted else None


def _held_back(
    items: Iterable[Item], time: Callable[[Item], float], reach: float
) -> Iterator[tuple[Item, Iterable[Item]]]:
    """Yield every item once all items within ``reach`` seconds have arrived, with those that arrived after it."""
    waiting: deque[Item] = deque()
    for item in items:
        waiting.append(item)
        while waiting and (time(waiting[0]) + reach <= time(item) or len(waiting) > _MOST_NEIGHBOURS):
            yield waiting.popleft(), waiting
    while waiting:
        yield waiting.popleft(), waiting


def _weighted(near: Sequence[tuple[float, Map]], time: float, seconds: float) -> Map:
    """Return the mean of maps around a time, weighted by a Gaussian."""
    distances = np.array([each - time for each, _ in near]) / seconds
    weights = np.where(np.abs(distances) <= REACH, np.exp(-(distances**2) / 2), 0)
    mean = np.zeros_like(near[0][1])
    for weight, (_, saliency) in zip(weights / weights.sum(), near, strict=True):
        if weight:
            mean += np.float32(weight) * saliency
    return mean
