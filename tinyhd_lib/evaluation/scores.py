"""Compute the scores of one frame: which metrics, in which order, and what each of them needs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from tinyhd_lib import metrics
from tinyhd_lib.data.gaze import GroundTruth, blur
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.evaluation.options import ScoringProtocol
from tinyhd_lib.metrics.arrays import Fixations, Prepared, resize


@dataclass(frozen=True)
class Target:
    """Hold what a prediction is scored against.

    Attributes:
        truth: where people looked in this frame.
        others: (H, W) bool: fixations in other videos, the negatives of sAUC.
        protocol: how to compute.
        centre: a centre bias, where predictions are densities; None where they are not.
        sigma: standard deviation in pixels of the blur that made the saliency map, where densities are also scored with
            the same blur (`MATCHED`); None where they are not.
        emd: whether the earth mover's distance is computed, too.
    """

    truth: GroundTruth
    others: Image | Fixations
    protocol: ScoringProtocol
    centre: Prepared | None = None
    sigma: float | None = None
    emd: bool = False

    @cached_property
    def saliency(self) -> Prepared:
        """Return the ground truth's saliency map."""
        return metrics.prepare(self.truth.saliency)

    @cached_property
    def fixations(self) -> Fixations:
        """Return the ground truth's fixations."""
        return metrics.prepare_fixations(self.truth.fixations)

    @cached_property
    def uniform(self) -> Prepared:
        """Return a uniform map of the ground truth's size."""
        return metrics.prepare(np.broadcast_to(1.0, self.truth.fixations.shape))  # a view of one value


class Metric(NamedTuple):
    """Describe a column of every table.

    Attributes:
        name: as in the literature.
        score: (prediction at the ground truth's size, target) -> the score, NaN where it is undefined.
        higher_is_better: whether a higher score is better.
    """

    name: str
    score: Callable[[Prepared, Target], float]
    higher_is_better: bool = True


def _kl(saliency: Prepared, target: Target) -> float:
    return metrics.kl_div(saliency, target.saliency, target.protocol.kl_epsilon)


METRICS: tuple[Metric, ...] = (
    Metric("AUC-J", lambda saliency, target: metrics.auc_judd(saliency, target.fixations)),
    Metric("AUC", lambda saliency, target: metrics.auc_rank(saliency, target.fixations)),
    Metric("AUC-B", lambda saliency, target: metrics.auc_borji(saliency, target.fixations)),
    Metric("sAUC", lambda saliency, target: metrics.auc_shuffled(saliency, target.fixations, target.others)),
    Metric("CC", lambda saliency, target: metrics.cc(saliency, target.saliency)),
    Metric("SIM", lambda saliency, target: metrics.sim(saliency, target.saliency)),
    Metric("NSS", lambda saliency, target: metrics.nss(saliency, target.fixations)),
    Metric("KL", _kl, higher_is_better=False),
)

OF_DENSITIES = (
    Metric("IG", lambda given, target: metrics.information_gain(given, target.fixations, target.centre)),
    Metric("LL", lambda given, target: metrics.information_gain(given, target.fixations, target.uniform)),
)
"""Information gain of a density in bits per fixation: over the centre bias (IG), and over a uniform density (LL)."""


def spread_of(truth: GroundTruth) -> float:
    """Return the standard deviation, in pixels, with which blurred fixations correlate best with the saliency map."""
    from scipy.optimize import minimize_scalar  # slow to import, and seldom needed

    scale = max(1.0, max(truth.fixations.shape) / 640)  # larger maps take seconds for the same result
    counts, saliency = (_smaller(each, scale) for each in (truth.fixations.astype(np.float32), truth.saliency))
    unlike = lambda sigma: -metrics.cc(blur(counts, sigma), saliency)  # noqa: E731
    most = max(1.0, max(counts.shape) / 4)
    return scale * float(minimize_scalar(unlike, bounds=(0.5, most), method="bounded").x)


def _blurred(density: Map, sigma: float) -> Map:
    """Return a density blurred like the ground truth; a wide blur is computed on a coarser grid.

    There CC is within 1e-5 of that of the exact blur if the density is smooth, and within 1e-3 if it is noise.
    """
    scale = max(1.0, sigma / 8)
    coarse = blur(_smaller((density / (density.max() or 1)).astype(np.float32), scale), sigma / scale)
    return resize(coarse, density.shape) if scale > 1 else coarse


def _smaller(saliency: Map, scale: float) -> Map:
    height, width = (max(1, round(side / scale)) for side in saliency.shape)
    return cv2.resize(saliency, (width, height), interpolation=cv2.INTER_AREA) if scale > 1 else saliency


MATCHED = (
    Metric("CC matched", lambda blurred, target: metrics.cc(blurred, target.saliency)),
    Metric("KL matched", _kl, higher_is_better=False),
)
"""Metrics of a density that was blurred like the ground truth: of the saliency map that the density predicts.

Source: Kuemmerer, Wallis and Bethge, "Saliency Benchmarking Made Easy", ECCV 2018; see docs/evaluation.md.
"""

EMD = Metric("EMD", lambda saliency, target: metrics.emd(saliency, target.saliency), higher_is_better=False)


def metrics_in(columns: Iterable[str]) -> list[Metric]:
    """Return the metrics that a table has, in their order."""
    return [metric for metric in (*METRICS, *OF_DENSITIES, *MATCHED, EMD) if metric.name in set(columns)]


def score(given: Map | Prepared, target: Target) -> dict[str, float]:
    """Return all metrics of one prediction (h, w), resized to the ground truth's size if it differs."""
    saliency = metrics.prepare(given, target.truth.fixations.shape)
    chosen = [*METRICS, *(OF_DENSITIES if target.centre is not None else ())]
    found = {metric.name: metric.score(saliency, target) for metric in chosen}
    if target.sigma:
        blurred = metrics.prepare(_blurred(saliency.maps, target.sigma))
        found |= {metric.name: metric.score(blurred, target) for metric in MATCHED}
    return found | {metric.name: metric.score(saliency, target) for metric in [EMD] * target.emd}
