"""A summary as text: for the console, and for a paper."""

from math import isfinite, isnan

import pandas as pd

from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.statistics import Figure
from tinyhd_lib.evaluation.summary import NAMES, Summary
from tinyhd_lib.metrics import DIALECTS

_FEW_VIDEOS = 20


def as_console(summary: Summary) -> str:
    """The table of an evaluation, each figure over its 95 % interval, under what it was computed from."""
    lines = [headline(summary), "", f"{'':<20}" + "".join(f"{name:>17}" for name in NAMES)]
    for predictor, row in summary.figures.items():
        lines.append(f"{predictor:<20}" + "".join(f"{number(each.mean):>17}" for each in row.values()))
        lines.append(f"{'':<20}" + "".join(f"{interval(each):>17}" for each in row.values()))
    return "\n".join([*lines, "", *notes(summary)]) + "\n"


def as_latex(summary: Summary) -> str:
    """The same for a paper that loads ``booktabs``."""
    heads = [rf"{metric.name}$\{'uparrow' if metric.higher_is_better else 'downarrow'}$" for metric in METRICS]
    cells = [
        [rf"{number(each.mean)} {{\scriptsize {interval(each)}}}" for each in row.values()]
        for row in summary.figures.values()
    ]
    table = pd.DataFrame(cells, index=pd.Index(summary.figures), columns=heads)
    comment = "".join(f"% {line}\n" for line in [headline(summary), *notes(summary)])
    return comment + table.to_latex(escape=False, column_format="l" + "r" * len(heads))


def headline(summary: Summary) -> str:
    """What was scored, in one line."""
    said = summary.settings
    split = "" if said["split"] == "all" else f", {said['split']}"
    return (
        f"{said['predictions']} on {said['data']}{split}: {said['videos']} videos, {said['frames']} frames; "
        f"dialect {said['dialect']}, averaging {said['averaging']}"
    )


def notes(summary: Summary) -> list[str]:
    """What a reader must know to use the figures."""
    said = summary.settings
    found = ["[95 % interval: bootstrap over videos]"]
    if 1 < said["videos"] < _FEW_VIDEOS:
        found[0] += f" With only {said['videos']} videos, take the intervals for too narrow."
    found += [f"Dialect {said['dialect']}: {DIALECTS[said['dialect']].source}.", f"Centre bias: {said['centre_bias']}."]
    if said["centre_bias"] == "learnt from the other videos":
        found.append("It has no sAUC: the false alarms would come from the videos that it was learnt from.")
    if said["gaze_maps"]:
        found.append(f"Maps of gaze points: {'; '.join(said['gaze_maps'])}.")
    if said["every"] > 1:
        found.append(f"Of every {said['every']} frames, one was scored.")
    for key, what in (("missing_maps", "had no map"), ("frames_without_truth", "have no ground truth")):
        if said[key]:
            found.append(f"{sum(said[key].values())} frames {what} ({', '.join(said[key])}).")
    if said["skipped_files"]:
        found.append(f"Files that could not be opened, and are not in the set: {', '.join(said['skipped_files'])}.")
    if said["frames_with_too_few_fixations"]:
        few = said["frames_with_too_few_fixations"]
        found.append(f"{few} frames with fewer than {said['min_fixations']} fixations were left out.")
    return found


def number(value: float) -> str:
    """A figure, ``-`` where there is none."""
    return "-" if isnan(value) else f"{value:.3f}"


def interval(each: Figure) -> str:
    """An interval as ``[low, high]``, empty where there is none."""
    return f"[{each.low:.3f}, {each.high:.3f}]" if isfinite(each.low) else ""
