"""The options of prediction: name, default and check of each, for Python, the command line and records alike.

Nothing here needs torch or OpenCV, so that the command line can ask at once.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from tinyhd_lib.errors import BadInput, check_choices
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from tinyhd_lib.runtime import Runtime

LARGEST_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Say which model runs, and where; what `open_runtime` refuses is refused when it is opened."""

    weights: str = DEFAULT_WEIGHTS
    """A name of `tinyhd weights list`, or the path of a .pth or .safetensors file."""
    device: str = "auto"
    """auto, fused or openvino on a CPU, or torch's cpu, cuda, cuda:N, mps, compiled[:DEVICE]."""
    precision: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    """float32 is exact; the others are refused where they change the maps too much."""

    def open(self) -> "Runtime":
        """Return the model, ready to run.

        Raises:
            BadInput: see `open_runtime`.
        """
        from tinyhd_lib.runtime import open_runtime

        return open_runtime(self.weights, self.device, self.precision)


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Say how often the model looks.

    Raises:
        BadInput: a number is out of its range.
    """

    stride: int | None = None
    """Frames from one window to the next, 1 to 16; as published if None: 1 for S, 16 for M."""
    batch: int | None = None
    """Windows a forward pass, 1 to 64; what the device likes best if None."""

    def __post_init__(self) -> None:
        """Refuse a stride that leaves frames out, and a batch that would hold the whole video in memory."""
        check_choices(self)
        if self.batch is not None and not 1 <= self.batch <= LARGEST_BATCH:
            raise BadInput(f"`batch={self.batch}`: 1 to {LARGEST_BATCH} windows a forward pass")
        if self.stride is not None and not 1 <= self.stride <= CLIP_FRAMES:
            raise BadInput(f"`stride={self.stride}`: 1 to {CLIP_FRAMES} frames from one window to the next")


@dataclass(frozen=True)
class Drawing:
    """Say how a map is drawn with its frame.

    Raises:
        BadInput: an opacity, a floor or a colour map is none.
    """

    style: Literal["overlay", "side-by-side", "map", "contours"] = "overlay"
    """Colour over the frame, frame beside coloured map, the coloured map, or lines around 25, 50 and 75 % of white."""
    alpha: float = 0.7
    """Opacity of the most salient grey level in an overlay, 0 to 1."""
    colormap: str = "inferno"
    """Any matplotlib colour map."""
    floor: float = 0.0
    """Part of white below which an overlay is transparent, 0 to less than 1."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        check_choices(self)
        if not 0 <= self.alpha <= 1:
            raise BadInput(f"`alpha={self.alpha}`: an opacity from 0 to 1")
        if not 0 <= self.floor < 1:
            raise BadInput(f"`floor={self.floor}`: a part of white, from 0 to less than 1")
        if self.colormap != Drawing.colormap:
            import matplotlib as mpl

            if self.colormap not in mpl.colormaps:
                nearest = get_close_matches(self.colormap, mpl.colormaps) or ["inferno", "viridis", "turbo"]
                raise BadInput(
                    f"`colormap={self.colormap}`: no such matplotlib colour map; near are {', '.join(nearest)}"
                )


@dataclass(frozen=True, kw_only=True)
class PredictOptions(WindowOptions):
    """Say what is written of a video's maps."""

    maps: Literal["png", "png16", "npz", "none"] = "png"
    """Map files: 8-bit grey as published, 16-bit grey, raw float32, or none."""
    normalise: Literal["frame", "clip", "none"] = "frame"
    """What is black and white: the extremes of each frame (as published), of the video, or 0 and 1."""
    force: bool = False
    """Do everything anew, over what is there."""
