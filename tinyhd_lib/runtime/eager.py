"""The forward pass in eager torch, on any device."""

from collections.abc import Sequence

import numpy as np
import torch

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.runtime.base import ModelSource


class TorchRuntime:
    """Eager torch in float32 (TF32 off, so that a GPU agrees with the CPU); see `Runtime`.

    Raises:
        BadInput: there is no such device.
    """

    def __init__(self, source: ModelSource, device: str) -> None:
        self._device = find_device(device)
        self._model = source.load().to(self._device)
        self.name = f"torch {self._device}"
        self.spec = source.spec
        self.digest = source.digest
        self.batch = 1 if self._device.type == "cpu" else 8

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            maps = self._model(torch.from_numpy(np.asarray(clips)).to(self._device)).map
            return np.asarray(maps.reshape(len(clips), self.spec.outputs, *maps.shape[-2:]).cpu())


def find_device(name: str, choices: str = "auto, openvino, cpu, cuda, cuda:N, mps") -> torch.device:
    """A torch device that can be computed on.

    Args:
        name: of the device.
        choices: what else to advise.

    Raises:
        BadInput: it cannot be used here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadInput(f"device {name!r} cannot be used here (choose from {choices}): {reason}") from error
    if device.type == "meta":
        raise BadInput("device 'meta' computes nothing")
    return device
