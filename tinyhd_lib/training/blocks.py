"""Block-wise distillation: each block of the encoder learns by itself, all of them at once.

It reads what the teacher's block reads, and is to say what that says; the decoders read the teacher's features. So no
block waits until those before it have learnt. Source of the idea: Li et al., Block-wisely Supervised Neural
Architecture Search with Knowledge Distillation, CVPR 2020; see docs/training.md.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn

from tinyhd_lib.losses import distillation_terms, unexplained
from tinyhd_lib.models.student import TinyHD


class Blockwise(nn.Module):
    """A student beside a teacher of the same model, which looks at the very clips that the student is given."""

    def __init__(self, student: TinyHD, teacher: TinyHD) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher.eval().requires_grad_(requires_grad=False)

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss for a clip (N, 3, 16, H, W), by their names in `tinyhd_lib.losses.TERMS`."""
        student, teacher = self.student, self.teacher
        with torch.no_grad():
            read, *said = accumulate(teacher.encoder.features, lambda x, block: block(x), initial=clip)
            levels = teacher.encoder.pyramid(said)
            taught = teacher.fused(teacher.decode(levels))
        blocks = zip(student.encoder.features, (read, *said[:-1]), said, strict=True)
        wrong = torch.stack([unexplained(block(x), target) for block, x, target in blocks]).sum()
        frames = taught.map if taught.map.ndim == 5 else taught.map.unsqueeze(2)
        targets = {"map": frames} | dict(zip(teacher.spec.names, taught.side_maps, strict=True))
        output = student.fused(student.decode(levels))
        return distillation_terms(output, student.spec.names, targets) | {"blocks": wrong}
