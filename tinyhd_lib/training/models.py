"""Models that teach: each answers a window of sixteen frames with named maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tinyhd_lib.data.clips import resized
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import digest_of, sha256
from tinyhd_lib.models.checkpoints import load_published_teacher_state, read_state
from tinyhd_lib.models.graph import exported_program
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, MEAN, STD
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.models.teacher import HD2S, build_teacher
from tinyhd_lib.models.weights import TEACHER_NOTE, model_source, state_digest

Size = tuple[int, int]

Answers = dict[str, Map]
"""``map``, ``d1``, ``d2``, ``d3`` and ``level1`` to ``level4``, as far as a model has them, each (C, T, H, W)."""


class WindowModel(Protocol):
    """A model that looks at sixteen frames.

    Attributes:
        name: for people.
        digest: of its weights and of everything else that its answers depend on.
        multi: whether it answers for every frame of the window; else for the last one only.
    """

    name: str
    digest: str
    multi: bool

    def __call__(self, frames: Image) -> Answers:
        """Answers, in float32, to (16, H, W, 3) uint8 RGB."""


class HD2SModel:
    """The teacher HD2S: its map, and its conspicuity maps of levels 2 to 5 as ``d1``.

    Args:
        source: its published file, or the network.
        device: ``openvino``, or a torch device.
        size: (H, W) at which it looks.

    Raises:
        BadInput: the file is not there, or is another model's.
    """

    multi = False

    def __init__(self, source: Path | HD2S, device: str = "cpu", *, size: Size = INPUT_SIZE) -> None:
        if isinstance(source, HD2S):
            model, origin, content = source, "in memory", state_digest(source)
        else:
            if not source.is_file():
                raise BadInput(f"{source}: no such file; {TEACHER_NOTE}")
            model, origin, content = build_teacher(), source.name, sha256(source)
            load_published_teacher_state(model, read_state(source))
        self.name = f"HD2S ({origin})"
        self.digest = digest_of(content, str(size))
        self._size = size
        self._run = _runner(_HD2SAnswers(model), size, device)

    def __call__(self, frames: Image) -> Answers:
        """See `WindowModel`."""
        clip = _sized(frames, self._size).permute(0, 4, 1, 2, 3).float()
        fused, conspicuity = self._run((2 * clip - 255) / 255)
        return {"map": fused[0, :, None], "d1": conspicuity[0, :, None]}


class StudentModel:
    """A TinyHD student as a teacher: its map and its decoders' maps, and its pyramid if hints are wanted.

    Args:
        weights: a name or path.
        device: ``openvino``, or a torch device.
        size: (H, W) at which it looks.
        hints: whether its pyramid is wanted.

    Raises:
        BadInput: its weights cannot be used.
    """

    def __init__(
        self, weights: str | Path, device: str = "cpu", *, size: Size = INPUT_SIZE, hints: bool = False
    ) -> None:
        source = model_source(weights)
        self.spec = source.spec
        self.multi = source.spec.multi
        self.name = f"{source.spec.label} ({Path(weights).stem})"
        self.digest = digest_of(source.digest, str(size), "with hints" if hints else "")
        self._size = size
        self._hints = hints
        self._run = _runner(_StudentAnswers(source.load(), hints=hints), size, device)
        if self.multi and source.spec.outputs != CLIP_FRAMES:
            raise BadInput(f"{weights}: a teacher has a map for every frame (M) or for the last one (S), not 8")

    def __call__(self, frames: Image) -> Answers:
        """See `WindowModel`."""
        names = ["map", *self.spec.decoders, *([f"level{n}" for n in range(1, 5)] if self._hints else [])]
        answers = dict(zip(names, self._run(normalised(_sized(frames, self._size))), strict=True))
        fused = answers["map"]
        return {**{name: values[0] for name, values in answers.items()}, "map": fused.reshape(1, -1, *fused.shape[-2:])}


def normalised(frames: Tensor) -> Tensor:
    """Clips (N, 16, H, W, 3) uint8 RGB as a student wants them, (N, 3, 16, H, W) float32."""
    clip = frames.permute(0, 4, 1, 2, 3).float() / 255
    mean, std = (torch.tensor(each, device=frames.device).reshape(3, 1, 1, 1) for each in (MEAN, STD))
    return (clip - mean) / std


class _StudentAnswers(nn.Module):
    def __init__(self, model: TinyHD, *, hints: bool) -> None:
        super().__init__()
        self.model = model
        self.hints = hints

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        levels = self.model.encoder(clip)
        output = self.model.decode(levels)
        return (output.map, *output.side_maps, *(levels if self.hints else ()))


class _HD2SAnswers(nn.Module):
    def __init__(self, model: HD2S) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        output = self.model(clip)
        return output.map, torch.cat(output.side_maps, dim=1)


def _runner(module: nn.Module, size: Size, device: str) -> Callable[[Tensor], list[Map]]:
    """The module made ready to answer one clip (1, 3, 16, H, W)."""
    if device == "openvino":
        import openvino

        from tinyhd_lib.runtime.openvino_cpu import SETTINGS

        program = exported_program(module, torch.zeros(1, 3, CLIP_FRAMES, *size))
        compiled = openvino.Core().compile_model(openvino.convert_model(program), "CPU", SETTINGS)
        return lambda clip: [np.array(values) for values in compiled([clip.numpy()]).values()]
    module.eval().to(device)

    @torch.inference_mode()
    def run(clip: Tensor) -> list[Map]:
        return [values.float().cpu().numpy() for values in module(clip.to(device))]

    return run


def _sized(frames: Image, size: Size) -> Tensor:
    """Frames (16, h, w, 3) as a clip (1, 16, H, W, 3), both uint8."""
    return torch.from_numpy(resized(frames, size))[None]
