"""What is to be computed for a student, step by step: data that need no torch."""

import math
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.spec import CLIP_SHAPE
from tinyhd_lib.runtime.fused.kernels import LINE

Shape = tuple[int, ...]
"""(C, T, H, W) of a map."""

CLIP = -1
"""The number of the clip among the steps' results."""


@dataclass(frozen=True)
class Step:
    """One kernel's work.

    Attributes:
        kernel: its name in `kernels` or `residual`.
        inputs: the steps whose results it reads.
        shape: of its result.
        other: the step whose result is added to its own.
        weights: how many arrays of weights it has.
        settings: what else the kernel wants to know.
        extent: into how many parts it can be cut, such as pixels; 0 for the rows of its result.
        grain: what a part is a multiple of.
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


@dataclass(frozen=True)
class Plan:
    """A student as steps; the last one gives the fused maps.

    Attributes:
        steps: in an order in which they can be computed.
        weights: flat float32, by the step's number and their own: ``12.0``.
    """

    steps: tuple[Step, ...]
    weights: Mapping[str, Map]

    def shape(self, number: int) -> Shape:
        """Return the shape of a step's result, or of the clip."""
        return CLIP_SHAPE if number == CLIP else self.steps[number].shape

    def to_bytes(self) -> bytes:
        """Return the plan as it is kept: safetensors, with the steps as Python literals among the weights."""
        steps = repr([astuple(step) for step in self.steps]).encode()
        return save({**self.weights, "steps": np.frombuffer(steps, np.uint8)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "Plan":
        """Return what `to_bytes` wrote."""
        weights = load(content)
        steps = literal_eval(weights.pop("steps").tobytes().decode())
        return cls(tuple(Step(*step) for step in steps), weights)


def share_buffers(plan: Plan) -> tuple[list[int], list[int]]:
    """Choose a buffer for every step's result, used again as soon as nobody will read it: small enough for a cache.

    Returns:
        each step's buffer, and each buffer's size in numbers.
    """
    last_use = {source: number for number, step in enumerate(plan.steps) for source in step.sources}
    last_use[len(plan.steps) - 1] = len(plan.steps)
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
