"""Computes a plan, a clip at a time, on one thread or several."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.runtime.fused import kernels
from tinyhd_lib.runtime.fused.kernels import STRIP
from tinyhd_lib.runtime.fused.plan import Plan, Shape, Step, share_buffers
from tinyhd_lib.runtime.fused.simd import LANES

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
        bound = [_Bound(plan, number, step, results, scratch) for number, step in enumerate(plan.steps)]
        self._stem, *self._work = [_KERNELS[step.kernel](each) for step, each in zip(plan.steps, bound, strict=True)]
        _, *shape = plan.steps[-1].shape
        self._maps = results[-1][: int(np.prod(shape))].reshape(shape)

    def __call__(self, clip: Map) -> Map:
        """Fused maps (outputs, 192, 256) of a clip (3, 16, 192, 256); the next call writes over them.

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
        self._spread(self._stem, flat, apart)
        for work in self._work:
            self._spread(work)
        return self._maps

    def _spread(self, work: "_Work", *given: Any) -> None:
        parts = min(self._threads, work.extent // work.grain)
        cuts = [part * (work.extent // work.grain) // parts * work.grain for part in range(parts + 1)]
        others = [self._helpers.submit(work.run, part, cuts[part], cuts[part + 1], *given) for part in range(1, parts)]
        work.run(0, 0, cuts[1], *given)
        for other in others:
            other.result()


class _Work(NamedTuple):
    """A step made ready: ``run(thread, first, last)`` makes a part of ``range(0, extent, grain)``."""

    run: Callable[..., None]
    extent: int
    grain: int = 1


@dataclass(frozen=True)
class _Bound:
    """A step with all that it reads and writes."""

    plan: Plan
    number: int
    step: Step
    results: list[Map]
    scratch: list[Map]

    @property
    def inputs(self) -> list[Map]:
        return [self.results[number] for number in self.step.inputs]

    @property
    def shapes(self) -> list[Shape]:
        """Of the inputs."""
        return [self.plan.shape(number) for number in self.step.inputs]

    @property
    def other(self) -> Map:
        return _NOTHING if self.step.other is None else self.results[self.step.other]

    @property
    def out(self) -> Map:
        return self.results[self.number]

    def weight(self, name: str) -> Map:
        return self.plan.weights.get(f"{self.number}.{name}", _NOTHING)

    def layer(self, name: str) -> tuple[Map, Map]:
        """Weight and bias."""
        return self.weight(f"{name}.weight"), self.weight(f"{name}.bias")


def _stem(bound: _Bound) -> _Work:
    channels, _, height, _ = bound.step.shape
    (shape,) = bound.shapes
    rest = bound.weight("weight"), bound.weight("bias"), bound.out, shape, channels
    return _Work(lambda _, first, last, clip, apart: kernels.stem(clip, apart, *rest, first, last), height)


def _pointwise(bound: _Bound) -> _Work:
    channels, *frame = bound.step.shape
    pixels = int(np.prod(frame))
    fixed = (
        *(bound.inputs[0], bound.weight("weight"), bound.weight("bias"), bound.out),
        *((bound.shapes[0][0], channels), pixels, bound.step.settings["clip6"]),
    )
    return _Work(lambda _, first, last: kernels.pointwise(*fixed, first, last), pixels, LANES)


def _widen(bound: _Bound) -> _Work:
    channels, frames, height, width = bound.shapes[0]
    fixed = bound.inputs[0], bound.weight("shares"), bound.out, channels, frames * height, width
    return _Work(lambda _, first, last: kernels.widen(*fixed, first, last), frames * height)


def _resize(kernel: Callable[..., None]) -> Callable[[_Bound], _Work]:
    def bind(bound: _Bound) -> _Work:
        _, frames, height, _ = bound.step.shape
        fixed = bound.inputs[0], bound.other, bound.out, bound.shapes[0], frames
        return _Work(lambda _, first, last: kernel(*fixed, first, last), height)

    return bind


def _join(bound: _Bound) -> _Work:
    sizes = [shape[0] * kernels.pitch(*shape[1:]) for shape in bound.shapes]
    parts = [whole[:size] for whole, size in zip(bound.inputs, sizes, strict=True)]
    out = bound.out[: sum(sizes)]

    def run(_thread: int, _first: int, _last: int) -> None:
        np.concatenate(parts, out=out)

    return _Work(run, 1)


def _block(bound: _Bound) -> _Work:
    channels, frames, height, _ = bound.step.shape
    settings, scratch = bound.step.settings, bound.scratch
    hidden, *shape = settings["hidden"]
    inputs, few, _, _ = bound.shapes[0]
    layers = (
        bound.inputs[0],
        bound.layer("expand"),
        bound.layer("depthwise"),
        bound.layer("project"),
        bound.other,
        bound.out,
    )
    rest = (
        *(settings["mode"], (inputs, hidden, channels), tuple(shape), (few, frames)),
        *(tuple(settings["time"]), settings["stride"]),
    )
    return _Work(lambda thread, first, last: kernels.block(*layers, scratch[thread], *rest, first, last), height)


def _fuse(bound: _Bound) -> _Work:
    _, frames, height, width = bound.step.shape
    absent = 3 - len(bound.inputs)
    maps = *bound.inputs, *[_NOTHING] * absent
    counts = *(shape[0] for shape in bound.shapes), *[0] * absent
    lengths = *(shape[1] for shape in bound.shapes), *[0] * absent
    fixed = maps, counts, lengths, bound.weight("weight"), bound.weight("bias")[0], bound.out, frames, height * width
    return _Work(lambda _, first, last: kernels.fuse(*fixed, first, last), height * width, STRIP)


_KERNELS: dict[str, Callable[[_Bound], _Work]] = {
    "stem": _stem,
    "pointwise": _pointwise,
    "widen": _widen,
    "enlarge": _resize(kernels.enlarge),
    "shuffle": _resize(kernels.shuffle),
    "join": _join,
    "block": _block,
    "fuse": _fuse,
}


def _scratch(plan: Plan) -> int:
    """Numbers that the largest block keeps between its three layers."""
    hidden = [step.settings["hidden"] for step in plan.steps if step.kernel == "block"]
    return max(
        kernels.hidden_rows(channels, frames, width) + kernels.convolved_row(channels, frames, width)
        for channels, frames, _, width in hidden
    )


def _aligned(count: int) -> Map:
    """Zeros that begin where a line of the cache does."""
    line = _CACHE_LINE // 4
    room = np.zeros(count + line, np.float32)
    start = -(room.ctypes.data // 4) % line
    return room[start : start + count]
