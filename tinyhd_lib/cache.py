"""One cache for all that is computed once: entries appear whole, are checked when they are read, and can be cleared."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pooch
from filelock import FileLock

from tinyhd_lib.files import appears_whole, sha256, write_atomically

logger = logging.getLogger(__name__)

_SUM = ".sha256"
_LOCK = ".lock"


def cache_folder() -> Path:
    """Return where downloads and computed things are kept: ``$TINYHD_CACHE``, or the system's cache folder."""
    return Path(os.environ.get("TINYHD_CACHE") or pooch.os_cache("tinyhd"))


class Cache(NamedTuple):
    """Keep what is expensive to compute, by kind and key.

    An entry whose content does not have the checksum that was written with it is thrown away, with one line, and made
    anew. Several processes may read and write the same entry.

    Args:
        kind: what is kept, a folder of `cache_folder`: ``plans``, ``clips``, ``answers``.
        version: of how entries are made and laid out; entries of another version are not found.
        most_bytes: what the kind may take; entries that were not read for the longest time go first. None: no limit.
    """

    kind: str
    version: int = 1
    most_bytes: int | None = None

    def path(self, key: str) -> Path:
        """Return where an entry lies, whether it is there or not; a key may hold slashes."""
        return cache_folder() / self.kind / str(self.version) / key

    def read(self, key: str) -> bytes | None:
        """Return an entry's content, None if it is not there or damaged."""
        path = self.path(key)
        with suppress(OSError):  # another process may evict it meanwhile
            return path.read_bytes() if _is_sound(path) else None
        return None

    def write(self, key: str, content: bytes) -> None:
        """Keep an entry; where that is not possible, one line says so and nothing else happens."""
        path = self.path(key)
        try:
            with _alone_with(path):
                self._keep(path, lambda partial: partial.write_bytes(content))
        except OSError as error:
            logger.warning("%s: cannot be kept (%s); it will be computed again", path, error.strerror or error)

    def file(self, key: str, make: Callable[[Path], object]) -> Path:
        """Return the path of an entry that is read where it lies; it is made if it is missing or damaged.

        Args:
            key: of the entry.
            make: writes the content to the path that it is given; one process makes an entry while others wait for it.

        Raises:
            OSError: it cannot be written (no space, no permission).
        """
        path = self.path(key)
        with _alone_with(path):
            if not _is_sound(path):
                self._keep(path, make)
        return path

    def _keep(self, path: Path, make: Callable[[Path], object]) -> None:
        with appears_whole(path) as partial:
            make(partial)
        write_atomically(Path(f"{path}{_SUM}"), sha256(path).encode())
        if self.most_bytes is None:
            return
        entries = _entries(cache_folder() / self.kind)
        newest_first = sorted(entries, key=lambda path: entries[path].st_mtime)[::-1]
        sizes = accumulate(entries[path].st_size for path in newest_first)
        for entry, size in list(zip(newest_first, sizes, strict=True))[1:]:  # what was just written stays
            if size > self.most_bytes:
                _remove(entry)


def cache_usage() -> list[tuple[str, int, int]]:
    """List what the cache folder holds, the largest kind first: kind, number of entries, bytes; downloads are one."""
    found = {path.name: _entries(path).values() for path in cache_folder().glob("*/")}
    usages = [(kind, len(entries), sum(each.st_size for each in entries)) for kind, entries in found.items()]
    return sorted(usages, key=lambda usage: usage[-1], reverse=True)


def clear_cache(kind: str | None = None, days: float = 0.0) -> int:
    """Remove what was not used for so many days, of one kind or of all; return the number of bytes.

    Args:
        kind: a kind of `cache_usage`, None for all.
        days: since an entry was last used.
    """
    freed, latest = 0, time.time() - days * 86400
    for folder in [each for each in cache_folder().glob("*/") if kind in {None, each.name}]:
        for path, state in _entries(folder).items():
            if state.st_mtime <= latest:
                _remove(path)
                freed += state.st_size
        if not _entries(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _entries(folder: Path) -> dict[Path, os.stat_result]:
    """Return the entries below a folder, with the size of each and the time of its last use."""
    return {path: path.stat() for path in folder.rglob("*") if path.is_file() and path.suffix not in {_SUM, _LOCK}}


def _is_sound(path: Path) -> bool:
    """Return whether an entry is there as it was written, and note that it was used; throw it away if it is damaged."""
    sound = False
    with suppress(OSError):
        sound = Path(f"{path}{_SUM}").read_bytes() == sha256(path).encode()
    if sound:
        os.utime(path)  # what was read last is evicted last
    elif path.exists():
        logger.warning("%s: damaged, thrown away and made anew", path)
        path.unlink(missing_ok=True)
    return sound


def _alone_with(path: Path) -> FileLock:
    """Return a lock that keeps other processes from an entry, in whose folder it lies, which is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}{_LOCK}")


def _remove(path: Path) -> None:
    for suffix in ("", _SUM, _LOCK):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
