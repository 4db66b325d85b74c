"""The options of a live stream; nothing here imports torch or OpenCV, so that the command line starts at once."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.options import LONGEST_SMOOTHING, Drawing, ModelOptions


@dataclass(frozen=True, kw_only=True)
class LiveOptions(ModelOptions):
    """Say which model watches a stream, how often, and what is done with its maps.

    Raises:
        BadInput: a number is out of its range, or something would be overwritten.
    """

    source: str
    """A camera's number, an rtsp or http address, a video (at its own speed), or a folder that images are added to."""
    every: int | None = None
    """M models: frames from one window to the next, 1 to 16; 16 if None. S models: a map for every Nth frame; if None,
    as often as the machine can keep up."""
    smooth: float = 0.0
    """Time constant, in seconds, of an exponential smoothing of the maps; 0 for none."""
    drop: Literal["latest", "block"] | None = None
    """When frames arrive too fast: drop the oldest (latest), or make the source wait (block); if None, block for a
    folder and for speed 0, else latest."""
    queue: int | None = None
    """Length of the frame queue; the frames of one forward pass if None."""
    serve: str | None = None
    """PORT or HOST:PORT of a page for the browser; without a host, only this machine can open it."""
    out: Path | None = None
    """A folder for the maps, one grey-level PNG per frame."""
    overlay: Path | None = None
    """An .mp4 file for an overlay video of the stream."""
    drawing: Drawing = field(default_factory=Drawing)
    """How the overlay video and the page's pictures are drawn."""
    seconds: float | None = None
    """Stop after this many seconds; if None, when the source ends, or at Ctrl-C."""
    speed: float = 1.0
    """Speed of a video: 1 for its own, 0 for as fast as it can be read."""
    idle: float | None = None
    """Stop watching a folder after this many seconds without a new image; never if None."""
    json: Path | None = None
    """A JSON file for the run record and the statistics of every second."""

    def __post_init__(self) -> None:
        """Check what the types cannot express."""
        if not 0 <= self.speed < math.inf:
            raise BadInput(f"`speed={self.speed}`: 1 is a video's own, 2 twice that, 0 as fast as it can be read")
        if not 0 <= self.smooth < LONGEST_SMOOTHING:
            raise BadInput(f"`smooth={self.smooth:g}`: 0 to {LONGEST_SMOOTHING} seconds")
        for name in ("every", "queue"):  # the model's own limits are checked when it is open
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
