"""What the cache of a teacher's answers is worth: an epoch with it against an epoch without it, in one run.

A student learns from HD2S, which looks at sixteen windows for every clip of an M student. Speed does not depend on what
the networks have learnt: they are fresh, and the data are made up.
"""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tinyhd_lib.data.synthetic import synthesise
from tinyhd_lib.models.spec import MODEL_SPECS
from tinyhd_lib.models.teacher import build_teacher
from tinyhd_lib.training.answers import AnswerCache
from tinyhd_lib.training.loop import train
from tinyhd_lib.training.models import HD2SModel
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.teachers import WindowTeacher

ROWS = ("d123m_rc4_rc1T", "d123s_rc4_rc1T")
SIZES = ((192, 256), (96, 128))


def measure_training(row: str, size: tuple[int, int], device: str = "auto") -> dict[str, Any]:
    """Seconds of an epoch of two steps, with the teacher live and from the cache."""
    answering = "openvino" if device == "auto" else device
    with TemporaryDirectory() as folder, patch.dict(os.environ, TINYHD_CACHE=f"{folder}/cache"):
        root = Path(folder)
        list(synthesise("gaze", root / "set", videos=2, frames=48))
        recipe = Recipe(
            row, teachers=("HD2S",), labelled="gaze", labelled_dir=str(root / "set"), size=size, epochs=2,
            clips_per_video=2, every=16, clip_norm=1.0,
        )  # fmt: skip
        model = HD2SModel(build_teacher(), answering)
        single = not MODEL_SPECS[row].multi
        live = WindowTeacher(model, single=single)
        cached = WindowTeacher(model, single=single, cache=AnswerCache(root / "answers"))
        for _ in train(recipe, root / "filling", device=device, teacher=cached):
            pass  # the first run of two computes what the second one finds
        seconds = {
            name: _seconds_of_an_epoch(recipe, root / name, device, teacher)
            for name, teacher in (("live", live), ("cached", cached))
        }
    return {
        "model": row,
        "label": MODEL_SPECS[row].label,
        "size": list(size),
        "live_seconds": round(seconds["live"], 2),
        "cached_seconds": round(seconds["cached"], 2),
        "ratio": round(seconds["live"] / seconds["cached"], 1),
    }


def as_table(rows: list[dict[str, Any]]) -> str:
    """The measurements as text."""
    lines = ["An epoch of 4 clips from HD2S:   live s   cached s   ratio"]
    lines += [
        f"{row['model']:<16} {row['label']:<5} {row['size'][0]}x{row['size'][1]:<6} {row['live_seconds']:>6.1f} "
        f"{row['cached_seconds']:>10.2f} {row['ratio']:>7.1f}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _seconds_of_an_epoch(recipe: Recipe, out: Path, device: str, teacher: WindowTeacher) -> float:
    """The second epoch's: the first one warms up."""
    begun = ended = 0.0
    for entry in train(recipe, out, device=device, teacher=teacher):
        ended = time.perf_counter()
        if entry["epoch"] == 1:
            begun = ended
    return ended - begun
