"""What a run of ``tinyhd bench`` found: kept as JSON, told as text, and as the short table of the README."""

import argparse
import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import forward, metrics, pipeline, steps, training, viewer
from tinyhd_lib.errors import BadInput
from tinyhd_lib.records import hardware, versions

SCHEMA = 2
"""Of the JSON; a change that old readers would misunderstand makes it one more."""

Report = dict[str, Any]
"""``schema``, ``command``, ``date``, ``hardware`` and ``versions``, and a list of rows for what was measured:
``forward`` with ``refused``, ``pipeline`` with ``video``, ``steps``, ``training``, ``metrics``, ``viewer``."""

_NOT_MEASURED = ("run", "json", "kept", "markdown", "plot")

_TABLES: dict[str, Callable[[Report], str]] = {
    "forward": lambda report: forward.as_table(report["forward"]),
    "refused": lambda report: forward.as_notes(report["refused"]),
    "pipeline": lambda report: pipeline.as_table(report["pipeline"], report["video"]),
    "steps": lambda report: steps.as_table(report["steps"]),
    "training": lambda report: training.as_table(report["training"]),
    "metrics": lambda report: metrics.as_table(report["metrics"]),
    "viewer": lambda report: viewer.as_table(report["viewer"]),
}


def begin_report(options: argparse.Namespace) -> Report:
    """A report without figures: how, when, where and with what they are going to be measured."""
    return {
        "schema": SCHEMA,
        "command": command_line(options),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": f"{hardware()}{_gpu()}",
        "versions": versions() | {"numba": version("numba")},
    }


def command_line(options: argparse.Namespace) -> str:
    """The command that measures with these options; of files their names alone, and nothing of where results go.

    >>> command_line(argparse.Namespace(run="...", models=["rc8_S"], quick=True, video="/films/a b.mp4", json="x.json"))
    "tinyhd bench --models rc8_S --quick --video 'a b.mp4'"
    """
    words = ["tinyhd", "bench"]
    for name, value in vars(options).items():
        if name not in _NOT_MEASURED and value not in (None, False):
            values = value if isinstance(value, list) else [] if value is True else [value]
            words += [f"--{name}", *(Path(str(each)).name for each in values)]
    return shlex.join(words)


def read_report(path: Path) -> Report:
    """A report that was kept.

    Raises:
        BadInput: there is none, or another version wrote it.
    """
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as what tinyhd bench --json wrote") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise BadInput(f"{path}: not what this version of tinyhd bench --json writes; measure anew")
    return report


def as_text(report: Report) -> str:
    """The hardware, and a table for everything that was measured."""
    return "\n".join(
        [f"{report['hardware']}\n", *(table(report) for name, table in _TABLES.items() if report.get(name))]
    )


def part_as_text(report: Report, name: str) -> str:
    """The hardware, and one table."""
    return f"{report['hardware']}\n\n{_TABLES[name](report)}"


def as_markdown(report: Report) -> str:
    """Frames a second by model and runtime in float32 at the smallest batch, and how many times torch eager that is.

    Raises:
        BadInput: forward passes were not measured.
    """
    rows = plain_rows(report)
    runtimes = list(dict.fromkeys(row["runtime"] for row in rows))
    cells = {(row["model"], row["runtime"]): _cell(row) for row in rows}
    lines = [
        f"| model | parameters | GMAC | {' | '.join(runtimes)} |",
        f"| --- | ---: | ---: |{' ---: |' * len(runtimes)}",
    ]
    for row in {row["model"]: row for row in rows}.values():
        speeds = [cells.get((row["model"], runtime), "-") for runtime in runtimes]
        lines.append(f"| {row['label']} | {row['parameters']:,} | {row['gmac']:.2f} | {' | '.join(speeds)} |")
    return "\n".join(lines) + "\n"


def plain_rows(report: Report) -> list[dict[str, Any]]:
    """The forward passes in float32 at the smallest batch.

    Raises:
        BadInput: there are none.
    """
    rows = [row for row in report.get("forward", ()) if row["precision"] == "float32"]
    if not rows:
        raise BadInput("this report has no forward passes in float32; measure them without --metrics and the like")
    smallest = min(row["batch"] for row in rows)
    return [row for row in rows if row["batch"] == smallest]


def _cell(row: dict[str, Any]) -> str:
    speed = f"{row['frames_per_second']:.1f}"
    return speed if row["times_eager"] == 1 else f"{speed} ({row['times_eager']:.1f}x)"


def _gpu() -> str:
    """What to add to the line of the hardware where torch has a GPU."""
    import torch

    return f", {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if torch.cuda.is_available() else ""
