"""Build a student for training, alone or beside its teacher, with optimiser, learning rates and average; and score it.

Source of the published parameter groups and schedule: the paper, section 4 (docs/model.md).
"""

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Clip, Source, clip_frames, clip_truth, resized
from tinyhd_lib.errors import BadInput
from tinyhd_lib.losses import OfFeatures, Targets, kl_divergence, unexplained
from tinyhd_lib.models.checkpoints import load_model, read_state
from tinyhd_lib.models.graph import normalised, planes
from tinyhd_lib.models.spec import Sampling
from tinyhd_lib.models.student import SaliencyOutput, TinyHD, build_model, inflate_mobilenet_v2
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.samples import LeftOut, output_frames, validation_clips
from tinyhd_lib.training.teachers import Teacher

logger = logging.getLogger(__name__)


def build_student(recipe: Recipe) -> TinyHD:
    """Build the recipe's student with its initial weights, ready to train.

    Frozen parts are not trained, and the statistics of their batch norms stay fixed, too.

    Raises:
        BadInput: the initial weights cannot be read.
    """
    torch.manual_seed(recipe.seed)
    student = build_model(recipe.spec)
    student.sampling = Sampling.best(recipe.spec)
    kind, _, file = (recipe.start or "").partition(":")
    if kind == "mobilenet_v2":
        inflate_mobilenet_v2(student, read_state(Path(file)))
    elif kind == "encoder":
        take_what_fits(student, load_model(file), "encoder.")
    elif recipe.start:
        take_what_fits(student, load_model(recipe.start))
    student.train()
    parts = {"encoder": student.encoder, "fusion": student.fusion, **student.decoders}
    for part in (parts[name] for name in recipe.freeze if name in parts):
        part.eval().requires_grad_(requires_grad=False)
    return student


def take_what_fits(student: TinyHD, start: TinyHD, part: str = "") -> None:
    """Copy every tensor of another model that matches in name and shape; the rest keeps its initial values, with a log.

    Args:
        student: is changed.
        start: the other model.
        part: prefix of the names of the tensors to copy.
    """
    fresh, known = student.state_dict(), start.state_dict()
    named = {name: value for name, value in known.items() if name in fresh and name.startswith(part)}
    fitting = {name: value for name, value in named.items() if fresh[name].shape == value.shape}
    student.load_state_dict(fresh | fitting)
    if len(fitting) < len(fresh):
        told = start.spec.label, len(fitting), len(fresh), student.spec.label
        logger.info("START: %s gives %d of the %d tensors of %s, the rest is initialised", *told)


class BesideTeacher(nn.Module):
    """A student beside a teacher of the same model, which gets the same clips as the student, augmentation included.

    Features are distilled: the output of every block of the encoder is compared with that of the teacher's block. With
    the term ``blocks``, each block takes the input of the teacher's block, and the decoders take the teacher's
    features, so no block has to wait until those before it are trained. With the term ``features``, each block takes
    the output of the student's block before it, so that accumulated errors are corrected, too. Source of the ideas: Li
    et al., Block-wisely Supervised Neural Architecture Search with Knowledge Distillation, CVPR 2020; Romero et al.,
    FitNets, ICLR 2015; see docs/training.md.

    Args:
        student: is trained.
        teacher: is fixed.
        apart: whether the student's blocks and decoders read the teacher's features instead of the student's own.
    """

    def __init__(self, student: TinyHD, teacher: TinyHD, *, apart: bool) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher.eval().requires_grad_(requires_grad=False)
        self.apart = apart

    def forward(self, clip: Tensor) -> tuple[SaliencyOutput, Targets, Tensor]:
        """Return the student's output for a clip (N, 3, 16, H, W), the teacher's maps as targets, and the feature loss.

        The feature loss is the sum of `unexplained` over the blocks.
        """
        with torch.no_grad():
            said = self.teacher.encoder.blocks(clip)
            levels = self.teacher.encoder.pyramid(said)
            taught = self.teacher.fused(self.teacher.decode(levels))
        if self.apart:
            learnt = [block(x) for block, x in zip(self.student.encoder.features, (clip, *said), strict=False)]
        else:
            learnt = self.student.encoder.blocks(clip)
            levels = self.student.encoder.pyramid(learnt)
        wrong = torch.stack([unexplained(*each) for each in zip(learnt, said, strict=True)]).sum()
        targets = {"map": taught.frames, **dict(zip(self.teacher.spec.names, taught.side_maps, strict=True))}
        return self.student.fused(self.student.decode(levels)), targets, wrong


