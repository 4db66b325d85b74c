"""The state of a training: written atomically, read weights-only, enough to go on as if nothing had happened."""

import io
import json
import pickle
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically

LAST_NAME = "last.pt"
BEST_NAME = "best.safetensors"
LOG_NAME = "log.jsonl"


@dataclass
class TrainingState:
    """Where a training is.

    All that is drawn is a function of seed, epoch and position, so no state of a random generator is needed.

    Attributes:
        model: the student's state dict.
        average: the moving average of it, empty without one.
        optimiser: its state dict.
        scaler: the gradient scaler's, empty without mixed float16.
        epoch: that is under way, from 0.
        position: steps done in it.
        steps: done in all.
        best: the lowest validation loss so far.
        recipe: as JSON-ready values.
    """

    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, Any]
    scaler: dict[str, Any]
    epoch: int = 0
    position: int = 0
    steps: int = 0
    best: float = float("inf")
    recipe: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``last.pt``, whole or not at all.

        Raises:
            OSError: there is no room for it; the one that was there stays.
        """
        content = io.BytesIO()
        torch.save({each.name: getattr(self, each.name) for each in fields(self)}, content)
        write_atomically(folder / LAST_NAME, content.getvalue())


def read_state(folder: Path) -> TrainingState | None:
    """The state of a folder, None if nothing was trained there.

    Raises:
        BadInput: it is damaged, or not ours.
    """
    path = folder / LAST_NAME
    if not path.exists():
        return None
    try:
        return TrainingState(**torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: damaged, or not the state of a training; give another --out, or --force") from error


def check_recipe(folder: Path, state: TrainingState, recipe: dict[str, Any]) -> None:
    """Refuse to go on with another recipe than the one that was begun.

    Raises:
        BadInput: they differ; the message says in what.
    """
    now = json.loads(json.dumps(recipe))
    changed = [name for name, value in now.items() if state.recipe.get(name) != value]
    if changed:
        said = ", ".join(f"{name.upper()} {state.recipe.get(name)!r} then, {now[name]!r} now" for name in changed)
        raise BadInput(f"{folder}: begun with another recipe ({said}); give another --out, or --force")


def append_log(folder: Path, entry: dict[str, Any]) -> None:
    """Add a line to ``log.jsonl``."""
    with (folder / LOG_NAME).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of ``log.jsonl``; one that was cut off at the end is left out."""
    path = folder / LOG_NAME
    lines = path.read_text().splitlines() if path.exists() else []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def rewind_log(folder: Path, steps: int, epochs: int) -> None:
    """Take back the lines of steps, and the scores of epochs, that will come again.

    Args:
        folder: with the log.
        steps: that are done.
        epochs: that are done, with their scores.
    """
    kept = [
        entry
        for entry in read_log(folder)
        if entry["step"] <= steps and ("scores" not in entry or entry["epoch"] <= epochs)
    ]
    write_atomically(folder / LOG_NAME, "".join(json.dumps(entry) + "\n" for entry in kept).encode())
