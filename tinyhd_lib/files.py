"""Atomic writes, hashes of files' content, and locks that reserve a folder for one run."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout

from tinyhd_lib.errors import BadInput, refusing

if TYPE_CHECKING:
    import numpy.typing as npt

PARTIAL_SUFFIX = ".tinyhd-part"


def shipped(folder: str, name: str = "") -> Path:
    """Return a shipped file or folder, from the installed package or from the checkout of an editable install.

    Raises:
        BadInput: it is missing.

    Examples:
        >>> shipped("weights").is_dir()
        True
    """
    package = Path(__file__).parent
    places = [root / folder / name for root in (package / "shipped", package.parent)]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise BadInput(f"{places[-1]}: missing; install TinyHD Workbench anew")
    return path


def read_yaml(path: Path, **names: str) -> dict[str, Any]:
    """Return the table of names and values in a YAML file; an empty file gives an empty table.

    Args:
        path: of the file.
        names: values to substitute for ``$name``, if it is a template.

    Raises:
        BadInput: it is no such file; the message is one line.
    """
    with refusing(f"{path}: not YAML that can be read", yaml.YAMLError, ValueError, KeyError):
        text = path.read_text(encoding="utf-8")
        table = yaml.safe_load(Template(text).substitute(names) if names else text) or {}
    if not isinstance(table, dict):
        raise BadInput(f"{path}: a table of names and values is needed")
    return table


def read_values(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return pairs of name and value as a table, the values read as YAML.

    Raises:
        BadInput: a value is no YAML.

    Examples:
        >>> read_values([("EPOCHS", "2"), ("SIZE", "[96, 128]")])
        {'EPOCHS': 2, 'SIZE': [96, 128]}
    """
    found = {}
    for name, value in pairs:
        with refusing(f"{name} {value!r}: the value is no YAML", yaml.YAMLError):
            found[name] = yaml.safe_load(value)
    return found


def is_whole(path: Path) -> bool:
    """Return whether an atomically written file exists; one that a power failure left empty does not count."""
    return path.exists() and path.stat().st_size > 0


@contextmanager
def appears_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file or folder to, which replaces ``path`` in one step at the end.

    Parent folders are created. The temporary path is hidden beside the final one, with a suffix of its own.

    Raises:
        OSError: it cannot be written (no space, no permission); nothing is left behind.
    """
    partial = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)  # if it is a folder
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in {None, str(partial)}:
            with suppress(AttributeError):  # FFmpeg's errors have a read-only filename
                error.filename = str(path)  # a full disk names no file, other errors the partial one
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file in one step, see `appears_whole`."""
    with appears_whole(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step, see `appears_whole`.

    Raises:
        ValueError: NaN or infinity is in it, for which JSON has no number.
    """
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False).encode())


def write_array(path: Path, rows: "Iterable[npt.NDArray[Any]]") -> int:
    """Write arrays of equal shape (...) as one (n, ...) .npy file, with one of them in memory at a time; return n.

    The file is written in one step, see `appears_whole`.
    """
    from numpy.lib.format import write_array_header_1_0

    with appears_whole(path) as partial, partial.open("wb+") as file:
        for count, row in enumerate(rows, start=1):
            header = {"descr": row.dtype.str, "fortran_order": False, "shape": (count, *row.shape)}
            if count == 1:
                write_array_header_1_0(file, header)
            file.write(row.tobytes())
        file.seek(0)
        write_array_header_1_0(file, header)  # as long as the first one: NumPy leaves room for any count
    return count


def remove_partials(folder: Path) -> None:
    """Remove the temporary files that a killed run left behind."""
    for partial in folder.glob(f".*{PARTIAL_SUFFIX}"):
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(*parts: str) -> str:
    """Return one digest of several texts, 32 hexadecimal digits."""
    return hashlib.sha256(os.fsencode("\n".join(parts))).hexdigest()[:32]


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a hash of files' names, sizes and modification times, which detects changes without reading the files."""
    states = [(path.name, path.stat()) for path in paths]
    lines = "".join(f"{name} {state.st_size} {state.st_mtime_ns}\n" for name, state in states)
    return hashlib.sha256(os.fsencode(lines)).hexdigest()


def git_blob_id(path: Path) -> str:
    """Return git's id of a file's content: SHA-1 over ``blob <size>``, a zero byte and the content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def alone_in(folder: Path, what: str = "run") -> Iterator[None]:
    """Reserve a folder for one run by a lock file, which is released at the latest when the process ends.

    Args:
        folder: created if it is missing, and removed if it stays empty.
        what: name of the lock; runs with different names do not exclude each other.

    Raises:
        BadInput: another run holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".tinyhd-{what}.lock"
    try:
        with FileLock(path, timeout=0):
            try:
                yield
            finally:
                with suppress(OSError):  # Windows does not remove open files
                    path.unlink()
    except Timeout as error:
        raise BadInput(f"{folder}: another run is at work there; wait for it, or give another `out`") from error
    finally:
        with suppress(OSError):
            folder.rmdir()
