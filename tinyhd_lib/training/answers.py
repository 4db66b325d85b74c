"""What teachers said, kept on disk: computed once for each window, in float16, shared by all runs on this machine.

A file holds the answers to a chunk of neighbouring windows, and appears whole or not at all: an interrupted run goes on
where it stopped, and two runs that compute the same chunk write the same bytes.
"""

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import numpy as np

from tinyhd_lib.data.clips import Clip, Source, clip_frames
from tinyhd_lib.data.gaze import read_arrays
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.training.models import Answers, WindowModel

_CODE = 1
"""Changes whenever what is kept would."""

CHUNK = 16
"""Windows in a file, of a model that answers for one frame; those of a model of whole clips have a file each."""

BYTES = np.dtype(np.float16).itemsize
"""Of a number that is kept."""


class AnswerCache:
    """Answers by model, video, step, flip and start.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, model: WindowModel, source: Source, window: Clip) -> Answers:
        """The answer to a window that `missing` was asked for before.

        Raises:
            BadInput: it is not there, or damaged.
        """
        path, place = self._place(model, source, window)
        try:
            chunk = _read_chunk(path, path.stat().st_mtime_ns)
        except FileNotFoundError as error:
            raise BadInput(f"{path}: a teacher's answers are missing; the same command computes them anew") from error
        try:
            return {name: values[place].astype(np.float32) for name, values in chunk.items()}
        except IndexError as error:
            raise BadInput(f"{path}: no file of a teacher's answers; delete it and go on") from error

    def missing(
        self, model: WindowModel, sources: Sequence[Source], windows: Sequence[Clip]
    ) -> "Sequence[Callable[[], None]]":
        """The jobs that compute what is not there yet, one a file, in the order in which it is needed."""
        needed: dict[Path, tuple[Source, Clip]] = {}
        for window in windows:
            source = sources[window.video]
            needed.setdefault(self._place(model, source, window)[0], (source, window))
        return [_Job(model, source, window, path) for path, (source, window) in needed.items() if not path.exists()]

    def _place(self, model: WindowModel, source: Source, window: Clip) -> tuple[Path, int]:
        length = _chunk(model)
        number, place = divmod(window.start, length)
        way = f"{window.step}{'f' if window.flip else ''}"
        return self._folder / f"{model.digest[:16]}-{_CODE}-{length}" / source.digest / f"{way}_{number}.npz", place


class _Job:
    """Compute one file."""

    def __init__(self, model: WindowModel, source: Source, window: Clip, path: Path) -> None:
        self._model, self._source, self._window, self._path = model, source, window, path

    def __call__(self) -> None:
        length = _chunk(self._model)
        first = self._window.start // length * length
        video, step, flip = self._window.video, self._window.step, self._window.flip
        windows = [Clip(video, start, step, flip) for start in range(first, first + length)]
        answers = [self._model(clip_frames(self._source, window)) for window in windows]
        chunk = {name: np.stack([answer[name] for answer in answers]).astype(np.float16) for name in answers[0]}
        content = io.BytesIO()
        np.savez(content, **chunk)  # type: ignore[arg-type]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Another run may be writing the same file: each writes one of its own, and the last one's stays.
        own = self._path.with_suffix(f".{uuid4().hex}")
        write_atomically(own, content.getvalue())
        own.replace(self._path)


@lru_cache(maxsize=4)
def _read_chunk(path: Path, _written: int) -> Answers:
    """A file whole: the windows of one clip lie in one or two of them."""
    try:
        return read_arrays(path)
    except BadInput as error:
        raise BadInput(f"{path}: a teacher's answers are damaged; delete the file and go on") from error


def _chunk(model: WindowModel) -> int:
    return 1 if model.multi else CHUNK
