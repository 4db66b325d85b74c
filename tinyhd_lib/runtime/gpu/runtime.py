"""The forward pass on a GPU, recorded as one CUDA graph for each size of a batch."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.runtime.base import StudentRuntime, conversion_key, plan_of, try_out
from tinyhd_lib.runtime.eager import TorchRuntime, find_device
from tinyhd_lib.runtime.fused.plan import PLANS
from tinyhd_lib.runtime.gpu.engine import Engine

_BATCH = 16


class TritonRuntime(StudentRuntime):
    """Folded and fused; see `Runtime`.

    The kernels are compiled when they first run on a machine, which Triton keeps; batches have a power of two of clips,
    so that there are few graphs.

    Args:
        source: the model.
        device: ``triton`` or ``triton:1``.
        precision: what maps are kept in between two steps, and multiplied in.

    Raises:
        BadInput: there is no such precision.
        Unusable: the device is not there, the kernels cannot be compiled for it, or the maps differ from torch's on it:
            in float32 by more than 1e-5, with fewer bits by more than their precision allows.
    """

    def __init__(self, source: ModelSource, device: str = "triton", precision: str = "float32") -> None:
        self._device = find_device(device)
        super().__init__(source, f"triton {version('triton')} {self._device}", precision, _BATCH)
        self._alone = Lock()
        self._graphs: dict[int, _Graph] = {}
        code = sorted(each for part in ("gpu/*.py", "fused/plan*.py") for each in Path(__file__).parents[1].glob(part))
        card = f"{precision} {torch.cuda.get_device_name(self._device)}"
        key = conversion_key(source, ("triton", "torch", "torchvision"), card, code)
        plan, kept = plan_of(source, key, "this GPU, once (its kernels are compiled, too, which takes a while)")
        self._engine = Engine(plan, self._device, getattr(torch, precision))
        if not kept:
            from tinyhd_lib.runtime.exactness import check_exact

            try_out(self, Exception)  # whatever a compiler raises, torch can do without it
            check_exact(self, TorchRuntime(source, str(self._device)))
            PLANS.write(key, plan.to_bytes())

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        with self._alone:  # a graph has one set of results
            parts = [self._batch(clips[first : first + _BATCH]) for first in range(0, len(clips), _BATCH)]
        return np.concatenate(parts)

    def _batch(self, clips: Sequence[Map] | Map) -> Map:
        size = 1 << (len(clips) - 1).bit_length()
        if size not in self._graphs:
            self._graphs[size] = _Graph(self._engine, size, self._device)
        return self._graphs[size](clips)


class _Graph:
    """A pass over so many clips, recorded once and repeated from then on."""

    def __init__(self, engine: Engine, size: int, device: torch.device) -> None:
        self._filled = torch.zeros(size, *CLIP_SHAPE, pin_memory=True)
        self._clips = self._filled.to(device)
        self._graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(device),
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
        ):
            engine(self._clips)  # which compiles
            torch.cuda.synchronize()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._maps = engine(self._clips).contiguous()

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """Return the maps of clips, at most as many as it was made for."""
        with torch.cuda.device(self._clips.device):
            for clip, filled, there in zip(clips, self._filled, self._clips, strict=False):
                np.copyto(filled.numpy(), clip)
                there.copy_(filled, non_blocking=True)  # while the next one is filled in
            self._graph.replay()
            return np.asarray(self._maps[: len(clips)].cpu())
