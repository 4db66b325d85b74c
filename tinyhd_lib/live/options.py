"""What can be chosen about a stream; this is imported by the command line, and needs no other library."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyhd_lib.models.registry import DEFAULT_WEIGHTS


@dataclass(frozen=True)
class LiveOptions:
    """Saliency of what happens now: a camera, an address, a video, a folder.

    Args:
        source: a camera's number, an rtsp or http address, a video (at its own speed), or a folder that fills.
        weights: a name (tinyhd weights list), or the path of a .pth or .safetensors file.
        device: auto, fused or openvino on a CPU, or torch's cpu, cuda, cuda:N, mps, compiled[:DEVICE].
        precision: float32 (exact), bfloat16, float16 or int8, where the device has it.
        stride: M: frames from one pass to the next, 1 to 16 (16 if not given). S: a map for every Nth frame (if not
            given, as often as the machine can follow).
        drop: when frames come too fast, drop the oldest (latest), or let the source wait (block); if not given, block
            for a folder and for speed 0, else latest.
        queue: frames that may wait; those of one pass if not given.
        serve: PORT or HOST:PORT of a page for the browser; without a host, for this machine alone.
        out: a folder for the maps, a grey-level PNG a frame.
        overlay: an .mp4 file for an overlay video of what was seen.
        style: how the overlay is drawn: overlay, side-by-side, map or contours.
        alpha: opacity of the overlay, 0 to 1.
        floor: part of white below which it is transparent.
        colormap: any matplotlib colour map.
        seconds: stop after so many; if not given, when the source ends, or at Ctrl-C.
        speed: of a video; 0 is as fast as it can be read.
        idle: a folder is full after so many seconds without an image; never if not given.
        json: a file for the statistics, second by second.
    """

    source: str
    weights: str = DEFAULT_WEIGHTS
    device: str = "auto"
    precision: str = "float32"
    stride: int | None = None
    drop: Literal["latest", "block"] | None = None
    queue: int | None = None
    serve: str | None = None
    out: Path | None = None
    overlay: Path | None = None
    style: Literal["overlay", "side-by-side", "map", "contours"] = "overlay"
    alpha: float = 0.7
    floor: float = 0.0
    colormap: str = "inferno"
    seconds: float | None = None
    speed: float = 1.0
    idle: float | None = None
    json: Path | None = None
