"""Where the forward pass runs: torch on any device, or OpenVINO on a CPU. Both take and give NumPy arrays."""

import hashlib
import json
import logging
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib import models
from tinyhd_lib.models.checkpoints import cache_folder
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, ModelSpec
from tinyhd_lib.models.student import TinyHD

logger = logging.getLogger(__name__)

CLIP_SHAPE = (3, CLIP_FRAMES, *INPUT_SIZE)
PARITY_TOLERANCE = 1e-5


class Runtime(Protocol):
    """A student made ready to run.

    Attributes:
        name: what it runs on, for the run record: ``openvino``, ``torch cpu``, ``torch cuda:0``.
        spec: the model's row.
        batch: how many clips at once it likes best.
    """

    name: str
    spec: ModelSpec
    batch: int

    def __call__(self, clips: Map) -> Map:
        """Fused maps (N, outputs, 192, 256) of clips (N, 3, 16, 192, 256)."""


def open_runtime(model: TinyHD, device: str = "auto") -> Runtime:
    """Make a model ready to run.

    Args:
        model: the student; it is put in evaluation mode.
        device: ``auto`` (CUDA if there is one, else OpenVINO, else torch on the CPU), ``openvino``, or a torch device:
            ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        BadInput: the device is unknown or not there.
    """
    model.eval()
    if device == "auto":
        if torch.cuda.is_available():
            device = "cuda"
        elif find_spec("openvino"):
            device = "openvino"
        else:
            logger.warning("OpenVINO is not installed: running torch on the CPU, about four times slower")
            device = "cpu"
    if device == "openvino":
        if not find_spec("openvino"):
            raise BadInput("device 'openvino': not installed; pip install openvino, or use --device cpu")
        return OpenVINORuntime(model, cache_folder() / "openvino")
    return TorchRuntime(model, _torch_device(device))


def _torch_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        choices = "auto, openvino, cpu, cuda, cuda:N, mps"
        raise BadInput(f"device {name!r} cannot be used here (choose from {choices}): {_first_line(error)}") from error
    return device


class TorchRuntime:
    """Eager torch in float32 (TF32 off, so that a GPU agrees with the CPU)."""

    def __init__(self, model: TinyHD, device: torch.device) -> None:
        self.name = f"torch {device}"
        self.spec = model.spec
        self.batch = 1 if device.type == "cpu" else 8
        self._model = model.to(device)
        self._device = device

    def __call__(self, clips: Map) -> Map:
        """See `Runtime`."""
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            maps = self._model(torch.from_numpy(clips).to(self._device)).map
            return np.asarray(maps.reshape(len(clips), self.spec.outputs, *maps.shape[-2:]).cpu())


class OpenVINORuntime:
    """OpenVINO in float32 on the CPU, converted once and then read from the cache.

    It runs clip by clip with a fixed shape: that is faster on a CPU than batches or a free shape.
    """

    batch = 1

    def __init__(self, model: TinyHD, cache: Path) -> None:
        openvino = import_module("openvino")
        self.name = f"openvino {version('openvino')}"
        self.spec = model.spec
        path = cache / f"{_conversion_key(model)}.xml"
        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if path.exists():
            self._compiled = core.compile_model(core.read_model(path), "CPU", settings)
            return
        logger.info("converting %s for OpenVINO, once (about ten seconds)", model.spec.label)
        converted = openvino.convert_model(_export(model))
        self._compiled = core.compile_model(converted, "CPU", settings)
        self._check_parity(model)
        _save_atomically(openvino, converted, path)

    def __call__(self, clips: Map) -> Map:
        """See `Runtime`."""
        maps = [self._compiled(clip[np.newaxis])[0] for clip in clips]
        return np.concatenate(maps).reshape(len(clips), self.spec.outputs, *INPUT_SIZE)

    def _check_parity(self, model: TinyHD) -> None:
        clip = np.random.default_rng(0).standard_normal((1, *CLIP_SHAPE), np.float32)
        difference = np.abs(self(clip) - TorchRuntime(model, torch.device("cpu"))(clip)).max()
        if difference > PARITY_TOLERANCE:
            raise RuntimeError(f"OpenVINO differs from torch by {difference:.1e} on this machine: use --device cpu")


class _MapOnly(nn.Module):
    """The model without its side maps."""

    def __init__(self, model: TinyHD) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> Tensor:
        """The fused map."""
        return self.model(clip).map


def _export(model: TinyHD) -> Any:
    with torch.no_grad():
        return torch.export.export(_MapOnly(model), (torch.zeros(1, *CLIP_SHAPE),))


def _conversion_key(model: TinyHD) -> str:
    """A hash of all that the conversion depends on: weights, row, versions, and the code that defines the network."""
    digest = hashlib.sha256(json.dumps(model.spec.to_dict(), sort_keys=True).encode())
    for package in ("openvino", "torch", "torchvision"):
        digest.update(version(package).encode())
    for source in sorted(Path(models.__path__[0]).glob("*.py")):
        digest.update(source.read_bytes())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _save_atomically(openvino: Any, model: Any, path: Path) -> None:
    """Both files of the model appear under their names whole or not at all, the weights first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, Path(folder) / path.name, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            (Path(folder) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
