"""Optimisers, schedules and averages: the published parameter groups, learning rates, and the weight average."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import REFERENCE, needs_shared, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tinyhd_lib.models.checkpoints import _published_name
from tinyhd_lib.training.learner import (
    build_optimiser,
    parameter_groups,
    rate_factor,
    set_rates,
    update_average,
)
from tinyhd_lib.training.recipe import Recipe

quick = settings(max_examples=60, deadline=None)

SMALL = Recipe(model="d2_S", labelled="gaze", lr=0.1, encoder_lr=0.25, weight_decay=0.003)
COSINE = replace(SMALL, schedule="cosine", warmup=2, epochs=20)


def settings_by_parameter(model: nn.Module, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """(learning rate, weight decay) of every parameter by name; each must be in exactly one group."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = build_optimiser(model, recipe).param_groups
    found = [(names[each], (group["lr"], group["weight_decay"])) for group in groups for each in group["params"]]
    assert sorted(name for name, _ in found) == sorted(names.values())
    return dict(found)


@needs_shared
@pytest.mark.parametrize("row", ["d123s_rc4_rc1T", "d123m_rc4_rc1T", "d1d2d3_M_lt"])
def test_the_groups_are_the_published_ones(row: str) -> None:
    published = json.loads((REFERENCE / "golden/losses.json").read_text())["optimizer_groups_at_lr_0.01"]
    model = random_model(row)
    found = settings_by_parameter(model, Recipe(model=row, labelled="gaze"))
    by_group: dict[str, set[str]] = {}
    for name, (rate, decay) in found.items():
        by_group.setdefault(f"lr={rate:g},weight_decay={decay:g}", set()).add(_published_name(name, model.spec))
    assert {key: len(names) for key, names in by_group.items()} == {
        key: group["count"] for key, group in published.items()
    }
    for key, group in published.items():
        assert set(group["examples"]) <= by_group[key]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_the_encoder_is_slower_and_biases_are_twice_as_fast_without_decay(optimiser: str) -> None:
    model = random_model("d2_S")
    found = settings_by_parameter(model, replace(SMALL, optimiser=optimiser))
    norms = {
        f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d)
    }
    assert norms < found.keys()
    for name, (rate, decay) in found.items():
        inside = name.startswith("encoder.")
        bias = name.endswith(".bias")
        assert rate == pytest.approx((0.025 if inside else 0.1) * (2 if bias else 1)), name
        assert decay == (0 if bias else 0.003), name
    assert len(set(found.values())) == 4


def test_the_fusion_may_have_a_rate_of_its_own() -> None:
    found = settings_by_parameter(random_model("d2_S"), replace(SMALL, fusion_lr=5.0))
    assert found["fusion.weight"] == pytest.approx((0.5, 0.003))
    assert found["fusion.bias"] == pytest.approx((1.0, 0))
    rates = {round(rate, 9) for name, (rate, _) in found.items() if name.startswith("decoders.")}
    assert rates == {0.1, 0.2}


@pytest.mark.parametrize(("encoder_lr", "decay"), [(1.0, 0.003), (0.5, 0.0), (2.0, 0.0)])
def test_groups_of_equal_rates_hold_every_parameter_once(encoder_lr: float, decay: float) -> None:
    found = settings_by_parameter(random_model("d2_S"), replace(SMALL, encoder_lr=encoder_lr, weight_decay=decay))
    assert {name.endswith(".bias") for name, (_, each) in found.items() if not each} >= {True}


def test_sgd_has_the_published_momentum() -> None:
    model = random_model("d2_S")
    assert [group["momentum"] for group in build_optimiser(model, SMALL).param_groups] == [0.9] * 4
    assert isinstance(build_optimiser(model, replace(SMALL, optimiser="adamw")), torch.optim.AdamW)


def test_a_factor_multiplies_the_first_rates_not_the_last_ones() -> None:
    model = random_model("d2_S")
    optimiser = build_optimiser(model, SMALL)
    first = [group["lr"] for group in parameter_groups(model, SMALL)]
    for factor in (0.5, 0.1, 1.0):
        set_rates(optimiser, factor)
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([rate * factor for rate in first])


def test_steps_go_down_tenfold_at_every_milestone() -> None:
    recipe = replace(SMALL, schedule="steps", milestones=(100, 150, 180))
    epochs = (0, 99.9, 100, 149.9, 150, 179.9, 180, 200)
    found = [rate_factor(recipe, epoch) for epoch in epochs]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert rate_factor(replace(recipe, milestones=()), 150) == 1


@pytest.mark.parametrize("warmup", [0, 0.5, 2])
def test_cosine_rises_in_the_warm_up_and_then_falls_to_0(warmup: float) -> None:
    recipe = replace(COSINE, warmup=warmup)
    epochs = np.linspace(0, recipe.epochs, 401)
    factors = [rate_factor(recipe, epoch) for epoch in epochs]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[0] == (0.01 if warmup else 1)
    assert max(factors) == pytest.approx(1, abs=1e-3)
    assert factors[-1] == pytest.approx(0, abs=1e-9)
    for (one, before), (_, after) in pairwise(zip(epochs, factors, strict=True)):
        assert (before <= after) if one < warmup else (before >= after)
    assert rate_factor(recipe, warmup + (recipe.epochs - warmup) / 2) == pytest.approx(0.5)


@quick
@given(st.floats(0, 3), st.integers(1, 3), st.floats(0, 4))
def test_no_warm_up_is_too_long_for_cosine(warmup: float, epochs: int, epoch: float) -> None:
    assert 0 <= rate_factor(replace(COSINE, warmup=warmup, epochs=epochs), epoch) <= 1


@quick
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 0.9999), st.integers(0, 100_000))
def test_an_average_stays_between_what_it_was_and_what_is(old: float, new: float, decay: float, steps: int) -> None:
    average, state = {"w": torch.tensor([old])}, {"w": torch.tensor([new])}
    update_average(average, state, decay, steps)
    low, high = sorted((torch.tensor(old).item(), torch.tensor(new).item()))
    assert low - 1e-5 <= average["w"].item() <= high + 1e-5
    assert state["w"] == torch.tensor([new])


def test_an_average_without_decay_is_the_present() -> None:
    average, state = {"w": torch.randn(4)}, {"w": torch.randn(4)}
    update_average(average, state, decay=0.0, steps=10**6)
    assert (average["w"] == state["w"]).all()


def test_an_average_is_quick_at_first_and_slow_later() -> None:
    moved = []
    for steps in (0, 10, 100, 10**6):
        average = {"w": torch.zeros(1)}
        update_average(average, {"w": torch.ones(1)}, decay=0.99, steps=steps)
        moved.append(average["w"].item())
    assert moved == pytest.approx([0.9, 9 / 20, 9 / 110, 0.01], rel=1e-5)


def test_counts_are_taken_over_and_the_average_follows_its_model() -> None:
    student = random_model("d2_S")
    average = {name: value.clone() for name, value in student.state_dict().items()}
    with torch.no_grad():
        for value in student.state_dict().values():
            value.add_(1)
    update_average(average, student.state_dict(), decay=0.9, steps=10**6)
    for name, value in student.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert value == average[name] == 1
        else:
            torch.testing.assert_close(average[name], value - 0.9, rtol=0, atol=1e-5)
    assert not any(value.requires_grad for value in average.values())
