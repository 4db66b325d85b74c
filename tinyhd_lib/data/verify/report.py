"""The outcome of a verification: what is there, what was published, and what is wrong."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyhd_lib.data.verify.findings import CHECKS, Finding


@dataclass(frozen=True)
class SplitCounts:
    """How much of a split there is.

    Attributes:
        split: its name.
        videos: that can be opened.
        frames: of all of them.
        annotated: frames with ground truth.
        published_videos: how many its authors published, None if that is not known.
        published_frames: likewise.
    """

    split: str
    videos: int
    frames: int
    annotated: int
    published_videos: int | None = None
    published_frames: int | None = None

    @property
    def complete(self) -> bool:
        """Whether it has all that was published, as far as that is known."""
        return self.published_videos in (None, self.videos) and self.published_frames in (None, self.frames)


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Attributes:
        kind: of the data set.
        root: its folder.
        counts: of each split.
        findings: in the order of `CHECKS`.
    """

    kind: str
    root: Path
    counts: tuple[SplitCounts, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, of what JSON has; files as seen from the root."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "splits": [asdict(counts) for counts in self.counts],
            "findings": [{**finding._asdict(), "file": self._place(finding.file)} for finding in self.findings],
        }

    def as_table(self, most: int = 10) -> str:
        """For the console: what is there, and of each check's findings the first few."""
        blocks = [_columns(self.counts)]
        by_check: defaultdict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            by_check[finding.check].append(finding)
        for check, found in by_check.items():
            block = [f"{check} ({len(found):,}): {CHECKS[check]}"]
            block += [f"  {self._place(finding.file)}: {finding.message}" for finding in found[:most]]
            block += [f"  and {len(found) - most:,} more"] if len(found) > most else []
            blocks.append(block)
        blocks.append([f"findings: {len(self.findings) or 'none'}"])
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    def _place(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


def _columns(counts: tuple[SplitCounts, ...]) -> list[str]:
    rows: list[tuple[str, ...]] = [("split", "videos", "published", "frames", "published", "with truth")]
    for row in counts:
        numbers = (row.videos, row.published_videos, row.frames, row.published_frames, row.annotated)
        rows.append((row.split, *("-" if number is None else f"{number:,}" for number in numbers)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
