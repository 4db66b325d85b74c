"""Put the figures of ``docs/bench`` into the documents.

What follows a marker is made from the raw file that it names. ``<!-- bench: FILE -->`` is followed by all tables of
the file, ``<!-- bench: FILE TABLE -->`` by one of them, or by ``markdown``, the short one, or ``headline``, a sentence.
FILE may be a pattern, for tables of several files.
"""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.many_hours import Assumptions, measured, plan_table
from benchmarks.report import Report, as_markdown, as_text, read_report, table

ROOT = Path(__file__).parent.parent
RAW = ROOT / "docs/bench"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_MARKED = re.compile(
    r"(?P<marker><!-- bench: (?P<file>\S+)(?: (?P<part>\S+))? -->\n)(?:```\n.*?\n```\n|(?:[^\n]+\n)*)", re.DOTALL
)
"""A marker, and the block in a fence, or the lines up to an empty one, that follow it."""

_MANY = {
    "one process on one core": ["core"],
    "two processes, a core each": ["first", "second"],
    "one process on both cores": ["decoders-1"],
    "and 2 videos at once": ["decoders-2"],
    "and 4 videos at once": ["decoders-4"],
    "one process on one core, a video of maps instead": ["film"],
}


def render() -> None:
    """Render all documents anew."""
    for path in PAGES:
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")


def rendered(page: str) -> str:
    """Return a document with what its markers stand for."""
    return _MARKED.sub(lambda found: found["marker"] + _made(found["file"], found["part"]), page)


def _made(file: str, part: str | None) -> str:
    if part == "many":
        return _many({path.stem: json.loads(path.read_bytes()) for path in RAW.glob(f"{file}.json")})
    if part == "plan":
        return plan_table(measured(RAW), Assumptions())
    report = read_report(RAW / f"{file}.json")
    if part == "headline":
        return _headline(report)
    if part == "markdown":
        return as_markdown(report)
    text = f"{report['hardware']}\n\n{table(report, part)}" if part else as_text(report)
    return f"```\n{text}```\n"


def _headline(report: Report) -> str:
    whole = [row for row in report["pipeline"] if row["label"] == "M r4" and row["writes"] == "maps and overlay"]
    best = min(whole, key=lambda row: row["seconds"])
    processor, cores, *_ = report["hardware"].split(", ")
    return (
        f"**{report['video'][0]['frames']} frames in {best['seconds']:.1f} s**: maps and overlay video of a 640x360 "
        "video with the model M r4, from command to finished\n"
        f"files, on {cores} of a CPU ({processor}); {best['peak_mib']} MiB of memory at its peak. "
        "[How that was measured](docs/speed.md).\n"
    )


def _many(reports: dict[str, dict[str, Any]]) -> str:
    base, rows = reports["cpu-many-core"]["frames_per_second"], []
    for label, names in _MANY.items():
        found = [reports[f"cpu-many-{name}"] for name in names]
        seconds = max(report["seconds"] for report in found)
        speed = sum(report["frames"] for report in found) / seconds
        peak = max(report["peak_mib"] for report in found)
        rows.append([label, f"{speed:.1f}", f"{speed / base:.2f}", f"{seconds:.1f}", peak])
    columns = [reports["cpu-many-decoders-1"]["hardware"], "frames/s", "x one core", "seconds", "MiB a process"]
    return pd.DataFrame(rows, columns=columns).to_markdown(index=False, disable_numparse=True) + "\n"
