"""The forward pass on a GPU: a plan computed batch by batch, recorded as one CUDA graph per batch size."""

import math
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.decoders import enlarge
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.runtime import gpu_kernels as kernels
from tinyhd_lib.runtime.base import Runtime, conversion_key, plan_of, try_out
from tinyhd_lib.runtime.eager import Beside, TorchRuntime, check_exact, find_device
from tinyhd_lib.runtime.fused.plan import CLIP, ENLARGE, EXPAND, PLANS, Plan, Step

_BATCH = 16
"""Clips per pass, at most."""

_LEAST = 16
"""Smallest side of the tiles that matrix units multiply."""

_MOST = 64
"""Channels that a program computes, or keeps for three frames, at once."""

_TILE = 2048
"""Elements of a program's tile: 8 for each thread of its 8 warps; with more, registers spill."""


class Engine:
    """A plan with its weights on a GPU.

    Args:
        plan: what to compute.
        device: of torch; a CPU with Triton's interpreter.
        kind: float32, bfloat16 or float16: the type of stored maps, and of products.
        tile: elements of a program's tile; Triton's interpreter is faster with more.
    """

    def __init__(self, plan: Plan, device: torch.device, kind: torch.dtype, tile: int = _TILE) -> None:
        self._plan, self._kind, self._tile, self._precision = plan, kind, tile, _precision(device)
        weights = (plan.weights_of(number) for number in range(len(plan.steps)))
        self._weights = [[torch.from_numpy(each.copy()).to(device) for each in of_step] for of_step in weights]
        self._last_use = plan.last_use

    def __call__(self, clips: Tensor) -> Tensor:
        """Return the fused maps (N, outputs, H, W) in float32 of clips (N, 3, T, H, W)."""
        results = {CLIP: clips.to(self._kind)}
        for number, step in enumerate(self._plan.steps):
            inputs = [results[each] for each in step.inputs]
            other = None if step.other is None else results[step.other]
            results[number] = self._result(step, inputs, self._weights[number], other)
            for source in step.sources:
                if self._last_use[source] == number:
                    results.pop(source, None)
        return results[number]

    def _result(self, step: Step, inputs: list[Tensor], weights: list[Tensor], other: Tensor | None) -> Tensor:
        x = inputs[0]  # unchanged for "widen", a step for the CPU: here "enlarge" does both axes at once
        match step.kernel:
            case "stem":
                kernel, bias = (each.to(self._kind) for each in weights)
                x = F.conv3d(x, kernel.view(-1, 3, 3, 3, 3), bias, stride=2, padding=1).clamp_(0, 6)
            case "pointwise":
                x = self._pointwise(x, weights)
                x = x.clamp_(0, 6) if step.settings[2] else x
            case "enlarge" | "shuffle":
                x = enlarge(x, shuffle=step.kernel == "shuffle", lengthen=step.shape[1] == 2 * x.shape[2])
                x = (x if other is None else x + other).contiguous()
            case "join":
                x = torch.cat(inputs, dim=1)
            case "block":
                x = self._block(step, x, weights, other)
            case "fuse":
                x = _fused(inputs, *weights, frames=step.shape[1])
        return x

    def _pointwise(self, x: Tensor, weights: list[Tensor]) -> Tensor:
        outputs, inputs, pixels = weights[1].numel(), x.shape[1], math.prod(x.shape[2:])
        out = x.new_empty(len(x), outputs, *x.shape[2:])
        tiles = self._tiles(inputs, outputs, pixels)
        grid = triton.cdiv(pixels, tiles["P_TILE"]), triton.cdiv(outputs, tiles["CO_TILE"]), len(x)
        kernels.pointwise_kernel[grid](x, tuple(weights), out, (inputs, outputs, pixels), **tiles)
        return out

    def _block(self, step: Step, x: Tensor, weights: list[Tensor], other: Tensor | None) -> Tensor:
        expand, bias, depthwise, *rest = weights
        mode, (_, hidden, outputs), shape, _, lasting, (kernel, stride, pad), space_stride = step.settings
        if mode == ENLARGE:
            x = enlarge(x, shuffle=False, lengthen=shape[0] != x.shape[2])
        elif mode == EXPAND:
            x = self._pointwise(x, [expand, bias])
        out = x.new_empty(len(x), *step.shape)
        frames, plane, sizes = shape[0], math.prod(step.shape[2:]), (hidden, outputs, *shape)
        rolling = (kernel, stride, space_stride) == (3, 1, 1) and frames > 1 and hidden <= _MOST
        tiles = self._tiles(hidden, outputs, plane, whole=rolling)
        columns = triton.cdiv(plane, tiles["P_TILE"])
        if rolling:
            kernels.rolling_kernel[columns, len(x)](x, (depthwise, *rest), other, out, sizes, **tiles)
            return out
        if frames == 1 and pad:  # the padding hides all but the middle of the kernel
            depthwise = depthwise.view(hidden, kernel, 9)[:, pad].contiguous()
            kernel, pad = 1, 0
        sizes = *sizes, *step.shape[1:], kernel, stride, space_stride, pad
        grid = columns, lasting * len(x), triton.cdiv(outputs, tiles["CO_TILE"])
        kernels.block_kernel[grid](x, (depthwise, *rest), other, out, sizes, **tiles)
        return out

    def _tiles(self, inputs: int, outputs: int, pixels: int, *, whole: bool = False) -> dict[str, Any]:
        """Return the tile sizes of a product, with all inputs in one tile if ``whole``, and its other options."""
        most_read, most_made = (_MOST, _MOST // 2) if whole else (self._tile // _MOST, _MOST)
        read = max(_LEAST, min(triton.next_power_of_2(inputs), most_read))
        made = max(_LEAST, min(triton.next_power_of_2(outputs), most_made))
        tile = max(_LEAST, min(self._tile // max(read, made), triton.next_power_of_2(pixels)))
        return {"C_TILE": read, "CO_TILE": made, "P_TILE": tile, "PRECISION": self._precision, "num_warps": 8}


def _fused(logits: list[Tensor], weight: Tensor, bias: Tensor, *, frames: int) -> Tensor:
    """Return the fused maps (N, frames, H, W); a single frame of a decoder is used for all."""
    total = bias
    for x, share in zip(logits, weight.split([each.shape[1] for each in logits]), strict=True):
        total = total + torch.einsum("c,nc...->n...", share, x.float().sigmoid())
    return total.sigmoid().expand(-1, frames, -1, -1)


def _precision(device: torch.device) -> str:
    """Return how float32 is multiplied: by three TF32 products, which are as exact, if the GPU supports TF32."""
    modern = device.type == "cuda" and not torch.version.hip and torch.cuda.get_device_capability(device) >= (8, 0)
    return "tf32x3" if modern else "ieee"


class TritonRuntime(Runtime):
    """Folded and fused; see `Runtime`.

    The kernels are compiled when they first run on a machine, and cached by Triton; batch sizes are powers of two, so
    that there are few graphs.

    Args:
        source: the model.
        device: ``triton`` or ``triton:1``.
        precision: of the maps stored between steps, and of products.

    Raises:
        BadInput: there is no such precision.
        Unusable: the device is unavailable, the kernels do not compile for it, or the maps differ from torch's: in
            float32 by more than 1e-5, in a lower precision by more than `LEAST_CC` allows.
    """

    def __init__(self, source: ModelSource, device: str = "triton", precision: str = "float32") -> None:
        self._device = find_device(device)
        super().__init__(source, f"triton {triton.__version__} {self._device}", precision, _BATCH)
        beside = Beside(self._device)
        self.prepare, self.to_grey = beside.prepare, beside.to_grey
        self._alone = Lock()
        code = sorted(each for part in ("gpu*.py", "fused/plan*.py") for each in Path(__file__).parent.glob(part))
        card = f"{precision} {torch.cuda.get_device_name(self._device)} {triton.__version__}"
        key = conversion_key(source, ("torch", "torchvision"), card, code)
        plan, kept = plan_of(source, key, "this GPU, once (its kernels are compiled, too, which takes a while)")
        self._graph = cache(partial(_Graph, Engine(plan, self._device, getattr(torch, precision)), self._device))
        if not kept:
            try_out(self, Exception)  # whatever a compiler raises, torch can do without it
            check_exact(self, TorchRuntime(source, str(self._device)))
            PLANS.write(key, plan.to_bytes())

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        with self._alone:  # a graph has one set of results
            parts = [clips[first : first + _BATCH] for first in range(0, len(clips), _BATCH)]
            return np.concatenate([self._graph(1 << (len(part) - 1).bit_length())(part) for part in parts])


class _Graph:
    """A pass over a batch of ``size`` clips, recorded once and replayed from then on."""

    def __init__(self, engine: Engine, device: torch.device, size: int) -> None:
        self._clips = torch.zeros(size, *CLIP_SHAPE, device=device)
        self._graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(device),
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
        ):
            engine(self._clips)  # compiles the kernels
            torch.cuda.synchronize()
            with torch.cuda.graph(self._graph, stream=torch.cuda.Stream(), capture_error_mode="thread_local"):
                self._maps = engine(self._clips).contiguous()

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """Return the maps of at most ``size`` clips."""
        with torch.cuda.device(self._clips.device):
            for clip, place in zip(clips, self._clips, strict=False):
                place.copy_(torch.as_tensor(clip))
            self._graph.replay()
            return np.asarray(self._maps[: len(clips)].cpu())
