"""The scores of one frame: which metrics, in which order, and what each of them needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyhd_lib import metrics
from tinyhd_lib.data.gaze import GroundTruth
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.metrics import Dialect
from tinyhd_lib.metrics.arrays import resize


@dataclass(frozen=True)
class Scene:
    """What a prediction is held against.

    Attributes:
        truth: where people looked in this frame.
        others: (H, W) bool: where they looked in other videos, None where there are none.
        dialect: how to compute.
    """

    truth: GroundTruth
    others: Image | None
    dialect: Dialect


@dataclass(frozen=True)
class Metric:
    """A column of every table.

    Attributes:
        name: as the field writes it.
        score: (prediction at the ground truth's size, scene) -> the score, NaN where it is undefined.
        higher_is_better: its direction.
    """

    name: str
    score: Callable[[Map, Scene], float]
    higher_is_better: bool = True


def _shuffled(saliency: Map, scene: Scene) -> float:
    if scene.others is None:
        return float("nan")
    return metrics.auc_shuffled(saliency, scene.truth.fixations, scene.others)


def _kl(saliency: Map, scene: Scene) -> float:
    return metrics.kl_div(saliency, scene.truth.saliency, scene.dialect.kl_epsilon)


METRICS: tuple[Metric, ...] = (
    Metric("AUC-J", lambda saliency, scene: metrics.auc_judd(saliency, scene.truth.fixations)),
    Metric("AUC-B", lambda saliency, scene: metrics.auc_borji(saliency, scene.truth.fixations)),
    Metric("sAUC", _shuffled),
    Metric("CC", lambda saliency, scene: metrics.cc(saliency, scene.truth.saliency)),
    Metric("SIM", lambda saliency, scene: metrics.sim(saliency, scene.truth.saliency)),
    Metric("NSS", lambda saliency, scene: metrics.nss(saliency, scene.truth.fixations)),
    Metric("KL", _kl, higher_is_better=False),
)


def score(saliency: Map, scene: Scene) -> dict[str, float]:
    """All metrics of one prediction (h, w), resized to the ground truth if it has another size."""
    size = scene.truth.fixations.shape
    saliency = np.asarray(saliency, np.float64)
    if saliency.shape != size:
        saliency = resize(saliency, size)
    return {metric.name: metric.score(saliency, scene) for metric in METRICS}
