"""Teachers: the target maps of a clip.

A teacher is a network (`tinyhd_lib.training.models`), maps on disk, or an ensemble of teachers. Which window gives the
map of which frame is decided here (docs/model.md). Answers are computed once, kept in float16 in the cache folder, and
shared by all trainings on a machine.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn
from torch.utils.data import get_worker_info

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.clips import Clip, Source, clip_frames, resized
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.predictions import find_maps
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.runtime.foreign import foreign_runtime
from tinyhd_lib.training.models import Answers, ForeignModel, OpenModel, open_model
from tinyhd_lib.training.recipe import Recipe, teacher_kind

TIMINGS = {"aligned": 0, "published": -1}
"""Offset, in frames, of the window's end from the frame whose map it gives: in the published code, when a single-output
teacher teaches M models, the window ends one frame earlier."""

_ANSWERS = Cache("answers")
_CHUNK = 16  # windows per cache entry, where each window gives the map of one frame
_KEPT = np.float16


class Teacher:
    """The interface of a teacher.

    Attributes:
        name: for display and records.
        digest: changes whenever the answers may change.
        network: its network, if features can be distilled from it.
    """

    name: str
    digest: str
    network: nn.Module | None = None

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], object]]":  # noqa: ARG002
        """Return jobs that compute the answers for these clips that are missing in the cache."""
        return []

    def size(self, clips: int) -> int:  # noqa: ARG002
        """Return how many bytes the answers for that many different clips take in the cache."""
        return 0

    def targets(self, source: Source, clip: Clip) -> Answers:
        """Return the answers for a clip, (C, T, H, W) with T = 16, or T = 1 if they are for its last frame only."""
        raise NotImplementedError


class WindowTeacher(Teacher):
    """A model of windows as a teacher of clips, computed live or read from the cache.

    Args:
        model: the model.
        timing: a name of `TIMINGS`.
        single: whether the student has a single output, for the last frame.
        cache: whether answers are cached; else they are computed on every request.
        wanted: names of the answers that have a loss term, since those of D1 are large; all if None.
    """

    def __init__(
        self, model: OpenModel | ForeignModel, timing: str = "aligned", *,
        single: bool = False, cache: bool = False, wanted: Collection[str] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.digest = model.name, model.digest
        self._model, self._single, self._cache, self._wanted = model, single, cache, wanted
        self._last = slice(-1 if model.multi and single else None, None)
        self.network = model.network if isinstance(model, OpenModel) else None
        self._shift = 0 if single else TIMINGS[timing]
        self._chunk = 1 if model.multi or single else _CHUNK

    def windows(self, clip: Clip) -> list[Clip]:
        """Return the windows that give a clip's answers: the clip itself, or one window for each of its frames."""
        if self._model.multi:
            return [clip]
        last = CLIP_FRAMES - 1
        frames = [last] if self._single else range(CLIP_FRAMES)
        starts = [clip.start + clip.step * (frame - last + self._shift) for frame in frames]
        return [Clip(clip.video, start, clip.step, clip.flip) for start in starts]

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], object]]":
        """See `Teacher`: one job per cache entry, in the order in which they are needed."""
        if not self._cache:
            return []
        asked = ((sources[window.video], window) for clip in clips for window in self.windows(clip))
        needed = {self._key(*each): each for each in asked}  # any window of an entry will do
        missing = {key: what for key, what in needed.items() if not _ANSWERS.path(key).exists()}
        return [partial(_ANSWERS.file, key, partial(self._fill, *what)) for key, what in missing.items()]

    def size(self, clips: int) -> int:
        """See `Teacher`."""
        if not self._cache:
            return 0
        window = self._ask(np.zeros((CLIP_FRAMES, *INPUT_SIZE, 3), np.uint8))
        # Clips of a single-output model share windows: there are as many windows as starts of clips.
        return clips * sum(values.size for values in window.values()) * np.dtype(_KEPT).itemsize

    def targets(self, source: Source, clip: Clip) -> Answers:
        """See `Teacher`."""
        read: dict[str, Answers] = {}
        answers = [self._answer(source, window, read) for window in self.windows(clip)]
        return {name: np.concatenate([answer[name] for answer in answers], axis=1) for name in answers[0]}

    def _ask(self, frames: Image) -> Answers:
        """Return the wanted parts of the model's answer for a window."""
        answers = self._model(frames).items()
        return {name: each[:, self._last] for name, each in answers if self._wanted is None or name in self._wanted}

    def _answer(self, source: Source, window: Clip, read: dict[str, Answers]) -> Answers:
        """Return the answer for a window; cache entries that neighbouring windows share are read once."""
        if not self._cache:
            return self._ask(clip_frames(source, window))
        key = self._key(source, window)
        if key not in read:
            with np.load(_ANSWERS.file(key, partial(self._fill, source, window))) as arrays:
                read[key] = dict(arrays)
        return {name: values[window.start % self._chunk].astype(np.float32) for name, values in read[key].items()}

    def _key(self, source: Source, window: Clip) -> str:
        way = f"{window.step}{'f' if window.flip else ''}"
        kept = "-".join([self.digest[:16], str(self._chunk), *sorted(self._wanted or ())])
        last = "-last" if self._last.start else ""
        return f"{kept}{last}/{source.digest}/{way}_{window.start // self._chunk}.npz"

    def _fill(self, source: Source, window: Clip, path: Path) -> None:
        """Compute a cache entry."""
        if get_worker_info() is not None:  # the model is in another process
            place = _ANSWERS.path(self._key(source, window))
            raise BadInput(f"{place}: a teacher's answers are missing; the next epoch computes them anew")
        first = window.start // self._chunk * self._chunk
        windows = [Clip(window.video, first + n, window.step, window.flip) for n in range(self._chunk)]
        answers = [self._ask(clip_frames(source, each)) for each in windows]
        chunk = {name: np.stack([answer[name] for answer in answers]).astype(_KEPT) for name in answers[0]}
        with path.open("wb") as file:
            np.savez(file, **chunk)  # type: ignore[arg-type]


