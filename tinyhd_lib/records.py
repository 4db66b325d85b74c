"""The record of a run: a ``run.json`` beside its results with their origin, the machine, and whether it is complete."""

import json
import os
import platform
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import write_atomically

RECORD_NAME = "run.json"

_LONG = 60
"""Length from which values are not shown in messages: long hashes and tables do not help a reader."""

_PACKAGES = ("tinyhd", "torch", "torchvision", "numba", "openvino", "numpy", "scipy", "opencv-python-headless", "av")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute the results."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def hardware() -> str:
    """Describe this machine in one line: processor, cores, memory (on Linux) and system."""
    processor = _linux_tells("cpuinfo", "model name") or platform.processor() or platform.machine()
    memory = _linux_tells("meminfo", "MemTotal").removesuffix(" kB")
    size = f", {int(memory) / 2**20:.0f} GiB" if memory else ""
    return f"{processor}, {usable_cores()} cores{size}, {platform.system()} {platform.machine()}"


def usable_cores() -> int:
    """Return how many cores this process may use; processes of torchrun on one machine share its cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def peak_memory() -> int | None:
    """Return the peak memory of this process in MiB; None if the system does not report it."""
    peak = _linux_tells("self/status", "VmHWM").removesuffix(" kB")
    return int(peak) // 2**10 if peak else None


def _linux_tells(file: str, what: str) -> str:
    """Return a field of a file in ``/proc``, empty if there is none."""
    path = Path("/proc", file)
    told = re.search(rf"^{what}\s*:(.*)", path.read_text(), re.MULTILINE) if path.exists() else None
    return told[1].strip() if told else ""


@dataclass
class RunRecord:
    """The origin of the files in a folder, as stored in ``run.json``.

    Attributes:
        what: the kind of run: ``predict``, ``evaluate``, ``train``, ``notebook``.
        key: everything that the content of the results depends on, JSON-ready; results may mix only if it is equal.
        complete: whether the run is finished.
        started: time of the start, UTC.
        details: further facts: seconds, counts, speeds, paths.
        versions: see `versions`.
        hardware: see `hardware`.
    """

    what: str
    key: dict[str, Any]
    complete: bool = False
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    details: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    hardware: str = field(default_factory=hardware)

    def __post_init__(self) -> None:
        """Convert the key to the form in which it is read back from JSON."""
        self.key = json.loads(json.dumps(self.key))

    def write(self, folder: Path) -> None:
        """Write it into the folder, in one step."""
        write_atomically(folder / RECORD_NAME, json.dumps(asdict(self), indent=2).encode())

    def finish(self, folder: Path, **details: Any) -> None:
        """Write it into the folder as complete, with the seconds that the run took and further details."""
        seconds = (datetime.now(UTC) - datetime.fromisoformat(self.started)).total_seconds()
        self.complete, self.details = True, self.details | {"seconds": round(seconds, 3)} | details
        self.write(folder)


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a folder, None if it has none.

    Raises:
        BadInput: there is a ``run.json``, but it is not the record of a run.
    """
    path = folder / RECORD_NAME
    remedy = "give another `out`, or `force=True` to replace it"
    wrong = refusing(f"{path}: not the record of a run", ValueError, TypeError, remedy=remedy)
    with suppress(FileNotFoundError), wrong:
        return RunRecord(**json.loads(path.read_bytes()))
    return None


def check_same(folder: Path, earlier: RunRecord | None, record: RunRecord) -> None:
    """Refuse to resume in a folder that holds the results of another run.

    Raises:
        BadInput: the runs differ in their kind or key.
    """
    if earlier is None or (earlier.what, earlier.key) == (record.what, record.key):
        return
    names = sorted({"what", *earlier.key, *record.key})
    then, now = ({"what": each.what, **each.key} for each in (earlier, record))
    pairs = ((name, repr(then.get(name)), repr(now.get(name))) for name in names if then.get(name) != now.get(name))
    told = ", ".join(f"{n} {a} then, {b} now" if len(a + b) < _LONG else f"another {n}" for n, a, b in pairs)
    remedy = "give another `out`, or `force=True` to replace them"
    raise BadInput(f"{folder}: holds the results of another run ({told}); {remedy}")
