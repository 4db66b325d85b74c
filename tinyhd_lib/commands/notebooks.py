"""``tinyhd notebooks run`` and ``tinyhd notebooks list``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.errors import BadInput
from tinyhd_lib.notebooks.files import find_notebooks
from tinyhd_lib.notebooks.runs import plan, run_notebooks

logger = logging.getLogger(__name__)


def list_notebooks(options: argparse.Namespace) -> int:
    """``tinyhd notebooks list``: name, title and sets of parameters of each."""
    notebooks = find_notebooks((), Path(options.notebooks))
    rows = [
        ("notebook", "title", "sets"),
        *((each.name, each.title, ", ".join(each.sets) or "-") for each in notebooks),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return 0


def run(options: argparse.Namespace) -> int:
    """``tinyhd notebooks run``: a line for each, and exit status 1 if one of them failed."""
    notebooks = find_notebooks(options.names, Path(options.notebooks))
    runs = plan(notebooks, options.file, settings(options.parameter), Path(options.out) if options.out else None)
    outcomes = run_notebooks(runs, jobs=options.jobs, timeout=options.timeout, force=options.force)
    failed = 0
    with logging_redirect_tqdm():
        for outcome in tqdm(outcomes, total=len(runs), unit=" notebooks", leave=False):
            logger.info("%s", outcome)
            failed += outcome.failure is not None
    logger.info("%d of %d notebooks -> %s", len(runs) - failed, len(runs), runs[0].folder.parent)
    return 1 if failed else 0


def settings(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """``-p`` pairs of name and value as parameters, the values read as YAML.

    Raises:
        BadInput: a value is no YAML.
    """
    found = {}
    for name, value in pairs:
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BadInput(f"-p {name} {value!r}: the value is no YAML") from error
    return found
