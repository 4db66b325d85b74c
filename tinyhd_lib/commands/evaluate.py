"""``tinyhd evaluate`` and ``tinyhd compare``."""

import argparse
import json
import logging
import sys
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.evaluation import compare as comparing
from tinyhd_lib.evaluation.folder import evaluate_into
from tinyhd_lib.evaluation.plan import Evaluation, Rules
from tinyhd_lib.evaluation.results import SUMMARY_NAME, read_results
from tinyhd_lib.evaluation.text import as_console
from tinyhd_lib.files import write_atomically

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
    dataset = open_dataset(options.kind, options.dir, sigma_degrees=options.sigma)
    split = options.split or dataset.kind.evaluated
    evaluation = Evaluation(Path(options.predictions), dataset, None if split == "all" else split, rules)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    own_name = evaluation.predictions.resolve().name
    out = Path(options.out or evaluation.predictions.resolve().with_name(f"{own_name}_scores"))
    with logging_redirect_tqdm():
        scored = evaluate_into(
            out, evaluation, workers=options.workers, table_format=options.table, force=options.force
        )
    sys.stdout.write(as_console(scored.summary))
    logger.info("%s and report.html in %s", SUMMARY_NAME, out)
    return 0


def compare(options: argparse.Namespace) -> int:
    """``tinyhd compare``: a table, and JSON if asked."""
    found = comparing.compare(read_results(Path(options.first)), read_results(Path(options.second)))
    sys.stdout.write(comparing.as_console(found))
    if options.json:
        write_atomically(Path(options.json), json.dumps(found.to_json(), indent=2, allow_nan=False).encode())
    return 0
