"""What can be chosen about a stream; this is imported by the command line, and needs no other library."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tinyhd_lib.prediction.options import Drawing, ModelOptions


@dataclass(frozen=True, kw_only=True)
class LiveOptions(ModelOptions):
    """Say what is watched, how, and what is kept of it; the model's options are those of `ModelOptions`.

    Args:
        stride: M: frames from one pass to the next, 1 to 16 (16 if None). S: a map for every Nth frame (as often as the
            machine can follow if None).
        drop: when frames come too fast, drop the oldest (latest), or let the source wait (block); if None, block for a
            folder and for speed 0, else latest.
        queue: frames that may wait; those of one pass if None.
        serve: PORT or HOST:PORT of a page for the browser; without a host, for this machine alone.
        out: a folder for the maps, a grey-level PNG a frame.
        overlay: an .mp4 file for an overlay video of what was seen.
        drawing: how the overlay video is drawn.
        seconds: stop after so many; if None, when the source ends, or at Ctrl-C.
        speed: of a video; 0 is as fast as it can be read.
        idle: a folder is full after so many seconds without an image; never if None.
        json: a file for the statistics, second by second.
    """

    stride: int | None = None
    drop: Literal["latest", "block"] | None = None
    queue: int | None = None
    serve: str | None = None
    out: Path | None = None
    overlay: Path | None = None
    drawing: Drawing = field(default_factory=Drawing)
    seconds: float | None = None
    speed: float = 1.0
    idle: float | None = None
    json: Path | None = None
