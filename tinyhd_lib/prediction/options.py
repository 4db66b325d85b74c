"""The options of prediction: name, default and check of each, for Python, the command line and records alike.

Nothing here needs torch or OpenCV, so that the command line can ask at once.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tinyhd_lib.errors import BadInput, check_choices
from tinyhd_lib.models.spec import CLIP_FRAMES, ForeignSpec, ModelSpec, Sampling
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS

LARGEST_BATCH = 64
LONGEST_SMOOTHING = 60


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Say which model runs, and where; what `open_runtime` refuses is refused when it is opened."""

    weights: str = DEFAULT_WEIGHTS
    """A name of `tinyhd weights list`, or a .pth or .safetensors file; baseline:centre, spectral or motion; or another
    model's .onnx or .py file."""
    device: str = "auto"
    """auto; triton[:N] on a GPU; fused or openvino on a CPU; or torch's cpu, cuda, cuda:N, mps."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """float32 is exact; the others are refused where they change the maps too much."""


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Say how often the model looks, and what becomes of its maps; None is what its weights say, else as published.

    Raises:
        BadInput: a value is out of its range.
    """

    every: int | str | None = None
    """From one look to the next: frames, or a time such as 0.3s. As published: 1 for S, 16 (the most) for M."""
    between: Literal["linear", "hold"] | None = None
    """Of S, what frames between two looks get: their maps in proportion, or the later one; linear if not said."""
    smooth: float | None = None
    """Seconds (standard deviation) over which maps are smoothed in time; 0, as published, for not at all."""
    batch: int | None = None
    """Windows a forward pass, 1 to 64; what the device likes best if None."""

    def __post_init__(self) -> None:
        """Refuse what no model and no video could make sense of."""
        check_choices(self)
        if self.batch is not None and not 1 <= self.batch <= LARGEST_BATCH:
            raise BadInput(f"`batch={self.batch}`: 1 to {LARGEST_BATCH} windows a forward pass")
        if self.smooth is not None and not 0 <= self.smooth < LONGEST_SMOOTHING:
            raise BadInput(f"`smooth={self.smooth:g}`: 0 to {LONGEST_SMOOTHING} seconds")
        if self.every is not None and _amount(str(self.every))[0] <= 0:
            most = f"under {LONGEST_SMOOTHING}s"
            raise BadInput(f"`every={self.every}`: a number of frames from 1, or a time {most} such as 0.3s")

    def sampling(self, spec: ModelSpec | ForeignSpec, default: Sampling, rate: float | None = None) -> Sampling:
        """Return when a model looks at a video.

        Args:
            spec: of the model.
            default: what its weights say.
            rate: frames a second, which a time in ``every`` needs.

        Raises:
            BadInput: the model cannot look so.
        """
        every = default.every
        if self.every is not None:
            amount, is_time = _amount(str(self.every))
            if is_time and rate is None:
                raise BadInput(f"`every={self.every}`: a time is for video files; give a number of frames")
            every = max(1, round(amount * rate)) if is_time and rate else int(amount)
        if spec.multi and every > CLIP_FRAMES:
            raise BadInput(f"`every={self.every}`: 1 to {CLIP_FRAMES} frames from one look of an M model to the next")
        if spec.multi and self.between:
            raise BadInput(f"`between={self.between}`: it is for S; an M model gives each frame a map of its own")
        smooth = default.smooth if self.smooth is None else self.smooth
        return Sampling(every, self.between or default.between, smooth)


def _amount(every: str) -> tuple[float, bool]:
    """Return how many frames or seconds a text says, and whether they are seconds; 0 where it says neither."""
    number, is_time = every.removesuffix("s"), every.endswith("s")
    try:
        amount = float(number) if is_time else float(int(number))
    except ValueError:
        return 0.0, is_time
    return (amount if amount < LONGEST_SMOOTHING or not is_time else 0.0), is_time


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
                near = ", ".join(get_close_matches(self.colormap, mpl.colormaps) or ["inferno", "viridis", "turbo"])
                raise BadInput(f"`colormap={self.colormap}`: no such matplotlib colour map; near are {near}")


@dataclass(frozen=True, kw_only=True)
class PredictOptions(WindowOptions):
    """Say what is written of a video's maps."""

    maps: Literal["png", "png16", "npz", "none"] = "png"
    """Map files: 8-bit grey as published, 16-bit grey, raw float32, or none."""
    normalise: Literal["frame", "clip", "none"] = "frame"
    """What is black and white: the extremes of each frame (as published), of the video, or 0 and 1."""
    force: bool = False
    """Do everything anew, over what is there."""
