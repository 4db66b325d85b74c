"""Trace the network as a graph for other runtimes, with clips or decoded frames as its input."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, MEAN, STD
from tinyhd_lib.models.student import TinyHD


class FromClips(nn.Module):
    """The model without its side maps."""

    def __init__(self, model: TinyHD) -> None:
        super().__init__()
        self.model = model

    def forward(self, clips: Tensor) -> Tensor:
        """Return the fused maps (N, outputs, H, W) of clips (N, 3, 16, H, W)."""
        return self.model(clips).map.flatten(1, -3)


class FromFrames(FromClips):
    """The model with its preprocessing."""

    def forward(self, frames: Tensor) -> Tensor:
        """Return the fused maps (N, outputs, 192, 256) of frames (N, 16, H, W, 3), uint8 RGB of any size."""
        return super().forward(prepared(frames.flatten(0, 1).float()).unflatten(0, (-1, CLIP_FRAMES)).transpose(1, 2))


def prepared(frames: Tensor) -> Tensor:
    """Return the model's input (N, 3, 192, 256) for frames (N, H, W, 3), RGB of any size, floats from 0 to 255.

    It is what `tinyhd_lib.data.transforms.preprocess` computes; see docs/model.md.
    """
    return normalised(F.interpolate(frames.permute(0, 3, 1, 2), INPUT_SIZE, mode="bilinear", align_corners=False))


def normalised(images: Tensor) -> Tensor:
    """Return images (N, 3, ..., H, W), from 0 to 255, normalised by ImageNet's mean and deviation."""
    mean, std = (torch.tensor(each, device=images.device).reshape(3, *[1] * (images.ndim - 2)) for each in (MEAN, STD))
    return (images / 255).sub_(mean).div_(std)


def planes(frames: Tensor) -> Tensor:
    """Return clips (N, 16, H, W, 3) uint8 RGB as (N, 3, 16, H, W) float32, still from 0 to 255."""
    return frames.permute(0, 4, 1, 2, 3).to(torch.float32, memory_format=torch.contiguous_format)


class Input(NamedTuple):
    """The input of an exported model.

    Attributes:
        name: of its only argument.
        module: returns a model with this input.
        kind: dtype of its values.
        shape: sizes, or names for axes of any size.
        meaning: a phrase that describes its values.
    """

    name: str
    module: Callable[[TinyHD], nn.Module]
    kind: torch.dtype
    shape: tuple[int | str, ...]
    meaning: str

    @property
    def free(self) -> dict[int, str]:
        """Return the names of the axes of any size."""
        return {axis: size for axis, size in enumerate(self.shape) if isinstance(size, str)}

    def example(self) -> Tensor:
        """Return a small input; its free axes are long enough that tracing does not specialise on them."""
        sizes = {"batch": 2, "height": 48, "width": 64}
        return torch.zeros([sizes[size] if isinstance(size, str) else size for size in self.shape], dtype=self.kind)

    def __str__(self) -> str:
        kind = str(self.kind).removeprefix("torch.")
        return f"{self.name} {kind} ({', '.join(map(str, self.shape))}), {self.meaning}"


INPUTS = {
    "clips": Input(
        "clips",
        FromClips,
        torch.float32,
        ("batch", 3, CLIP_FRAMES, *INPUT_SIZE),
        "RGB in [0, 1], resized, less the mean and divided by the deviation of ImageNet",
    ),
    "frames": Input(
        "frames",
        FromFrames,
        torch.uint8,
        ("batch", CLIP_FRAMES, "height", "width", 3),
        "RGB as decoded; resizing and normalising are inside",
    ),
}
"""Inputs that models can be exported with, by name."""


def exported_program(module: nn.Module, example: Tensor, free: dict[int, str] | None = None) -> ExportedProgram:
    """Return the forward pass in evaluation mode, traced by `torch.export`.

    Args:
        module: the model.
        example: its only argument.
        free: axes that may differ in size from the example's, with their names.
    """
    sizes = {axis: Dim(name) for axis, name in (free or {}).items()}
    with torch.no_grad():
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=(sizes,))
    program.example_inputs = None  # else it would be stored in files
    return program
