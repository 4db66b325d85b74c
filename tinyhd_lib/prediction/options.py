"""The options of prediction: name, default and check of each, for Python, the command line and run records alike.

Nothing here imports torch or OpenCV, so that the command line starts at once.
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
    """Say which model runs, and where; the values are checked when `open_runtime` opens it."""

    weights: str = DEFAULT_WEIGHTS
    """A name from `tinyhd weights list`; a .pth or .safetensors file; baseline:centre, spectral or motion; or another
    model's .onnx or .py file."""
    device: str = "auto"
    """auto; triton[:N] on a GPU; fused or openvino on a CPU; or torch's cpu, cuda, cuda:N, mps."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """float32 is exact; the others are refused for a model whose maps they change too much."""


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Say how windows are placed, and how their maps are combined; None for the weights' own default, or as published.

    Raises:
        BadInput: a value is out of its range.
    """

    every: int | str | None = None
    """Step between windows: frames, or a time such as 0.3s. As published: 1 for S models, 16 (the most) for M."""
    between: Literal["linear", "hold"] | None = None
    """S models: maps of the frames between two windows: interpolated (linear, the default), or the later one (hold)."""
    smooth: float | None = None
    """Standard deviation, in seconds, of a Gaussian that smooths maps over time; 0, as published, for none."""
    batch: int | None = None
    """Windows per forward pass, 1 to 64; what suits the device best if None."""

    def __post_init__(self) -> None:
        """Refuse values that are invalid for every model and video."""
        check_choices(self)
        if self.batch is not None and not 1 <= self.batch <= LARGEST_BATCH:
            raise BadInput(f"`batch={self.batch}`: 1 to {LARGEST_BATCH} windows a forward pass")
        if self.smooth is not None and not 0 <= self.smooth < LONGEST_SMOOTHING:
            raise BadInput(f"`smooth={self.smooth:g}`: 0 to {LONGEST_SMOOTHING} seconds")
        if self.every is not None and _amount(str(self.every))[0] <= 0:
            most = f"under {LONGEST_SMOOTHING}s"
            raise BadInput(f"`every={self.every}`: a number of frames from 1, or a time {most} such as 0.3s")

    def sampling(self, spec: ModelSpec | ForeignSpec, default: Sampling, rate: float | None = None) -> Sampling:
        """Return how a model samples a video: these options, with the weights' defaults for those that are None.

        Args:
            spec: of the model.
            default: the sampling stored with its weights.
            rate: frames per second, needed where ``every`` is a time.

        Raises:
            BadInput: the model does not support an option.
        """
        every = default.every
        if self.every is not None:
            amount, is_time = _amount(str(self.every))
            if is_time and rate is None:
                raise BadInput(f"`every={self.every}`: a time is for video files; give a number of frames")
            every = max(1, round(amount * rate)) if is_time and rate else int(amount)
        if spec.multi and every > CLIP_FRAMES:
            raise BadInput(f"`every={self.every}`: 1 to {CLIP_FRAMES} frames from one window of an M model to the next")
        if spec.multi and self.between:
            raise BadInput(f"`between={self.between}`: it is for S; an M model gives each frame a map of its own")
        smooth = default.smooth if self.smooth is None else self.smooth
        return Sampling(every, self.between or default.between, smooth)


def _amount(every: str) -> tuple[float, bool]:
    """Return the number of frames or seconds in a text, and whether it is seconds; 0 if the text is neither."""
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
        BadInput: the opacity, the floor or the colour map is invalid.
    """

    style: Literal["overlay", "side-by-side", "map", "contours"] = "overlay"
    """The coloured map over the frame, beside it or alone, or contour lines at 25, 50 and 75 % of white."""
    alpha: float = 0.7
    """Opacity of the most salient grey level in an overlay, 0 to 1."""
    colormap: str = "inferno"
    """Any matplotlib colour map."""
    floor: float = 0.0
    """Grey level, as a fraction of white, below which an overlay is transparent, 0 to less than 1."""

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
    """Say how a video's maps are written."""

    maps: Literal["png", "png16", "npz", "none"] = "png"
    """Map files: 8-bit grey as published (too coarse to score KL), 16-bit grey, raw float32, or none."""
    normalise: Literal["frame", "clip", "none"] = "frame"
    """Values shown as black and white: the extremes of each frame (as published), of the video, or 0 and 1."""
    force: bool = False
    """Start over, replacing earlier results."""
