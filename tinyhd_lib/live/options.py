"""What can be chosen about a stream; nothing here needs torch or OpenCV, so that the command line can ask at once."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.options import LONGEST_SMOOTHING, Drawing, ModelOptions


@dataclass(frozen=True, kw_only=True)
class LiveOptions(ModelOptions):
    """Say by which model a stream is looked at, how fast, and what becomes of its maps.

    Raises:
        BadInput: a number is out of its range, or something would be written over.
    """

    source: str
    """A camera's number, an rtsp or http address, a video (at its own speed), or a folder that fills."""
    every: int | None = None
    """M: frames from one pass to the next, 1 to 16; 16 if None. S: a map for every Nth frame; if None, as often as the
    machine can follow."""
    smooth: float = 0.0
    """Seconds in which a map fades in those that follow; 0 for not at all."""
    drop: Literal["latest", "block"] | None = None
    """When frames come too fast, drop the oldest, or let the source wait; if None, block for a folder and for speed 0,
    else latest."""
    queue: int | None = None
    """Frames that may wait; those of one pass if None."""
    serve: str | None = None
    """PORT or HOST:PORT of a page for the browser; without a host, for this machine alone."""
    out: Path | None = None
    """A folder for the maps, a grey-level PNG a frame."""
    overlay: Path | None = None
    """An .mp4 file for an overlay video of what was seen."""
    drawing: Drawing = field(default_factory=Drawing)
    """How the overlay video and the page's pictures are drawn."""
    seconds: float | None = None
    """Stop after so many; if None, when the source ends, or at Ctrl-C."""
    speed: float = 1.0
    """Of a video, 1 for its own; 0 is as fast as it can be read."""
    idle: float | None = None
    """A folder is full after so many seconds without a new image; never if None."""
    json: Path | None = None
    """A file for the record and the statistics, second by second."""

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        if not 0 <= self.speed < math.inf:
            raise BadInput(f"`speed={self.speed}`: 1 is a video's own, 2 twice that, 0 as fast as it can be read")
        if not 0 <= self.smooth < LONGEST_SMOOTHING:
            raise BadInput(f"`smooth={self.smooth:g}`: 0 to {LONGEST_SMOOTHING} seconds")
        for name in ("every", "queue"):  # what else a model asks of them is told when it is there
            if (frames := getattr(self, name)) is not None and frames < 1:
                raise BadInput(f"`{name}={frames}`: at least 1 frame")
        for name in ("seconds", "idle"):
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise BadInput(f"`{name}={value}`: more than 0 seconds")
        if self.overlay and self.overlay.suffix.lower() != ".mp4":
            raise BadInput(f"`overlay={self.overlay}`: an overlay video is an .mp4 file")
        if self.out and self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise BadInput(f"{self.out}: is there already, and not an empty folder; give another `out`")
        if self.overlay and self.overlay.exists():
            raise BadInput(f"{self.overlay}: is there already; give another `overlay`")
