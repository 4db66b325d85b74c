"""Where the forward pass runs. torch is imported only where it is needed, for that takes longer than a short video."""

import ctypes
import logging
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tinyhd_lib.runtime.base import ModelSource, Runtime, Unusable, model_source

if TYPE_CHECKING:
    from pathlib import Path

    from tinyhd_lib.models.student import TinyHD

__all__ = ["Runtime", "open_runtime"]

logger = logging.getLogger(__name__)

_PACKAGES = {"fused": "numba", "openvino": "openvino"}

ON_A_CPU = ("fused", "openvino", "cpu")
"""What ``auto`` tries without a GPU, the fastest first."""


def open_runtime(model: "TinyHD | str | Path", device: str = "auto") -> Runtime:
    """Make a model ready to run.

    Args:
        model: a published name, a checkpoint's path, or a model.
        device: ``auto`` (CUDA if there is one, else the first of `ON_A_CPU` that can be used), ``fused``, ``openvino``,
            or a torch device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        BadInput: the weights cannot be used; the device is unknown or not there.
    """
    source = model_source(model)
    if device != "auto":
        return _open(source, device)
    if _has_cuda():
        return _open(source, "cuda")
    for name in ON_A_CPU[:-1]:
        try:
            return _open(source, name)
        except Unusable as error:
            logger.warning("%s: trying what is slower", error)
    return _open(source, ON_A_CPU[-1])


def _open(source: ModelSource, device: str) -> Runtime:
    if device not in _PACKAGES:
        from tinyhd_lib.runtime.eager import TorchRuntime

        return TorchRuntime(source, device)
    package = _PACKAGES[device]
    if not find_spec(package):
        raise Unusable(f"device {device!r} needs {package}, which is not installed (pip install {package})")
    try:
        if device == "fused":
            from tinyhd_lib.runtime.fused_cpu import FusedRuntime

            return FusedRuntime(source)
        from tinyhd_lib.runtime.openvino_cpu import OpenVINORuntime

        return OpenVINORuntime(source)
    # Numba finds no place for compiled code, or a library of one of them is not there.
    except (ImportError, RuntimeError) as error:
        raise Unusable(f"device {device!r} cannot be used here ({error})") from error


def _has_cuda() -> bool:
    """Whether torch can use a GPU; it is asked only where a driver is there, which is quick to find out."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()
