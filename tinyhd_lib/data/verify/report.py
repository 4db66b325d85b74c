"""The outcome of a verification: what is there, what was published, and what is wrong."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tinyhd_lib.data.verify.findings import CHECKS, Finding

_MOST = 10


@dataclass(frozen=True)
class SplitCounts:
    """Count how much of a split there is.

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
        """Tell whether it has all that was published, as far as that is known."""
        return self.published_videos in (None, self.videos) and self.published_frames in (None, self.frames)


@dataclass(frozen=True)
class Report:
    """Hold what a verification found.

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
        """Return all of it, of what JSON has; files as seen from the root."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "splits": [asdict(counts) for counts in self.counts],
            "findings": [{**finding._asdict(), "file": self._place(finding.file)} for finding in self.findings],
        }

    def __str__(self) -> str:
        """Return what is there, and of each check's findings the first few."""
        table = pd.DataFrame([asdict(counts) for counts in self.counts]).set_index("split").rename_axis(None)
        table = table[["videos", "published_videos", "frames", "published_frames", "annotated"]]
        blocks = [[table.rename(columns=lambda name: name.replace("_", " ")).map(_number).to_string()]]
        by_check: defaultdict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            by_check[finding.check].append(finding)
        for check, found in by_check.items():
            block = [f"{check} ({len(found):,}): {CHECKS[check]}"]
            block += [f"  {self._place(finding.file)}: {finding.message}" for finding in found[:_MOST]]
            block += [f"  and {len(found) - _MOST:,} more"] if len(found) > _MOST else []
            blocks.append(block)
        blocks.append([f"findings: {len(self.findings) or 'none'}"])
        return "\n\n".join("\n".join(block) for block in blocks)

    def _place(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


def _number(count: float | None) -> str:
    return "-" if pd.isna(count) else f"{count:,.0f}"
