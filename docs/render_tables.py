"""Put the figures of ``docs/bench`` into the documents: ``python docs/render_tables.py``.

What follows a marker is made from the raw file that it names. ``<!-- bench: FILE -->`` is followed by all that the
command printed, ``<!-- bench: FILE PART -->`` by a part of it: a table, ``markdown`` the short one, ``headline`` a
sentence. FILE may be a pattern, for tables of several files.
"""

import json
import re
import runpy
from pathlib import Path
from typing import Any

from benchmarks.report import as_markdown, as_text, part_as_text

DOCS = Path(__file__).parent
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]

_MARKED = re.compile(
    r"(?P<marker><!-- bench: (?P<file>\S+)(?: (?P<part>\S+))? -->\n)(?:```\n.*?\n```\n|(?:[^\n]+\n)*)", re.DOTALL
)
"""A marker, and the block in a fence, or the lines up to an empty one, that follow it."""


def rendered(page: str) -> str:
    """A document with what its markers stand for."""
    return _MARKED.sub(lambda found: found["marker"] + _made(found["file"], found["part"]), page)


def _made(file: str, part: str | None) -> str:
    if part == "many":
        return _many({path.stem: json.loads(path.read_bytes()) for path in (DOCS / "bench").glob(f"{file}.json")})
    if part == "plan":
        plan = runpy.run_path(str(DOCS / "plan_10000_hours.py"))
        return plan["table"](plan["measured"](), plan["Assumptions"]())
    report = json.loads((DOCS / "bench" / f"{file}.json").read_bytes())
    if part == "headline":
        return _headline(report)
    if part == "markdown":
        return as_markdown(report)
    return f"```\n{part_as_text(report, part) if part else as_text(report)}```\n"


def _headline(report: dict[str, Any]) -> str:
    films = [row for row in report["pipeline"] if row["label"] == "M r4" and row["writes"] == "maps and film"]
    best = min(films, key=lambda row: row["seconds"])
    processor, cores, *_ = report["hardware"].split(", ")
    return (
        f"**{report['video']['frames']} frames in {best['seconds']:.1f} s**: maps and overlay film of a 640x360 video "
        "with the model M r4, from command to finished\n"
        f"files, on {cores} of a CPU ({processor}); {best['peak_mib']} MiB of memory at its peak. "
        "[How that was measured](docs/speed.md).\n"
    )


_MANY = {
    "one process on one core": ["core"],
    "two processes, a core each": ["first", "second"],
    "one process on both cores": ["decoders-1"],
    "and 2 videos at once": ["decoders-2"],
    "and 4 videos at once": ["decoders-4"],
    "one process on one core, a film of maps instead": ["film"],
}


def _many(reports: dict[str, dict[str, Any]]) -> str:
    hardware = reports["cpu-many-decoders-1"]["hardware"]
    lines = [f"| {hardware} | frames/s | x one core | seconds | MiB a process |", "| --- | ---: | ---: | ---: | ---: |"]
    base = reports["cpu-many-core"]["frames_per_second"]
    for label, names in _MANY.items():
        found = [reports[f"cpu-many-{name}"] for name in names]
        seconds = max(report["seconds"] for report in found)
        speed = sum(report["frames"] for report in found) / seconds
        peak = max(report["peak_mib"] for report in found)
        lines.append(f"| {label} | {speed:.1f} | {speed / base:.2f} | {seconds:.1f} | {peak} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Render all documents."""
    for path in PAGES:
        path.write_text(rendered(path.read_text()))


if __name__ == "__main__":
    main()
