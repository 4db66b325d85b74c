"""The cache of downloads and computed results: entries are written atomically, verified on reading, and evictable."""

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
    """Return the folder of downloads and computed results: ``$TINYHD_CACHE``, or the system's cache folder."""
    return Path(os.environ.get("TINYHD_CACHE") or pooch.os_cache("tinyhd"))


class Cache(NamedTuple):
    """Store results that are expensive to compute, by kind and key.

    An entry whose content does not match its stored checksum is discarded, with a log line, and made anew. Several
    processes may read and write the same entry.

    Args:
        kind: of entries, a folder of `cache_folder`: ``plans``, ``clips``, ``answers``.
        version: of the content and format of entries; entries of another version are ignored.
        most_bytes: size limit of the kind; the least recently used entries are evicted first. None: no limit.
    """

    kind: str
    version: int = 1
    most_bytes: int | None = None

    def path(self, key: str) -> Path:
        """Return the path of an entry, whether it exists or not; a key may hold slashes."""
        return cache_folder() / self.kind / str(self.version) / key

    def read(self, key: str) -> bytes | None:
        """Return an entry's content, None if it is missing or damaged."""
        path = self.path(key)
        with suppress(OSError):  # another process may evict it meanwhile
            return path.read_bytes() if _is_sound(path) else None
        return None

    def write(self, key: str, content: bytes) -> None:
        """Store an entry; if that fails, only log it."""
        path = self.path(key)
        try:
            with _alone_with(path):
                self._keep(path, lambda partial: partial.write_bytes(content))
        except OSError as error:
            logger.warning("%s: cannot be kept (%s); it will be computed again", path, error.strerror or error)

    def file(self, key: str, make: Callable[[Path], object]) -> Path:
        """Return the path of an entry, to be read in place; it is made if it is missing or damaged.

        Args:
            key: of the entry.
            make: writes the content to the path that it is given; other processes wait while one makes an entry.

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
    """Return the kinds in the cache folder, the largest first: kind, number of entries, bytes; downloads are a kind."""
    found = {path.name: _entries(path).values() for path in cache_folder().glob("*/")}
    usages = [(kind, len(entries), sum(each.st_size for each in entries)) for kind, entries in found.items()]
    return sorted(usages, key=lambda usage: usage[-1], reverse=True)


def clear_cache(kind: str | None = None, days: float = 0.0) -> int:
    """Remove entries that were not used for some days, of one kind or of all; return the number of bytes freed.

    Args:
        kind: a kind of `cache_usage`, None for all.
        days: least time since an entry's last use.
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
    """Return the entries below a folder, with their file status (size, and time of last use as mtime)."""
    return {path: path.stat() for path in folder.rglob("*") if path.is_file() and path.suffix not in {_SUM, _LOCK}}


def _is_sound(path: Path) -> bool:
    """Return whether an entry exists and matches its checksum, and mark it as used; remove it if it is damaged."""
    sound = False
    with suppress(OSError):
        sound = Path(f"{path}{_SUM}").read_bytes() == sha256(path).encode()
    if sound:
        os.utime(path)  # most recently used, evicted last
    elif path.exists():
        logger.warning("%s: damaged, thrown away and made anew", path)
        path.unlink(missing_ok=True)
    return sound


def _alone_with(path: Path) -> FileLock:
    """Return a lock for an entry against other processes; the entry's folder is created for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}{_LOCK}")


def _remove(path: Path) -> None:
    for suffix in ("", _SUM, _LOCK):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
