"""The forward pass on a GPU by kernels of our own."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from triton.errors import TritonError

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.runtime.base import Unusable, check_precision, conversion_key
from tinyhd_lib.runtime.eager import TorchRuntime, find_device
from tinyhd_lib.runtime.exactness import check_exact
from tinyhd_lib.runtime.fused.plan import PLANS, Plan
from tinyhd_lib.runtime.fused.planner import make_plan
from tinyhd_lib.runtime.triton.engine import Engine

logger = logging.getLogger(__name__)

_PRECISIONS = ("float32", "bfloat16", "float16")
_BATCH = 16


class TritonRuntime:
    """Folded and fused; see `Runtime`.

    The kernels are compiled when they first run on a machine, which Triton keeps; batches have a power of two of clips,
    so that there are few graphs of launches.

    Args:
        source: the model.
        device: of torch.
        precision: what maps are kept in between two steps, and multiplied in.

    Raises:
        BadInput: there is no such precision.
        Unusable: the device is not there, the kernels cannot be compiled for it, or they differ from torch on it: in
            float32 by more than 1e-5.
    """

    def __init__(self, source: ModelSource, device: str = "cuda", precision: str = "float32") -> None:
        check_precision(precision, _PRECISIONS, "triton")
        self._device = find_device(device)
        numbers = "" if precision == "float32" else f" {precision}"
        self.name = f"triton {version('triton')} {self._device}{numbers}"
        self.spec = source.spec
        self.digest, self.sampling = source.digest, source.sampling
        self.precision = precision
        self.batch = _BATCH
        self._alone = Lock()
        self._engines: dict[int, Engine] = {}
        card = f"{precision} {torch.cuda.get_device_name(self._device)}"
        rooms = Path(__file__).parents[1]
        code = [*sorted((rooms / "fused").glob("*.py")), *sorted((rooms / "triton").glob("*.py"))]
        key = conversion_key(source, ("triton", "torch", "torchvision"), card, code)
        kept = PLANS.read(key)
        self._plan = Plan.from_bytes(kept) if kept else make_plan(source.load())
        if not kept:
            logger.info("compiling %s for this GPU, once (a minute or two)", source.spec.label)
            self._try_out()
            check_exact(self, TorchRuntime(source, device))
            PLANS.write(key, self._plan.to_bytes())

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        with self._alone, torch.inference_mode():  # engines have one set of results
            parts = [self._batch(clips[first : first + _BATCH]) for first in range(0, len(clips), _BATCH)]
        return np.concatenate(parts)

    def _batch(self, clips: Sequence[Map] | Map) -> Map:
        size = 1 << (len(clips) - 1).bit_length()
        if size not in self._engines:
            kind = getattr(torch, self.precision)
            self._engines[size] = Engine(self._plan, size, self._device, kind, graph=True)
        filled = torch.empty((size, *self._plan.clip), pin_memory=True)
        np.stack([*clips, *[clips[-1]] * (size - len(clips))], out=filled.numpy())
        return np.asarray(self._engines[size](filled)[: len(clips)].cpu())

    def _try_out(self) -> None:
        try:
            self(np.zeros((1, *self._plan.clip), np.float32))
        except (TritonError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise Unusable(f"{self.name}: its kernels cannot be compiled here ({reason})") from error
