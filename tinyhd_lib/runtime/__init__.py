"""Where the forward pass runs. torch is imported only where it is needed, for that takes longer than a short video."""

import ctypes
import logging
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tinyhd_lib.errors import BadInput
from tinyhd_lib.runtime.base import LEAST_CC, ModelSource, Runtime, Unusable, check_precision, model_source

if TYPE_CHECKING:
    from pathlib import Path

    from tinyhd_lib.models.student import TinyHD

__all__ = ["Runtime", "open_runtime", "take_own_gpu"]

logger = logging.getLogger(__name__)

ON_A_CPU = ("fused", "openvino", "cpu")
"""What ``auto`` tries without a GPU, the fastest first."""

_PACKAGES = {"fused": "numba", "openvino": "openvino"}


def open_runtime(model: "TinyHD | str | Path", device: str = "auto", precision: str = "float32") -> Runtime:
    """Make a model ready to run.

    Args:
        model: a published name, a checkpoint's path, or a model.
        device: ``auto`` (CUDA or MPS if there is one, else the first of `ON_A_CPU` that can be used and has the precision),
            ``fused``, ``openvino``, a torch device (``cpu``, ``cuda``, ``cuda:1``, ``mps``), or ``compiled`` or
            ``compiled:DEVICE`` for ``torch.compile``.
        precision: a name of `LEAST_CC`; all but ``float32`` change the maps a little.

    Raises:
        BadInput: the weights cannot be used; the device is unknown or not there; it has no such precision, or that
            changes the maps too much.
    """
    if precision not in LEAST_CC:
        raise BadInput(f"precision {precision!r}: choose from {', '.join(LEAST_CC)}")
    source = model_source(model)
    if device != "auto":
        return _open(source, device, precision)
    gpu = _gpu()
    if gpu:
        return _open(source, gpu, precision)
    if precision != "float32":
        return _open(source, "cpu" if precision == "float16" else "openvino", precision)
    for name in ON_A_CPU[:-1]:
        try:
            return _open(source, name, precision)
        except Unusable as error:
            logger.warning("%s: trying what is slower", error)
    return _open(source, ON_A_CPU[-1], precision)


def _open(source: ModelSource, device: str, precision: str) -> Runtime:
    if device not in _PACKAGES:
        from tinyhd_lib.runtime.eager import TorchRuntime

        compiled, _, where = device.partition(":")
        if compiled == "compiled":
            return TorchRuntime(source, where or ("cuda" if _has_cuda() else "cpu"), precision, compiled=True)
        return TorchRuntime(source, device, precision)
    package = _PACKAGES[device]
    if not find_spec(package):
        raise Unusable(f"device {device!r} needs {package}, which is not installed (pip install {package})")
    try:
        if device == "fused":
            from tinyhd_lib.runtime.fused_cpu import FusedRuntime

            check_precision(precision, ("float32",), "fused")
            return FusedRuntime(source)
        from tinyhd_lib.runtime.openvino_cpu import OpenVINORuntime

        return OpenVINORuntime(source, precision)
    # Numba finds no place for what it compiles, or a library of one of the two is not there.
    except (ImportError, RuntimeError) as error:
        raise Unusable(f"device {device!r} cannot be used here ({error})") from error


def take_own_gpu(environment: Mapping[str, str]) -> None:
    """Give each process of torchrun its own GPU, where there are any."""
    if "LOCAL_RANK" in environment and _has_cuda():
        import torch

        torch.cuda.set_device(int(environment["LOCAL_RANK"]) % torch.cuda.device_count())


def _gpu() -> str | None:
    """The GPU that torch can use; Apple's is asked for only where there may be one."""
    if _has_cuda():
        return "cuda"
    if sys.platform != "darwin":
        return None
    import torch

    return "mps" if torch.backends.mps.is_available() else None


def _has_cuda() -> bool:
    """Whether torch can use a GPU; it is asked only where a driver is there, which is quick to find out."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()
