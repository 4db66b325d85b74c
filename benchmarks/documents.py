"""Insert the figures of ``docs/bench`` into the documents.

The text after a marker is generated from the raw file that it names: all tables of the file after
``<!-- bench: FILE -->``, one of them after ``<!-- bench: FILE TABLE -->``; instead of TABLE, ``markdown`` is the short
table, ``headline`` a sentence, and ``plan`` the plan for 10,000 hours.
"""

import re
from pathlib import Path

from benchmarks.many_hours import Assumptions, measured, plan_table
from benchmarks.report import Report, as_markdown, as_text, read_report, table

ROOT = Path(__file__).parent.parent
RAW = ROOT / "docs/bench"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_MARKED = re.compile(
    r"(?P<marker><!-- bench: (?P<file>\S+)(?: (?P<part>\S+))? -->\n)(?:```\n.*?\n```\n|(?:[^\n]+\n)*)", re.DOTALL
)
"""A marker with the fenced block, or the lines up to an empty one, that follow it."""


def render() -> None:
    """Render all documents anew."""
    for path in PAGES:
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")


def rendered(page: str) -> str:
    """Return a document with the text after its markers generated anew."""
    return _MARKED.sub(lambda found: found["marker"] + _made(found["file"], found["part"]), page)


def _made(file: str, part: str | None) -> str:
    report = read_report(RAW / f"{file}.json")
    if part == "plan":
        return plan_table(measured(report), Assumptions())
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
