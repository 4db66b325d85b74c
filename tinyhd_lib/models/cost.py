"""What a model costs, whatever it has learnt."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE


def count_parameters(model: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_gmac(model: nn.Module, size: tuple[int, int] = INPUT_SIZE) -> float:
    """Multiplications of one clip, in 10^9: half of what torch counts as floating-point operations.

    Nothing is computed: the model is counted as it is, on a device without memory.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.to("meta")(torch.zeros(1, 3, CLIP_FRAMES, *size, device="meta"))
    return counter.get_total_flops() / 2e9
