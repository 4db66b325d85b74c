"""The options of importing gaze from an eye tracker. The columns of each tracker are in trackers.toml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class GazeImport:
    """Say which exported files are imported as a video's gaze points, and how."""

    files: Positional[tuple[Path, ...]]
    """Exported text files, separated by commas, tabs or semicolons; each with one or several observers."""
    kind: Literal["tobii", "pupil", "eyelink", "gazepoint", "csv"]
    """The tracker that wrote them; csv for any file with columns time, x, y, and perhaps duration, observer, valid."""
    video: Path
    """The video that was watched; it is copied into the data set."""
    out: Path
    """The folder of the data set, which may hold other videos already."""
    only: str | None = None
    """COLUMN=VALUE: selects the rows of this video, if the files hold several."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of times, if the columns do not state it correctly."""
    start: float | None = None
    """Start of the video, in seconds of the tracker's clock; if None, the first row, or 0 for a clock that starts with
    the video."""
    screen: str | None = None
    """WIDTHxHEIGHT of the screen, if x and y are screen coordinates; the video is centred on it, as large as fits."""
