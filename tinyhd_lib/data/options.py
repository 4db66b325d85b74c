"""How an export of gaze is taken: name, default and check of each option. The columns stand in trackers.toml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class GazeImport:
    """Say which exports of gaze become a video's gaze points, and how."""

    files: Positional[tuple[Path, ...]]
    """Exports as text, separated by commas, tabs or semicolons; of one observer each, or of several."""
    kind: Literal["tobii", "pupil", "eyelink", "gazepoint", "csv"]
    """Who wrote them; csv has columns time, x, y, and perhaps duration, observer, valid."""
    video: Path
    """What was looked at; it is copied beside its gaze."""
    out: Path
    """The folder of the data set, which may hold other videos."""
    only: str | None = None
    """COLUMN=VALUE: the rows that are of this video, where a file has others too."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Of times, where the columns do not say it rightly."""
    start: float | None = None
    """When the video began, in seconds of the tracker's clock; its first row, or 0 where that counts from the start."""
    screen: str | None = None
    """WIDTHxHEIGHT of what x and y are of, if that is a screen with the video in its middle, as large as it fits."""
