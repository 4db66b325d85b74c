"""The state and the log of a training: enough to resume exactly where it stopped, and to plot its course."""

import io
import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically

LAST_NAME = "last.pt"
BEST_NAME = "best.safetensors"
LOG_NAME = "log.jsonl"

Entry = dict[str, Any]
"""A line of the log: ``step``, ``epoch`` and either ``terms`` (with the ``loss``) or ``scores``."""


@dataclass
class TrainingState:
    """The progress of a training.

    All random draws are functions of seed, epoch and position, so no state of a random generator is needed.

    Attributes:
        model: the student's state dict; empty, as optimiser and scaler, until something is written.
        average: the moving average of the weights, empty without one.
        optimiser: its state dict.
        scaler: the gradient scaler's state dict, empty without mixed float16.
        epoch: the current epoch, from 0.
        position: steps done in this epoch.
        steps: steps done in all.
        best: the lowest validation loss so far.
    """

    model: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    position: int = 0
    steps: int = 0
    best: float = float("inf")

    def write(self, folder: Path) -> None:
        """Write ``last.pt`` atomically.

        Raises:
            OSError: the disk is full; the previous file is kept.
        """
        content = io.BytesIO()
        torch.save(vars(self), content)
        write_atomically(folder / LAST_NAME, content.getvalue())


def read_state(folder: Path) -> TrainingState | None:
    """Read the state of a folder; None if nothing was trained there.

    Raises:
        BadInput: it is damaged, or not the state of a training.
    """
    path = folder / LAST_NAME
    if not path.exists():
        return None
    try:
        return TrainingState(**torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        remedy = "give another `out`, or `force=True` to begin anew"
        raise BadInput(f"{path}: damaged, or not the state of a training; {remedy}") from error


def append_log(folder: Path, entry: Entry) -> None:
    """Add a line to ``log.jsonl``."""
    with (folder / LOG_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_log(folder: Path) -> list[Entry]:
    """Read the lines of ``log.jsonl``; a truncated last line is left out."""
    path = folder / LOG_NAME
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def rewind_log(folder: Path, steps: int, epochs: int) -> None:
    """Remove the lines of steps, and the scores of epochs, that a resumed training will repeat.

    Args:
        folder: with the log.
        steps: number of steps that are done.
        epochs: number of epochs that are done and scored.
    """
    kept = [
        json.dumps(entry) + "\n"
        for entry in read_log(folder)
        if entry["step"] <= steps and ("scores" not in entry or entry["epoch"] <= epochs)
    ]
    write_atomically(folder / LOG_NAME, "".join(kept).encode())


def log_table(entries: Iterable[Entry], kind: str) -> pd.DataFrame:
    """Return a log's ``terms``, one row per step, or its ``scores``, one row per epoch.

    Examples:
        >>> log_table([{"step": 1, "epoch": 1, "terms": {"loss": 2.5}}], "terms").to_dict("records")
        [{'step': 1, 'epoch': 1, 'loss': 2.5}]
    """
    rows = [{"step": each["step"], "epoch": each["epoch"], **each[kind]} for each in entries if kind in each]
    return pd.DataFrame(rows, columns=None if rows else ["step", "epoch"])


def smoothed(table: pd.DataFrame) -> pd.DataFrame:
    """Return exponential moving averages of columns, from the first value on; with few rows, they follow faster."""
    return table.ewm(alpha=min(1.0, max(0.1, 10 / max(len(table), 1))), adjust=False).mean()
