"""An evaluation as one HTML page that needs no other file."""

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.evaluation.pictures import as_data, worst_frames
from tinyhd_lib.evaluation.plan import Pair
from tinyhd_lib.evaluation.plots import set_plots, timelines
from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.summary import NAMES, Summary
from tinyhd_lib.evaluation.tasks import PREDICTION
from tinyhd_lib.evaluation.text import headline, interval, notes, number


def as_html(summary: Summary, table: pd.DataFrame, pairs: Sequence[Pair]) -> str:
    """The page: figures with intervals, plots, videos, and the frames that went worst."""
    environment = Environment(
        loader=PackageLoader("tinyhd_lib.evaluation", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    videos = summary.videos[summary.videos["predictor"] == PREDICTION].sort_values("NSS")
    return environment.get_template("report.html").render(
        headline=headline(summary),
        notes=notes(summary),
        metrics=METRICS,
        figures={
            predictor: [(number(each.mean), interval(each)) for each in row.values()]
            for predictor, row in summary.figures.items()
        },
        plot=as_data(_png(set_plots(summary)), "png"),
        timelines=as_data(_png(timelines({PREDICTION: table})), "png"),
        videos=[(row["video"], row["frames"], [number(row[name]) for name in NAMES]) for _, row in videos.iterrows()],
        worst=[(each, as_data(as_jpeg(each.picture), "jpeg")) for each in worst_frames(table, pairs)],
        settings={name: _said(value) for name, value in summary.settings.items() if value not in (None, [], {})},
    )


def _said(value: Any) -> str:
    """A setting in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
