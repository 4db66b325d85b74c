"""The plan of a student's computation, step by step, for a CPU or a GPU: data that need neither torch nor Numba."""

import math
from ast import literal_eval
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load, save

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.spec import CLIP_SHAPE

Shape = tuple[int, ...]
"""(C, T, H, W) of a map."""

PLANS = Cache("plans", most_bytes=2**30)
"""Plans that were checked against torch, as `Plan.to_bytes` writes them."""

LINE = 16
"""Floats of padding after each channel, on a CPU.

Without it the channels of a pixel would be a power of two apart, and compete for few sets of a processor's cache.
"""

EXPAND, COPY, ENLARGE = 0, 1, 2
"""Sources of a block's hidden channels: a 1x1 convolution, the input, or an expansion computed at half the size."""

CLIP = -1
"""The number that stands for the clip where steps are numbered."""


class Step(NamedTuple):
    """One call of a kernel.

    Attributes:
        kernel: its name in `kernels` or `residual`.
        inputs: the steps whose results it reads.
        shape: of its result.
        other: the step whose result is added to its own.
        weights: number of its arrays of weights.
        settings: further arguments of the kernel.
        extent: number of units, such as pixels, that threads can share; 0 for the rows of its result.
        grain: each thread's part is a multiple of this.
    """

    kernel: str
    inputs: tuple[int, ...]
    shape: Shape
    other: int | None = None
    weights: int = 0
    settings: tuple[Any, ...] = ()
    extent: int = 0
    grain: int = 1

    @property
    def sources(self) -> tuple[int, ...]:
        """Return all steps whose results it reads."""
        return self.inputs if self.other is None else (*self.inputs, self.other)


class Plan(NamedTuple):
    """A student as steps; the last one gives the fused maps.

    Attributes:
        steps: in an order in which they can be computed.
        weights: flat float32, by the step's number and the array's: ``12.0``.
        clip: the shape of the clips that it is made for.
    """

    steps: tuple[Step, ...]
    weights: Mapping[str, Map]
    clip: Shape = CLIP_SHAPE

    def shape(self, number: int) -> Shape:
        """Return the shape of a step's result, or of the clip."""
        return self.clip if number == CLIP else self.steps[number].shape

    def weights_of(self, number: int) -> list[Map]:
        """Return the weights of a step."""
        return [self.weights[f"{number}.{each}"] for each in range(self.steps[number].weights)]

    @property
    def last_use(self) -> dict[int, int]:
        """Return, for every result that is read, the last step that reads it."""
        return {source: number for number, step in enumerate(self.steps) for source in step.sources}

    def to_bytes(self) -> bytes:
        """Return the plan for the cache: safetensors, with the steps as Python literals among the weights."""
        steps = repr([tuple(step) for step in self.steps]).encode()
        return save({**self.weights, "steps": np.frombuffer(steps, np.uint8)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "Plan":
        """Return the plan that `to_bytes` wrote."""
        weights = load(content)
        steps = literal_eval(weights.pop("steps").tobytes().decode())
        return cls(tuple(Step(*step) for step in steps), weights)


def share_buffers(plan: Plan) -> tuple[list[int], list[int]]:
    """Choose a buffer for every step's result, reused once no later step reads it, so that they fit a cache.

    Returns:
        each step's buffer, and each buffer's size in floats.
    """
    last_use = plan.last_use | {len(plan.steps) - 1: len(plan.steps)}
    sizes: list[int] = []
    chosen: list[int] = []
    free: list[int] = []
    for number, step in enumerate(plan.steps):
        size = step.shape[0] * (math.prod(step.shape[1:]) + LINE)
        # The smallest that is large enough, else the largest, which then grows.
        buffer = min(free, key=lambda each: (sizes[each] < size, abs(sizes[each] - size)), default=len(sizes))
        if buffer == len(sizes):
            sizes.append(size)
        else:
            free.remove(buffer)
            sizes[buffer] = max(sizes[buffer], size)
        chosen.append(buffer)
        free += {chosen[source] for source in step.sources if source != CLIP and last_use[source] == number}
    return chosen, sizes
