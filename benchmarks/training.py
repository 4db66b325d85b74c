"""Speed of training steps, and the gain by the cache of a teacher's maps.

Speed does not depend on the weights' values: student and teacher are untrained, and the data synthetic.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from benchmarks.report import Benchmark, Report, Row
from benchmarks.turns import paired, take_turns
from tinyhd_lib.data.synthetic import synthesise_once
from tinyhd_lib.models.spec import MODEL_SPECS
from tinyhd_lib.training.recipe import Recipe

SIZES = ((192, 256), (96, 128))
# Device and precision; the published ones come first.
ON_A_CPU = (("cpu", "float32"), ("fused", "float32"))
ON_A_GPU = (("cuda", "float16"), ("cuda", "bfloat16"), ("triton", "float16"), ("triton", "bfloat16"))


@dataclass(frozen=True, kw_only=True)
class Training(Benchmark):
    """Measure steps of training in several ways, and an epoch with and without cached maps of the teacher.

    Attributes:
        models: names of the students.
        batches: clips per step.
        repeats: timed turns of a step, after one to warm up.
        cache: whether to measure the teacher's cache, too, which takes minutes.
    """

    models: tuple[str, ...] = ("M-r4", "S-r4")
    batches: tuple[int, ...] = (1,)
    repeats: int = 3
    cache: bool = True

    def measure(self) -> Report:
        """Return ``steps``, one row per model, size, batch and way, and ``training``, one row per model and size."""
        students = list(product(self.models, SIZES))
        steps = [(*each, batch) for each in students for batch in self.batches]
        report = {"steps": [row for each in tqdm(steps, desc="steps") for row in measure_steps(*each, self.repeats)]}
        return report | {"training": [measure_cache(*each) for each in students]} if self.cache else report


def measure_steps(model: str, size: tuple[int, int], batch: int, repeats: int) -> list[Row]:
    """Return times of a step in several ways, in turns: data, forward and backward pass, optimiser.

    Args:
        model: of `MODEL_SPECS`, the student.
        size: (H, W) that it is trained at.
        batch: clips per step.
        repeats: timed turns.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    ways = ON_A_GPU if device == "cuda" else ON_A_CPU
    with TemporaryDirectory() as folder:
        clips = 2 * (repeats + 1) * batch  # as many as `take_turns` needs, so that no epoch ends meanwhile
        given: dict[str, Any] = {"model": model, "size": size, "root": Path(folder), "videos": 2}
        given |= {"batch": batch, "clips_per_video": -(-clips // 2)}
        runs = [
            _steps(_recipe(**given, precision=precision), Path(folder) / str(number), where)
            for number, (where, precision) in enumerate(ways)
        ]
        times = paired(take_turns([partial(next, run) for run in runs], repeats))
    what = {"model": model, "label": MODEL_SPECS[model].label, "device": device, "size": list(size), "batch": batch}
    labels = [f"{'eager' if where == device else where} {precision}" for where, precision in ways]
    return [what | {"way": label} | each for label, each in zip(labels, times, strict=True)]


def measure_cache(model: str, size: tuple[int, int], device: str = "auto") -> Row:
    """Return seconds of an epoch of four clips with HD2S, which needs sixteen windows per clip for an M student.

    Args:
        model: of `MODEL_SPECS`, the student.
        size: (H, W) that it is trained at.
        device: see `train`.
    """
    from tinyhd_lib.models.teacher import build_teacher
    from tinyhd_lib.training.models import OpenModel
    from tinyhd_lib.training.teachers import WindowTeacher

    with TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["TINYHD_CACHE"] = str(root / "cache")  # maps of random weights are of no use to others
        recipe = _recipe(model, size, root, videos=2, teachers=("hd2s:random",), clips_per_video=2, every=16)
        teacher = OpenModel(build_teacher(), "HD2S", device)
        live, cached = (
            WindowTeacher(teacher, single=not MODEL_SPECS[model].multi, cache=cache) for cache in (False, True)
        )
        _second_epoch(recipe, root / "filling", device, cached)
        seconds = {
            name: _second_epoch(recipe, root / name, device, each)
            for name, each in (("live", live), ("cached", cached))
        }
    return {
        "model": model,
        "label": MODEL_SPECS[model].label,
        "size": list(size),
        "live_seconds": round(seconds["live"], 2),
        "cached_seconds": round(seconds["cached"], 2),
        "ratio": round(seconds["live"] / seconds["cached"], 1),
    }


def _recipe(model: str, size: tuple[int, int], root: Path, videos: int, **settings: Any) -> Recipe:
    """Return a recipe of two epochs on synthetic gaze."""
    place = str(synthesise_once("gaze", root / "set", videos=videos, frames=48))
    return Recipe(model, labelled="gaze", labelled_dir=(place,), size=size, epochs=2, clip_norm=1.0, **settings)


def _steps(recipe: Recipe, out: Path, device: str) -> Iterator[None]:
    """Yield once per step."""
    import torch

    from tinyhd_lib import train

    for entry in train(recipe, out, device=device):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if "terms" in entry:
            yield


def _second_epoch(recipe: Recipe, out: Path, device: str, teacher: Any) -> float:
    """Return the seconds of the second epoch; the first one is a warm-up."""
    from tinyhd_lib import train

    begun = ended = 0.0
    for entry in train(recipe, out, device=device, teacher=teacher):
        ended = time.perf_counter()
        if entry["epoch"] == 1:
            begun = ended
    return ended - begun
