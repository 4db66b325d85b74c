"""Evaluations of the same data: two against each other, or any number in one table, with paired tests over videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.folder import Evaluation
from tinyhd_lib.evaluation.scores import Metric, metrics_in
from tinyhd_lib.evaluation.statistics import Estimate, average, estimate, holm, paired_p, totals, units
from tinyhd_lib.evaluation.summary import json_numbers
from tinyhd_lib.evaluation.tasks import PREDICTION

TIED = 1e-9
"""Below, a difference is the last digits of two ways of adding up."""

_SHARED_SETTINGS = ("data", "split", "protocol", "averaging", "every", "min_fixations", "seed", "gaze_maps", "shuffle")


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
        numbers = self.metrics[["difference", "low", "high"]]
        signed = numbers.map("{:+.3f}".format).where(np.isfinite(numbers), "?")
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
        BadInput: see `shared_frames`.
    """
    frames, left_out = shared_frames([first, second])
    how = first.settings["averaging"], first.settings["seed"]
    metrics = pd.DataFrame([_row(metric.name, frames, *how) for metric in metrics_in(frames.columns.levels[0])])
    metrics["holm"] = holm(metrics["p"].to_numpy())
    return Comparison(
        names=(first.settings["predictions"], second.settings["predictions"]),
        videos=len(frames.index.unique("video")),
        frames=len(frames),
        left_out=left_out,
        metrics=metrics,
    )


def _row(name: str, frames: pd.DataFrame, averaging: str, seed: int) -> dict[str, Any]:
    scores, videos = defined(frames, name)
    first, second = means(scores, videos, averaging)
    (mean, low, high), p = difference(scores, videos, averaging, seed)
    return {"metric": name, "A": first, "B": second, "difference": mean, "low": low, "high": high, "p": p}


def shared_frames(evaluations: Sequence[Evaluation]) -> tuple[pd.DataFrame, int]:
    """Return the frames that several predictions have, and how many not all of them have.

    Returns:
        a row a ``video`` and ``index``, a column ``(name, number of the evaluation)`` for all that every table has, and
        ``("unit", 0)``: what is drawn at random.

    Raises:
        BadInput: they differ in data or in how they were scored, or have no frame in common.
    """
    settings = [each.settings for each in evaluations]
    for name, other in product(_SHARED_SETTINGS, settings[1:]):
        if settings[0].get(name) != other.get(name):
            told = f"{name} {settings[0].get(name)!r} in the one, {other.get(name)!r} in the other"
            raise BadInput(f"{told}: evaluate all of them in the same way")
    key = ["video", "index"]
    tables = [each.frames[each.frames["predictor"] == PREDICTION].set_index(key) for each in evaluations]
    columns = [name for name in tables[0] if all(name in table for table in tables)]
    frames = pd.concat([table[columns] for table in tables], axis=1, join="inner", keys=range(len(tables)))
    frames = frames.swaplevel(axis=1)
    if frames.empty:
        raise BadInput("the evaluations have no frame in common")
    if frames["truth"].ne(frames["truth"][0], axis=0).any(axis=None):
        raise BadInput("the evaluations differ in their ground truth: evaluate all of them on the same data")
    frames["unit", 0] = units(frames.index.to_frame()["video"], settings[0]["data"])
    return frames, len(set().union(*(table.index for table in tables))) - len(frames)


def defined(frames: pd.DataFrame, name: str) -> tuple[np.ndarray, pd.Series]:
    """Return the scores (F, N) of a metric and the units (F,), where all N predictions have one."""
    scores = frames[name].dropna()
    return scores.to_numpy(), frames.loc[scores.index, ("unit", 0)]


def means(scores: np.ndarray, videos: pd.Series, averaging: str) -> list[float]:
    """Return the mean of each prediction's scores (F, N)."""
    return [average(*totals(each, videos), averaging) for each in scores.T]


def difference(scores: np.ndarray, videos: pd.Series, averaging: str, seed: int) -> tuple[Estimate, float]:
    """Return how much larger the second of two scores (F, 2) is on average, and p; NaN where any is infinite."""
    if not np.isfinite(scores).all():
        return Estimate(np.nan, np.nan, np.nan), np.nan
    apart = np.diff(scores)[:, 0]
    sums, counts = totals(np.where(np.abs(apart) < TIED, 0, apart), videos)
    return estimate(sums, counts, averaging), paired_p(sums, counts, averaging, seed)


_MARKS = {0.001: "***", 0.01: "**", 0.05: "*"}
_LOOK = [{"selector": "th, td", "props": "padding: .3rem .8rem; text-align: right"}]
_NOTES = (
    "Worse than the best of its column: * p below 0.05, ** 0.01, *** 0.001.",
    "p: paired sign-flip permutation over videos, two-sided; corrected for several metrics and models (Holm).",
)


