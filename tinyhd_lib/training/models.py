"""Networks as teachers and for inspection: from sixteen frames to named maps and features."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tinyhd_lib.data.clips import resized
from tinyhd_lib.data.transforms import Image, Map, clip_of
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import digest_of, sha256
from tinyhd_lib.models.checkpoints import load_published_teacher_state, read_state
from tinyhd_lib.models.graph import normalised, planes
from tinyhd_lib.models.source import model_source, state_digest
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.models.teacher import HD2S, LEVELS, build_teacher
from tinyhd_lib.models.weights import TEACHER_NOTE
from tinyhd_lib.runtime.foreign import ForeignRuntime
from tinyhd_lib.training.recipe import teacher_kind

Answers = dict[str, Map]
"""``map``, ``d1``, ``d2`` and ``d3``, those that a model has: (C, T, H, W) float32."""


class OpenModel:
    """HD2S or a student as a model of sixteen frames, with access to its decoders' maps and its features.

    Attributes:
        name: for display.
        digest: of its weights and of everything else that its answers depend on.
        multi: whether it gives maps for every frame of the window; else for the last one only.

    Args:
        network: the teacher or a student.
        name: for display.
        device: of torch, ``openvino``, or ``auto``: CUDA where there is a GPU, else OpenVINO.
        size: (H, W) of its input.
        digest: of the network's weights, if it is known.
    """

    def __init__(
        self, network: HD2S | TinyHD, name: str, device: str = "cpu", *,
        size: tuple[int, int] = INPUT_SIZE, digest: str = "",
    ) -> None:  # fmt: skip
        self.network, self.name, self.size = network.eval(), name, size
        self.multi = isinstance(network, TinyHD) and network.spec.multi
        self.digest = digest_of(digest or state_digest(network), str(size))
        self._module = _Answering(network).eval()
        self._compiled = None
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "openvino"
        if device == "openvino":
            import openvino

            from tinyhd_lib.models.graph import exported_program
            from tinyhd_lib.runtime.openvino_cpu import SETTINGS

            program = exported_program(self._module, torch.zeros(1, 3, CLIP_FRAMES, *size))
            self._compiled = openvino.Core().compile_model(openvino.convert_model(program), "CPU", SETTINGS)
            device = "cpu"
        self._device = device
        network.to(device)

    @property
    def levels(self) -> list[str]:
        """Return the names of its four conspicuity maps, the finest first.

        Raises:
            BadInput: it has none.
        """
        if "d1" not in self._module.names:
            raise BadInput(f"{self.name}: has no decoder D1, and so no conspicuity maps to look at")
        return [f"level {number}" for number in (LEVELS if isinstance(self.network, HD2S) else range(1, 5))]

    def __call__(self, frames: Image) -> Answers:
        """Return the answers, in float32, for (16, h, w, 3) uint8 RGB."""
        return self.answer(self._clip(frames))

    @torch.inference_mode()
    def answer(self, clip: Tensor) -> Answers:
        """Return the answers for a clip (1, 3, 16, H, W), normalised as the network requires."""
        if self._compiled:
            found = [np.array(values) for values in self._compiled([clip.numpy()]).values()]
        else:
            found = [values.float().cpu().numpy() for values in self._module(clip.to(self._device))]
        return {name: values[0] for name, values in zip(self._module.names, found, strict=True)}

    @torch.inference_mode()
    def taps(self, frames: Image) -> dict[str, Map]:
        """Return the features that its decoders read, (C, T, H, W) each: HD2S's five blocks, a student's pyramid."""
        clip = self._clip(frames).to(self._device)
        found = self.network.taps(clip) if isinstance(self.network, HD2S) else self.network.encoder(clip)
        what = "block" if isinstance(self.network, HD2S) else "level"
        return {f"{what} {number}": features[0].cpu().numpy() for number, features in enumerate(found, start=1)}

    def _clip(self, frames: Image) -> Tensor:
        """Return (1, 3, 16, H, W), normalised as this network requires."""
        clip = planes(torch.from_numpy(resized(frames, self.size))[None])
        return (2 * clip - 255) / 255 if isinstance(self.network, HD2S) else normalised(clip)


class _Answering(nn.Module):
    """A network whose answers, (1, C, T, H, W) each, are a plain tuple, as an exported graph requires."""

    def __init__(self, network: HD2S | TinyHD) -> None:
        super().__init__()
        self.network = network
        decoders = ("d1",) if isinstance(network, HD2S) else network.spec.names
        self.names = ("map", *decoders)

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        output = self.network(clip)
        if isinstance(self.network, HD2S):
            return output.map.unsqueeze(2), torch.cat(output.side_maps, dim=1).unsqueeze(2)
        return output.frames, *output.side_maps


class ForeignModel:
    """A model of other software as a teacher: its map of a window's last frame; attributes as of `OpenModel`."""

    multi = False

    def __init__(self, runtime: ForeignRuntime) -> None:
        self.name, self.digest, self._runtime = runtime.spec.label, runtime.digest, runtime

    def __call__(self, frames: Image) -> Answers:
        """Return its answer, (1, 1, H, W), for (16, h, w, 3) uint8 RGB."""
        return {"map": self._runtime([clip_of([self._runtime.prepare(frame) for frame in frames])])}


def open_model(name: str, device: str = "cpu", *, size: tuple[int, int] = INPUT_SIZE) -> OpenModel:
    """Open a model by its name in a recipe's ``TEACHERS``.

    Args:
        name: ``hd2s:FILE``, or the name or path of a student.
        device: see `OpenModel`.
        size: see `OpenModel`.

    Raises:
        BadInput: its weights cannot be used, or it is no network.
    """
    kind, _, rest = teacher_kind(name)
    path = Path(rest)
    if kind == "maps":
        raise BadInput(f"{name}: maps on disk have no inside to look at; name hd2s:FILE, or a student")
    if kind == "hd2s":
        if not path.is_file():
            raise BadInput(f"{path}: no such file; {TEACHER_NOTE}")
        teacher = build_teacher()
        load_published_teacher_state(teacher, read_state(path))
        return OpenModel(teacher, f"HD2S ({path.name})", device, size=size, digest=sha256(path))
    source = model_source(name)
    if source.spec.outputs not in (1, CLIP_FRAMES):
        raise BadInput(f"{name}: has a map for every other frame; name a model of one or of 16 maps a window")
    label = f"{source.spec.label} ({path.stem})"
    return OpenModel(source.load(), label, device, size=size, digest=source.digest)
