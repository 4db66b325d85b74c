"""Distillation of features: what every block of the encoder says is held against what the teacher's block says.

Block by block (the term ``blocks``), each reads what the teacher's block reads, and the decoders read the teacher's
features. So no block waits until those before it have learnt. Together (``features``), each reads what the student's
block before it says, so that errors which add up are learnt away. Source of the ideas: Li et al., Block-wisely
Supervised Neural Architecture Search with Knowledge Distillation, CVPR 2020; Romero et al., FitNets, ICLR 2015; see
docs/training.md.
"""

import torch
from torch import Tensor, nn

from tinyhd_lib.errors import BadInput
from tinyhd_lib.losses import OfFeatures, Targets, unexplained
from tinyhd_lib.models.student import SaliencyOutput, TinyHD
from tinyhd_lib.training.teachers import Teacher


class BesideTeacher(nn.Module):
    """A student beside a teacher of the same model, which looks at the very clips that the student is given.

    Args:
        student: learns.
        teacher: does not.
        apart: whether the student's blocks and decoders read the teacher's features instead of the student's own.
    """

    def __init__(self, student: TinyHD, teacher: TinyHD, *, apart: bool) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher.eval().requires_grad_(requires_grad=False)
        self.apart = apart

    def forward(self, clip: Tensor) -> tuple[SaliencyOutput, Targets, Tensor]:
        """Return what the student says of a clip (N, 3, 16, H, W), what the teacher says, and how its features differ.

        The latter is the sum of `unexplained` over the blocks.
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
    """Put a student beside the network of its teacher.

    Args:
        student: on the device where both are to compute.
        teacher: answers by a student of the same model.
        term: ``blocks`` or ``features``.

    Raises:
        BadInput: the teacher is anything else.
    """
    network = teacher.network if teacher else None
    if not isinstance(network, TinyHD) or network.spec != student.spec:
        raise BadInput(f"TERMS {term}: TEACHERS is one student of the same model as MODEL, {student.spec.label}")
    return BesideTeacher(student, network.to(next(student.parameters()).device), apart=term == "blocks")
