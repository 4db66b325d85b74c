"""A student as the loss sees it: its maps and its pyramid from one forward pass."""

from collections.abc import Sequence

from torch import Tensor, nn

from tinyhd_lib.models.encoder import pyramid_channels
from tinyhd_lib.models.student import SaliencyOutput, TinyHD


class Learner(nn.Module):
    """A student and what it needs only while it learns; one module, so that several processes can share it.

    Args:
        student: the student.
        hint_channels: of the teacher's pyramid, where hints are to be learnt. A pyramid of another width is led to the
            hints by 1x1 convolutions that are thrown away afterwards (Romero et al., FitNets, 2015).
        only_hints: decoders and fusion neither run nor learn.
    """

    def __init__(self, student: TinyHD, hint_channels: Sequence[int] = (), *, only_hints: bool = False) -> None:
        super().__init__()
        self.student = student
        pairs = zip(pyramid_channels(student.spec.reduction), hint_channels, strict=True) if hint_channels else ()
        self.regressors = nn.ModuleList(
            nn.Identity() if mine == hint else nn.Conv3d(mine, hint, kernel_size=1) for mine, hint in pairs
        )
        self._only_hints = only_hints
        if only_hints:
            for part in (student.decoders, student.fusion):
                part.requires_grad_(requires_grad=False)

    def forward(self, clip: Tensor) -> tuple[SaliencyOutput | None, tuple[Tensor, ...]]:
        """Maps, None where only hints are learnt, and the pyramid in the shapes of the hints, if there are any."""
        levels = self.student.encoder(clip)
        hinted = tuple(regressor(level) for regressor, level in zip(self.regressors, levels, strict=False))
        return (None if self._only_hints else self.student.decode(levels)), hinted
