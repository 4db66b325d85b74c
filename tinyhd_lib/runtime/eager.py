"""The forward pass in torch, on any device; and the check that another runtime gives the same maps, or nearly."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinyhd_lib.data.transforms import Bounds, Image, Map, clip_of, preprocess, stretched, to_grey, windows
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.errors import first_line
from tinyhd_lib.files import shipped
from tinyhd_lib.metrics import cc
from tinyhd_lib.models.graph import prepared
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_FRAMES, CLIP_SHAPE, PARITY_TOLERANCE
from tinyhd_lib.runtime.base import LEAST_CC, Runtime, Unusable, try_out

_BLUR = 0.0625, 0.25, 0.375, 0.25, 0.0625
"""OpenCV's Gaussian of five taps."""

_EXAMPLES = ("pursuit.mp4", "popout.mp4")


class Beside:
    """Prepares frames, and makes grey levels, on a CUDA device while a model computes there; see `Runtime`.

    Args:
        device: of torch.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def prepare(self, image: Image) -> Map:
        """Return a frame as the model's input, on the device."""
        # In double precision, so that a place between two pixels is as exact as OpenCV's.
        return self._computed(np.ascontiguousarray(image), lambda pixels: prepared(pixels[None].double())[0].float())

    def to_grey(
        self, saliency: Map, size: tuple[int, ...], bounds: Bounds | None = None, levels: type[Any] = np.uint8
    ) -> Image:
        """Return a map's grey levels; 8-bit ones may differ from the CPU's by one."""
        if levels is not np.uint8 or min(size) <= len(_BLUR) // 2:
            return to_grey(saliency, size, bounds, levels)
        return self._computed(stretched(saliency, bounds), lambda small: enlarged(small, size)).cpu().numpy()

    def _computed(self, values: Image, function: Callable[[Tensor], Tensor]) -> Any:
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            result = function(torch.from_numpy(values).pin_memory().to(self._device, non_blocking=True))
        self._stream.synchronize()  # other streams may use the result at once
        return result


def enlarged(levels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return grey levels (h, w), uint8, enlarged bicubically and blurred as in `tinyhd_lib.data.transforms.to_grey`.

    They may differ by one level, since OpenCV enlarges with integers.
    """
    large = F.interpolate(levels.float()[None, None], size, mode="bicubic", align_corners=False).round().clamp(0, 255)
    padded = F.pad(large, [len(_BLUR) // 2] * 4, mode="reflect")
    taps = torch.tensor(_BLUR, device=levels.device)
    rows = (padded.unfold(2, len(_BLUR), 1) * taps).sum(-1)
    blurred = (rows.unfold(3, len(_BLUR), 1) * taps).sum(-1)
    return (blurred[0, 0] + 0.5).to(torch.uint8)


class TorchRuntime(Runtime):
    """Torch; see `Runtime`. TF32 is off, so that a GPU agrees with the CPU.

    Args:
        source: the model.
        device: of torch.
        precision: ``float32``, or what torch's autocast computes in.

    Raises:
        BadInput: there is no such precision.
        Unusable: the device is unavailable, it cannot run the model, or the precision changes the maps too much.
    """

    def __init__(self, source: ModelSource, device: str, precision: str = "float32") -> None:
        self._device = find_device(device)
        super().__init__(source, f"torch {self._device}", precision, 1 if self._device.type == "cpu" else 8)
        if self._device.type == "cuda":
            beside = Beside(self._device)
            self.prepare, self.to_grey = beside.prepare, beside.to_grey
        self._model = source.load().to(self._device)
        if self._device.type != "cpu":
            try_out(self, RuntimeError)  # a device may lack a layer, or kernels for an old card
        if precision != "float32":
            check_exact(self, TorchRuntime(source, str(self._device)))

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        low = self.precision != "float32"
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
            torch.autocast(self._device.type, getattr(torch, self.precision) if low else None, enabled=low),
        ):
            maps = self._model(torch.stack([torch.as_tensor(clip, device=self._device) for clip in clips])).map
            return np.asarray(maps.reshape(len(clips), self.spec.outputs, *maps.shape[-2:]).float().cpu())


def find_device(name: str, choices: str = "auto, triton, fused, openvino, cpu, cuda, cuda:N, mps") -> torch.device:
    """Return a torch device that works here.

    Args:
        name: of the device; ``triton`` and ``triton:N`` are CUDA devices, ``fused`` is the CPU.
        choices: the devices that an error message names.

    Raises:
        Unusable: it cannot be used here.

    Examples:
        >>> find_device("cpu")
        device(type='cpu')
    """
    place = "cpu" if name == "fused" else name.replace("triton", "cuda")
    try:
        if place == "cuda" and "LOCAL_RANK" in os.environ:  # each of several processes on a machine has its own
            place = f"cuda:{int(os.environ['LOCAL_RANK']) % max(1, torch.cuda.device_count())}"
        # With its number, since the current GPU is a setting of each thread.
        device = torch.empty(0, device=torch.device(place)).device
    except (RuntimeError, AssertionError) as error:
        raise Unusable(f"device {name!r} cannot be used here (choose from {choices}): {first_line(error)}") from error
    if device.type == "meta":
        raise Unusable("device 'meta' computes nothing")
    return device


def check_exact(runtime: Runtime, exact: Runtime) -> None:
    """Compare the maps of a runtime with those of an exact one.

    Raises:
        Unusable: in float32 they differ by more than 1e-5; in a lower precision the mean CC over all maps of the
            example clips is below `LEAST_CC`.
    """
    if runtime.precision == "float32":
        clip = np.random.default_rng(0).standard_normal((1, *CLIP_SHAPE), np.float32)
        difference = float(np.abs(runtime(clip) - exact(clip)).max())
        if not difference <= PARITY_TOLERANCE:
            raise Unusable(f"{runtime.name} differs from torch by {difference:.1e} on this machine")
        return
    least = LEAST_CC[runtime.precision]
    mean = float(np.mean([cc(runtime([clip])[0], exact([clip])[0]) for clip in example_clips()]))
    if not mean >= least:
        told = f"CC to float32 on the example clips is {mean:.4f}, and {least} the least"
        raise Unusable(f'{runtime.name}: refused, {told}; use `precision="float32"`')


@cache
def example_clips() -> tuple[Map, ...]:
    """Return clips (3, 16, 192, 256) of the shipped example videos, one every sixteen frames.

    Raises:
        BadInput: the videos are missing.
    """
    videos = ((preprocess(each.image) for each in read_frames(shipped("example_data", name))) for name in _EXAMPLES)
    return tuple(clip_of(window.clip) for video in videos for window in windows(video, CLIP_FRAMES))
