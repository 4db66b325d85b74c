"""Two evaluations of the same data, against each other: differences with intervals, and a paired test over videos."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.folder import Evaluation
from tinyhd_lib.evaluation.scores import NAMES
from tinyhd_lib.evaluation.statistics import Estimate, average, estimate, holm, paired_p, totals, units
from tinyhd_lib.evaluation.summary import json_numbers
from tinyhd_lib.evaluation.tasks import PREDICTION

_TIED = 1e-9  # below, it is the last digits of two ways of adding up
_SHARED_SETTINGS = ("data", "split", "protocol", "averaging", "every", "min_fixations", "seed", "gaze_maps")


@dataclass(frozen=True)
class Comparison:
    """Hold two predictions of the same frames against each other; as text, a table for the console.

    Attributes:
        names: of the predictions.
        videos: how many.
        frames: how many both have scores for.
        left_out: how many only one has.
        metrics: a row a ``metric``: the means ``A`` and ``B`` of the two, their ``difference`` B - A, the ends ``low``
            and ``high`` of its 95 % interval (Student's t over videos), ``p`` of a two-sided paired sign-flip
            permutation test over videos, and ``holm``: p corrected for looking at several metrics.
    """

    names: tuple[str, str]
    videos: int
    frames: int
    left_out: int
    metrics: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, NaN and infinity as in `Summary.to_json`."""
        metrics = {
            row.metric: json_numbers(first=row.A, second=row.B, p=row.p, holm=row.holm)
            | {"difference": json_numbers(mean=row.difference, low=row.low, high=row.high)}
            for row in self.metrics.itertuples()
        }
        return {**vars(self), "metrics": metrics}

    def __str__(self) -> str:
        """Return a row a metric, under what is compared."""
        signed = self.metrics[["difference", "low", "high"]].map(
            lambda value: f"{value:+.3f}" if np.isfinite(value) else "?"
        )
        table = self.metrics[["A", "B"]].map("{:.3f}".format).set_axis(self.metrics["metric"]).rename_axis(None)
        table["B - A"] = signed["difference"].to_numpy()
        table["95 % interval"] = ("[" + signed["low"] + ", " + signed["high"] + "]").to_numpy()
        table[["p", "Holm"]] = self.metrics[["p", "holm"]].map("{:.4f}".format).to_numpy()
        left_out = f" ({self.left_out} that only one has are left out)" if self.left_out else ""
        return "\n".join([
            f"A  {self.names[0]}",
            f"B  {self.names[1]}",
            f"{self.videos} videos, {self.frames} frames that both have{left_out}",
            "",
            table.to_string(),
            "",
            "Interval: Student's t over videos. p: paired sign-flip permutation over videos, two-sided;",
            "Holm: p corrected for looking at several metrics.",
        ])  # fmt: skip


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare the predictions of two evaluations, frame by frame.

    Raises:
        BadInput: they differ in data or in how they were scored, or have no frame in common.
    """
    for name in _SHARED_SETTINGS:
        one, other = first.settings.get(name), second.settings.get(name)
        if one != other:
            raise BadInput(f"{name} {one!r} in the one, {other!r} in the other: evaluate both in the same way")
    tables = [each.frames[each.frames["predictor"] == PREDICTION] for each in (first, second)]
    pairs = tables[0].merge(tables[1], on=["video", "index"], suffixes=(" A", " B"))
    if pairs.empty:
        raise BadInput("the two evaluations have no frame in common")
    if (pairs["truth A"] != pairs["truth B"]).any():
        raise BadInput("the two evaluations differ in their ground truth: evaluate both on the same data")
    pairs["unit"] = units(pairs["video"], first.settings["data"])
    how = first.settings["averaging"], first.settings["seed"]
    metrics = pd.DataFrame([_difference(pairs, name, *how) for name in NAMES])
    metrics["holm"] = holm(metrics["p"].to_numpy())
    return Comparison(
        names=(first.settings["predictions"], second.settings["predictions"]),
        videos=int(pairs["video"].nunique()),
        frames=len(pairs),
        left_out=sum(map(len, tables)) - 2 * len(pairs),
        metrics=metrics,
    )


def _difference(pairs: pd.DataFrame, name: str, averaging: str, seed: int) -> dict[str, Any]:
    scores = pairs[[f"{name} A", f"{name} B"]].to_numpy()
    defined = ~np.isnan(scores).any(axis=1)
    (a, b), videos = scores[defined].T, pairs["unit"][defined]
    first, second = (average(*totals(each, videos), averaging) for each in (a, b))
    difference, p = Estimate(np.nan, np.nan, np.nan), np.nan
    if np.isfinite(scores[defined]).all():  # infinities have no difference
        sums, counts = totals(np.where(np.abs(b - a) < _TIED, 0, b - a), videos)
        difference, p = estimate(sums, counts, averaging), paired_p(sums, counts, averaging, seed)
    low, high = difference.low, difference.high
    return {"metric": name, "A": first, "B": second, "difference": difference.mean, "low": low, "high": high, "p": p}
