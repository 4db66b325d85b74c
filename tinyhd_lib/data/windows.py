"""Which 16 frames the model sees, and which frame each of its maps belongs to. Pure index arithmetic.

Source: docs/model.md, preprocessing and windows. One rule covers the published policies: windows end on every
``stride``-th frame and on the last one; each claims its last ``stride`` frames; where two claim a frame, the later one
has it; in front of the first frame that frame is repeated. S is stride 1, M is stride 16.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from tinyhd_lib.models.spec import CLIP_FRAMES, ModelSpec

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Window(Generic[Frame]):
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
        """Which of the model's ``outputs`` maps belongs to the owned frame ``index``."""
        return (index - self.start) * outputs // CLIP_FRAMES


def published_stride(spec: ModelSpec) -> int:
    """Frames from one window to the next, as published: 1 for S, 16 for M."""
    return CLIP_FRAMES if spec.multi else 1


def windows(frames: Iterable[Frame], stride: int) -> Iterator[Window[Frame]]:
    """Cut a video into windows while it arrives, holding at most 16 + ``stride`` frames.

    Every frame is owned by exactly one window, and windows come in the order of the frames that they own. A video
    shorter than a window gives one window for each ``stride`` frames all the same.

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
        # Fewer frames than a stride follow only at the end: then the last window takes over some of this one's.
        yield Window(clip, first + claimed - CLIP_FRAMES, range(first, first + len(following)))
        clip = [*clip[len(following) :], *following]
        first += len(following)
    yield Window(clip, first + claimed - CLIP_FRAMES, range(first, first + claimed))
