"""The forward pass in torch, on any device: as it is, or with kernels of our own."""

import os
from collections.abc import Sequence

import numpy as np
import torch

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

    Raises:
        BadInput: there is no such precision.
        Unusable: the device is not there, it cannot run the model, or precision or kernels change the maps too much.
    """

    def __init__(self, source: ModelSource, device: str, precision: str = "float32") -> None:
        check_precision(precision, PRECISIONS, "torch")
        ours = device.startswith("triton")
        self._device = find_device(device)
        self._model = source.load().to(self._device)
        ways = ["triton"] * ours + [precision] * (precision != "float32")
        self.name = " ".join(["torch", str(self._device), *ways])
        self.spec = source.spec
        self.digest, self.sampling = source.digest, source.sampling
        self.precision = precision
        self.batch = 1 if self._device.type == "cpu" else 8
        if ours:
            from triton.errors import TritonError

            from tinyhd_lib.runtime.depthwise import accelerate

            accelerate(self._model)
            self._try_out(RuntimeError, TritonError)
        elif self._device.type == "mps":  # where not every layer is there
            self._try_out(RuntimeError)
        if ours or precision != "float32":
            from tinyhd_lib.runtime.exactness import check_exact

            check_exact(self, TorchRuntime(source, str(self._device)))

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        low = self.precision != "float32"
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
            torch.autocast(self._device.type, getattr(torch, self.precision) if low else None, enabled=low),
        ):
            maps = self._model(torch.from_numpy(np.stack(list(clips))).to(self._device)).map
            return np.asarray(maps.reshape(len(clips), self.spec.outputs, *maps.shape[-2:]).float().cpu())

    def _try_out(self, *errors: type[Exception]) -> None:
        """Run once.

        Raises:
            Unusable: one of the errors tells that this is not possible here.
        """
        try:
            self([np.zeros(CLIP_SHAPE, np.float32)])
        except errors as error:
            raise Unusable(f"{self.name}: torch cannot compute this here ({_first_line(error)})") from error


def find_device(name: str, choices: str = "auto, triton, fused, openvino, cpu, cuda, cuda:N, mps") -> torch.device:
    """Return a torch device that can be computed on.

    Args:
        name: of the device; ``triton`` and ``triton:N`` are CUDA's, ``fused`` is the CPU.
        choices: what else to advise.

    Raises:
        Unusable: it cannot be used here.

    Examples:
        >>> find_device("cpu")
        device(type='cpu')
    """
    place = "cpu" if name == "fused" else name.replace("triton", "cuda")
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
