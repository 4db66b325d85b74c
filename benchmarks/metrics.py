"""Speed of the metrics, compared with loops that follow their definitions, in the same run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from benchmarks.report import Benchmark, Report
from tinyhd_lib import metrics
from tinyhd_lib.data.gaze import blur
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.engine import connected, results
from tinyhd_lib.overlap import keep_freed_memory
from tinyhd_lib.records import usable_cores

SPLITS = 100
STEPS = np.arange(11) / 10


def loop_auc_judd(saliency: Map, fixations: Image) -> float:
    """Return AUC-Judd computed as in the benchmark's MATLAB code: a pass over the map for each fixation."""
    thresholds = np.sort(saliency[fixations])[::-1]
    pixels, count = saliency.size, len(thresholds)
    hits, alarms = np.zeros(count + 2), np.zeros(count + 2)
    hits[-1] = alarms[-1] = 1
    for index, threshold in enumerate(thresholds, start=1):
        above = (saliency >= threshold).sum()
        hits[index], alarms[index] = index / count, (above - index) / (pixels - count)
    return float(np.trapezoid(hits, alarms))


def loop_auc_splits(saliency: Map, fixations: Image, places: np.ndarray, rng: np.random.Generator) -> float:
    """Return AUC-Borji or the shuffled AUC likewise: draw, threshold and integrate for each of 100 splits.

    Args:
        saliency: (H, W).
        fixations: (H, W) bool.
        places: flat indices that the negatives are drawn from.
        rng: draws them, without replacement.
    """
    stretched = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    fixated, areas = stretched[fixations], []
    for _ in range(SPLITS):
        drawn = stretched.ravel()[rng.choice(places, min(len(fixated), len(places)), replace=False)]
        hits = [0.0, *((fixated >= step).sum() / len(fixated) for step in STEPS[::-1]), 1.0]
        alarms = [0.0, *((drawn >= step).sum() / len(drawn) for step in STEPS[::-1]), 1.0]
        areas.append(np.trapezoid(hits, alarms))
    return float(np.mean(areas))


def loop_others(saliency: Map, fixations: Image, truth: Map) -> tuple[float, ...]:
    """Return CC, NSS, SIM and KL by their definitions."""
    standard = (saliency - saliency.mean()) / saliency.std(ddof=1)
    true_standard = (truth - truth.mean()) / truth.std(ddof=1)
    stretched, true_stretched = ((each - each.min()) / (each.max() - each.min()) for each in (saliency, truth))
    common = np.minimum(stretched / stretched.sum(), true_stretched / true_stretched.sum())
    prediction, density = saliency / saliency.sum(), truth / truth.sum()
    epsilon = np.finfo(float).eps
    return (
        float(np.corrcoef(standard.ravel(), true_standard.ravel())[0, 1]),
        float(standard[fixations].mean()),
        float(common.sum()),
        float((density * np.log(epsilon + density / (prediction + epsilon))).sum()),
    )


def scene(size: str, fixations: int, seed: int = 0) -> tuple[Map, Image, Map, Image]:
    """Return a prediction, fixations, their map and other fixations, of a size (``640x360``); W is 32 degrees."""
    width, height = map(int, size.split("x"))
    rng = np.random.default_rng(seed)
    looked, other = np.zeros((height, width), bool), np.zeros((height, width), bool)
    for where in (looked, other):
        where.ravel()[rng.choice(where.size, fixations, replace=False)] = True
    truth = blur(looked.astype(np.float32), width / 32).astype(float)
    prediction = truth + blur(rng.random(truth.shape).astype(np.float32), width / 32) * truth.mean()
    return prediction, looked, truth, other


def all_seven(saliency: Map, fixations: Image, truth: Map, others: Image) -> None:
    """Compute one frame's seven metrics with `tinyhd_lib.metrics`, of maps prepared once, as in an evaluation."""
    prediction, people = metrics.prepare(saliency), metrics.prepare(truth)
    metrics.auc_judd(prediction, fixations)
    metrics.auc_borji(prediction, fixations)
    metrics.auc_shuffled(prediction, fixations, others)
    metrics.cc(prediction, people)
    metrics.nss(prediction, fixations)
    metrics.sim(prediction, people)
    metrics.kl_div(prediction, people)


def loop_seven(saliency: Map, fixations: Image, truth: Map, others: Image) -> None:
    """Compute one frame's seven metrics with the loops."""
    rng = np.random.default_rng(0)
    loop_auc_judd(saliency, fixations)
    loop_auc_splits(saliency, fixations, np.arange(saliency.size), rng)
    loop_auc_splits(saliency, fixations, np.flatnonzero(others), rng)
    loop_others(saliency, fixations, truth)


@dataclass(frozen=True, kw_only=True)
class Metrics(Benchmark):
    """Measure the metrics of a frame, and loops as in published code, in turns.

    Attributes:
        sizes: of the frame, WIDTHxHEIGHT.
        fixations: number of fixations per frame.
        repeats: timed turns, after one to warm up.
        workers: number of processes that score at the same time; one per core if None.
    """

    sizes: tuple[str, ...] = ("640x360", "1920x1080")
    fixations: tuple[int, ...] = (100, 1000)
    repeats: int = 10
    workers: int | None = None

    def measure(self) -> Report:
        """Return ``metrics``: median milliseconds per frame; and ``processes``: frames per second of all processes."""
        keep_freed_memory()  # as in an evaluation's processes; the loops benefit, too
        workers = self.workers or usable_cores()
        frames, spread = [], []
        for size, fixations in product(self.sizes, self.fixations):
            given = scene(size, fixations)
            runs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
                "auc_judd": (partial(loop_auc_judd, *given[:2]), partial(metrics.auc_judd, *given[:2])),
                "all seven": (partial(loop_seven, *given), partial(all_seven, *given)),
            }
            for what, (loop, ours) in runs.items():
                frames.append({"what": what, "size": size, "fixations": fixations, **_paired(ours, loop, self.repeats)})
            with connected(workers) as client:
                rates = list(results(partial(_rate, size, repeats=self.repeats * 5), [fixations] * workers, client))
            times_loop = round(sum(rates) * frames[-1]["loop_ms"] / 1e3, 1)
            speed = {"frames_per_second": round(sum(rates), 1), "times_loop": times_loop}
            spread.append({"size": size, "fixations": fixations, "workers": workers, **speed})
        return {"metrics": frames, "processes": spread}


def _paired(ours: Callable[[], object], loop: Callable[[], object], repeats: int) -> dict[str, float]:
    times = np.array([[_milliseconds(loop), _milliseconds(ours)] for _ in range(repeats + 1)])[1:]
    slow, fast = np.median(times, axis=0)
    ratio = float(np.median(times[:, 0] / times[:, 1]))
    return {"ms": round(float(fast), 2), "loop_ms": round(float(slow), 2), "times_loop": round(ratio, 1)}


def _milliseconds(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - begun)


def _rate(size: str, fixations: int, repeats: int) -> float:
    given = scene(size, fixations)
    all_seven(*given)
    return 1e3 * repeats / sum(_milliseconds(lambda: all_seven(*given)) for _ in range(repeats))
