"""Quality and cost of ways to predict: agreement with real gaze, jumps over time, and frames per second."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml
from adjustText import adjust_text
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.report import Benchmark, Report, Row
from benchmarks.turns import take_turns
from tinyhd_lib import metrics
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.gaze import Gaze, blur, read_gaze
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.models.spec import INPUT_SIZE, Sampling
from tinyhd_lib.prediction.inference import saliency_maps
from tinyhd_lib.prediction.options import WindowOptions
from tinyhd_lib.runtime import Runtime, open_runtime

_EVERY = 5  # every 5th frame is scored
_SIGMA = 8.0  # standard deviation of the ground truth's Gaussian, in pixels at the model's own size


@dataclass(frozen=True, kw_only=True)
class Trade(Benchmark):
    """Compare ways to predict by their raw maps at the model's own size.

    Attributes:
        gaze: folders of gaze data sets, which no model was trained on.
        ways: weights, with options after an @: ``S-r4@every=8``, ``M-r4@smooth=0.2``.
        device: where all of them run.
        video: the video that speed is measured with, all ways in turns.
        repeats: number of turns.
    """

    gaze: tuple[Path, ...]
    ways: tuple[str, ...] = ("M-r4", "M-r4@smooth=0.2", *(f"S-r4@every={n}" for n in (1, 4, 8, 16, 32)))
    video: Path = Path("example_data/pursuit.mp4")
    device: str = "auto"
    repeats: int = 3

    def measure(self) -> Report:
        """Return ``trade``, one row per way: means over the frames of each video, then over videos."""
        videos = [video for folder in self.gaze for video in open_dataset("gaze", folder, None).videos]
        ways = [_way(each, self.device) for each in self.ways]
        frames = list(read_frames(self.video))
        runs = [lambda way=way: sum(1 for _ in saliency_maps(frames, *way)) for way in ways]
        speeds = len(frames) / np.median(take_turns(runs, self.repeats), axis=0)
        rows = []
        for name, (runtime, sampling), speed in zip(self.ways, ways, speeds, strict=True):
            scores = [_scores(video, runtime, sampling) for video in tqdm(videos, desc=name)]
            what = {"way": name, "label": runtime.spec.label, "runtime": runtime.name, **asdict(sampling)}
            means = {key: round(value, 4) for key, value in pd.DataFrame(scores).mean().items()}
            rows.append(what | means | {"frames_per_second": round(float(speed), 1)})
        return {"videos": [{"name": video.name, "frames": len(video.names)} for video in videos], "trade": rows}


def trade_plot(report: Report) -> Figure:
    """Return a plot of NSS and CC over frames per second, with one line for the ways of each model."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    rows = pd.DataFrame(report["trade"])
    rows["model"] = rows["way"].str.partition("@")[0]
    for axes, score in zip(figure.subplots(1, 2), ("nss", "cc"), strict=True):
        labels = []
        for (model, ways), colour in zip(rows.groupby("model", sort=False), _COLOURS, strict=False):
            by_speed = ways.sort_values("frames_per_second")
            axes.plot(by_speed["frames_per_second"], by_speed[score], "o-", color=colour, label=model)
            for _, way in by_speed.iterrows():
                labels.append(axes.text(way["frames_per_second"], way[score], _label(way), fontsize=7, color=colour))
        axes.set(xscale="log", xlabel="frames a second, decoded frames to maps", ylabel=score.upper())
        axes.margins(x=0.2, y=0.15)
        axes.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
        axes.minorticks_off()
        adjust_text(labels, ax=axes, expand=(1.4, 2.0))
        axes.grid(color="#eeeeee")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    figure.supxlabel(f"{report['hardware']}; {len(report['videos'])} videos with gaze", fontsize=8, color="#555555")
    return figure


_TICKS = (25, 50, 100, 200, 400, 800)
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")


def _label(way: Row) -> str:
    return "smoothed" if way["smooth"] else f"every {way['every']}"


def _way(text: str, device: str) -> tuple[Runtime, Sampling]:
    weights, *settings = text.split("@")
    options = {name: yaml.safe_load(value) for name, _, value in (each.partition("=") for each in settings)}
    runtime = open_runtime(weights, device)
    return runtime, WindowOptions(**options).sampling(runtime.spec, runtime.sampling)


def _scores(video: Video, runtime: Runtime, sampling: Sampling) -> Row:
    """Return NSS and CC of a video, and the mass of a map that moves at every sixteenth frame, and at others."""
    assert video.gaze is not None
    gaze, maps = read_gaze(video.gaze), list[Map]()
    scored: list[tuple[float, float]] = []
    for frame, saliency in saliency_maps(read_frames(video.source), runtime, sampling):
        assert saliency is not None
        maps.append(saliency / saliency.sum())
        if frame.index % _EVERY == 0:
            scored += _against(gaze.at(frame.index), saliency)
    moved = pd.Series([float(np.abs(after - before).sum() / 2) for before, after in pairwise(maps)], dtype=float)
    at_sixteenth = np.arange(1, len(maps)) % 16 == 0
    jumps = {"moved_at_16th": moved[at_sixteenth].mean(), "moved_elsewhere": moved[~at_sixteenth].mean()}
    return pd.DataFrame(scored, columns=["nss", "cc"]).mean().to_dict() | jumps


def _against(gaze: Gaze, saliency: Map) -> Iterator[tuple[float, float]]:
    counts = cv2.resize(gaze.counts(), INPUT_SIZE[::-1], interpolation=cv2.INTER_AREA)
    if counts.any():
        exact = saliency.astype(np.float64)
        yield float(metrics.nss(exact, counts > 0)), float(metrics.cc(exact, blur(counts, _SIGMA).astype(np.float64)))
