"""Two evaluations of the same data, against each other: differences with intervals, and a paired test over videos."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.results import Results
from tinyhd_lib.evaluation.statistics import Figure, average, figure, paired_p, totals
from tinyhd_lib.evaluation.summary import NAMES, without_nan
from tinyhd_lib.evaluation.tasks import PREDICTION

_SHARED_SETTINGS = ("data", "split", "dialect", "averaging", "every", "min_fixations", "seed", "gaze_maps")


@dataclass(frozen=True)
class Difference:
    """One metric of two predictions.

    Attributes:
        first: mean of the first.
        second: mean of the second.
        difference: second less first, with its 95 % interval (bootstrap over videos).
        p: of a paired sign-flip permutation test over videos, two-sided.
    """

    first: float
    second: float
    difference: Figure
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two predictions of the same frames.

    Attributes:
        names: of the predictions.
        videos: how many.
        frames: how many both have scores for.
        left_out: how many only one has.
        metrics: by name.
    """

    names: tuple[str, str]
    videos: int
    frames: int
    left_out: int
    metrics: dict[str, Difference]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, NaN and infinity as in `Summary.to_json`."""
        metrics = {
            name: {
                **without_nan({"first": each.first, "second": each.second, "p": each.p}),
                "difference": without_nan(asdict(each.difference)),
            }
            for name, each in self.metrics.items()
        }
        return {**asdict(self), "metrics": metrics}


def compare(first: Results, second: Results) -> Comparison:
    """Compare the predictions of two evaluations, frame by frame.

    Raises:
        BadInput: they differ in data or in how they were scored, or have no frame in common.
    """
    for name in _SHARED_SETTINGS:
        if first.settings[name] != second.settings[name]:
            raise BadInput(
                f"{name} {first.settings[name]!r} in the one, {second.settings[name]!r} in the other: "
                "evaluate both in the same way"
            )
    keys = ["video", "index"]
    tables = [each.table[each.table["predictor"] == PREDICTION] for each in (first, second)]
    pairs = tables[0].merge(tables[1], on=keys, suffixes=(" A", " B"))
    if pairs.empty:
        raise BadInput("the two evaluations have no frame in common")
    if (pairs["truth A"] != pairs["truth B"]).any():
        raise BadInput("the two evaluations differ in their ground truth: evaluate both on the same data")
    averaging, seed = first.settings["averaging"], first.settings["seed"]
    return Comparison(
        names=(first.settings["predictions"], second.settings["predictions"]),
        videos=int(pairs["video"].nunique()),
        frames=len(pairs),
        left_out=sum(map(len, tables)) - 2 * len(pairs),
        metrics={name: _difference(pairs, name, averaging, seed) for name in NAMES},
    )


def _difference(pairs: pd.DataFrame, name: str, averaging: str, seed: int) -> Difference:
    scores = pairs[[f"{name} A", f"{name} B"]].to_numpy()
    defined = ~np.isnan(scores).any(axis=1)
    (a, b), videos = scores[defined].T, pairs["video"].astype("category").cat.codes.to_numpy()[defined]
    first, second = (float(average(*totals(each, videos), averaging)[0]) for each in (a, b))
    if not np.isfinite(scores[defined]).all():  # infinities have no difference
        return Difference(first, second, Figure(np.nan, np.nan, np.nan), np.nan)
    sums, counts = totals(b - a, videos)
    interval, p = figure(sums, counts, averaging, seed), paired_p(sums, counts, averaging, seed)
    return Difference(first, second, interval, p)


def as_console(comparison: Comparison) -> str:
    """The comparison as a table."""
    lines = [
        f"A  {comparison.names[0]}",
        f"B  {comparison.names[1]}",
        f"{comparison.videos} videos, {comparison.frames} frames that both have"
        + (f" ({comparison.left_out} that only one has are left out)" if comparison.left_out else ""),
        "",
        f"{'':<8}{'A':>9}{'B':>9}{'B - A':>9}{'95 % interval':>19}{'p':>9}",
    ]
    lines += [
        f"{name:<8}{each.first:>9.3f}{each.second:>9.3f}{_signed(each.difference.mean):>9}"
        f"{f'[{_signed(each.difference.low)}, {_signed(each.difference.high)}]':>19}{each.p:>9.4f}"
        for name, each in comparison.metrics.items()
    ]
    lines += ["", "Interval: bootstrap over videos. p: paired sign-flip permutation over videos, two-sided,"]
    return "\n".join([*lines, "not corrected for looking at several metrics."]) + "\n"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if np.isfinite(value) else "?"
