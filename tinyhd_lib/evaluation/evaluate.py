"""Scoring anybody's maps of a data set: over several processes, resumable, the same result however often it stops."""

import re
from pathlib import Path
from typing import Protocol

import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.plan import Evaluation, Plan, make_plan
from tinyhd_lib.evaluation.tasks import PREDICTORS, run_task
from tinyhd_lib.files import remove_partials
from tinyhd_lib.overlap import processes


class Progress(Protocol):
    """A progress bar, such as tqdm's."""

    def reset(self, total: float | None = None) -> object:
        """Begin: so much is to be done."""

    def update(self, n: float | None = 1) -> object:
        """So much more is done."""


def evaluate(evaluation: Evaluation, parts: Path, workers: int, progress: Progress) -> tuple[pd.DataFrame, Plan]:
    """Score maps against a data set.

    Args:
        evaluation: what is scored, and how.
        parts: a folder for what is finished; a run that was cut off goes on from there.
        workers: how many processes.
        progress: counts frames.

    Returns:
        a row for each predictor and frame, and what was planned.

    Raises:
        BadInput: predictions or ground truth are missing or cannot be read; what was scored before is kept.
    """
    rules = evaluation.rules
    with processes(workers) as run_all:
        plan = make_plan(evaluation, run_all)
        parts.mkdir(parents=True, exist_ok=True)
        remove_partials(parts)
        places = [parts / f"{task.key()}.parquet" for task in plan.tasks]
        progress.reset(total=sum(len(task.indices) for task in plan.tasks))
        for done in run_all(run_task, plan.tasks, places):
            progress.update(done)
    for stale in set(parts.glob("*.parquet")).difference(places):
        if re.fullmatch(r"[0-9a-f]{64}", stale.stem):  # nobody else's file is called so
            stale.unlink()
    table = pd.concat([_read_part(place) for place in places], ignore_index=True)
    table = table[table["fixations"] >= rules.min_fixations]
    if table.empty:
        raise BadInput(f"{evaluation.dataset.root}: no frame has {rules.min_fixations} fixations; nothing to score")
    table["predictor"] = pd.Categorical(table["predictor"], PREDICTORS)
    return table.sort_values(["predictor", "video", "index"], ignore_index=True), plan


def _read_part(place: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(place)
    except (OSError, ValueError) as error:
        place.unlink(missing_ok=True)
        raise BadInput(f"{place}: was damaged, and is removed; run the same command again") from error
