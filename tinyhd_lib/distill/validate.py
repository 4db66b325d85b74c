"""How good a student is in the middle of its training: divergence, correlation and NSS on clips it does not learn."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Clip, Source, clip_frames, clip_truth
from tinyhd_lib.distill.dataset import output_frames
from tinyhd_lib.distill.models import normalised
from tinyhd_lib.distill.teachers import Teacher
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.metrics.arrays import resize
from tinyhd_lib.models.student import TinyHD


@torch.inference_mode()
def validate(
    model: TinyHD, sources: Sequence[Source], clips: Sequence[Clip], teacher: Teacher | None, device: torch.device
) -> dict[str, float]:
    """Scores of a student, means over frames, then over videos.

    Args:
        model: the student; it is put into evaluation mode and back.
        sources: videos.
        clips: of them; whole clips are predicted at the size that the student predicts at.
        teacher: is held against the student where nothing is known of where people looked.
        device: that the student is on.

    Returns:
        ``kl`` to the labels, else to the teacher's map; ``cc`` and ``nss`` too where there are labels.
    """
    was_training = model.training
    model.eval()
    by_video: dict[int, list[dict[str, float]]] = {}
    frames = output_frames(model.spec.outputs)
    for clip in clips:
        source = sources[clip.video]
        saliency = model(normalised(torch.from_numpy(clip_frames(source, clip))[None].to(device))).map.float().cpu()
        maps = saliency.reshape(model.spec.outputs, *saliency.shape[-2:])
        if source.labelled:
            truth = torch.from_numpy(clip_truth(source, clip)[frames])
            scores = _against_people(maps, truth, source, clip.indices(source.count)[frames])
        else:
            assert teacher is not None
            target = torch.from_numpy(np.ascontiguousarray(teacher.targets(source, clip)["map"][0]))
            target = target[frames] if len(target) > len(maps) else target
            scores = [{"kl": float(each)} for each in kl_divergence(maps, target)]
        by_video.setdefault(clip.video, []).extend(scores)
    model.train(was_training)
    return _mean([_mean(scores) for scores in by_video.values() if scores])


def _against_people(maps: Tensor, truth: Tensor, source: Source, indices: Sequence[int]) -> list[dict[str, float]]:
    """The scores of every frame in which anybody looked."""
    scores = []
    for saliency, density, index in zip(maps, truth, indices, strict=True):
        known = source.video.truth(index)
        if known is None or not known.fixations.any() or not density.any():
            continue
        large = resize(saliency.double().numpy(), known.fixations.shape)
        scores.append(
            {
                "kl": float(kl_divergence(saliency, density)),
                "cc": float(metrics.cc(large, known.saliency)),
                "nss": float(metrics.nss(large, known.fixations)),
            }
        )
    return scores


def _mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = scores[0] if scores else {}
    return {name: float(np.mean([each[name] for each in scores if name in each])) for name in names}
