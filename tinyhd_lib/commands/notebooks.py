"""``tinyhd notebooks run``, ``list`` and ``copy``."""

import argparse
import logging
import sys
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.notebooks.files import copy_notebooks, find_notebooks, list_notebooks, read_settings
from tinyhd_lib.notebooks.runs import plan, run_notebooks

logger = logging.getLogger(__name__)


def show_list(options: argparse.Namespace) -> int:
    """``tinyhd notebooks list``: name, title and sets of parameters of each."""
    sys.stdout.write(list_notebooks(_folder(options)).to_string(index=False) + "\n")
    return 0


def copy(options: argparse.Namespace) -> int:
    """``tinyhd notebooks copy``: ours, and their sets of parameters."""
    for path in copy_notebooks(Path(options.folder)):
        sys.stdout.write(f"{path}\n")
    return 0


def run(options: argparse.Namespace) -> int:
    """``tinyhd notebooks run``: a line for each, and exit status 1 if one of them failed."""
    notebooks = find_notebooks(options.names, _folder(options))
    runs = plan(notebooks, options.file, read_settings(options.parameter), Path(options.out) if options.out else None)
    outcomes = run_notebooks(runs, jobs=options.jobs, timeout=options.timeout, force=options.force)
    failed = 0
    with logging_redirect_tqdm():
        for outcome in tqdm(outcomes, total=len(runs), unit=" notebooks", leave=False):
            logger.info("%s", outcome)
            failed += outcome.failure is not None
    logger.info("%d of %d notebooks -> %s", len(runs) - failed, len(runs), runs[0].folder.parent)
    return 1 if failed else 0


def _folder(options: argparse.Namespace) -> Path | None:
    return Path(options.notebooks) if options.notebooks else None
