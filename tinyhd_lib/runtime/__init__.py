"""Where the forward pass runs. torch is imported only where it is needed, for that takes longer than a short video."""

import ctypes
import logging
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tinyhd_lib.runtime.base import ModelSource, OpenVINOUnusable, Runtime, model_source

if TYPE_CHECKING:
    from pathlib import Path

    from tinyhd_lib.models.student import TinyHD

__all__ = ["Runtime", "open_runtime"]

logger = logging.getLogger(__name__)


def open_runtime(model: "TinyHD | str | Path", device: str = "auto") -> Runtime:
    """Make a model ready to run.

    Args:
        model: a published name, a checkpoint's path, or a model.
        device: ``auto`` (CUDA if there is one, else OpenVINO, else torch on the CPU), ``openvino``, or a torch device:
            ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        BadInput: the weights cannot be used; the device is unknown or not there.
    """
    source = model_source(model)
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
        from tinyhd_lib.runtime.eager import TorchRuntime

        return TorchRuntime(source, device)
    if not find_spec("openvino"):
        raise OpenVINOUnusable("OpenVINO is not installed (pip install openvino)")
    try:
        from tinyhd_lib.runtime.openvino_cpu import OpenVINORuntime

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
