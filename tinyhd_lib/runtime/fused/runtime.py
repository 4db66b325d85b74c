"""The forward pass on a CPU by compiled loops of our own, which never write an inverted residual's hidden layer."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.records import usable_cores
from tinyhd_lib.runtime.base import check_precision, conversion_key
from tinyhd_lib.runtime.fused import kernels, residual
from tinyhd_lib.runtime.fused.plan import CLIP, PLANS, Plan, share_buffers

_NOTHING = np.empty(0, np.float32)
_CACHE_LINE = 64


class Engine:
    """A plan with room for its results.

    Args:
        plan: what to compute.
        threads: that share the rows of every step.
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        self._threads = threads
        self._helpers = ThreadPoolExecutor(max(1, threads - 1))
        buffers, sizes = share_buffers(plan)
        rooms = [_aligned(size) for size in sizes]
        results = [rooms[buffer] for buffer in buffers]
        scratch = [_aligned(_scratch(plan)) for _ in range(threads)]
        self._work = [_bound(plan, number, results, scratch) for number in range(len(plan.steps))]
        _, *shape = plan.steps[-1].shape
        self._maps = results[-1][: int(np.prod(shape))].reshape(shape)

    def __call__(self, clip: Map) -> Map:
        """Return the fused maps (outputs, 192, 256) of a clip (3, 16, 192, 256); the next call writes over them.

        A float32 clip is read where it lies if each of its channels lies in one piece.

        Raises:
            ValueError: the clip has another shape.
        """
        if clip.shape != CLIP_SHAPE:
            raise ValueError(f"a clip is {CLIP_SHAPE}; got {clip.shape}")
        in_place = clip[0].flags.c_contiguous and clip.flags.aligned and clip.strides[0] >= 0
        if clip.dtype != np.float32 or not in_place:
            clip = np.ascontiguousarray(clip, np.float32)
        apart = clip.strides[0] // clip.itemsize
        flat = as_strided(clip, (2 * apart + clip[0].size,), (clip.itemsize,), writeable=False)
        for work in self._work:
            self._spread(work, flat, apart)
        return self._maps

    def _spread(self, work: "_Work", *clip: Any) -> None:
        parts = min(self._threads, work.extent // work.grain)
        cuts = [part * (work.extent // work.grain) // parts * work.grain for part in range(parts + 1)]
        others = [self._helpers.submit(work.run, part, cuts[part], cuts[part + 1], clip) for part in range(1, parts)]
        work.run(0, 0, cuts[1], clip)
        for other in others:
            other.result()


class _Work(NamedTuple):
    """A step made ready: ``run(thread, first, last, clip)`` makes a part of ``range(0, extent, grain)``."""

    run: Callable[..., None]
    extent: int
    grain: int


def _join(
    inputs: tuple[Map, ...], _weights: Any, _other: Map, out: Map, _scratch: Map, sizes: tuple[int, ...], *_: int
) -> None:
    """Put maps one behind the other."""
    parts = [whole[:size] for whole, size in zip(inputs, sizes, strict=True)]
    np.concatenate(parts, out=out[: sum(sizes)])


_KERNELS: dict[str, Callable[..., None]] = {
    "stem": kernels.stem,
    "pointwise": kernels.pointwise,
    "widen": kernels.widen,
    "enlarge": kernels.enlarge,
    "shuffle": kernels.shuffle,
    "join": _join,
    "block": residual.block,
    "fuse": kernels.fuse,
}


def _bound(plan: Plan, number: int, results: list[Map], scratch: list[Map]) -> _Work:
    """Give a step all that it reads and writes."""
    step, kernel = plan.steps[number], _KERNELS[plan.steps[number].kernel]
    weights = tuple(plan.weights[f"{number}.{each}"] for each in range(step.weights))
    other = _NOTHING if step.other is None else results[step.other]
    settings = step.settings
    if step.inputs == (CLIP,):

        def run(thread: int, first: int, last: int, clip: tuple[Map, int]) -> None:
            flat, apart = clip
            kernel((flat,), weights, other, results[number], scratch[thread], (apart, *settings), first, last)

    else:
        inputs = tuple(results[each] for each in step.inputs)

        def run(thread: int, first: int, last: int, clip: tuple[Map, int]) -> None:  # noqa: ARG001
            kernel(inputs, weights, other, results[number], scratch[thread], settings, first, last)

    return _Work(run, step.extent or step.shape[2], step.grain)


def _scratch(plan: Plan) -> int:
    """Return the numbers that the largest block keeps between its three layers."""
    return max(residual.room(step.settings) for step in plan.steps if step.kernel == "block")


def _aligned(count: int) -> Map:
    """Return zeros that begin where a line of the cache does."""
    line = _CACHE_LINE // 4
    room = np.zeros(count + line, np.float32)
    start = -(room.ctypes.data // 4) % line
    return room[start : start + count]


logger = logging.getLogger(__name__)

_MOST_THREADS = 16

_WINDOWS_A_THREAD = 4
"""Windows of one map: the more, the less often threads wait for the slowest. With 16 maps, frames would wait."""


class FusedRuntime:
    """Float32, folded and fused; see `Runtime`.

    One clip is shared by all cores; of several, every core computes its own, which is the faster for them all.

    Args:
        source: the model.
        precision: ``float32``.

    Raises:
        BadInput: there is no such precision.
        Unusable: a fresh plan differs from torch by more than 1e-5 on this machine.
    """

    def __init__(self, source: ModelSource, precision: str = "float32") -> None:
        check_precision(precision, ("float32",), "fused")
        self.name = f"fused (numba {version('numba')})"
        self.spec = source.spec
        self.digest, self.sampling = source.digest, source.sampling
        self.precision = precision
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
