"""The faults that a data set can have, and the report of them."""

import os
import re
from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd

CHECKS: dict[str, str] = {
    "unreadable": "a file cannot be read or used, or a video does not decode to its end",
    "count": "the frames that decode, those that are promised and the maps differ in number",
    "pairing": "a video or a frame has no ground truth where it should, or ground truth has no video or frame",
    "size": "frames, maps and fixations of one video differ in size",
    "empty": "a saliency map is black, a fixation map has no fixation, or most frames have no gaze point",
    "dense": "a fixation map marks more of the picture than anybody can have looked at",
    "mismatch": "the PNG and the MATLAB file of a frame's fixations disagree",
    "outside": "more than 1 % of a video's gaze points lie outside of its picture, or all of them in one place",
    "gap": "the numbers of frames, of shots or of videos do not go on where they should",
    "duplicate": "two videos of one split have the same content",
    "leakage": "two splits share a video, by its content or by its name",
    "incomplete": "a split has not as many videos and frames as its authors published (only if asked)",
}
"""Every check, and what it finds."""


class Finding(NamedTuple):
    """Something that is wrong with a data set.

    Attributes:
        check: a name of `CHECKS`.
        file: the file at fault; if it is missing, where it should be.
        message: one line: what is wrong, and the remedy.
        split: its split, empty if none.
        video: the video's name, empty if it is not about a single video.
    """

    check: str
    file: Path
    message: str
    split: str = ""
    video: str = ""

    @classmethod
    def unreadable(cls, file: Path, told: str) -> Self:
        """Return the finding of an error message about a file: one line without its name, with a remedy.

        Examples:
            >>> Finding.unreadable(Path("a/001.AVI"), "a/001.AVI: the file is empty").message
            'the file is empty; fetch or make it anew'
        """
        line = " ".join(told.split()).removeprefix(str(file)).lstrip(f":{os.sep} ")
        return cls("unreadable", file, line if "anew" in line else f"{line}; fetch or make it anew")


class VideoCheck(NamedTuple):
    """The result of reading a video from start to end.

    Attributes:
        frames: number of frames that decode, or are promised, if the video is damaged.
        annotated: number of frames with ground truth.
        content: a hash that is equal for videos of the same content, None if it is damaged.
        findings: what is wrong with it.
    """

    frames: int
    annotated: int
    content: str | None
    findings: tuple[Finding, ...]


def last_number(name: str) -> int | None:
    """Return the number that a name ends with.

    Examples:
        >>> last_number("Diving-Side_001_017"), last_number("cover")
        (17, None)
    """
    found = re.search(r"\d+$", name)
    return int(found[0]) if found else None


def gaps(numbers: Iterable[int]) -> list[range]:
    """Return the runs of numbers that are missing between the least and the greatest.

    Examples:
        >>> gaps([9, 1, 2, 5, 8])
        [range(3, 5), range(6, 8)]
    """
    return [range(one + 1, other) for one, other in pairwise(sorted(numbers)) if other - one > 1]


def spoken(numbers: range) -> str:
    """Return a run of numbers as text.

    Examples:
        >>> spoken(range(3, 4)), spoken(range(3, 6))
        ('3', '3 to 5')
    """
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


_MOST = 10


class SplitCounts(NamedTuple):
    """The counts of a split.

    Attributes:
        split: its name.
        videos: number of videos that can be opened.
        published_videos: number that its authors published, None if unknown.
        frames: number of frames of all videos that can be opened.
        published_frames: number that its authors published, None if unknown.
        annotated: number of frames with ground truth.
    """

    split: str
    videos: int
    published_videos: int | None
    frames: int
    published_frames: int | None
    annotated: int


class Report(NamedTuple):
    """Hold what a verification found.

    Attributes:
        kind: of the data set.
        root: its folder.
        counts: of each split.
        findings: in the order of `CHECKS`.
        layout: where the first video and its ground truth were found.
    """

    kind: str
    root: Path
    counts: tuple[SplitCounts, ...]
    findings: tuple[Finding, ...]
    layout: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object of the report; files are relative to the root."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "layout": self.layout,
            "splits": [counts._asdict() for counts in self.counts],
            "findings": [{**finding._asdict(), "file": self._place(finding.file)} for finding in self.findings],
        }

    def __str__(self) -> str:
        """Return the counts, and the first few findings of each check."""
        table = pd.DataFrame(list(self.counts)).set_index("split").rename_axis(None)
        named = table.rename(columns=lambda name: name.replace("_", " ")).astype(float)
        shown = named.to_string(na_rep="-", float_format="{:,.0f}".format)
        lines = [shown, f"found as {self.layout}"]
        for check, group in groupby(self.findings, key=lambda finding: finding.check):
            found = list(group)
            lines += ["", f"{check} ({len(found):,}): {CHECKS[check]}"]
            lines += [f"  {self._place(finding.file)}: {finding.message}" for finding in found[:_MOST]]
            lines += [f"  and {len(found) - _MOST:,} more"] if len(found) > _MOST else []
        return "\n".join([*lines, "", f"findings: {len(self.findings) or 'none'}"])

    def _place(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()
