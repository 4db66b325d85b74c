"""Choose and open a runtime for the forward pass. torch is imported only if needed: that takes seconds."""

import ctypes
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from pickle import PickleError
from pkgutil import resolve_name
from typing import TYPE_CHECKING, TypeAlias, cast

from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.source import ModelSource, model_source
from tinyhd_lib.runtime.base import LEAST_CC, Runtime, Unusable
from tinyhd_lib.runtime.foreign import Saliency, foreign_runtime

if TYPE_CHECKING:
    from tinyhd_lib.models.student import TinyHD

__all__ = ["Model", "Runtime", "has_cuda", "open_runtime"]

logger = logging.getLogger(__name__)

Model: TypeAlias = "TinyHD | str | Path | Saliency"
"""A name of `list_models`, a checkpoint's path, or a model; or one of other software, see `foreign_runtime`."""

_CHOICES = {
    "triton": ("float32", "bfloat16", "float16"),
    "cuda": ("float32", "bfloat16", "float16"),
    "mps": ("float32", "float16"),
    "fused": ("float32",),
    "openvino": ("float32", "bfloat16"),
    "cpu": ("float32", "float16"),
}
"""Devices that ``auto`` tries, the fastest first, with the precisions that it tries there."""

_RUNTIMES = {
    "triton": ("triton", "gpu:TritonRuntime"),
    "fused": ("numba", "fused.runtime:FusedRuntime"),
    "openvino": ("openvino", "openvino_cpu:OpenVINORuntime"),
}
"""Runtimes other than torch: the package that each needs, and its class."""


def open_runtime(model: Model, device: str = "auto", precision: str = "float32") -> Runtime:
    """Return a model that is ready to run; the device that ``auto`` chose is logged.

    Args:
        model: see `Model`.
        device: ``auto`` (the fastest available device with the precision, GPUs first); ``fused``, this package's
            kernels for a CPU; ``triton`` or ``triton:1``, those for a GPU; ``openvino``; a torch device (``cpu``,
            ``cuda``, ``cuda:1``, ``mps``).
        precision: a name of `LEAST_CC`; all but ``float32`` change the maps a little.

    Raises:
        BadInput: the weights cannot be used; the device is unknown or unavailable; it lacks the precision, or that
            changes the maps too much.
    """
    if precision not in LEAST_CC:
        raise BadInput(f"precision {precision!r}: choose from {', '.join(LEAST_CC)}")
    if other := foreign_runtime(model):
        return other
    source = model_source(cast("TinyHD | str | Path", model))
    if device != "auto":
        return _open(source, device, precision)
    *choices, last = (name for name, has in _CHOICES.items() if precision in has and _may_be_there(name))
    reasons = ""  # why faster choices failed
    for name in choices:
        try:
            runtime = _open(source, name, precision)
            break
        except Unusable as error:
            reasons += f"; {error}"
    else:
        runtime = _open(source, last, precision)
    logger.log(logging.WARNING if reasons else logging.INFO, "running on %s%s", runtime.name, reasons)
    return runtime


def _open(source: ModelSource, device: str, precision: str) -> Runtime:
    name = device.partition(":")[0]
    package, place = _RUNTIMES.get(name, (None, "eager:TorchRuntime"))
    if package and not find_spec(package):
        raise Unusable(f"device {device!r} needs {package}, which is not installed (pip install {package})")
    try:
        runtime = resolve_name(f"{__name__}.{place}")
        return runtime(source, precision) if name in {"fused", "openvino"} else runtime(source, device, precision)
    # Raised if Numba's cache is missing or damaged, or a library is not installed.
    except (ImportError, RuntimeError, EOFError, LookupError, PickleError) as error:
        if not package:
            raise
        raise Unusable(f"{package} cannot be used here ({error}; if it could, clear its cache)") from error


def _may_be_there(device: str) -> bool:
    return has_cuda() if device in {"cuda", "triton"} else device != "mps" or sys.platform == "darwin"


def has_cuda() -> bool:
    """Return whether torch can use a GPU; torch is only imported if there is a driver, which is quick to check."""
    try:
        if not Path("/dev/kfd").exists():  # AMD's driver
            ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()