def beside_teacher(student: TinyHD, teacher: Teacher | None, term: OfFeatures) -> BesideTeacher:
    """Combine a student with the network of its teacher.

    Args:
        student: on the device where both are to run.
        teacher: must be a single network of the same model as the student.
        term: ``blocks`` or ``features``.

    Raises:
        BadInput: the teacher is anything else.
    """
    network = teacher.network if teacher else None
    if not isinstance(network, TinyHD) or network.spec != student.spec:
        raise BadInput(f"TERMS {term}: TEACHERS is one student of the same model as MODEL, {student.spec.label}")
    return BesideTeacher(student, network.to(next(student.parameters()).device), apart=term == "blocks")


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Return the published parameter groups: a lower rate for the encoder, twice the rate and no decay for biases.

    The fusion has a factor of its own (1 as published), since its few weights start small and must grow a lot. Scales
    of batch norms decay like weights; their shifts are biases. Each group has its ``base``, the rate that the schedule
    multiplies.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    factors = {".encoder.": recipe.encoder_lr, ".fusion.": recipe.fusion_lr}
    for name, parameter in model.named_parameters():
        rate = recipe.lr * next((factor for part, factor in factors.items() if part in f".{name}"), 1.0)
        key = (2 * rate, 0.0) if name.endswith("bias") else (rate, recipe.weight_decay)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "base": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimiser with `parameter_groups`."""
    groups = parameter_groups(model, recipe)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9)


def rate_factor(recipe: Recipe, epoch: float) -> float:
    """Return what the schedule multiplies every rate by.

    Args:
        recipe: with the schedule.
        epoch: number of epochs done, with its fraction.

    Examples:
        >>> rate_factor(Recipe("M-r4", labelled="gaze", milestones=(100, 150)), 120.5)
        0.1
    """
    if recipe.schedule == "steps":
        return 0.1 ** sum(milestone <= epoch for milestone in recipe.milestones)
    if epoch < recipe.warmup:
        return max(epoch / recipe.warmup, 0.01)
    rest = (epoch - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its base times ``factor``."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * factor


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], state: Mapping[str, Tensor], decay: float, steps: int) -> None:
    """Move an average of weights towards the current ones, faster during the first steps.

    Integer buffers, which count batches, are copied.
    """
    decay = min(decay, (1 + steps) / (10 + steps))
    weights = [name for name, value in average.items() if value.is_floating_point()]
    get_ema_multi_avg_fn(decay)([average[name] for name in weights], [state[name] for name in weights], steps)
    for name in average.keys() - weights:
        average[name].copy_(state[name])


@torch.inference_mode()
def frame_scores(
    student: TinyHD, sources: Sequence[Source], recipe: Recipe, teacher: Teacher | None, left_out: LeftOut
) -> pd.DataFrame:
    """Return a student's scores on clips of validation videos, one row per frame that has a target.

    Args:
        student: in evaluation mode.
        sources: the videos.
        recipe: sets the view, and the number of clips per video, see `validation_clips`.
        teacher: gives the target for videos without ground truth.
        left_out: reports videos that cannot be read.

    Returns:
        ``video`` and ``index``; ``kl`` to the labels, else to the teacher's map; where there are labels, ``cc`` too,
        and ``nss`` at the fixations, if the view is the whole frame; with several decoders, ``alike``: the mean squared
        CC over all pairs of them, by their maps of the clip's last frame.
    """
    rows: list[dict[str, Any]] = []
    device = next(student.parameters()).device
    for clip in validation_clips(sources, recipe.validation_clips):
        source = sources[clip.video]
        try:
            output = student(normalised(planes(torch.from_numpy(clip_frames(source, clip))[None].to(device))))
            maps = output.map.float().cpu().reshape(student.spec.outputs, *output.map.shape[-2:])
            scores = _scores(maps, source, clip, teacher, recipe.validation_view)
        except BadInput as error:
            left_out.tell(error)
            continue
        indices = clip.indices(source.count)[output_frames(student.spec.outputs)]
        opinions = [each[0, :, -1].mean(0).double().cpu().numpy() for each in output.side_maps]
        alike = [float(metrics.cc(*pair)) ** 2 for pair in combinations(opinions, 2) if np.ptp(pair, axis=(1, 2)).all()]
        clip_has = {"video": source.video.name, **({"alike": float(np.mean(alike))} if alike else {})}
        rows += [clip_has | {"index": int(n)} | known for n, known in zip(indices, scores, strict=False) if known]
    return pd.DataFrame(rows)


def means_over_videos(frames: pd.DataFrame) -> dict[str, float]:
    """Return means of `frame_scores` over frames, then over videos; none if there are no frames."""
    return frames.drop(columns="index").groupby("video").mean().mean().to_dict() if len(frames) else {}


def _scores(maps: Tensor, source: Source, clip: Clip, teacher: Teacher | None, view: str) -> list[dict[str, float]]:
    """Return the scores of each frame of a clip, from its maps (outputs, H, W)."""
    frames = output_frames(len(maps))
    if source.labelled:
        truth, indices = clip_truth(source, clip, frames), clip.indices(source.count)[frames]
        known = zip(maps, torch.from_numpy(truth), indices, strict=True)
        return [_against_people(*each, source, view) for each in known]
    if teacher is None:
        return []
    target = teacher.targets(source, clip)["map"][0]
    target = resized(target[frames] if len(target) > len(maps) else target, (maps.shape[1], maps.shape[2]))
    return [{"kl": float(each)} for each in kl_divergence(maps, torch.from_numpy(target.copy()))]


def _against_people(saliency: Tensor, density: Tensor, index: int, source: Source, view: str) -> dict[str, float]:
    """Return KL and CC where the density is not empty, and NSS at the video's own size where there are fixations."""
    scores = {}
    if density.any():
        scores = {"kl": float(kl_divergence(saliency, density)), "cc": float(metrics.cc(saliency, density))}
    truth = source.video.truth(index) if view == "whole" else None
    if truth is not None and truth.fixations.any():
        scores["nss"] = float(metrics.nss(saliency.double().numpy(), truth.fixations))
    return scores
