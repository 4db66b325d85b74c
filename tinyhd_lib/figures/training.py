"""A training as pictures and tables: its recipe, its data, its terms step by step, its scores epoch by epoch."""

import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Source, resized
from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.errors import BadInput
from tinyhd_lib.figures.grid import picture_grid
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.spec import CLIP_FRAMES, MEAN, STD
from tinyhd_lib.prediction.map_files import own_bounds
from tinyhd_lib.prediction.overlay import Style, draw
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.sampling import Sample, clip_counts
from tinyhd_lib.training.teachers import Teacher

Entry = dict[str, Any]

_SMOOTHING = 0.9

# Okabe and Ito's colours, which the colour-blind tell apart. What concerns one decoder has one colour.
_LOOKS = {
    "loss": ("#000000", "-"),
    "ground_truth": ("#d55e00", "-"),
    "teacher_map": ("#0072b2", "-"),
    "d1": ("#009e73", "-"),
    "d2": ("#e69f00", "-"),
    "d2_ground_truth": ("#e69f00", ":"),
    "d3": ("#cc79a7", "-"),
    "d3_ground_truth": ("#cc79a7", ":"),
    "levels": ("#56b4e9", "--"),
}
_SCORES = {"kl": "KL (nats) ↓", "cc": "CC ↑", "nss": "NSS (deviations) ↑"}


