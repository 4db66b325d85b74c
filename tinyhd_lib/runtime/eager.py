"""The forward pass in torch, on any device: as it is, or compiled by torch itself."""

from collections.abc import Sequence

import numpy as np
import torch
from torch._dynamo.exc import BackendCompilerFailed

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.runtime.base import ModelSource, Unusable, check_precision

PRECISIONS = ("float32", "bfloat16", "float16")


class TorchRuntime:
    """Torch; see `Runtime`. TF32 is off, so that a GPU agrees with the CPU.

    Args:
        source: the model.
        device: of torch.
        precision: ``float32``, or what torch's autocast computes in.
        compiled: by ``torch.compile``, for batches of one size; on a GPU with CUDA graphs.

    Raises:
        BadInput: there is no such device or precision.
        Unusable: the precision changes the maps too much, or there is no compiler.
    """

    def __init__(self, source: ModelSource, device: str, precision: str = "float32", *, compiled: bool = False) -> None:
        check_precision(precision, PRECISIONS, "torch")
        self._device = find_device(device)
        on_gpu = self._device.type == "cuda"
        self._model = source.load().to(self._device)
        self._compiled = compiled
        self.name = " ".join(
            ["torch", str(self._device), *["compiled"] * compiled, *[precision] * (precision != "float32")]
        )
        self.spec = source.spec
        self.digest = source.digest
        self.precision = precision
        self.batch = 8 if on_gpu else 1
        if compiled:
            self._model.compile(mode="reduce-overhead" if on_gpu else "default", dynamic=False)
            self._try_out()
        if precision != "float32":
            from tinyhd_lib.runtime.precision import check_agreement

            check_agreement(self, TorchRuntime(source, device))

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
        """Compile, which the first pass does.

        Raises:
            Unusable: that is not possible here.
        """
        try:
            self([np.zeros((3, CLIP_FRAMES, *INPUT_SIZE), np.float32)])
        except (BackendCompilerFailed, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise Unusable(f"{self.name}: torch cannot compile here ({reason})") from error


def find_device(name: str, choices: str = "auto, fused, openvino, compiled, cpu, cuda, cuda:N, mps") -> torch.device:
    """A torch device that can be computed on.

    Args:
        name: of the device.
        choices: what else to advise.

    Raises:
        BadInput: it cannot be used here.
    """
    try:
        # With its number: which GPU is the current one is told to each thread apart.
        device = torch.empty(0, device=torch.device(name)).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadInput(f"device {name!r} cannot be used here (choose from {choices}): {reason}") from error
    if device.type == "meta":
        raise BadInput("device 'meta' computes nothing")
    return device
