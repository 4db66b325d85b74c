"""Optimisers, schedules and averages: small functions of a recipe.

Source of the published groups and schedule: specification section 4.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tinyhd_lib.training.recipe import Recipe

_BIAS_FACTOR = 2.0


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """The published groups: the encoder slower than the rest, biases twice as fast and without decay.

    The fusion has a factor of its own (1 as published): its few weights begin small and have a long way to go.
    Scales of batch norms decay like weights; their shifts are biases. Each group has its ``base``, the rate that the
    schedule multiplies.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        factors = {".encoder.": recipe.encoder_lr, ".fusion.": recipe.fusion_lr}
        rate = recipe.lr * next((factor for part, factor in factors.items() if part in f".{name}"), 1.0)
        bias = name.endswith("bias")
        key = (rate * _BIAS_FACTOR, 0.0) if bias else (rate, recipe.weight_decay)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "base": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser with `parameter_groups`."""
    groups = parameter_groups(model, recipe)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9)


def rate_factor(recipe: Recipe, epoch: float) -> float:
    """What the schedule multiplies every rate by.

    Args:
        recipe: with the schedule.
        epoch: how many have passed, in fractions.
    """
    if recipe.schedule == "steps":
        return 0.1 ** sum(milestone <= epoch for milestone in recipe.milestones)
    if epoch < recipe.warmup:
        return max(epoch / recipe.warmup, 0.01)
    rest = (epoch - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Every group's rate to its base times ``factor``."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * factor


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], state: Mapping[str, Tensor], decay: float, steps: int) -> None:
    """Move an average of weights towards the present ones, quickly while only few steps were made.

    What counts batches, and is no weight, is taken over.
    """
    decay = min(decay, (1 + steps) / (10 + steps))
    for name, value in average.items():
        if value.is_floating_point():
            value.lerp_(state[name], 1 - decay)
        else:
            value.copy_(state[name])