def recipe_table(recipe: Recipe) -> pd.DataFrame:
    """A recipe in words: every entry, its value, what it is if left out, and what it means."""
    meanings = dict(re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", Recipe.__doc__ or "", flags=re.MULTILINE))
    rows = [
        (
            each.name.upper(),
            str(getattr(recipe, each.name)),
            "" if each.default is MISSING else str(each.default),
            re.sub(r"\s+", " ", meanings[each.name]).replace("`", ""),
        )
        for each in fields(Recipe)
    ]
    return pd.DataFrame(rows, columns=["entry", "value", "if left out", "meaning"])


def batch_pictures(
    items: Sequence[Mapping[str, Tensor]], samples: Sequence[Sample], sources: Sequence[Source], title: str
) -> Figure:
    """Samples as a student meets them: the ends of each clip, where people looked, and what the teacher says of it.

    Args:
        items: of a `tinyhd_lib.training.dataset.DistillationSet`.
        samples: what they were made of.
        sources: the videos.
        title: of the figure.
    """
    rows, notes = {}, {}
    for number, (item, sample) in enumerate(zip(items, samples, strict=True)):
        clip = item["clip"].numpy().transpose(1, 2, 3, 0) * np.array(STD) + np.array(MEAN)
        frames = np.rint(255 * clip.clip(0, 1)).astype(np.uint8)
        shown = [frames[0], frames[-1]]
        for place, name in enumerate(("label", "map"), start=len(shown)):
            known = name in item and bool(item[name][0, -1].any())
            shown.append(_overlaid(frames[-1], item[name][0, -1].numpy()) if known else frames[-1])
            if not known:
                notes[number, place] = "not known"
        rows[_in_words(sample, sources)] = shown
    columns = ["first frame", "last frame", "where people looked", "teacher's map"]
    return picture_grid(rows, columns, title=title, notes=notes, width=2.2)


def cache_table(
    recipe: Recipe, teacher: Teacher | None, live: Teacher | None, sources: Sequence[Source], batch: Sequence[Sample]
) -> pd.DataFrame:
    """What the teacher's cache costs, and what it saves for a batch.

    Args:
        recipe: that says how many clips it may ever draw.
        teacher: with the cache, which is filled with the answers to the batch.
        live: the same one without.
        sources: the videos.
        batch: samples of an epoch.

    Returns:
        rows of ``what``, ``value`` and ``unit``.

    Raises:
        BadInput: there is no teacher.
    """
    if teacher is None or live is None:
        raise BadInput("TEACHERS: this recipe names none, and nothing can be distilled; name one")
    clips = [sample.clip for sample in batch]
    jobs = teacher.prepare(sources, clips)
    filling = _seconds(jobs)
    without, with_it = (
        _seconds([partial(each.targets, sources[clip.video], clip) for clip in clips]) for each in (live, teacher)
    )
    rows = [
        ("all answers that the recipe may ever need", teacher.size(clip_counts(sources, recipe)) / 2**20, "MiB"),
        ("of this batch, not in the cache yet", len(jobs), "files"),
        ("computing and keeping them", filling, "s"),
        ("answers to the batch, without the cache", without, "s"),
        ("answers to the batch, with it", with_it, "s"),
    ]
    return pd.DataFrame(rows, columns=["what", "value", "unit"])


def curves(entries: Sequence[Entry]) -> Figure:
    """Plot a log.

    Args:
        entries: what `tinyhd_lib.training.loop.train` yields, or `read_log` reads.

    Returns:
        the terms of the loss on the left, faint as they are and smoothed; the validation scores on the right.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    panels = figure.subplot_mosaic([["terms", name] for name in _SCORES], width_ratios=[2, 1])
    steps = [entry for entry in entries if "terms" in entry]
    for name in [name for name in _LOOKS if any(name in entry["terms"] for entry in steps)]:
        _term_line(panels["terms"], *_series(steps, "terms", "step", name), name)
    scored = [entry for entry in entries if "scores" in entry]
    for name, label in _SCORES.items():
        where, values = _series(scored, "scores", "epoch", name)
        panels[name].plot(where, values, marker="o", color="#0072b2", markersize=4)
        panels[name].set_ylabel(label, fontsize=8)
        panels[name].tick_params(labelsize=8, labelbottom=name == "nss")
        panels[name].ticklabel_format(axis="y", useOffset=False)
        panels[name].sharex(panels["nss"])
    unit = "nats (levels: variances)" if "levels" in {line.get_label() for line in panels["terms"].lines} else "nats"
    panels["terms"].set(xlabel="step", ylabel=unit, title="terms of the loss", yscale="log")
    panels["kl"].set_title("validation")
    panels["nss"].set_xlabel("epoch")
    if steps:
        panels["terms"].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    for axes in panels.values():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def watch(entries: Iterable[Entry], seconds: float = 5.0) -> Iterator[Entry]:
    """Pass a training on, and keep its `curves` up to date below a notebook's cell; also when it is left half-way.

    Args:
        entries: a training under way.
        seconds: between two pictures, at least.
    """
    from IPython.display import display

    seen: list[Entry] = []
    handle = display(curves(seen), display_id=True)
    drawn = time.monotonic()
    try:
        for entry in entries:
            seen.append(entry)
            if time.monotonic() - drawn > seconds:
                handle.update(curves(seen))
                drawn = time.monotonic()
            yield entry
    finally:
        if isinstance(entries, Generator):
            entries.close()  # now, and not when it is collected: until then nobody else may use its folder
        handle.update(curves(seen))


def resumed_curve(first: Sequence[Entry], rest: Sequence[Entry]) -> Figure:
    """The loss of a training that was cut off and went on.

    Args:
        first: what it yielded before it was cut off.
        rest: what it yielded afterwards, from its last checkpoint on.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    looks = {"first part": (first, "o-", "#e69f00", 8), "second part": (rest, "o-", "#0072b2", 3)}
    for name, (part, style, colour, size) in looks.items():
        where, values = _series([entry for entry in part if "terms" in entry], "terms", "step", "loss")
        axes.plot(where, values, style, color=colour, markersize=size, linewidth=1, markerfacecolor="none", label=name)
        if name == "second part" and len(where):
            axes.axvline(where[0] - 0.5, color="#999999", linestyle="--", linewidth=1, label="last checkpoint")
    axes.set(xlabel="step", ylabel="loss (weighted sum, nats)", title="one training in two parts")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small")
    return figure


def score_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """The validation scores of a log, a row an epoch."""
    return pd.DataFrame([{"epoch": each["epoch"], **each["scores"]} for each in entries if "scores" in each])


def agreement_table(maps: Mapping[str, Map], teacher: str) -> pd.DataFrame:
    """How near models come to their teacher, as means over frames.

    Args:
        maps: (n, h, w) by the name of the model.
        teacher: which of them is held against the others.

    Returns:
        a row a model: ``kl`` of the teacher's maps from its own, in nats, and their correlation ``cc``.
    """
    rows = []
    for name in [name for name in maps if name != teacher]:
        said = torch.from_numpy(np.ascontiguousarray(maps[name], np.float32))
        wanted = torch.from_numpy(np.ascontiguousarray(resized(maps[teacher], (said.shape[1], said.shape[2]))))
        rows.append((name, float(kl_divergence(said, wanted).mean()), float(metrics.cc(said, wanted).mean())))
    return pd.DataFrame(rows, columns=["model", "kl", "cc"])


def before_after_pictures(
    frames: Sequence[Image], maps: Mapping[str, Map], numbers: Sequence[int], title: str
) -> Figure:
    """What several models say of the same frames.

    Args:
        frames: (H, W, 3) uint8 RGB each.
        maps: (n, h, w) by the name of the model.
        numbers: of the frames.
        title: of the figure.
    """
    rows: dict[str, Sequence[Image | Map]] = {"frame": frames}
    size = (frames[0].shape[0], frames[0].shape[1])
    rows |= {name: list(resized(each / each.mean(axis=(1, 2), keepdims=True), size)) for name, each in maps.items()}
    columns = [f"frame {number}" for number in numbers]
    return picture_grid(rows, columns, title=title, bar="times a uniform map", width=2.0)


def _term_line(axes: Axes, where: Map, values: Map, name: str) -> None:
    colour, style = _LOOKS[name]
    axes.plot(where, values, color=colour, alpha=0.2, linewidth=0.8)
    width = 2.2 if name == "loss" else 1.4
    axes.plot(where, _smoothed(values), style, color=colour, linewidth=width, label=name)


def _series(entries: Sequence[Entry], kind: str, axis: str, name: str) -> tuple[Map, Map]:
    """Where something was measured, and what."""
    points = [(entry[axis], entry[kind][name]) for entry in entries if name in entry[kind]]
    where, values = np.array(points, float).reshape(-1, 2).T
    return where, values


def _smoothed(values: Map) -> Map:
    """An exponential moving average that begins at the first value; the fewer values there are, the quicker."""
    smoothing = min(_SMOOTHING, max(0.0, 1 - 10 / max(len(values), 1)))
    smooth = values.copy()
    for place in range(1, len(values)):
        smooth[place] = smoothing * smooth[place - 1] + (1 - smoothing) * values[place]
    return smooth


def _seconds(jobs: Iterable[Callable[[], object]]) -> float:
    begun = time.perf_counter()
    for job in jobs:
        job()
    return time.perf_counter() - begun


def _overlaid(frame: Image, saliency: Map) -> Image:
    return draw(frame, to_grey(saliency, (frame.shape[0], frame.shape[1]), own_bounds(saliency)), Style())


def _in_words(sample: Sample, sources: Sequence[Source]) -> str:
    """Which frames of which video, and what was done to them."""
    clip, variation = sample.clip, sample.variation
    _, _, height, width = variation.box
    done = ["backwards" if clip.step < 0 else "", f"step {abs(clip.step)}" if abs(clip.step) > 1 else ""]
    done += ["flipped" if clip.flip else "", f"cut to {height:.0%} x {width:.0%}" if min(height, width) < 1 else ""]
    frames = f"{clip.start} to {clip.start + (CLIP_FRAMES - 1) * clip.step}"
    return "\n".join([sources[clip.video].video.name, frames, *filter(None, done)])
