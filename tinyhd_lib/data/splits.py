"""How the data sets were split by their authors: facts, to check a copy against.

Source: specification section 5.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSplit:
    """What a complete copy of a split holds.

    Attributes:
        kind: a name of `tinyhd_lib.data.datasets.KINDS`.
        name: of the split.
        videos: how many (shots, for Hollywood-2).
        frames: of all of them together, None if that was not published.
        numbers: of the videos, where numbers decide.
        note: what else is known.
    """

    kind: str
    name: str
    videos: int
    frames: int | None = None
    numbers: range = range(0)
    note: str = ""


DHF1K_SPLITS = (
    PublishedSplit("dhf1k", "train", 600, 346_140, range(1, 601)),
    PublishedSplit("dhf1k", "validation", 100, 60_273, range(601, 701)),
    PublishedSplit("dhf1k", "test", 300, 176_192, range(701, 1001), "where people looked is kept by the benchmark"),
)

PUBLISHED_SPLITS = (
    *DHF1K_SPLITS,
    PublishedSplit("ucf", "training", 103, note="21 to 143 frames a video, in several sizes"),
    PublishedSplit("ucf", "testing", 47, note="21 to 143 frames a video, in several sizes"),
    PublishedSplit("hollywood2", "testing", 3_558, note="1,185 of these shots are shorter than a window of 16 frames"),
)
