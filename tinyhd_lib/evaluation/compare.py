"""Compare evaluations of the same data in one table, with paired tests over videos."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation import summary
from tinyhd_lib.evaluation.folder import Evaluation
from tinyhd_lib.evaluation.scores import Metric, metrics_in
from tinyhd_lib.evaluation.tasks import PREDICTION

_TIED = 1e-9  # smaller differences are rounding errors of the order of summation
_SHARED_SETTINGS = ("data", "split", "protocol", "averaging", "every", "min_fixations", "seed", "gaze_maps", "shuffle")
_MARKS = {0.001: "***", 0.01: "**", 0.05: "*"}
_LOOK = [{"selector": "th, td", "props": "padding: .3rem .8rem; text-align: right"}]
_NOTES = (
    "Worse than the best of its column: * p below 0.05, ** 0.01, *** 0.001.",
    "p: paired sign-flip permutation over videos, two-sided; corrected for several metrics and models (Holm).",
)
_DIFFERENCES = "Each score minus the best of its column, with the 95 % interval of that (Student's t over videos):"


class Comparison(NamedTuple):
    """Compare predictions of the same frames with the best of them; as text, two tables for the console.

    The tables have one row per model and one column per metric.

    Attributes:
        headline: a sentence with the number of videos and frames that all predictions have scores for.
        mean: mean scores.
        best: bool: whether a score is the best of its column, or tied with it; all False if there is one model.
        difference: an `Estimate` in each cell: the model's score minus the best one's, frame by frame, with its 95 %
            interval (Student's t over videos). Negative where higher is better, positive where lower is better (KL);
            NaN for the best itself, and where a score is infinite.
        p: p values of a two-sided paired sign-flip permutation test against the best, over videos; NaN where the
            difference is.
        holm: p values corrected for several metrics and models (Holm).
        facts: further columns of the table, as text; None for none.
        spread: standard deviations of the means, NaN where there are none.
    """

    headline: str
    mean: pd.DataFrame
    best: pd.DataFrame
    difference: pd.DataFrame
    p: pd.DataFrame
    holm: pd.DataFrame
    facts: pd.DataFrame | None = None
    spread: pd.DataFrame | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, NaN and infinity as in `Summary.to_json`."""
        tables = {"mean": self.mean, "p": self.p, "holm": self.holm}
        rows = {name: each.agg(lambda row: summary.json_numbers(**row), axis=1) for name, each in tables.items()}
        differences = self.difference.map(lambda each: summary.json_numbers(**each._asdict()))
        found = {name: each.to_dict() for name, each in rows.items()}
        return {"headline": self.headline, **found, "difference": differences.to_dict("index")}

    def __str__(self) -> str:
        """Return the means, the best marked, and below them the differences of the others from the best."""
        table = self._texts()
        table[self.best.columns] += self.best.replace({True: " best", False: ""})
        apart = self.difference.map(lambda each: "-" if np.isnan(each.mean) else f"{each.mean:+.3f}")
        ends = self.difference.map(lambda each: "" if np.isnan(each.low) else f"[{each.low:+.3f}, {each.high:+.3f}]")
        above, below = table.to_string(), summary.over_intervals(apart, ends)
        return "\n".join([self.headline, "", above, "", *_NOTES, "", _DIFFERENCES, "", below])

    def to_latex(self) -> str:
        """Return the means for a paper that loads ``booktabs``, the best in bold."""
        comment = "".join(f"% {line}\n" for line in [self.headline, *_NOTES])
        styled = self._styled("latex", r"$\uparrow$", r"$\downarrow$")
        return comment + styled.to_latex(hrules=True, convert_css=True, column_format="l" + "r" * len(styled.columns))

    def to_html(self) -> str:
        """Return the means as a page that needs no other file, the best in bold."""
        styled = self._styled("html", " ↑", " ↓").set_caption("<br>".join([self.headline, *_NOTES]))
        return styled.set_table_styles(_LOOK).to_html(doctype_html=True, table_uuid="models")

    def _styled(self, markup: str, higher: str, lower: str) -> Any:
        arrows = {each.name: each.name + (higher if each.higher_is_better else lower) for each in metrics_in(self.mean)}
        styled = self._texts().rename(columns=arrows).style.format_index(escape=markup, axis=0)
        bold = np.where(self.best, "font-weight: bold", "")
        return styled.apply(lambda _: bold, axis=None, subset=[arrows[name] for name in self.best])

    def _texts(self) -> pd.DataFrame:
        """Return facts, and means with deviations and marks."""
        texts = self.mean.map(summary.as_text)
        if self.spread is not None:
            texts += self.spread.map(lambda spread: "" if np.isnan(spread) else f" ± {spread:.3f}")
        texts += self.holm.map(lambda p: next((mark for level, mark in _MARKS.items() if p < level), ""))
        return texts if self.facts is None else pd.concat([self.facts, texts], axis=1)


def compare(evaluations: Sequence[Evaluation]) -> Comparison:
    """Compare the predictions of two or more evaluations of the same data, in the frames that all have.

    Models are named after their predictions; if two share a name, all are numbered in the order given.

    Raises:
        BadInput: they differ in data or in how they were scored, or have no frame in common.
    """
    models = [str(each.settings["predictions"]) for each in evaluations]
    if len(set(models)) < len(models):
        models = [f"{model} ({number})" for number, model in enumerate(models, 1)]
    frames, left_out = _shared_frames(evaluations)
    how = evaluations[0].settings["averaging"], evaluations[0].settings["seed"]
    columns = {metric.name: _column(metric, frames, *how) for metric in metrics_in(frames.columns.levels[0])}
    wide = pd.concat(columns, axis=1).set_axis(models)
    mean, best, apart, p = (wide.xs(name, axis=1, level=1) for name in ("mean", "best", "difference", "p"))
    corrected = pd.DataFrame(summary.holm(p.to_numpy().ravel()).reshape(p.shape), p.index, p.columns)
    less = f" ({left_out} that not all have are left out)" if left_out else ""
    headline = f"{len(frames.index.unique('video'))} videos, {len(frames)} frames that all have{less}"
    return Comparison(headline, mean, best, apart, p, corrected)


def _shared_frames(evaluations: Sequence[Evaluation]) -> tuple[pd.DataFrame, int]:
    """Return the frames that all predictions have, and the number of frames that only some of them have.

    Returns:
        one row per ``video`` and ``index``; a column ``(name, number of the evaluation)`` for each column that every
        table has; and ``("unit", 0)``, the sampling unit of the statistics.
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
    frames["unit", 0] = summary.units(frames.index.to_frame()["video"], settings[0]["data"])
    return frames, len(set().union(*(table.index for table in tables))) - len(frames)


def _column(metric: Metric, frames: pd.DataFrame, averaging: str, seed: int) -> pd.DataFrame:
    """Return one row per model: its ``mean``, whether it is ``best``, and its ``difference`` from the best, with ``p``.

    Only frames for which all models have a score count.
    """
    scores = frames[metric.name].dropna()
    videos = frames.loc[scores.index, ("unit", 0)]
    mean = np.array([summary.average(*summary.totals(scores[model], videos), averaging) for model in scores])
    merit = mean if metric.higher_is_better else -mean
    best = int(merit.argmax())
    apart = scores.sub(scores[best], axis=0)
    apart.loc[:, ~np.isfinite(apart).all() | (apart.columns == best)] = np.nan
    sums = [summary.totals(each.mask(each.abs() < _TIED, 0), videos) for _, each in apart.items()]
    columns = {
        "mean": mean,
        "best": (merit >= merit[best] - _TIED) & (len(merit) > 1),
        "difference": [summary.estimate(*each, averaging) for each in sums],
        "p": [summary.paired_p(*each, averaging, seed) for each in sums],
    }
    return pd.DataFrame(columns)
