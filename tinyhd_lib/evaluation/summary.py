"""From a table of frames to the figures of a set: what is printed, compared and published."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from tinyhd_lib.evaluation.plan import Evaluation, Plan
from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.statistics import Figure, figure, totals
from tinyhd_lib.evaluation.tasks import PREDICTION

NAMES = [metric.name for metric in METRICS]


@dataclass(frozen=True)
class Summary:
    """The figures of an evaluation.

    Attributes:
        settings: everything that decides them, in words and numbers.
        figures: by predictor and metric.
        videos: a row for each predictor and video: its frames, and the mean of each metric over them.
    """

    settings: dict[str, Any]
    figures: dict[str, dict[str, Figure]]
    videos: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """As ``summary.json`` holds it; NaN becomes null and infinity ``"inf"``, which JSON has no numbers for."""
        figures = {
            predictor: {name: without_nan(asdict(each)) for name, each in row.items()}
            for predictor, row in self.figures.items()
        }
        return {"settings": self.settings, "figures": figures}


def summarise(table: pd.DataFrame, evaluation: Evaluation, plan: Plan) -> Summary:
    """Average a table of frames.

    Args:
        table: of `tinyhd_lib.evaluation.evaluate.evaluate`.
        evaluation: what was scored.
        plan: what was planned.
    """
    rules = evaluation.rules
    groups = {str(name): rows for name, rows in table.groupby("predictor", observed=True)}
    figures = {
        predictor: {name: figure(*_totals(rows, name), rules.averaged, rules.seed) for name in NAMES}
        for predictor, rows in groups.items()
    }
    videos = table.groupby(["predictor", "video"], observed=True)[NAMES].mean()
    videos.insert(0, "frames", table.groupby(["predictor", "video"], observed=True).size())
    return Summary(_settings(table, evaluation, plan), figures, videos.reset_index())


def side_by_side(summaries: Mapping[str, Summary]) -> Summary:
    """Several predictions of the same data as one summary: each by its own name, between the baselines of the first.

    Args:
        summaries: by the name of what was evaluated.
    """
    first = next(iter(summaries.values()))
    figures: dict[str, dict[str, Figure]] = {}
    parts = []
    for predictor in first.figures:
        named = summaries if predictor == PREDICTION else {predictor: first}
        for name, summary in named.items():
            figures[name] = summary.figures[predictor]
            parts.append(summary.videos[summary.videos["predictor"] == predictor].assign(predictor=name))
    settings = first.settings | {"predictions": ", ".join(summaries)}
    return Summary(settings, figures, pd.concat(parts, ignore_index=True))


def _totals(rows: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    return totals(rows[name].to_numpy(), rows["video"].astype("category").cat.codes.to_numpy())


def asked(evaluation: Evaluation) -> dict[str, Any]:
    """What an evaluation was asked for: two with the same answers to this may share a folder."""
    rules = evaluation.rules
    videos = evaluation.dataset.of_split(evaluation.split).videos
    return {
        "predictions": str(evaluation.predictions),
        "data": evaluation.dataset.kind.name,
        "root": str(evaluation.dataset.root),
        "split": evaluation.split or "all",
        "gaze_maps": sorted({str(video.viewing) for video in videos if video.viewing is not None}),
        "dialect": rules.dialect,
        "averaging": rules.averaged,
        "every": rules.every,
        "min_fixations": rules.min_fixations,
        "first": rules.first,
        "allow_missing": list(rules.allow_missing),
        "seed": rules.seed,
    }


def _settings(table: pd.DataFrame, evaluation: Evaluation, plan: Plan) -> dict[str, Any]:
    frames = table[["video", "index"]].drop_duplicates()
    return {
        **asked(evaluation),
        "videos": int(frames["video"].nunique()),
        "frames": len(frames),
        "centre_bias": plan.centre,
        "missing_maps": {pair.video.name: len(pair.missing) for pair in plan.pairs if pair.missing},
        "frames_without_truth": {pair.video.name: pair.unannotated for pair in plan.pairs if pair.unannotated},
        "skipped_files": [each.path.name for each in evaluation.dataset.skipped],
        "frames_with_too_few_fixations": sum(len(task.indices) for task in plan.tasks) - len(frames),
    }


def without_nan(row: dict[str, float]) -> dict[str, float | str | None]:
    """Numbers as JSON can hold them: None for NaN, ``"inf"`` for infinity."""
    return {name: None if np.isnan(value) else value if np.isfinite(value) else "inf" for name, value in row.items()}
