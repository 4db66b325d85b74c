"""``tinyhd evaluate`` and ``tinyhd compare``."""

import argparse
import json
import logging
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation import compare as comparing
from tinyhd_lib.evaluation.evaluate import evaluate as score
from tinyhd_lib.evaluation.plan import Evaluation, Rules
from tinyhd_lib.evaluation.results import RESULT_NAMES, SUMMARY_NAME, read_results, read_settings, write_results
from tinyhd_lib.evaluation.summary import asked, summarise
from tinyhd_lib.evaluation.text import as_console
from tinyhd_lib.files import alone_in, write_atomically
from tinyhd_lib.runs import RECORD_NAME, hardware, usable_cores, versions

PARTS_NAME = ".parts"

logger = logging.getLogger(__name__)


def evaluate(options: argparse.Namespace) -> int:
    """``tinyhd evaluate``: scores to the console, and tables, a page and a summary into a folder."""
    rules = Rules(
        dialect=options.dialect,
        averaging=options.averaging,
        every=options.every,
        min_fixations=options.min_fixations,
        first=options.first,
        allow_missing=tuple(options.allow_missing),
        seed=options.seed,
    )
    workers = usable_cores() if options.workers is None else options.workers
    dataset = open_dataset(options.kind, options.dir, sigma_degrees=options.sigma)
    split = options.split or dataset.kind.evaluated
    evaluation = Evaluation(Path(options.predictions), dataset, None if split == "all" else split, rules)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    own_name = evaluation.predictions.resolve().name
    out = Path(options.out or evaluation.predictions.resolve().with_name(f"{own_name}_scores"))
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: a file is in the way of the folder for the scores; give another --out")
    started, begun = datetime.now(UTC), time.perf_counter()
    with alone_in(out):
        if options.force:
            shutil.rmtree(out / PARTS_NAME, ignore_errors=True)
        else:
            _check_earlier(out, asked(evaluation))
        with tqdm(desc="scoring", unit=" frames", smoothing=0.1) as progress, logging_redirect_tqdm():
            table, plan = score(evaluation, out / PARTS_NAME, workers, progress)
        summary = summarise(table, evaluation, plan)
        write_results(out, summary, table, plan, options.table)
        record = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - begun, 3),
            "workers": workers,
            "versions": versions(),
            "hardware": hardware(),
        }
        write_atomically(out / RECORD_NAME, json.dumps(record, indent=2).encode())
    sys.stdout.write(as_console(summary))
    logger.info("%s and report.html in %s", SUMMARY_NAME, out)
    return 0


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


def compare(options: argparse.Namespace) -> int:
    """``tinyhd compare``: a table, and JSON if asked."""
    found = comparing.compare(read_results(Path(options.first)), read_results(Path(options.second)))
    sys.stdout.write(comparing.as_console(found))
    if options.json:
        write_atomically(Path(options.json), json.dumps(found.to_json(), indent=2, allow_nan=False).encode())
    return 0
