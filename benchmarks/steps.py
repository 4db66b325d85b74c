"""One step of training, as `tinyhd_lib.training.loop` makes it: forward, backward, optimiser; without data and teacher.

On a CPU it is float32 that the others are held against; on a GPU plain float16 with a scaler, as published.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.subjects import Row
from benchmarks.turns import paired, take_turns
from tinyhd_lib.losses import DistillationLoss, distillation_terms
from tinyhd_lib.models.spec import CLIP_FRAMES, MODEL_SPECS
from tinyhd_lib.runtime.eager import find_device
from tinyhd_lib.training.build import build_student
from tinyhd_lib.training.learner import Learner
from tinyhd_lib.training.loop import channels_last, right_gradients
from tinyhd_lib.training.optimise import build_optimiser
from tinyhd_lib.training.recipe import Recipe


class _Way(NamedTuple):
    """How a step is computed: precisions of a recipe, compiled or not."""

    precision: str
    compiled: bool = False

    @property
    def label(self) -> str:
        return f"{'compiled' if self.compiled else 'eager'} {self.precision}"


_ON_A_CPU = (_Way("float32"), _Way("bfloat16"))
_ON_A_GPU = (_Way("float16"), _Way("bfloat16"), _Way("float16", compiled=True), _Way("bfloat16", compiled=True))


def measure_steps(row: str, size: tuple[int, int], batch: int, repeats: int, device: str = "auto") -> list[Row]:
    """Times of a step in several ways that take turns.

    Args:
        row: of `MODEL_SPECS`, the student.
        size: (H, W) that it is trained at.
        batch: clips a step.
        repeats: timed turns.
        device: of torch; ``auto`` for CUDA where there is one.
    """
    place = find_device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    ways = _ON_A_GPU if place.type == "cuda" else _ON_A_CPU
    recipe = Recipe(row, labelled="gaze", size=size, batch=batch)
    steps = [_Step(replace(recipe, precision=way.precision, compile=way.compiled), place) for way in ways]
    what = {"model": row, "label": MODEL_SPECS[row].label, "device": str(place), "size": list(size), "batch": batch}
    times = paired(take_turns(steps, repeats))
    return [what | {"way": way.label} | each for way, each in zip(ways, times, strict=True)]


class _Step:
    """A fresh student that learns noise, a step a call."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(0)
        self._recipe, self._device = recipe, device
        self._learner = Learner(build_student(recipe))
        channels_last(self._learner.to(device)).train()
        self._optimiser = build_optimiser(self._learner, recipe)
        self._scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self._loss = DistillationLoss(recipe.terms)
        clip = torch.randn(recipe.batch, 3, CLIP_FRAMES, *recipe.size, device=device)
        self._clip = clip.contiguous(memory_format=torch.channels_last_3d)
        with torch.no_grad():
            output, _ = self._learner(self._clip)
        assert output is not None
        fused = output.map if output.map.ndim == 5 else output.map.unsqueeze(2)
        shapes = {"label": fused.shape, "map": fused.shape, "d1": output.side_maps[0].shape}
        self._targets = {name: torch.rand(shape, device=device) for name, shape in shapes.items()}
        if recipe.compile:
            self._learner.compile()

    def __call__(self) -> None:
        recipe, device = self._recipe, self._device
        low = recipe.precision != "float32"
        with right_gradients(recipe, device):
            with torch.autocast(device.type, getattr(torch, recipe.precision), enabled=low):
                output, _ = self._learner(self._clip)
            self._scaler.scale(self._loss(distillation_terms(output, recipe.spec.decoders, self._targets))).backward()
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self._learner.parameters(), torch.inf)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def as_table(rows: Sequence[Row]) -> str:
    """The measurements as text."""
    width = max(len(row["way"]) for row in rows)
    lines = [f"A step of training on {rows[0]['device']}:", f"{'model':<22} {'size':<8} {'batch':>5}  {'way':<{width}}"]
    lines[1] += f" {'p50 ms':>8} {'p95 ms':>8} {'x first':>7}"
    lines += [
        f"{row['model']:<16} {row['label']:<5} {row['size'][0]}x{row['size'][1]:<4} {row['batch']:>5}  "
        f"{row['way']:<{width}} {row['p50_ms']:>8.1f} {row['p95_ms']:>8.1f} {row['times_eager']:>7.2f}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