@dataclass(frozen=True)
class Ranking:
    """Hold several predictions of the same frames against the best of them; as text, a table for the console.

    The tables have a row a model and a column a metric.

    Attributes:
        headline: how many videos and frames all predictions have scores for, in words.
        mean: of the scores.
        best: which are the best of their column; all that are tied with it.
        p: of a two-sided paired sign-flip permutation test against the best, over videos; NaN of the best itself.
        holm: p corrected for looking at several metrics and models.
        facts: what else is to stand in the table, as texts; None for nothing.
        spread: standard deviations of the means, NaN where there are none.
    """

    headline: str
    mean: pd.DataFrame
    best: pd.DataFrame
    p: pd.DataFrame
    holm: pd.DataFrame
    facts: pd.DataFrame | None = None
    spread: pd.DataFrame | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, NaN and infinity as in `Summary.to_json`."""
        tables = {"mean": self.mean, "p": self.p, "holm": self.holm}
        return {"headline": self.headline} | {
            name: {model: json_numbers(**row) for model, row in table.iterrows()} for name, table in tables.items()
        }

    def __str__(self) -> str:
        """Return the means, the best with a word."""
        table = self._texts()
        table[self.best.columns] += self.best.replace({True: " best", False: ""})
        return "\n".join([self.headline, "", table.to_string(), "", *_NOTES])

    def to_latex(self) -> str:
        """Return the table for a paper that loads ``booktabs``, the best in bold."""
        comment = "".join(f"% {line}\n" for line in [self.headline, *_NOTES])
        styled = self._styled("latex", r"$\uparrow$", r"$\downarrow$")
        layout = "l" + "r" * len(styled.columns)
        return comment + styled.to_latex(hrules=True, convert_css=True, column_format=layout)

    def to_html(self) -> str:
        """Return the table as a page that needs no other file, the best in bold."""
        styled = self._styled("html", " ↑", " ↓").set_caption("<br>".join([self.headline, *_NOTES]))
        return styled.set_table_styles(_LOOK).to_html(doctype_html=True, table_uuid="models")

    def _styled(self, markup: str, higher: str, lower: str) -> Any:
        arrows = {each.name: each.name + (higher if each.higher_is_better else lower) for each in metrics_in(self.mean)}
        texts = self._texts()
        bold = self.best.reindex(columns=texts.columns, fill_value=False).replace(
            {True: "font-weight: bold", False: ""}
        )
        styled = texts.rename(columns=arrows).style.apply(lambda _: bold.rename(columns=arrows), axis=None)
        return styled.format_index(escape=markup, axis=0)

    def _texts(self) -> pd.DataFrame:
        """Return facts, and means with deviations and marks."""
        texts = self.mean.map(lambda mean: "-" if np.isnan(mean) else f"{mean:.3f}")
        if self.spread is not None:
            texts += self.spread.map(lambda spread: "" if np.isnan(spread) else f" ± {spread:.3f}")
        texts += self.holm.map(lambda p: next((mark for level, mark in _MARKS.items() if p < level), ""))
        return texts if self.facts is None else pd.concat([self.facts, texts], axis=1)


def rank(evaluations: Sequence[Evaluation]) -> Ranking:
    """Rank the predictions of several evaluations of the same data, in the frames that all have.

    Raises:
        BadInput: two are of the same predictions, or see `tinyhd_lib.evaluation.compare.shared_frames`.
    """
    models = [each.settings["predictions"] for each in evaluations]
    if len(set(models)) < len(models):
        raise BadInput(f"{max(models, key=models.count)}: several evaluations are of it; name one of them")
    frames, left_out = shared_frames(evaluations)
    how = evaluations[0].settings["averaging"], evaluations[0].settings["seed"]
    columns = {metric.name: _column(metric, frames, *how) for metric in metrics_in(frames.columns.levels[0])}
    wide = pd.concat(columns, axis=1).set_axis(models)
    mean, best, p = (wide.xs(name, axis=1, level=1) for name in ("mean", "best", "p"))
    corrected = pd.DataFrame(holm(p.to_numpy().ravel()).reshape(p.shape), p.index, p.columns)
    less = f" ({left_out} that not all have are left out)" if left_out else ""
    headline = f"{len(frames.index.unique('video'))} videos, {len(frames)} frames that all have{less}"
    return Ranking(headline, mean, best, p, corrected)


def _column(metric: Metric, frames: pd.DataFrame, averaging: str, seed: int) -> pd.DataFrame:
    """Return a row a model: its mean, whether it is the best, and p against the best."""
    scores, videos = defined(frames, metric.name)
    mean = np.array(means(scores, videos, averaging))
    merit = mean if metric.higher_is_better else -mean
    first = int(merit.argmax())
    p = [
        np.nan if each == first else difference(scores[:, [first, each]], videos, averaging, seed)[1]
        for each in range(len(mean))
    ]
    return pd.DataFrame({"mean": mean, "best": merit >= merit[first] - TIED, "p": p})
