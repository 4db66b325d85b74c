"""Teachers behind one protocol: what a student is to say of a clip.

A teacher is made of window models (`tinyhd_lib.training.models`), of maps on disk, or of other teachers. Which window
answers for which frame is decided here, once (specification section 4).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from tinyhd_lib.data.clips import Clip, Source, clip_frames
from tinyhd_lib.data.gaze import read_map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.predictions import read_any_map
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.training.answers import BYTES, AnswerCache
from tinyhd_lib.training.models import Answers, WindowModel

TIMINGS = {"aligned": 0, "published": -1}
"""How many frames later than the frame itself the window ends that answers for it: the published code lets a teacher of
single maps answer for the frame before, when it teaches M."""


class Teacher(Protocol):
    """Somebody to learn from.

    Attributes:
        name: for people and records.
        digest: changes when the answers may.
    """

    name: str
    digest: str

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], None]]":
        """What is to be computed before these clips can be answered from the cache, as jobs; none without a cache."""

    def size(self, clips: Mapping[int, int]) -> int:
        """Bytes that its answers take in the cache for so many different clips of each source; 0 without a cache."""

    def targets(self, source: Source, clip: Clip) -> Answers:
        """What it says of a clip, each (C, T, H, W) with T = 16, or T = 1 where one map stands for the clip."""


class WindowTeacher:
    """A window model as a teacher of whole clips, computed live or taken from a cache.

    Args:
        model: what answers a window.
        timing: a name of `TIMINGS`.
        single: whether the student wants the last frame only.
        cache: where answers are kept, None to compute them whenever they are asked for.
    """

    def __init__(
        self, model: WindowModel, timing: str = "aligned", *, single: bool = False, cache: AnswerCache | None = None
    ) -> None:
        if timing not in TIMINGS:
            raise BadInput(f"timing {timing!r}: {' or '.join(TIMINGS)}")
        self.name = model.name
        self.digest = model.digest
        self._model = model
        self._single = single
        self._shift = 0 if single else TIMINGS[timing]
        self._cache = cache

    def windows(self, clip: Clip) -> list[Clip]:
        """The windows that together answer for a clip: itself, or one that ends on each of its frames."""
        if self._model.multi:
            return [clip]
        last = CLIP_FRAMES - 1
        frames = [last] if self._single else range(CLIP_FRAMES)
        starts = [clip.start + clip.step * (frame - last + self._shift) for frame in frames]
        return [Clip(clip.video, start, clip.step, clip.flip) for start in starts]

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], None]]":
        """See `Teacher`."""
        if self._cache is None:
            return []
        windows = [window for clip in clips for window in self.windows(clip)]
        return self._cache.missing(self._model, sources, windows)

    def size(self, clips: Mapping[int, int]) -> int:
        """See `Teacher`."""
        if self._cache is None:
            return 0
        window = self._model(np.zeros((CLIP_FRAMES, *INPUT_SIZE, 3), np.uint8))
        # Clips of a model of single maps share their windows: there are as many as there are places for a clip.
        return sum(clips.values()) * sum(values.size for values in window.values()) * BYTES

    def targets(self, source: Source, clip: Clip) -> Answers:
        """See `Teacher`."""
        answers = [self._answer(source, window) for window in self.windows(clip)]
        if self._model.multi and self._single:
            return {name: values[:, -1:] for name, values in answers[0].items()}
        return {name: np.concatenate([answer[name] for answer in answers], axis=1) for name in answers[0]}

    def _answer(self, source: Source, window: Clip) -> Answers:
        if self._cache is None:
            return self._model(clip_frames(source, window))
        return self._cache.read(self._model, source, window)


class MapTeacher:
    """Maps on disk, a folder a video, as ``tinyhd generate --maps npz`` writes them: raw (h, w), or grey levels."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder of maps")
        self.name = f"maps in {folder.name}"
        self.digest = str(folder.resolve())
        self._folder = folder

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], None]]":  # noqa: ARG002
        """See `Teacher`."""
        return []

    def size(self, clips: Mapping[int, int]) -> int:  # noqa: ARG002
        """See `Teacher`."""
        return 0

    def targets(self, source: Source, clip: Clip) -> Answers:
        """See `Teacher`.

        Raises:
            BadInput: a frame has no map.
        """
        video = source.video
        maps = [_read_any(self._folder / video.name, video.names[index]) for index in clip.indices(source.count)]
        stacked = np.stack(maps)[None]
        return {"map": stacked[..., ::-1] if clip.flip else stacked}


class Ensemble:
    """The mean of several teachers, of what all of them answer."""

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.name = " + ".join(member.name for member in members)
        self.digest = " ".join(member.digest for member in members)
        self._members = members

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], None]]":
        """See `Teacher`."""
        return [job for member in self._members for job in member.prepare(sources, clips)]

    def size(self, clips: Mapping[int, int]) -> int:
        """See `Teacher`."""
        return sum(member.size(clips) for member in self._members)

    def targets(self, source: Source, clip: Clip) -> Answers:
        """See `Teacher`."""
        answers = [member.targets(source, clip) for member in self._members]
        common = set.intersection(*(set(answer) for answer in answers))
        return {
            name: np.mean(np.broadcast_arrays(*(answer[name] for answer in answers)), axis=0)
            for name in answers[0]
            if name in common
        }


def _read_any(folder: Path, name: str) -> np.ndarray:
    raw, grey = folder / f"{name}.npz", folder / f"{name}.png"
    if raw.exists():
        return read_any_map(raw)
    if grey.exists():
        return cv2.resize(read_map(grey), INPUT_SIZE[::-1], interpolation=cv2.INTER_AREA)
    raise BadInput(f"{raw}: no map of this frame; make them with tinyhd generate --maps npz")
