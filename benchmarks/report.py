"""The interface of benchmarks, and their reports: stored as JSON, shown as tables."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.records import hardware, versions

SCHEMA = 3
"""Version of the JSON format; raised by changes that older readers would misunderstand."""

Row = dict[str, Any]
"""A line of a table, JSON-ready."""

Report = dict[str, Any]
"""``schema``, ``command``, ``date``, ``hardware`` and ``versions``; and a list of rows for each table."""

_ABOUT = {"schema", "command", "date", "hardware", "versions"}
_SPEED = ["p50_ms", "p95_ms", "times_eager"]
_COLUMNS = {
    "forward": ["label", "runtime", "precision", "batch", *_SPEED, "frames_per_second", "peak_mib"],
    "pipeline": ["label", "runtime", "precision", "writes", "seconds", "frames_per_second", "peak_mib"],
    "trade": ["way", "nss", "cc", "moved_at_16th", "moved_elsewhere", "frames_per_second"],
}
"""The columns that are shown of tables too wide to show in full."""

_TALL = {"viewer": "video"}
"""Tables with more columns than rows, which are shown transposed, with the column named here as header."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The base of all benchmarks.

    Attributes:
        json: also write the report to this file.
    """

    json: Path | None = None

    def measure(self) -> Report:
        """Measure, and return lists of rows by the name of their table.

        Raises:
            BadInput: it cannot be measured here, or an option is invalid.
        """
        raise NotImplementedError


def run(benchmark: Benchmark, words: Sequence[str]) -> Report:
    """Run a benchmark and return its report, which is also written if ``json`` is set.

    Args:
        benchmark: to run.
        words: of the command line, which the report quotes, with paths reduced to file names.
    """
    report = {
        "schema": SCHEMA,
        "command": shlex.join(["python", "-m", "benchmarks", *(Path(word).name for word in words)]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": f"{hardware()}{_gpu()}",
        "versions": versions() | {"numba": version("numba")},
        **benchmark.measure(),
    }
    if benchmark.json:
        write_atomically(benchmark.json, json.dumps(report, indent=2).encode())
    return report


def read_report(path: Path) -> Report:
    """Return a stored report.

    Raises:
        BadInput: there is none, or another version wrote it.
    """
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as the JSON of a benchmark") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise BadInput(f"{path}: not what this version of the benchmarks keeps; measure anew")
    return report


def as_text(report: Report) -> str:
    """Return the hardware and all tables of a report."""
    return "\n".join([f"{report['hardware']}\n", *(table(report, name) for name in report if name not in _ABOUT)])


def table(report: Report, name: str) -> str:
    """Return one table as text; empty if it has no rows."""
    rows = pd.json_normalize(report[name])
    if rows.empty:
        return ""
    if name in _TALL:
        return rows.set_index(_TALL[name]).T.rename_axis(columns=None).to_string(na_rep="-") + "\n"
    return rows[_COLUMNS.get(name, list(rows))].to_string(index=False, na_rep="-") + "\n"


def as_markdown(report: Report) -> str:
    """Return frames per second by model and runtime, in float32 at the smallest batch, with the speed-up over eager.

    Raises:
        BadInput: forward passes were not measured.
    """
    rows = pd.DataFrame(plain_rows(report))
    speed = rows["frames_per_second"].map("{:.1f}".format)
    rows["speed"] = speed.where(rows["times_eager"] == 1, speed + rows["times_eager"].map(" ({:.1f}x)".format))
    models = rows.drop_duplicates("label").set_index("label")
    cells = {runtime: part.set_index("label")["speed"] for runtime, part in rows.groupby("runtime", sort=False)}
    found = pd.DataFrame(
        {"parameters": models["parameters"].map("{:,}".format), "GMAC": models["gmac"].map("{:.2f}".format), **cells}
    )
    found = found.loc[models.index]  # restore the order, since a union of indexes is sorted
    align = ["left", *["right"] * len(found.columns)]
    return found.fillna("-").rename_axis("model").to_markdown(disable_numparse=True, colalign=align) + "\n"


def plain_rows(report: Report) -> list[Row]:
    """Return the forward passes in float32 at the smallest batch.

    Raises:
        BadInput: there are none.
    """
    rows = [row for row in report.get("forward", ()) if row["precision"] == "float32"]
    if not rows:
        raise BadInput("this report has no forward passes in float32")
    smallest = min(row["batch"] for row in rows)
    return [row for row in rows if row["batch"] == smallest]


def _gpu() -> str:
    """Return the GPU for the line of the hardware, empty if torch has none."""
    import torch

    return f", {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if torch.cuda.is_available() else ""
