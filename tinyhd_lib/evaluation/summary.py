"""Aggregate frame scores into the figures of a data set: what is printed, compared and published.

Frames of one video resemble each other, so confidence intervals over frames are far too narrow: these are over videos.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, PackageLoader, Template, select_autoescape
from scipy import stats

from tinyhd_lib.data.layouts import movie_of
from tinyhd_lib.evaluation.options import PROTOCOLS
from tinyhd_lib.evaluation.scores import Metric, metrics_in

_TITLE = "{predictions} on {data}{split}: {videos} videos, {frames} frames; protocol {protocol}, averaging {averaging}"

_CONFIDENCE = 0.95
_SIGN_PATTERNS = 9999  # tried by a test: for up to 13 videos, all that there are
_EXACT_DIGITS = 9  # beyond these, tied sign patterns differ by rounding errors

AVERAGINGS = ("pooled", "per-video")
"""One mean over all frames (the benchmark), or over the frames of each video, then over videos (most papers)."""


class Estimate(NamedTuple):
    """A mean score of a data set, with its confidence interval.

    Attributes:
        mean: of the set.
        low: where its 95 % interval begins; NaN with fewer than two videos, or if the mean is infinite.
        high: where it ends.
    """

    mean: float
    low: float
    high: float


def as_text(figure: float) -> str:
    """Return a figure as tables show it: with three decimals, or a hyphen for NaN."""
    return "-" if np.isnan(figure) else f"{figure:.3f}"


@dataclass(frozen=True)
class Summary:
    """Hold the figures of an evaluation; as text, a table for the console.

    Attributes:
        settings: everything that the figures depend on.
        figures: a row for each predictor and metric: its ``mean`` over the set and the ends ``low`` and ``high`` of the
            95 % interval, NaN where there is none.
        videos: a row for each predictor and video: its ``frames``, and the mean of each metric over them.
    """

    settings: dict[str, Any]
    figures: pd.DataFrame
    videos: pd.DataFrame

    @cached_property
    def metrics(self) -> list[Metric]:
        """Return its metrics, in their order."""
        return metrics_in(self.figures["metric"])

    def texts(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the means and the intervals as text: one row per predictor, one column per metric."""
        columns, names = ["mean", "low", "high"], [metric.name for metric in self.metrics]
        wide = self.figures.pivot_table(columns, "predictor", "metric", dropna=False, sort=False)
        wide = wide.rename_axis(index=None, columns=(None, None))
        mean, low, high = (wide[column][names] for column in columns)
        intervals = "[" + low.map("{:.3f}".format) + ", " + high.map("{:.3f}".format) + "]"
        return mean.map(as_text), intervals.where(np.isfinite(low), "")

    def __str__(self) -> str:
        """Return the headline, the table of figures, each above its interval, and the notes."""
        return "\n".join([self.headline(), "", over_intervals(*self.texts()), "", *self.notes()])

    def to_latex(self) -> str:
        """Return the same table for a paper that loads ``booktabs``."""
        means, intervals = self.texts()
        cells = means + r" {\scriptsize " + intervals + "}"
        arrows = {each.name: "uparrow" if each.higher_is_better else "downarrow" for each in self.metrics}
        table = cells.rename(columns=lambda name: rf"{name}$\{arrows[name]}$").rename_axis(index=None, columns=None)
        comment = "".join(f"% {line}\n" for line in [self.headline(), *self.notes()])
        return comment + table.to_latex(escape=False, column_format="l" + "r" * len(arrows))

    def to_json(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds; NaN becomes null and infinity ``"inf"``: JSON has no numbers for them."""
        figures: dict[str, dict[str, Any]] = {}
        for row in self.figures.itertuples():
            figures.setdefault(row.predictor, {})[row.metric] = json_numbers(mean=row.mean, low=row.low, high=row.high)
        return {"settings": self.settings, "figures": figures}

    def headline(self) -> str:
        """Return what was scored, in one line."""
        split = "" if self.settings["split"] == "all" else f", {self.settings['split']}"
        return _TITLE.format_map(self.settings | {"split": split})

    def notes(self) -> list[str]:
        """Return what a reader must know to use the figures."""
        source, names = PROTOCOLS[self.settings["protocol"]].source, [metric.name for metric in self.metrics]
        return template("notes.txt").render(self.settings, source=source, metrics=names).splitlines()


def template(name: str) -> Template:
    """Return one of the templates of reports; what is filled in is escaped in those of HTML."""
    loader = PackageLoader("tinyhd_lib.evaluation")
    return Environment(loader=loader, autoescape=select_autoescape(), trim_blocks=True).get_template(name)


def summarise(frames: pd.DataFrame, settings: dict[str, Any]) -> Summary:
    """Average the scores of frames.

    Args:
        frames: a row for each predictor and frame.
        settings: of the evaluation; ``averaging`` decides the figures.
    """
    names = [metric.name for metric in metrics_in(frames.columns)]
    frames = frames.assign(unit=units(frames["video"], settings["data"]))
    rows = [
        (str(predictor), name, *estimate(*totals(part[name], part["unit"]), settings["averaging"]))
        for predictor, part in frames.groupby("predictor", observed=True)
        for name in names
    ]
    figures = pd.DataFrame(rows, columns=["predictor", "metric", *Estimate._fields])
    groups = frames.groupby(["predictor", "video"], observed=True)
    videos = groups[names].mean()
    videos.insert(0, "frames", groups.size())
    return Summary(settings, figures, videos.reset_index().astype({"predictor": str}))


def over_intervals(figures: pd.DataFrame, intervals: pd.DataFrame) -> str:
    """Return a table for the console from the texts of figures and intervals, each interval below its figure."""
    rows = [row for name in figures.index for row in (figures.loc[name], intervals.loc[name])]
    labels = [label for name in figures.index for label in (name, "")]
    return "\n".join(map(str.rstrip, pd.DataFrame(rows).set_axis(labels).to_string().splitlines()))


def json_numbers(**numbers: float) -> dict[str, float | str | None]:
    """Return numbers as JSON can hold them: None for NaN, ``"inf"`` for infinity."""
    return {name: None if np.isnan(each) else each if np.isfinite(each) else "inf" for name, each in numbers.items()}


def units(videos: pd.Series, data: str) -> "pd.Series[str]":
    """Return each video's sampling unit: the video itself; for Hollywood-2, whose videos are shots, its movie clip."""
    return videos.astype(str).map(partial(movie_of, data))


def totals(scores: npt.ArrayLike, videos: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and counts (V,) of the scores of each video that has any, NaN left out.

    Args:
        scores: (n,) of frames.
        videos: (n,) the video of each, by any name.
    """
    values = np.asarray(scores, float)
    valid = ~np.isnan(values)
    codes = np.unique(np.asarray(videos)[valid], return_inverse=True)[1]
    return np.bincount(codes, values[valid]), np.bincount(codes).astype(float)


def average(sums: np.ndarray, counts: np.ndarray, averaging: str) -> float:
    """Return the mean of a set, NaN where nothing is defined.

    Args:
        sums: (V,) of the scores of each video, see `totals`.
        counts: (V,) number of frames with a score in each video, 1 or more.
        averaging: one of `AVERAGINGS`.
    """
    if not len(counts):
        return float("nan")
    return float(sums.sum() / counts.sum() if averaging == "pooled" else (sums / counts).mean())


def estimate(sums: np.ndarray, counts: np.ndarray, averaging: str) -> Estimate:
    """Return a set's mean and its 95 % confidence interval, Student's t over videos.

    With few videos it covers the true mean far more often than a bootstrap does (docs/evaluation.md). A pooled mean is
    a ratio of sums over videos; its variance is that of the ratio estimator (Cochran, Sampling Techniques, 1977, 6.3).
    """
    mean = average(sums, counts, averaging)
    videos = len(counts)
    if videos < 2 or not np.isfinite(mean):
        return Estimate(mean, float("nan"), float("nan"))
    apart = (sums - mean * counts) / counts.mean() if averaging == "pooled" else sums / counts - mean
    reach = float(stats.t.ppf((1 + _CONFIDENCE) / 2, videos - 1) * np.sqrt((apart**2).sum() / (videos * (videos - 1))))
    return Estimate(mean, mean - reach, mean + reach)


def paired_p(differences: np.ndarray, counts: np.ndarray, averaging: str, seed: int) -> float:
    """Return the two-sided p value of a paired sign-flip permutation test over videos.

    It tries all sign patterns for up to 13 videos, 9,999 random ones beyond.

    Args:
        differences: (V,) sums over the frames of each video, see `totals`.
        counts: (V,) of those frames, 1 or more.
        averaging: one of `AVERAGINGS`.
        seed: of the patterns.
    """
    each = differences if averaging == "pooled" else differences / counts
    if len(each) < 2 or not np.isfinite(each).all():
        return float("nan")
    each = each / (np.abs(each).max() or 1)
    patterns = {"permutation_type": "samples", "n_resamples": _SIGN_PATTERNS, "rng": seed}
    return stats.permutation_test((each,), lambda x, axis: x.mean(axis).round(_EXACT_DIGITS), **patterns).pvalue


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values corrected for multiple tests (Holm, 1979); NaN stays, and is not counted as a test."""
    corrected, order = np.full(len(p), np.nan), np.argsort(p)[: np.isfinite(p).sum()]
    corrected[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p[order]), 1)
    return corrected
