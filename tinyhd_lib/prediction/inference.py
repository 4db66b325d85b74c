"""A video in, saliency maps out: a generator that knows no file format."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import Frame, read_frames
from tinyhd_lib.data.windows import Window, published_stride, windows
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS
from tinyhd_lib.overlap import prefetch
from tinyhd_lib.prediction.options import WindowOptions
from tinyhd_lib.runtime import Runtime, open_runtime

if TYPE_CHECKING:
    from tinyhd_lib.models.student import TinyHD


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


def predict(
    video: str | Path | Iterable[Frame],
    model: "str | Path | TinyHD" = DEFAULT_WEIGHTS,
    *,
    device: str = "auto",
    stride: int | None = None,
    batch: int | None = None,
) -> Iterator[Prediction]:
    """Yield the saliency of every frame of a video, in order; decoding and forward pass overlap.

    Args:
        video: a video file, a folder of frames, or frames.
        model: the name of published weights, a checkpoint's path, or a model.
        device: see `open_runtime`.
        stride: frames from one window to the next; the published 1 (S) or 16 (M) if None.
        batch: windows a forward pass; what the runtime likes best if None.

    Raises:
        BadInput: the video, the weights, the device, the stride or the batch cannot be used.
    """
    WindowOptions(stride=stride, batch=batch)  # refuses what is out of range
    frames = read_frames(Path(video)) if isinstance(video, str | Path) else video
    runtime = open_runtime(model, device)
    maps = saliency_maps(frames, runtime, stride=stride, batch=batch)
    return (Prediction(frame.index, frame.time, saliency) for frame, saliency in maps if saliency is not None)


def saliency_maps(
    frames: Iterable[Frame],
    runtime: Runtime,
    *,
    stride: int | None = None,
    batch: int | None = None,
    wanted: Callable[[int], bool] = lambda _index: True,
) -> Iterator[tuple[Frame, Map | None]]:
    """Yield every frame with its raw map (192, 256), None where the frame is not wanted.

    The windows of one batch wait decoded while another is computed. Windows of unwanted frames alone are not computed.

    Args:
        frames: of a video, in order.
        runtime: the model, ready to run.
        stride: frames from one window to the next; the published 1 (S) or 16 (M) if None.
        batch: windows a forward pass; what the runtime likes best if None.
        wanted: asked once a frame, by its number; its answer may change while files appear.
    """
    waiting: deque[Frame] = deque()

    def prepared() -> Iterator[Map]:
        for frame in frames:
            waiting.append(frame)
            yield preprocess(frame.image)

    source = windows(prepared(), stride or published_stride(runtime.spec))
    outputs = runtime.spec.outputs
    for group, clips in prefetch(_batches(source, batch or runtime.batch, wanted), depth=1):
        maps = iter(runtime(clips) if len(clips) else ())
        for window, chosen in group:
            window_maps = next(maps) if chosen else None
            for index in window.owned:
                if window_maps is None or index not in chosen:
                    yield waiting.popleft(), None
                else:
                    yield waiting.popleft(), window_maps[window.output(index, outputs)]


def _batches(
    source: Iterator[Window[Map]], size: int, wanted: Callable[[int], bool]
) -> Iterator[tuple[list[tuple[Window[Map], set[int]]], list[Map]]]:
    """Windows in groups, each with its wanted frames, and the clips (3, 16, H, W) of the windows that have any.

    The clips of a group are views of one array, in which a frame that several of them see is there once.
    """
    while group := [(window, set(filter(wanted, window.owned))) for window in islice(source, size)]:
        needed = [window for window, chosen in group if chosen]
        yield group, _overlapping(needed) if needed else []


def _overlapping(needed: list[Window[Map]]) -> list[Map]:
    start = needed[0].start
    frames = np.empty((3, needed[-1].start - start + CLIP_FRAMES, *INPUT_SIZE), np.float32)
    filled = start
    for window in needed:
        for index in range(max(filled, window.start), window.start + CLIP_FRAMES):
            frames[:, index - start] = window.clip[index - window.start]
        filled = window.start + CLIP_FRAMES
    return [frames[:, window.start - start :][:, :CLIP_FRAMES] for window in needed]
