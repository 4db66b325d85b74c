"""What a figure owes to its dialect and its averaging: the same maps, scored in all ways."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from tinyhd_lib.evaluation.evaluate import evaluate
from tinyhd_lib.evaluation.plan import Evaluation
from tinyhd_lib.evaluation.statistics import AVERAGINGS
from tinyhd_lib.evaluation.summary import NAMES, Summary, summarise
from tinyhd_lib.evaluation.tasks import PREDICTION
from tinyhd_lib.metrics import DIALECTS


def in_every_dialect(evaluation: Evaluation, parts: Path, workers: int = 1) -> dict[tuple[str, str], Summary]:
    """Score the same maps in every dialect, and average their scores in every way.

    Args:
        evaluation: what is scored; its own dialect and averaging do not matter.
        parts: a folder for what is finished, see `tinyhd_lib.evaluation.evaluate.evaluate`.
        workers: how many processes.

    Returns:
        the figures, by the names of dialect and averaging.
    """
    found = {}
    for dialect, averaging in product(DIALECTS, AVERAGINGS):
        asked = replace(evaluation, rules=replace(evaluation.rules, dialect=dialect, averaging=averaging))
        with tqdm(desc=f"{dialect}, {averaging}", unit=" frames", leave=False) as progress:
            table, plan = evaluate(asked, parts / dialect, workers, progress)
        found[dialect, averaging] = summarise(table, asked, plan)
    return found


def dialect_table(summaries: Mapping[str, Mapping[tuple[str, str], Summary]]) -> pd.DataFrame:
    """The figures of predictions in all ways.

    Args:
        summaries: of `in_every_dialect`, by what the maps are.

    Returns:
        a row a way: ``maps``, ``dialect``, ``averaging`` and every metric's mean. One that is infinite stands there as
        a word, so that nobody takes it for a number.
    """
    rows = [
        (maps, dialect, averaging, *(_number(summary.figures[PREDICTION][name].mean) for name in NAMES))
        for maps, ways in summaries.items()
        for (dialect, averaging), summary in ways.items()
    ]
    return pd.DataFrame(rows, columns=["maps", "dialect", "averaging", *NAMES])


def _number(mean: float) -> float | str:
    return "infinite" if mean == float("inf") else mean
