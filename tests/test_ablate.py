"""Ablations, and what a model costs."""

import json
from pathlib import Path

import pytest
from conftest import random_model

from tinyhd_lib import MODEL_SPECS, BadInput, build_teacher
from tinyhd_lib.cli import main
from tinyhd_lib.models.student import count_gmac, count_parameters
from tinyhd_lib.models.weights import find_weights
from tinyhd_lib.training.ablate import SWEEPS, ablate, as_table, model_table, specs_of
from tinyhd_lib.training.recipe import Recipe

pytestmark = pytest.mark.slow

ROWS = ("d1_S", "d123s_rc4_rc1T")


def quick_recipe(folder: Path, **changes) -> Recipe:
    values = {
        "labelled": "gaze",
        "labelled_dir": str(folder),
        "validation_split": "all",
        "validation_clips": 1,
        "size": (64, 64),
        "clip_norm": 1.0,
        "epochs": 1,
        "batch": 3,
        **changes,
    }
    return Recipe("d1_S", **values)


def test_a_sweep_trains_each_row_and_goes_on_where_it_stopped(made_up, tmp_path: Path) -> None:
    recipe = quick_recipe(made_up("gaze"))
    first = next(iter(ablate(ROWS, recipe, tmp_path, device="cpu")))
    assert first.model == "d1_S"
    trained = (tmp_path / "d1_S" / "last.pt").stat().st_mtime_ns
    table = list(ablate(ROWS, recipe, tmp_path, device="cpu"))
    assert (tmp_path / "d1_S" / "last.pt").stat().st_mtime_ns == trained
    assert table[0] == first
    assert all({"kl", "cc", "nss"} <= row.scores.keys() for row in table)
    told = as_table(table)
    assert list(told["decoders"]) == ["D1", "D1+D2+D3"]
    assert list(told["parameters"]) == [count_parameters(random_model(row)) for row in ROWS]
    assert list(told["kl"]) == [row.scores["kl"] for row in table]
    assert json.loads((tmp_path / "ablation.json").read_bytes())[1]["label"] == "S r4"
    assert [line.split("|")[1].strip() for line in (tmp_path / "ablation.md").read_text().splitlines()[2:]] == [*ROWS]


def test_what_cannot_be_compared_is_refused(made_up, tmp_path: Path) -> None:
    recipe = quick_recipe(made_up("gaze"))
    with pytest.raises(BadInput, match=r"'d4_S': no such model"):
        next(iter(ablate(["d4_S"], recipe, tmp_path)))
    with pytest.raises(BadInput, match="VALIDATION_SPLIT"):
        next(iter(ablate(ROWS, quick_recipe(made_up("gaze"), validation_split=None), tmp_path)))


def test_the_command_prints_the_table(made_up, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(quick_recipe(made_up("gaze")).to_yaml())
    out = tmp_path / "out"
    assert main(["ablate", "d1_S", "--recipe", str(recipe), "--out", str(out), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("d1_S", "S r1 D1", "parameters", "nss"))


def test_sweeps_and_models_are_named_alike() -> None:
    assert specs_of(["decoders"]) == list(SWEEPS["decoders"])
    assert specs_of(["decoders", "outputs", "d1_S", "S-r1-D1"]).count("d1d2d3_S_lt") == 1
    assert specs_of(["S-r1-D1"]) == ["d1_S"]
    with pytest.raises(BadInput, match="'decoder': no such model; there are decoders, outputs"):
        specs_of(["decoder"])
    with pytest.raises(BadInput, match="name sweeps"):
        specs_of([])


def test_the_table_of_models_has_their_published_sizes() -> None:
    small = ["d123s_rc4_rc1T", "d123m_rc4_rc1T"]
    table = model_table([*small, "d2_S"]).set_index("model")
    assert table.loc[small, "parameters"].tolist() == [find_weights(row).parameters for row in small]
    assert table["decoders"].tolist() == ["D1+D2+D3", "D1+D2+D3", "D2"]
    assert table["outputs"].tolist() == [1, 16, 1]
    assert table["reduction"].tolist() == [4, 4, 1]
    assert table.loc[small[1], "gmac"] == pytest.approx(3.39, abs=0.01)


def test_every_sweep_names_rows_of_the_registry() -> None:
    assert all(row in MODEL_SPECS for rows in SWEEPS.values() for row in rows)
    assert {MODEL_SPECS[row].outputs for row in SWEEPS["outputs"]} == {1, 8, 16}
    for name in ("reductions", "reductions_single"):
        assert [MODEL_SPECS[row].reduction for row in SWEEPS[name]] == [1, 2, 4, 8]
    assert len({MODEL_SPECS[row].decoders for row in SWEEPS["decoders"]}) == 7


def test_the_teacher_costs_what_its_specification_says() -> None:
    assert count_gmac(build_teacher().eval()) == pytest.approx(22.0, abs=0.05)
