"""The forward pass on a CPU by this package's compiled loops, which never store an inverted residual's hidden layer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from threading import Lock, local
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.records import usable_cores
from tinyhd_lib.runtime.base import Runtime, conversion_key, plan_of
from tinyhd_lib.runtime.fused.kernels import enlarge, fuse, pointwise, shuffle, stem, widen
from tinyhd_lib.runtime.fused.plan import CLIP, PLANS, Plan, Step, share_buffers
from tinyhd_lib.runtime.fused.residual import block, room

_NOTHING = np.empty(0, np.float32)
_CACHE_LINE = 64


class Engine:
    """A plan with memory for its results.

    Args:
        plan: what to compute.
        threads: number of threads that share every step.
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        self._threads = threads
        self._helpers = ThreadPoolExecutor(max(1, threads - 1))
        self._steps = plan.steps
        self._weights = [tuple(plan.weights_of(number)) for number in range(len(plan.steps))]
        buffers, sizes = share_buffers(plan)
        rooms = [_aligned(size) for size in sizes]
        self._results = [rooms[buffer] for buffer in buffers]
        kept = max(room(step.settings) for step in plan.steps if step.kernel == "block")
        self._scratch = [_aligned(kept) for _ in range(threads)]
        _, *shape = plan.steps[-1].shape
        self._maps = self._results[-1][: int(np.prod(shape))].reshape(shape)

    def __call__(self, clip: Map) -> Map:
        """Return the fused maps (outputs, 192, 256) of a clip (3, 16, 192, 256); the next call overwrites them.

        A float32 clip is read without a copy if each of its channels is contiguous.

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
        for number, step in enumerate(self._steps):
            self._make(number, step, flat, apart)
        return self._maps

    def _make(self, number: int, step: Step, clip: Map, apart: int) -> None:
        """Compute a step's result, each thread a part; steps that read the clip get the distance of its channels."""
        inputs = tuple(clip if source == CLIP else self._results[source] for source in step.inputs)
        other = _NOTHING if step.other is None else self._results[step.other]
        settings = (apart, *step.settings) if CLIP in step.inputs else step.settings
        kernel = partial(_KERNELS[step.kernel], inputs, self._weights[number], other, self._results[number])
        pieces = (step.extent or step.shape[2]) // step.grain
        parts = min(self._threads, pieces)
        cuts = [part * pieces // parts * step.grain for part in range(parts + 1)]
        first, *others = zip(self._scratch[:parts], pairwise(cuts), strict=True)
        waiting = [self._helpers.submit(kernel, scratch, settings, *cut) for scratch, cut in others]
        kernel(first[0], settings, *first[1])
        for each in waiting:
            each.result()


def _join(inputs: tuple[Map, ...], _weights: Any, _other: Map, out: Map, _scratch: Map, sizes: Any, *_: int) -> None:
    """Concatenate maps."""
    parts = [whole[:size] for whole, size in zip(inputs, sizes, strict=True)]
    np.concatenate(parts, out=out[: sum(sizes)])


_COMPILED = (stem, pointwise, widen, enlarge, shuffle, fuse, block)
_KERNELS: dict[str, Callable[..., None]] = {"join": _join, **{each.py_func.__name__: each for each in _COMPILED}}


def _aligned(count: int) -> Map:
    """Return zeros that are aligned to a cache line."""
    line = _CACHE_LINE // 4
    room = np.zeros(count + line, np.float32)
    start = -(room.ctypes.data // 4) % line
    return room[start : start + count]


_MOST_THREADS = 16

_WINDOWS_A_THREAD = 4
"""Windows per thread for S models: with more, threads less often wait for the slowest. M models would delay frames."""


class FusedRuntime(Runtime):
    """Float32, folded and fused; see `Runtime`.

    A single clip is shared by all cores; of several clips, every core computes its own, which is faster overall.

    Args:
        source: the model.
        precision: ``float32``.

    Raises:
        BadInput: there is no such precision.
        Unusable: a fresh plan differs from torch by more than 1e-5 on this machine.
    """

    precisions = ("float32",)

    def __init__(self, source: ModelSource, precision: str = "float32") -> None:
        threads = min(usable_cores(), _MOST_THREADS)
        batch = threads * (_WINDOWS_A_THREAD if source.spec.outputs == 1 else 1)
        super().__init__(source, f"fused (numba {version('numba')})", precision, batch)
        self._alone = Lock()
        self._pool = ThreadPoolExecutor(threads)
        code = sorted(Path(__file__).parent.glob("*.py"))
        key = conversion_key(source, ("numba", "torch", "torchvision"), self.precision, code)
        plan, kept = plan_of(source, key, "this processor, once (10 to 20 seconds)")
        self._shared = Engine(plan, threads)
        self._plan, self._own = plan, local()
        if not kept:
            from tinyhd_lib.runtime.eager import TorchRuntime, check_exact

            check_exact(self, TorchRuntime(source, "cpu"))
            PLANS.write(key, plan.to_bytes())

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        with self._alone:  # engines have one set of results
            if len(clips) == 1:
                return self._shared(clips[0])[np.newaxis].copy()
            return np.stack(list(self._pool.map(self._run_one, clips)))

    def _run_one(self, clip: Map) -> Map:
        """Return the maps of a clip, by the current thread's own engine."""
        if not hasattr(self._own, "engine"):
            self._own.engine = Engine(self._plan, 1)
        return self._own.engine(clip).copy()
