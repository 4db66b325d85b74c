"""The forward pass on a CPU by compiled loops of our own, which never write an inverted residual's hidden layer."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import numpy as np

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.records import usable_cores
from tinyhd_lib.runtime.base import conversion_key
from tinyhd_lib.runtime.fused.engine import Engine
from tinyhd_lib.runtime.fused.plan import Plan

logger = logging.getLogger(__name__)

PLANS = Cache("plans", most_bytes=2**30)
"""Plans that were made before, as `Plan.to_bytes` writes them."""

_MOST_THREADS = 16

_WINDOWS_A_THREAD = 4
"""Windows of one map: the more, the less often threads wait for the slowest. With 16 maps, frames would wait."""


class FusedRuntime:
    """Float32, folded and fused; see `Runtime`.

    One clip is shared by all cores; of several, every core computes its own, which is the faster for them all.

    Raises:
        Unusable: a fresh plan differs from torch by more than 1e-5 on this machine.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name = f"fused (numba {version('numba')})"
        self.spec = source.spec
        self.digest, self.sampling = source.digest, source.sampling
        self.precision = "float32"
        threads = min(usable_cores(), _MOST_THREADS)
        self.batch = threads * (_WINDOWS_A_THREAD if source.spec.outputs == 1 else 1)
        self._alone = Lock()
        self._pool = ThreadPoolExecutor(threads)
        code = sorted(Path(__file__).parent.glob("*.py"))
        key = conversion_key(source, ("numba", "torch", "torchvision"), self.precision, code)
        kept = PLANS.read(key)
        plan = Plan.from_bytes(kept) if kept else _make(source)
        self._shared = Engine(plan, threads)
        self._own: SimpleQueue[Engine] = SimpleQueue()
        for _ in range(threads):
            self._own.put(Engine(plan, 1))
        if not kept:
            from tinyhd_lib.runtime.eager import TorchRuntime
            from tinyhd_lib.runtime.exactness import check_exact

            check_exact(self, TorchRuntime(source, "cpu"))
            PLANS.write(key, plan.to_bytes())

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        with self._alone:  # engines have one set of results
            if len(clips) == 1:
                return self._shared(clips[0])[np.newaxis].copy()
            return np.stack(list(self._pool.map(self._run_one, clips)))

    def _run_one(self, clip: Map) -> Map:
        engine = self._own.get()
        try:
            return engine(clip).copy()
        finally:
            self._own.put(engine)


def _make(source: ModelSource) -> Plan:
    from tinyhd_lib.runtime.fused.planner import make_plan

    logger.info("planning %s for this processor, once (10 to 20 seconds)", source.spec.label)
    return make_plan(source.load())
