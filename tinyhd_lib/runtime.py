"""Where the forward pass runs. torch is imported only where it is needed, for that takes longer than a short video."""

import ctypes
import hashlib
import logging
import sys
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import sha256
from tinyhd_lib.models.spec import ModelSpec
from tinyhd_lib.models.weights import locate_weights, read_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyhd_lib.models.student import TinyHD

logger = logging.getLogger(__name__)


class OpenVINOUnusable(BadInput):
    """OpenVINO is not there, or not exact on this machine."""


class Runtime(Protocol):
    """A student made ready to run.

    Attributes:
        name: what it runs on, for the run record: ``openvino 2026.4``, ``torch cpu``, ``torch cuda:0``.
        spec: the model's row.
        digest: a hash of its weights; of the file, where they come from one.
        batch: how many clips at once it likes best.
    """

    name: str
    spec: ModelSpec
    digest: str
    batch: int

    def __call__(self, clips: Map) -> Map:
        """Fused maps (N, outputs, 192, 256) of clips (N, 3, 16, 192, 256), both float32."""


@dataclass(frozen=True)
class ModelSource:
    """A model that need not be in memory yet.

    Attributes:
        spec: its row.
        digest: a hash of its weights.
        load: gives the model, in evaluation mode and the caller's own to move about.
    """

    spec: ModelSpec
    digest: str
    load: "Callable[[], TinyHD]"


def open_runtime(model: "TinyHD | str | Path", device: str = "auto") -> Runtime:
    """Make a model ready to run.

    Args:
        model: a published name, a checkpoint's path, or a model.
        device: ``auto`` (CUDA if there is one, else OpenVINO, else torch on the CPU), ``openvino``, or a torch device:
            ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        BadInput: the weights cannot be used; the device is unknown or not there.
    """
    source = _source(model)
    if device != "auto":
        return _open(source, device)
    if _has_cuda():
        return _open(source, "cuda")
    try:
        return _open(source, "openvino")
    except OpenVINOUnusable as error:
        logger.warning("%s: running torch on the CPU, several times slower", error)
        return _open(source, "cpu")


def _open(source: ModelSource, device: str) -> Runtime:
    if device != "openvino":
        from tinyhd_lib.runtime_torch import TorchRuntime

        return TorchRuntime(source, device)
    if not find_spec("openvino"):
        raise OpenVINOUnusable("OpenVINO is not installed (pip install openvino)")
    try:
        from tinyhd_lib.runtime_openvino import OpenVINORuntime

        return OpenVINORuntime(source)
    except ImportError as error:
        raise OpenVINOUnusable(f"OpenVINO cannot be loaded ({error})") from error


def _has_cuda() -> bool:
    """Whether torch can use a GPU; it is asked only where a driver is there, which is quick to find out."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def _source(model: "TinyHD | str | Path") -> ModelSource:
    if not isinstance(model, str | Path):
        return ModelSource(model.spec, _state_digest(model), lambda: deepcopy(model).eval())
    path = locate_weights(model)

    def load() -> "TinyHD":
        from tinyhd_lib.models.checkpoints import load_model

        return load_model(path)

    return ModelSource(read_spec(path) or load().spec, sha256(path), load)


def _state_digest(model: "TinyHD") -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
