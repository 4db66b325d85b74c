"""The record of a run: a ``run.json`` beside its results that says what made them, where, and whether it is whole."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically

RECORD_NAME = "run.json"

_PACKAGES = (
    *("tinyhd", "torch", "torchvision", "numba", "openvino", "nncf"),
    *("numpy", "scipy", "opencv-python-headless", "av"),
)


@dataclass
class RunRecord:
    """What ``run.json`` holds.

    Attributes:
        key: everything that decides the content of the map files; results of two runs mix only if it is equal.
        film: the film's settings, None without a film.
        complete: whether all that was asked for is there.
        details: what else is worth knowing: runtime, times, counts, versions, hardware.
    """

    key: dict[str, Any]
    film: dict[str, Any] | None = None
    complete: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into the folder, in one step."""
        content = {"complete": self.complete, "key": self.key, "film": self.film, **self.details}
        write_atomically(folder / RECORD_NAME, json.dumps(content, indent=2).encode())


def read_record(folder: Path) -> RunRecord | None:
    """The record of a folder, None if it has none.

    Raises:
        BadInput: there is a ``run.json``, and it is none of ours.
    """
    path = folder / RECORD_NAME
    try:
        content = json.loads(path.read_bytes())
        return RunRecord(content.pop("key"), content.pop("film"), content.pop("complete"), content)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not the record of a run; give another --out, or --force to replace it") from error


def differences(record: RunRecord, key: dict[str, Any]) -> str:
    """Which entries of a record's key differ from ``key``, in words."""
    return ", ".join(
        f"{name} {record.key.get(name)!r} then, {key[name]!r} now" for name in key if record.key.get(name) != key[name]
    )


def versions() -> dict[str, str]:
    """The installed versions of what computes the results."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> str:
    """One line on this machine: processor, cores, memory, system."""
    return f"{_processor()}, {usable_cores()} cores{_memory()}, {platform.system()} {platform.machine()}"


def usable_cores() -> int:
    """How many cores this process may use; torchrun's processes on one machine share its cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def torchrun_rank(environment: Mapping[str, str]) -> tuple[int, int]:
    """Which of how many processes this is, as torchrun tells; the only one without it.

    Where there are GPUs, each process of a machine takes its own.
    """
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= set(environment):
        return 0, 1
    rank, ranks = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(environment["LOCAL_RANK"]) % torch.cuda.device_count())
    return rank, ranks


def peak_memory() -> int | None:
    """The most memory that this process has held, in MiB; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says on Linux counts the parent process in
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) // 2**10
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss // 2**20


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows does not say so
        return ""
    return f", {size / 2**30:.0f} GiB"
