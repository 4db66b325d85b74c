"""How many frames the videos of a data set have: asked once a file, and remembered while it stays the same."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tinyhd_lib.cache import cache_folder
from tinyhd_lib.data.video import count_frames_in
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.overlap import parallel_map

_READERS = 8


def count_frames(root: Path, videos: Iterable[Path]) -> dict[Path, int | str]:
    """The number of frames of each video, or why it cannot be opened.

    What is known is kept as JSON in the cache folder, for each file beside a key of its size and time.

    Args:
        root: the data set's folder.
        videos: files below it.
    """
    place = _index_path(root)
    known = _read(place)
    paths = list(videos)
    names = [path.relative_to(root).as_posix() for path in paths]
    keys = [_key(path) for path in paths]
    asked = [path for path, name, key in zip(paths, names, keys, strict=True) if known.get(name, [""])[0] != key]
    answers = dict(zip(asked, parallel_map(_count, asked, _READERS, 2 * _READERS), strict=True))
    index = {
        name: [key, answers[path] if path in answers else known[name][1]]
        for path, name, key in zip(paths, names, keys, strict=True)
    }
    if answers:
        with suppress(OSError):  # what cannot be remembered is asked again
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, json.dumps(known | index).encode())
    return {path: index[name][1] for path, name in zip(paths, names, strict=True)}


def _key(path: Path) -> str:
    try:
        state = path.stat()
    except OSError as error:
        return str(error.strerror)
    return f"{state.st_size}-{state.st_mtime_ns}"


def _count(video: Path) -> int | str:
    try:
        return count_frames_in(video)
    except BadInput as error:
        return str(error)


def _index_path(root: Path) -> Path:
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]
    return cache_folder() / "datasets" / f"{digest}.json"


def _read(path: Path) -> dict[str, list[int | str]]:
    """What is remembered; nothing, if that cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