class MapTeacher(Teacher):
    """Maps on disk, as `find_maps` finds them: one folder per video, as ``tinyhd generate --maps npz`` writes them."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder of maps")
        self.name = f"maps in {folder.name}"
        self.digest = str(folder.resolve())
        self._folder = folder

    def targets(self, source: Source, clip: Clip) -> Answers:
        """See `Teacher`.

        Raises:
            BadInput: a frame has no map.
        """
        maps = find_maps(self._folder, source.video, None, optional=False)
        once, places = np.unique([source.first + n for n in clip.indices(source.count)], return_inverse=True)
        try:
            found = [resized(each[None], INPUT_SIZE)[0] for each in maps.read(once.tolist())]
        except KeyError as error:
            place = self._folder / source.video.name / source.video.names[error.args[0]]
            raise BadInput(f"{place}: no map of this frame; make it with generate, `maps=npz`") from error
        stacked = np.stack(found)[None, places]
        return {"map": stacked[..., ::-1] if clip.flip else stacked}


class Ensemble(Teacher):
    """The mean of several teachers, over the answers that all of them have."""

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.name = " + ".join(member.name for member in members)
        self.digest = " ".join(member.digest for member in members)
        self._members = members

    def prepare(self, sources: Sequence[Source], clips: Sequence[Clip]) -> "Sequence[Callable[[], object]]":
        """See `Teacher`."""
        return [job for member in self._members for job in member.prepare(sources, clips)]

    def size(self, clips: int) -> int:
        """See `Teacher`."""
        return sum(member.size(clips) for member in self._members)

    def targets(self, source: Source, clip: Clip) -> Answers:
        """See `Teacher`."""
        answers = [member.targets(source, clip) for member in self._members]
        common = [name for name in answers[0] if all(name in answer for answer in answers)]
        return {name: np.mean(np.broadcast_arrays(*(answer[name] for answer in answers)), axis=0) for name in common}


def open_teacher(recipe: Recipe, device: str) -> Teacher | None:
    """Open the recipe's teacher; None if it has none.

    Args:
        recipe: that names it.
        device: where it computes, see `OpenModel`.

    Raises:
        BadInput: a teacher cannot be used.
    """
    teachers: list[Teacher] = []
    wanted = {"map"} | {"d1", "d2", "d3"} & {term for term, weight in recipe.terms.items() if weight}
    single, cache = not recipe.spec.multi, recipe.cache
    for name in recipe.teachers:
        kind, _, rest = teacher_kind(name)
        if kind == "maps":
            teachers.append(MapTeacher(Path(rest)))
            continue
        other = foreign_runtime(name)
        model = ForeignModel(other) if other else open_model(name, device, size=recipe.teacher_size)
        teachers.append(WindowTeacher(model, recipe.timing, single=single, cache=cache, wanted=wanted))
    return Ensemble(teachers) if len(teachers) > 1 else next(iter(teachers), None)
