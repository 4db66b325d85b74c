"""Files that appear whole or not at all, the hashes that name their content, and folders that one run has to itself."""

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
    """Return a file or folder that comes with us: from the installed package, or from the checkout of an editable one.

    Raises:
        BadInput: it is not there.

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
    """Return the table of names and values that a YAML file holds; an empty one of an empty file.

    Args:
        path: of the file.
        names: what stands in it for ``$name``, if it is a template.

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
    """Return whether a file that appears whole or not at all is there; one that a power cut left empty is not."""
    return path.exists() and path.stat().st_size > 0


@contextmanager
def appears_whole(path: Path) -> Iterator[Path]:
    """Give a place to write a file or folder to, in a folder that is made; it appears in one step.

    Until it is whole, it is hidden beside its place, with a suffix of our own.

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
            with suppress(AttributeError):  # FFmpeg's errors keep what they name
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
    """Write equal arrays (...) as one (n, ...) .npy file, holding one of them at a time; answers n.

    It happens in one step, see `appears_whole`.
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
    """Clear what a killed run left behind."""
    for partial in folder.glob(f".*{PARTIAL_SUFFIX}"):
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(*parts: str) -> str:
    """Return one digest of several words, 32 hexadecimal digits."""
    return hashlib.sha256(os.fsencode("\n".join(parts))).hexdigest()[:32]


def fingerprint(paths: Iterable[Path]) -> str:
    """Changes when one of the files does, without reading them: a hash of names, sizes and times."""
    states = [(path.name, path.stat()) for path in paths]
    lines = "".join(f"{name} {state.st_size} {state.st_mtime_ns}\n" for name, state in states)
    return hashlib.sha256(os.fsencode(lines)).hexdigest()


def git_blob_id(path: Path) -> str:
    """Return the id under which git keeps a file's content: SHA-1 over ``blob <size>``, a zero byte and the content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def alone_in(folder: Path, what: str = "run") -> Iterator[None]:
    """Keep a second run out of a folder; a lock lies in it as long, and ends with its process.

    Args:
        folder: that is made if it is not there, and removed if it stays empty.
        what: runs of the same name keep out of each other's way.

    Raises:
        BadInput: another run is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".tinyhd-{what}.lock"
    try:
        with FileLock(path, timeout=0):
            try:
                yield
            finally:
                with suppress(OSError):  # Windows keeps what is open
                    path.unlink()
    except Timeout as error:
        raise BadInput(f"{folder}: another run is at work there; wait for it, or give another `out`") from error
    finally:
        with suppress(OSError):
            folder.rmdir()
