"""How good a student is in the middle of its training: divergence, correlation and NSS on clips it does not learn."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Clip, Source, clip_frames, clip_truth, resized
from tinyhd_lib.errors import BadInput
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.training.dataset import LeftOut, output_frames
from tinyhd_lib.training.models import normalised
from tinyhd_lib.training.teachers import Teacher


@torch.inference_mode()
def validate(  # noqa: PLR0913
    model: TinyHD,
    sources: Sequence[Source],
    clips: Sequence[Clip],
    teacher: Teacher | None,
    view: str = "whole",
    *,
    left_out: LeftOut | None = None,
) -> dict[str, float]:
    """Scores of a student, means over frames, then over videos; none if nothing of them can be measured.

    Args:
        model: the student, in evaluation mode.
        sources: videos.
        clips: of them.
        teacher: is held against the student where nothing is known of where people looked.
        view: how the sources are looked at.
        left_out: tells what cannot be read.

    Returns:
        ``kl`` to the labels, else to the teacher's map; where there are labels, ``cc`` too, and ``nss`` at the
        fixations of the whole frame, if that is seen.
    """
    by_video: dict[int, list[dict[str, float]]] = {}
    left_out = left_out or LeftOut()
    for clip in clips:
        try:
            scores = _scores(model, sources[clip.video], clip, teacher, view)
        except BadInput as error:
            left_out.tell(error)
            continue
        by_video.setdefault(clip.video, []).extend(scores)
    return _mean([_mean(scores) for scores in by_video.values() if scores])


def _scores(model: TinyHD, source: Source, clip: Clip, teacher: Teacher | None, view: str) -> list[dict[str, float]]:
    """What is known of the frames of one clip."""
    device, frames = next(model.parameters()).device, output_frames(model.spec.outputs)
    saliency = model(normalised(torch.from_numpy(clip_frames(source, clip))[None].to(device))).map.float().cpu()
    maps = saliency.reshape(model.spec.outputs, *saliency.shape[-2:])
    if source.labelled:
        truth = torch.from_numpy(clip_truth(source, clip)[frames])
        scores = [_against_density(*pair) for pair in zip(maps, truth, strict=True) if pair[1].any()]
        if view == "whole":
            scores += _against_fixations(maps, source, clip.indices(source.count)[frames])
        return scores
    if teacher is None:
        return []
    target = teacher.targets(source, clip)["map"][0]
    target = target[frames] if len(target) > len(maps) else target
    sized = torch.from_numpy(np.ascontiguousarray(resized(target, (maps.shape[1], maps.shape[2]))))
    return [{"kl": float(each)} for each in kl_divergence(maps, sized)]


def _against_density(saliency: Tensor, density: Tensor) -> dict[str, float]:
    return {"kl": float(kl_divergence(saliency, density)), "cc": float(metrics.cc(saliency, density))}


def _against_fixations(maps: Tensor, source: Source, indices: Sequence[int]) -> list[dict[str, float]]:
    """NSS at the video's own size, in every frame in which anybody looked."""
    scores = []
    for saliency, index in zip(maps, indices, strict=True):
        truth = source.video.truth(index)
        if truth is not None and truth.fixations.any():
            scores.append({"nss": float(metrics.nss(saliency.double().numpy(), truth.fixations))})
    return scores


def _mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every score over those that have it."""
    names = dict.fromkeys(name for each in scores for name in each)
    return {name: float(np.mean([each[name] for each in scores if name in each])) for name in names}
