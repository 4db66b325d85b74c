"""The network as a graph that other runtimes read."""

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from tinyhd_lib.models.student import TinyHD


class MapOnly(nn.Module):
    """The model without its side maps."""

    def __init__(self, model: TinyHD) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> Tensor:
        """The fused map."""
        fused: Tensor = self.model(clip).map
        return fused


def exported_program(module: nn.Module, shape: tuple[int, ...]) -> ExportedProgram:
    """The forward pass of a clip of a fixed shape, in evaluation mode, as `torch.export` sees it."""
    with torch.no_grad():
        return torch.export.export(module.eval(), (torch.zeros(shape),))
