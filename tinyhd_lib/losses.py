"""The losses of distillation: measures of difference between maps, and the terms that a recipe weights.

Source: the paper's section 3.4 and docs/model.md. Pure functions on tensors, computed in float32 whatever the
precision around them: torch's autocast affects none of the operations that they use.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.student import SaliencyOutput

Targets = Mapping[str, Tensor]
"""Targets of a student, each (N, C, T, H, W): ``label`` (zero for frames without ground truth), and the teacher's
``map``, ``d1`` (C = 4, from the finest level to the coarsest), ``d2`` and ``d3``."""

OfLabels = Literal["ground_truth", "ground_truth_cc", "ground_truth_nss", "d2_ground_truth", "d3_ground_truth"]
"""Names of the terms of the ground truth; the published weight of the last two, where used, is 0.5."""

OfAnswers = Literal["teacher_map", "teacher_cc", "d1", "d2", "d3"]
"""Names of the terms of a teacher's maps."""

OfFeatures = Literal["blocks", "features"]
"""Names of the terms of a teacher's features, see `tinyhd_lib.training.learner.BesideTeacher`."""

Term = Literal[OfLabels, OfAnswers, OfFeatures]
"""The name of a term."""

PUBLISHED_WEIGHTS: dict[Term, float] = {"ground_truth": 1.0, "teacher_map": 1.0, "d1": 1.0}
"""The terms with HD2S as the teacher; with a larger student as the teacher, d2 and d3 are added, also of weight 1."""

_SMALLEST = torch.finfo(torch.float32).tiny


def kl_divergence(prediction: Tensor, target: Tensor) -> Tensor:
    """Return KL(p || q) of every frame, p the target and q the prediction, each divided by its own sum.

    0 log 0 is 0; there is no epsilon. A prediction that underflowed to zero counts as the smallest float32.

    Args:
        prediction: (..., H, W), not negative.
        target: (..., H, W), not negative.

    Returns:
        (...) in nats, float32, 0 or more; 0 for a target that is all zero, from which nothing is learnt.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
    q = _float(prediction).flatten(-2).clamp(min=_SMALLEST)
    p = _float(target).flatten(-2)
    p = p / p.sum(-1, keepdim=True).clamp(min=_SMALLEST)
    log_q = q.log() - q.sum(-1, keepdim=True).log()
    return (torch.xlogy(p, p) - p * log_q).sum(-1)


def decorrelation(prediction: Tensor, target: Tensor) -> Tensor:
    """Return 1 - CC of every frame, 0 if a prediction is proportional to its target; shapes as of `kl_divergence`."""
    return 1 - (_standardised(prediction) * _standardised(target)).mean(-1)


def missed_peaks(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the negative expected NSS of every frame, for fixations distributed like the target.

    It is the mean of the standardised prediction, weighted by the target: the measure here that favours sharp peaks.
    Shapes as of `kl_divergence`.
    """
    p = _float(target).flatten(-2)
    return -(_standardised(prediction) * p).sum(-1) / p.sum(-1).clamp(min=_SMALLEST)


def unexplained(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of features, relative to their variance: 0 if equal, about 1 for their mean.

    A tenth of the mean variance is added to each channel's, for channels that hardly vary.

    Args:
        prediction: (N, C, T, H, W).
        target: likewise.
    """
    prediction, target = _float(prediction), _float(target)
    variance = target.var((0, 2, 3, 4), keepdim=True)
    return ((prediction - target).square() / (variance + variance.mean() / 10).clamp(min=_SMALLEST)).mean()


def taught_mean(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean of one value per frame over the frames whose target is not all zero; 0 if there are none."""
    taught = (target.flatten(-2).amax(-1) > 0).float()
    return (values * taught).sum() / taught.sum().clamp(min=1)


def mean_kl(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the `taught_mean` of `kl_divergence`."""
    return taught_mean(kl_divergence(prediction, target), target)


def distillation_terms(output: SaliencyOutput, decoders: tuple[str, ...], targets: Targets) -> dict[str, Tensor]:
    """Return all terms for which there are targets, unweighted, by name (a `Term`).

    The four maps of D1 are summed; everything else is a mean over frames. The label terms only count labelled frames.
    If a decoder gives one map per clip and the target has several, it is compared with their mean (of raw maps).

    Args:
        output: of the student.
        decoders: the names of its side maps, in order; equal decoders (``d3``, ``d3_2``) add up to one term.
        targets: ``label`` and ``map`` have as many frames as the student has outputs.
    """
    fused = output.frames
    terms: dict[str, Tensor] = {}
    if "label" in targets:
        label = targets["label"]
        terms["ground_truth"] = mean_kl(fused, label)
        terms["ground_truth_cc"] = taught_mean(decorrelation(fused, label), label)
        terms["ground_truth_nss"] = taught_mean(missed_peaks(fused, label), label)
    if "map" in targets:
        terms["teacher_map"] = mean_kl(fused, targets["map"])
        terms["teacher_cc"] = taught_mean(decorrelation(fused, targets["map"]), targets["map"])
    for name, maps in zip(decoders, output.side_maps, strict=True):
        kind = name.partition("_")[0]
        if kind in targets:
            target = targets.get(name, targets[kind])
            target = target.mean(dim=2, keepdim=True) if maps.shape[2] == 1 else target
            found = torch.stack([mean_kl(maps[:, c], target[:, c]) for c in range(maps.shape[1])]).sum()
            terms[kind] = terms.get(kind, 0) + found
        if kind != "d1" and "label" in targets:
            repeated = maps.expand(-1, -1, targets["label"].shape[2], -1, -1)
            place = f"{kind}_ground_truth"
            terms[place] = terms.get(place, 0) + mean_kl(repeated, targets["label"])
    return terms


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[Term, float]) -> Tensor:
    """Return the loss: the weighted sum of the terms of `distillation_terms`; missing terms are skipped.

    Raises:
        BadInput: all terms with a weight are missing.
    """
    weighed = {name: weight for name, weight in weights.items() if weight}
    present = [weight * terms[name] for name, weight in weighed.items() if name in terms]
    if not present:
        raise BadInput(f"TERMS: these data and teachers give none of {', '.join(weighed)}")
    return torch.stack(present).sum()


def _standardised(maps: Tensor) -> Tensor:
    """Return flattened maps (..., H * W) of mean 0 and standard deviation 1; of 0 if a map is constant."""
    values = _float(maps).flatten(-2)
    centred = values - values.mean(-1, keepdim=True)
    return centred / centred.square().mean(-1, keepdim=True).clamp(min=_SMALLEST).sqrt()


def _float(values: Tensor) -> Tensor:
    """Return values in float32, or in float64 if they are (for gradient checks)."""
    return values if values.dtype == torch.float64 else values.float()
