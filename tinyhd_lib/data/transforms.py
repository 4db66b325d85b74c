"""Convert decoded frames to the model's input, and its maps to grey levels, exactly as published. Pure functions.

Source: docs/model.md, preprocessing and windows. A window is the 16 frames of a model's input; each of its maps belongs
to one frame. The windows of M models end on every ``stride``-th frame and on the last one; each owns its last
``stride`` frames, except those that a later window owns. The windows of S models end on the frames that get their maps.
Before the start of a video, its first frame is repeated. As published, the stride is 16 for M models and 1 for S.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, MEAN, STD, ForeignSpec, ModelSpec

Image = npt.NDArray[Any]
"""A picture: uint8, (H, W, 3) RGB or (H, W) grey levels."""

Map = npt.NDArray[Any]
"""float32: a saliency map, or the model's input."""

Bounds = tuple[float, float]
"""The saliency values that become black and white."""

Grey = Callable[..., Image]
"""Makes a map's grey levels, as `to_grey` does."""

Frame = TypeVar("Frame")

_MEAN = np.array(MEAN, np.float32)
_STD = np.array(STD, np.float32)


def normalise(colours: Map) -> Map:
    """Return colours (..., 3) RGB in [0, 1], float32, normalised by ImageNet's mean and deviation."""
    return (colours - _MEAN) / _STD


def preprocess(image: Image) -> Map:
    """Return a frame as the model's input.

    Args:
        image: (H, W, 3) RGB.

    Returns:
        (3, 192, 256) float32, normalised by ImageNet's mean and deviation. Resizing first gives the same numbers as the
        published order at a fraction of the cost, since both steps are linear.
    """
    height, width = INPUT_SIZE
    small = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    planes: Map = np.ascontiguousarray(small.transpose(2, 0, 1))  # arithmetic on whole planes is many times faster
    planes /= np.float32(255)
    planes -= _MEAN[:, np.newaxis, np.newaxis]
    planes /= _STD[:, np.newaxis, np.newaxis]
    return planes


def clip_of(frames: Sequence[Map]) -> Any:
    """Return a model's input (3, T, H, W) of T frames (3, H, W): arrays of NumPy, or tensors of torch."""
    return array_namespace(frames[0]).stack(frames, axis=1)


class Window(NamedTuple, Generic[Frame]):
    """One input of the model.

    Attributes:
        clip: its 16 frames, in order.
        start: the index in the video of the clip's first frame; negative where the video's first frame is repeated.
        owned: the indices of the frames that get their maps from this window.
    """

    clip: list[Frame]
    start: int
    owned: range

    def output(self, index: int, outputs: int) -> int:
        """Return which of the model's ``outputs`` maps an owned frame gets; the first, if it precedes the clip."""
        return max(0, index - self.start) * outputs // CLIP_FRAMES


def looks(frames: Iterable[Frame], spec: ModelSpec | ForeignSpec, every: int) -> Iterator[Window[Frame]]:
    """Yield the windows of a video that a model is run on: `windows` for M models, `windows_ending` for S."""
    return windows(frames, every) if spec.multi else windows_ending(frames, lambda fresh: fresh[-1] % every == 0)


def windows_ending(frames: Iterable[Frame], due: Callable[[range], bool]) -> Iterator[Window[Frame]]:
    """Yield windows that end wherever ``due`` says so, and on the last frame, while frames arrive.

    Each owns the frames since the end of the one before; only the newest 16 frames are held.

    Args:
        frames: the video's frames (or ``range(count)``, for their indices).
        due: called on every frame with the indices of the frames since the last end; whether a window ends here.

    Examples:
        >>> [(w.clip[-1], w.owned) for w in windows_ending(range(20), lambda fresh: len(fresh) == 8)]
        [(7, range(0, 8)), (15, range(8, 16)), (19, range(16, 20))]
    """
    clip: deque[Frame] = deque(maxlen=CLIP_FRAMES)
    index, first = -1, 0
    for index, frame in enumerate(frames):
        clip.extend([frame] * (1 if clip else CLIP_FRAMES))
        if due(range(first, index + 1)):
            yield Window(list(clip), index + 1 - CLIP_FRAMES, range(first, index + 1))
            first = index + 1
    if first <= index:
        yield Window(list(clip), index + 1 - CLIP_FRAMES, range(first, index + 1))


def windows(frames: Iterable[Frame], stride: int) -> Iterator[Window[Frame]]:
    """Yield the windows of a video while its frames arrive, holding at most 16 + ``stride`` frames.

    Every frame is owned by exactly one window, and windows come in the order of the frames that they own. A video
    shorter than a window also gives one window for each ``stride`` frames.

    Args:
        frames: the video's frames (or ``range(count)``, for their indices).
        stride: frames from one window to the next, 1 to 16.

    Raises:
        ValueError: the stride is not 1 to 16.

    Examples:
        >>> [(w.clip[0], w.clip[-1], w.owned) for w in windows(range(40), stride=16)]
        [(0, 15, range(0, 16)), (16, 31, range(16, 24)), (24, 39, range(24, 40))]
    """
    if not 1 <= stride <= CLIP_FRAMES:
        raise ValueError(f"stride is 1 to {CLIP_FRAMES} frames, got {stride}")
    source = iter(frames)
    clip = list(islice(source, stride))
    if not clip:
        return
    claimed, first = len(clip), 0
    clip = [clip[0]] * (CLIP_FRAMES - claimed) + clip
    while following := list(islice(source, stride)):
        # Fewer frames than a stride follow only at the end: then the last window owns some of this one's frames.
        yield Window(clip, first + claimed - CLIP_FRAMES, range(first, first + len(following)))
        clip = [*clip[len(following) :], *following]
        first += len(following)
    yield Window(clip, first + claimed - CLIP_FRAMES, range(first, first + claimed))


def own_bounds(saliency: Map) -> Bounds:
    """Return the extremes of a map, which become black and white in the published post-processing."""
    return float(saliency.min()), float(saliency.max())


def to_grey(saliency: Map, size: tuple[int, ...], bounds: Bounds | None = None, levels: type[Any] = np.uint8) -> Image:
    """Return a map as grey levels at the video's size: scaled, clipped, enlarged bicubically, blurred by 5x5.

    Args:
        saliency: (h, w) raw map.
        size: (height, width) of the video.
        bounds: the values that become black and white; the map's own extremes, as published, if None.
        levels: ``np.uint8`` (published) or ``np.uint16``.

    Returns:
        (height, width) of that type; black where the bounds coincide.
    """
    large = cv2.resize(stretched(saliency, bounds, levels), size[::-1], interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(large, (5, 5), 0)


def stretched(saliency: Map, bounds: Bounds | None = None, levels: type[Any] = np.uint8) -> Image:
    """Return a map's grey levels (h, w) at its own size, clipped; black if the bounds coincide: see `to_grey`."""
    low, high = bounds or own_bounds(saliency)
    white = np.iinfo(levels).max
    scale = white / (high - low) if high > low else 0.0
    return ((saliency - np.float32(low)) * np.float32(scale)).clip(0, white).astype(levels)
