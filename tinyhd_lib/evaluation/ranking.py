"""Any number of models in one table: the best of each metric, and which of the others it beats by more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.compare import TIED, defined, difference, means, shared_frames
from tinyhd_lib.evaluation.folder import Evaluation
from tinyhd_lib.evaluation.scores import Metric, metrics_in
from tinyhd_lib.evaluation.statistics import holm
from tinyhd_lib.evaluation.summary import json_numbers

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
    """

    headline: str
    mean: pd.DataFrame
    best: pd.DataFrame
    p: pd.DataFrame
    holm: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, NaN and infinity as in `Summary.to_json`."""
        tables = {"mean": self.mean, "p": self.p, "holm": self.holm}
        return {"headline": self.headline} | {
            name: {model: json_numbers(**row) for model, row in table.iterrows()} for name, table in tables.items()
        }

    def __str__(self) -> str:
        """Return the means, the best with a word."""
        table = self._texts() + self.best.replace({True: " best", False: ""})
        return "\n".join([self.headline, "", table.to_string(), "", *_NOTES])

    def to_latex(self) -> str:
        """Return the table for a paper that loads ``booktabs``, the best in bold."""
        comment = "".join(f"% {line}\n" for line in [self.headline, *_NOTES])
        styled, layout = self._styled("latex", r"$\uparrow$", r"$\downarrow$"), "l" + "r" * len(self.mean.columns)
        return comment + styled.to_latex(hrules=True, convert_css=True, column_format=layout)

    def to_html(self) -> str:
        """Return the table as a page that needs no other file, the best in bold."""
        styled = self._styled("html", " ↑", " ↓").set_caption("<br>".join([self.headline, *_NOTES]))
        return styled.set_table_styles(_LOOK).to_html(doctype_html=True, table_uuid="models")

    def _styled(self, markup: str, higher: str, lower: str) -> Any:
        arrows = {each.name: each.name + (higher if each.higher_is_better else lower) for each in metrics_in(self.mean)}
        bold = self.best.replace({True: "font-weight: bold", False: ""}).rename(columns=arrows)
        styled = self._texts().rename(columns=arrows).style.apply(lambda _: bold, axis=None)
        return styled.format_index(escape=markup, axis=0)

    def _texts(self) -> pd.DataFrame:
        """Return means with marks."""
        means = self.mean.map(lambda mean: "-" if np.isnan(mean) else f"{mean:.3f}")
        return means + self.holm.map(lambda p: next((mark for level, mark in _MARKS.items() if p < level), ""))


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
    p = [difference(scores[:, [first, each]], videos, averaging, seed)[1] for each in range(len(mean))]
    p[first] = np.nan
    return pd.DataFrame({"mean": mean, "best": merit >= merit[first] - TIED, "p": p})
