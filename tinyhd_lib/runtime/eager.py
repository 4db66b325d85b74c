"""The forward pass in torch, on any device: as it is, with kernels of our own, or compiled by torch itself."""

import os
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import torch
from torch._dynamo.exc import BackendCompilerFailed

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.runtime.base import Unusable, check_precision

PRECISIONS = ("float32", "bfloat16", "float16")


class TorchRuntime:
    """Torch; see `Runtime`. TF32 is off, so that a GPU agrees with the CPU.

    Args:
        source: the model.
        device: of torch; or ``triton``, ``triton:1``: CUDA, with kernels of our own where torch is slow.
        precision: ``float32``, or what torch's autocast computes in.
        compiled: by ``torch.compile``, for batches of one size; on a GPU with CUDA graphs.

    Raises:
        BadInput: there is no such precision.
        Unusable: the device is not there, precision or kernels change the maps too much, or there is no compiler.
    """

    def __init__(self, source: ModelSource, device: str, precision: str = "float32", *, compiled: bool = False) -> None:
        check_precision(precision, PRECISIONS, "torch")
        ours = device.startswith("triton")
        self._device = find_device(device)
        self._model = source.load().to(self._device)
        self._compiled = compiled
        ways = ["triton"] * ours + ["compiled"] * compiled + [precision] * (precision != "float32")
        self.name = " ".join(["torch", str(self._device), *ways])
        self.spec = source.spec
        self.digest, self.sampling = source.digest, source.sampling
        self.precision = precision
        self.batch = 1 if self._device.type == "cpu" else 8
        if ours:
            from tinyhd_lib.runtime.depthwise import accelerate

            accelerate(self._model)
        if compiled:
            self._model.compile(mode="reduce-overhead" if self._device.type == "cuda" else "default", dynamic=False)
        if compiled or ours or self._device.type == "mps":  # where not every layer is there
            self._try_out()
        if ours or precision != "float32":
            from tinyhd_lib.runtime.exactness import check_exact

            check_exact(self, TorchRuntime(source, str(self._device)))

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        if not self._compiled:
            return self._forward(np.stack(list(clips)))
        # Compiled code is for whole batches.
        filled = np.stack([*clips, *[clips[-1]] * (-len(clips) % self.batch)])
        maps = [self._forward(filled[first : first + self.batch]) for first in range(0, len(filled), self.batch)]
        return np.concatenate(maps)[: len(clips)]

    def _forward(self, clips: Map) -> Map:
        low = self.precision != "float32"
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
            torch.autocast(self._device.type, getattr(torch, self.precision) if low else None, enabled=low),
        ):
            maps = self._model(torch.from_numpy(clips).to(self._device)).map
            return np.asarray(maps.reshape(len(clips), self.spec.outputs, *maps.shape[-2:]).float().cpu())

    def _try_out(self) -> None:
        """Run once, which compiles.

        Raises:
            Unusable: that is not possible here.
        """
        try:
            self([np.zeros(CLIP_SHAPE, np.float32)])
        except _compiler_errors() as error:
            raise Unusable(f"{self.name}: torch cannot compute this here ({_first_line(error)})") from error


def _compiler_errors() -> tuple[type[Exception], ...]:
    """Return what is raised where something cannot be compiled."""
    if not find_spec("triton"):
        return BackendCompilerFailed, RuntimeError
    from triton.errors import TritonError

    return BackendCompilerFailed, RuntimeError, TritonError


def find_device(
    name: str, choices: str = "auto, triton, fused, openvino, compiled, cpu, cuda, cuda:N, mps"
) -> torch.device:
    """Return a torch device that can be computed on.

    Args:
        name: of the device; ``triton`` and ``triton:N`` are CUDA's.
        choices: what else to advise.

    Raises:
        Unusable: it cannot be used here.

    Examples:
        >>> find_device("cpu")
        device(type='cpu')
    """
    place = name.replace("triton", "cuda")
    try:
        if place == "cuda" and "LOCAL_RANK" in os.environ:  # of several processes on a machine, each has its own
            place = f"cuda:{int(os.environ['LOCAL_RANK']) % max(1, torch.cuda.device_count())}"
        # With its number: which GPU is the current one is told to each thread apart.
        device = torch.empty(0, device=torch.device(place)).device
    except (RuntimeError, AssertionError) as error:
        raise Unusable(f"device {name!r} cannot be used here (choose from {choices}): {_first_line(error)}") from error
    if device.type == "meta":
        raise Unusable("device 'meta' computes nothing")
    return device


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
