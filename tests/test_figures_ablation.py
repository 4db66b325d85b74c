"""Notebook 03: what models are and cost, names that keep out of one another's way, and what decoders say."""

from collections.abc import Iterator
from itertools import combinations, count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_teachers import wake

from benchmarks import forward, turns
from tinyhd_lib import BadInput
from tinyhd_lib.figures.ablation import (
    accuracy_plots,
    decoder_pictures,
    model_table,
    score_table,
    similarity_matrices,
)
from tinyhd_lib.figures.labels import label_points
from tinyhd_lib.models.weights import find_weights
from tinyhd_lib.training.ablate import SWEEPS, Comparison, rows_of
from tinyhd_lib.training.heterogeneity import decoder_maps, fusion_weights, similarity_table
from tinyhd_lib.training.models import normalised

S, M, D1_LAST = "d123s_rc4_rc1T", "d123m_rc4_rc1T", "d1d2d3_M_lt"
NAMES = ["D1 map 1", "D1 map 2", "D1 map 3", "D1 map 4", "D2", "D3"]


def windows(number: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, 16, 64, 64, 3), np.uint8)


# The models


def test_sweeps_and_rows_are_named_alike() -> None:
    assert rows_of(["decoders"]) == list(SWEEPS["decoders"])
    assert rows_of(["decoders", "outputs", "d1_S"]).count("d1d2d3_S_lt") == 1
    with pytest.raises(BadInput, match="'decoder': no such row; there are decoders, outputs"):
        rows_of(["decoder"])
    with pytest.raises(BadInput, match="name sweeps"):
        rows_of([])


def test_the_table_of_models_has_their_published_sizes() -> None:
    table = model_table([S, M, "d2_S"]).set_index("model")
    assert table.loc[[S, M], "parameters"].tolist() == [find_weights(row).parameters for row in (S, M)]
    assert table["decoders"].tolist() == ["D1+D2+D3", "D1+D2+D3", "D2"]
    assert table["outputs"].tolist() == [1, 16, 1]
    assert table["reduction"].tolist() == [4, 4, 1]
    assert table.loc[M, "gmac"] == pytest.approx(3.39, abs=0.01)


class Runner:
    """Takes as long as it is told, by a clock that only it moves."""

    def __init__(self, name: str, seconds: Iterator[float], clock: list[float], calls: list[str]) -> None:
        self.name, self.seconds, self.clock, self.calls = name, seconds, clock, calls

    def __call__(self, _clip: np.ndarray) -> None:
        self.calls.append(self.name)
        self.clock[0] += next(self.seconds)


def test_rows_take_turns_to_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], []
    runners = iter([Runner("a", count(1.0, 1.0), clock, calls), Runner("b", iter([1.0] * 99), clock, calls)])
    monkeypatch.setattr(forward, "open_runtime", lambda _model, _device: next(runners))
    monkeypatch.setattr(forward, "random_model", lambda row: row)
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock[0])
    times = forward.measure_rows(["a", "b"], "cpu", 3)
    assert calls[:8] == ["a", "a", "b", "b", "a", "a", "b", "b"], "each once untimed, then once timed"
    assert times == {"a": 6000.0, "b": 1000.0}, "of 4, 6 and 8 s; the warm-up of 2 s does not count"


# Names beside points


def named(points: list[tuple[float, float]]) -> tuple[Figure, list]:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*np.array(points).T, "o")
    axes.margins(0.2)
    figure.draw_without_rendering()
    return figure, label_points(axes, np.array(points), [f"S r1 D{number}" for number in range(len(points))])


places = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(st.lists(places, min_size=1, max_size=7))
@settings(max_examples=10, deadline=None)
def test_names_cover_neither_one_another_nor_leave_the_axes(points: list[tuple[float, float]]) -> None:
    figure, labels = named(points)
    boxes = [Text.get_window_extent(label) for label in labels]  # without the lines that lead to them
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    inside = figure.axes[0].bbox
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)


def test_a_name_that_moved_away_is_led_to_its_point() -> None:
    _, labels = named([(0.5, 0.5)] * 12)
    led = [label.arrow_patch.get_visible() for label in labels]
    assert not led[0]
    assert led[-1]


def test_every_model_is_named_in_every_panel_and_up_is_better() -> None:
    comparisons = [
        Comparison(row, label, "", 1, 0, 0.0, {"kl": 1.0 + place, "cc": 0.5, "nss": 1.0})
        for place, (row, label) in enumerate({S: "S r4", M: "M r4"}.items())
    ]
    models = model_table([S, M]).assign(milliseconds=[10.0, 20.0])
    table = models.merge(score_table(comparisons), on=["model", "label"])
    figure = accuracy_plots(table, "title")
    assert len(figure.axes) == 9
    assert all([text.get_text() for text in axes.texts] == ["S r4", "M r4"] for axes in figure.axes)
    assert [axes.yaxis_inverted() for axes in figure.axes[::3]] == [False, False, True]
    assert len(accuracy_plots(table.drop(columns="nss"), "title").axes) == 6


# What decoders say


@pytest.mark.parametrize("row", [S, M, D1_LAST, "d123_M_8out", "d2_S", "d123_force_multi"])
def test_the_fusion_is_the_weighed_sum_of_the_decoders_maps(row: str) -> None:
    model, frames = random_model(row), windows(1)
    wake(model, normalised(torch.from_numpy(frames)))
    maps, weights = decoder_maps(model, frames), fusion_weights(model)
    assert list(maps) == ["D2", "fused"] if row == "d2_S" else [*NAMES, "fused"]
    total = sum(weights[name] * maps[name] for name in weights) + model.fusion.bias.item()
    assert maps["fused"] == pytest.approx(1 / (1 + np.exp(-total)), abs=1e-5)
    with torch.inference_mode():
        answer = model(normalised(torch.from_numpy(frames))).map.reshape(-1, 64, 64)
    assert maps["fused"][0] == pytest.approx(answer[-1].numpy())


def test_likeness_knows_copies_negatives_and_strangers() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((3, 40, 50)), rng.random((3, 40, 50))
    table = similarity_table({"a": one, "copy": 2 * one + 1, "negative": 1 - one, "stranger": other})
    pairs = table.set_index(["first", "second"])
    assert pairs.loc[("a", "copy"), ["cc", "sim", "explained"]].tolist() == pytest.approx([1, 1, 1])
    assert pairs.loc[("a", "negative"), ["cc", "explained"]].tolist() == pytest.approx([-1, 1])
    assert abs(pairs.loc[("a", "stranger"), "cc"]) < 0.1
    assert len(table) == 6
    assert table["explained"].is_monotonic_increasing


def test_the_matrices_show_every_pair_twice() -> None:
    table = pd.DataFrame({"first": ["a"], "second": ["b"], "cc": [-0.25], "sim": [0.75], "explained": [0.0625]})
    left, right = similarity_matrices(table, ["a", "b"], "title").axes
    assert [text.get_text() for text in left.texts] == ["-0.25"] * 2
    assert [text.get_text() for text in right.texts] == ["0.75"] * 2
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]


def test_pictures_of_decoders_show_each_map_and_its_weight(tmp_path: Path) -> None:
    model, frames = random_model(S), windows()
    maps = decoder_maps(model, frames)
    figure = decoder_pictures(frames, maps, fusion_weights(model), [15, 31], "title")
    heads = [axes.get_title() for axes in figure.axes[:8]]
    assert [head.partition("\n")[0] for head in heads] == ["the film", *NAMES, "fused"]
    assert f"{fusion_weights(model)['D2']:+.2f}" in heads[5]
    figure.savefig(tmp_path / "decoders.png")
