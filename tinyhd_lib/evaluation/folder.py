"""An evaluation from its question to its files, in a folder of its own: the command line and the notebooks run this."""

import json
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.evaluate import evaluate
from tinyhd_lib.evaluation.plan import Evaluation, Plan
from tinyhd_lib.evaluation.results import RESULT_NAMES, Results, read_settings, write_results
from tinyhd_lib.evaluation.summary import Summary, asked, summarise
from tinyhd_lib.files import alone_in, write_atomically
from tinyhd_lib.records import RECORD_NAME, hardware, usable_cores, versions

PARTS_NAME = ".parts"


@dataclass(frozen=True)
class Scored:
    """An evaluation that is done, with all that its figures are drawn from.

    Attributes:
        summary: its figures.
        table: a row for each predictor and frame.
        plan: what was scored.
    """

    summary: Summary
    table: pd.DataFrame
    plan: Plan

    @property
    def results(self) -> Results:
        """As `tinyhd_lib.evaluation.compare.compare` takes it."""
        return Results(self.summary.settings, self.table)


def evaluate_into(
    out: Path, evaluation: Evaluation, *, workers: int | None = None, table_format: str = "parquet", force: bool = False
) -> Scored:
    """Score maps against a data set, and write tables, a page and a summary into a folder.

    Args:
        out: the folder; what an earlier run of the same evaluation finished there is not scored again.
        evaluation: what is scored, and how.
        workers: how many processes; one a core if None.
        table_format: of the table of frames, one of `tinyhd_lib.evaluation.results.TABLE_FORMATS`.
        force: over what another evaluation left in the folder.

    Raises:
        BadInput: the folder holds something else, or see `tinyhd_lib.evaluation.evaluate.evaluate`.
    """
    workers = usable_cores() if workers is None else workers
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: a file is in the way of the folder for the scores; give another --out")
    started, begun = datetime.now(UTC), time.perf_counter()
    with alone_in(out):
        if force:
            shutil.rmtree(out / PARTS_NAME, ignore_errors=True)
        else:
            _check_earlier(out, asked(evaluation))
        with tqdm(desc="scoring", unit=" frames", smoothing=0.1) as progress:
            table, plan = evaluate(evaluation, out / PARTS_NAME, workers, progress)
        summary = summarise(table, evaluation, plan)
        write_results(out, summary, table, plan, table_format)
        record = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - begun, 3),
            "workers": workers,
            "versions": versions(),
            "hardware": hardware(),
        }
        write_atomically(out / RECORD_NAME, json.dumps(record, indent=2).encode())
    return Scored(summary, table, plan)


def _check_earlier(out: Path, settings: dict[str, Any]) -> None:
    """Refuse to write over another evaluation, or over anything else."""
    earlier = read_settings(out)
    if earlier is None:
        strange = [name for name in RESULT_NAMES if (out / name).exists()]
        if strange and not (out / PARTS_NAME).is_dir():
            raise BadInput(f"{out / strange[0]}: is not of an evaluation; give another --out")
        return
    changed = [name for name, value in settings.items() if _absolute(name, earlier.get(name)) != _absolute(name, value)]
    if changed:
        said = ", ".join(f"{name} {earlier.get(name)!r} then, {settings[name]!r} now" for name in changed)
        raise BadInput(f"{out}: holds another evaluation ({said}); give another --out, or --force")


def _absolute(name: str, value: Any) -> Any:
    return Path(value).resolve() if name in {"predictions", "root"} and value else value
