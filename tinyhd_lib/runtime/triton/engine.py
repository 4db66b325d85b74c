"""Computes a plan on a GPU, a batch of clips at a time, recorded as one CUDA graph."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from tinyhd_lib.runtime.fused.plan import CLIP, COPY, ENLARGE, Plan, Step, share_buffers
from tinyhd_lib.runtime.triton import kernels

_LEAST = 16
"""Of a side of what matrix units multiply."""

_FEW = 4
"""Channels of a result that are summed up without matrix units."""

_MOST = 64
"""Channels that a program makes, or keeps for three frames, at once."""

_TILE = 2048
"""Numbers that a program keeps of one thing: 16 for each of its threads."""

Work = Callable[[], Any]


class _Bound(NamedTuple):
    """A step with what it reads and writes."""

    step: Step
    inputs: list[Tensor]
    weights: list[Tensor]
    other: Tensor | None
    out: Tensor


class Engine:
    """A plan with room for the results of a batch.

    Args:
        plan: what to compute.
        batch: clips at once.
        device: of torch; a CPU where Triton interprets.
        kind: float32, bfloat16 or float16: what maps are kept in, and what is multiplied.
        graph: whether to record the launches once, and to repeat them from then on.
        tile: numbers that a program keeps of one thing; the interpreter is the faster the more they are.
    """

    def __init__(  # noqa: PLR0913
        self, plan: Plan, batch: int, device: torch.device, kind: torch.dtype, *, graph: bool, tile: int = _TILE
    ) -> None:
        plan = _unwidened(plan)
        steps = plan.steps
        self._batch, self._tile, self._precision = batch, tile, _precision(device)
        self._clips = torch.zeros((batch, *plan.clip), device=device)
        weights = {name: torch.from_numpy(weight.copy()).to(device) for name, weight in plan.weights.items()}
        buffers, sizes = share_buffers(plan)
        rooms = [torch.empty(batch * size, dtype=kind, device=device) for size in sizes]
        self._hidden = torch.empty(batch * max(map(_hidden_size, steps)), dtype=kind, device=device)
        results = {CLIP: self._clips}
        results |= {number: _part(rooms[buffers[number]], batch, step.shape) for number, step in enumerate(steps)}
        self._maps = torch.empty((batch, *steps[-1].shape[1:]), device=device)
        makers: dict[str, Callable[[_Bound], list[Work]]] = {
            "stem": self._stem,
            "pointwise": self._pointwise,
            "enlarge": self._enlarge,
            "shuffle": self._enlarge,
            "block": self._block,
            "join": self._join,
            "fuse": self._fuse,
        }
        self._work: list[Work] = []
        for number, step in enumerate(steps):
            own = [weights[f"{number}.{each}"] for each in range(step.weights)]
            out = results[number]
            other = None if step.other is None else results[step.other]
            bound = _Bound(step, [results[each] for each in step.inputs], own, other, out)
            self._work += makers[step.kernel](bound) if step.inputs else []
        self._graph = self._recorded(device) if graph else None

    def __call__(self, clips: Tensor) -> Tensor:
        """Return the fused maps (batch, outputs, H, W) of clips (batch, 3, T, H, W); the next call writes over them."""
        self._clips.copy_(clips, non_blocking=True)
        if self._graph:
            self._graph.replay()
        else:
            self._run()
        return self._maps

    def _run(self) -> None:
        for work in self._work:
            work()

    def _recorded(self, device: torch.device) -> torch.cuda.CUDAGraph:
        with torch.cuda.device(device):
            self._run()  # which compiles
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._run()
        return graph

    def _join(self, bound: _Bound) -> list[Work]:
        return [lambda: torch.cat(bound.inputs, dim=1, out=bound.out)]

    def _stem(self, bound: _Bound) -> list[Work]:
        (x,), out = bound.inputs, bound.out
        channels, frames, height, width = bound.step.shape
        tile = _power(channels)
        pixels = min(self._tile // tile, _power(height * width))
        grid = triton.cdiv(height * width, pixels), frames, self._batch
        sizes = channels, *x.shape[2:], height, width
        return [lambda: kernels.stem[grid](x, tuple(bound.weights), out, sizes, C_TILE=tile, P_TILE=pixels)]

    def _pointwise(self, bound: _Bound) -> list[Work]:
        return [self._mixed(bound.inputs[0], tuple(bound.weights), bound.out, clip=bound.step.settings[2])]

    def _mixed(self, x: Tensor, weights: tuple[Tensor, ...], out: Tensor, *, clip: bool) -> Work:
        inputs, outputs, pixels = x.shape[1], out.shape[1], math.prod(out.shape[2:])
        tiles = self._tiles(inputs, outputs, pixels, "CI_TILE")
        grid = triton.cdiv(pixels, tiles["P_TILE"]), triton.cdiv(outputs, tiles["CO_TILE"]), self._batch
        return lambda: kernels.pointwise[grid](x, weights, out, (inputs, outputs, pixels), CLIP=clip, **tiles)

    def _tiles(self, inputs: int, outputs: int, pixels: int, name: str) -> dict[str, Any]:
        """Return how large the tiles of a product are, and how it is made."""
        least = 1 if outputs <= _FEW else _LEAST
        read = max(least, min(_power(inputs), self._tile // _MOST))
        made = max(least, min(_power(outputs), _MOST))
        tile = max(least, min(self._tile // max(read, made), _power(pixels)))
        return {name: read, "CO_TILE": made, "P_TILE": tile, "PRECISION": self._precision}

    def _enlarge(self, bound: _Bound) -> list[Work]:
        shuffle = bound.step.kernel == "shuffle"
        return [self._enlarged(bound.inputs[0], bound.other, bound.out, SHUFFLE=shuffle, CLIP=False)]

    def _enlarged(self, x: Tensor, other: Tensor | None, out: Tensor, **flags: bool) -> Work:
        channels, frames, *_ = out.shape[1:]
        numbers = channels * math.prod(out.shape[3:])
        tile = min(self._tile // 4, _power(numbers))
        grid = triton.cdiv(numbers, tile), frames, self._batch
        sizes, steps = (channels, *x.shape[2:]), tuple(map(_step, x.shape[2:], out.shape[2:]))
        lengthen = frames != x.shape[2]
        return lambda: kernels.enlarge[grid](x, other, out, sizes, steps, LENGTHEN=lengthen, P_TILE=tile, **flags)

    def _block(self, bound: _Bound) -> list[Work]:
        (x,), out = bound.inputs, bound.out
        expand, bias, depthwise, *rest = bound.weights
        mode, (_, hidden, outputs), shape, _, lasting, (kernel, stride, pad), space_stride = bound.step.settings
        works: list[Work] = []
        if mode != COPY:
            layer = _part(self._hidden, self._batch, (hidden, *shape))
            works = [
                self._enlarged(x, None, layer, SHUFFLE=False, CLIP=True)
                if mode == ENLARGE
                else self._mixed(x, (expand, bias), layer, clip=True)
            ]
            x = layer
        frames, plane = shape[0], math.prod(bound.step.shape[2:])
        tiles = self._tiles(hidden, outputs, plane, "C_TILE")
        columns, sizes = triton.cdiv(plane, tiles["P_TILE"]), (hidden, outputs, *shape)
        if (kernel, stride, space_stride) == (3, 1, 1) and frames > 1 and hidden <= _MOST:
            tiles["C_TILE"] = max(tiles["C_TILE"], _power(hidden))
            rolling = kernels.rolling_block[columns, self._batch]
            return [*works, lambda: rolling(x, (depthwise, *rest), bound.other, out, sizes, **tiles)]
        if frames == 1 and pad:  # the padding hides all but the middle of the kernel
            depthwise = depthwise.view(hidden, kernel, 9)[:, pad].contiguous()
            kernel, pad = 1, 0
        sizes = *sizes, *bound.step.shape[1:], kernel, stride, space_stride, pad
        block = kernels.block[columns, lasting * self._batch, triton.cdiv(outputs, tiles["CO_TILE"])]
        return [*works, lambda: block(x, (depthwise, *rest), bound.other, out, sizes, **tiles)]

    def _fuse(self, bound: _Bound) -> list[Work]:
        counts, lengths, frames, pixels = bound.step.settings
        absent = 3 - len(counts)
        logits, lengths = (*bound.inputs, *bound.inputs[:1] * absent), (*lengths, *[1] * absent)
        tile = min(self._tile // 4, _power(pixels))
        grid = triton.cdiv(pixels, tile), frames, self._batch
        flags = dict(zip(("COUNT", "SECOND", "THIRD"), (*counts, *[0] * absent), strict=True)) | {"P_TILE": tile}
        return [lambda: kernels.fuse[grid](logits, tuple(bound.weights), self._maps, pixels, lengths, **flags)]


def _unwidened(plan: Plan) -> Plan:
    """Return a plan that enlarges both ways where it reads: what a CPU makes wide beforehand is empty."""
    wide = {number: step.inputs[0] for number, step in enumerate(plan.steps) if step.kernel == "widen"}
    steps = [
        replace(step, inputs=(), shape=(0, 0, 0, 0))
        if number in wide
        else replace(step, inputs=tuple(wide.get(each, each) for each in step.inputs))
        for number, step in enumerate(plan.steps)
    ]
    return replace(plan, steps=tuple(steps))


def _precision(device: torch.device) -> str:
    """Return how float32 is multiplied: by three products of fewer bits, as exact, where there are units for it."""
    modern = device.type == "cuda" and not torch.version.hip and torch.cuda.get_device_capability(device) >= (8, 0)
    return "tf32x3" if modern else "ieee"


def _hidden_size(step: Step) -> int:
    """Return how many numbers a block's hidden layer has, if it is one."""
    return step.settings[1][1] * math.prod(step.settings[2]) if step.kernel == "block" else 0


def _part(room: Tensor, batch: int, shape: tuple[int, ...]) -> Tensor:
    return room[: batch * math.prod(shape)].view(batch, *shape)


def _step(count: int, longer: int) -> float:
    """Return the step between aligned corners in float32, as torch computes it."""
    return float(torch.tensor(count - 1, dtype=torch.float32) / max(1, longer - 1))


def _power(number: int) -> int:
    return int(triton.next_power_of_2(number))
