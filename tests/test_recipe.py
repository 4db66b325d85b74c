"""Recipes: what they may say, and how they are read."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tinyhd_lib import MODEL_SPECS, BadInput
from tinyhd_lib.cli import main
from tinyhd_lib.commands.train import changes
from tinyhd_lib.distill.recipe import Recipe, read_recipe, recipe_names
from tinyhd_lib.losses import TERMS

LABELS = {"model": "d1_S", "labelled": "gaze"}

REFUSED = {
    "MODEL 'd4_S'": {"model": "d4_S"},
    "TIMING 'late'": {"timing": "late"},
    "OPTIMISER 'adam'": {"optimiser": "adam"},
    "SCHEDULE 'linear'": {"schedule": "linear"},
    "PRECISION 'float8'": {"precision": "float8"},
    "VALIDATION_VIEW 'half'": {"validation_view": "half"},
    "LABELLED 'salicon'": {"labelled": "salicon"},
    "EPOCHS 'two': a whole number": {"epochs": "two"},
    "BATCH 1.5: a whole number": {"batch": 1.5},
    "LR 'fast': a number": {"lr": "fast"},
    "CACHE 'no': true or false": {"cache": "no"},
    "EPOCHS 0": {"epochs": 0},
    "BATCH 0": {"batch": 0},
    "ACCUMULATE -1": {"accumulate": -1},
    "LR 0": {"lr": 0},
    r"TERMS \['d4'\]": {"terms": {"d4": 1.0}},
    "nothing would be learnt": {"terms": {"d1": 0.0}},
    "name the data to learn from": {"labelled": None, "teachers": ["d1d2d3_S_lt"]},
    "TEACHERS: without any": {"labelled": None, "auxiliary": "folder"},
    r"SIZE: \[H, W\]": {"size": [100, 128]},
    r"TEACHER_SIZE: \[H, W\]": {"teacher_size": [0, 32]},
    "SPEEDS": {"speeds": [1, 0]},
    "CROP 0.05": {"crop": 0.05},
    "COLOUR 2": {"colour": 2},
    "EMA 1": {"ema": 1},
    "levels: one teacher": {"terms": {"levels": 1.0}, "teachers": ["d1d2d3_S_lt"], "crop": 0.5},
    "SIZE and TEACHER_SIZE": {"terms": {"levels": 1.0}, "teachers": ["d1d2d3_S_lt"], "size": [96, 128]},
}


@pytest.mark.parametrize("complaint", REFUSED)
def test_what_no_recipe_can_be_is_refused_by_name(complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as refusal:
        Recipe.from_dict({**LABELS, **REFUSED[complaint]})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_of_ours_is_whole_and_what_papermill_takes(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.model in MODEL_SPECS
    source = Path(__file__).parents[1] / f"tinyhd_lib/distill/recipes/{name}.yaml"
    table = yaml.safe_load(source.read_text())
    assert all(entry.isidentifier() and entry.isupper() for entry in table)
    assert Recipe.from_dict(yaml.safe_load(recipe.to_yaml())) == recipe


def test_the_published_models_have_their_recipes() -> None:
    models = {read_recipe(name).model for name in recipe_names()}
    published = {
        row
        for row in MODEL_SPECS
        if "_rc" in row or "rc8" in row or row in {"d1d2d3_S_lt", "d1d2d3_M_lt", "d123_M_8out"}
    }
    assert published - {"d123_allM_rc4"} <= models


@given(
    lr=st.floats(1e-6, 1),
    speeds=st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=1, max_size=3),
    terms=st.dictionaries(st.sampled_from(sorted(set(TERMS) - {"levels"})), st.floats(0.1, 10), min_size=1),
    upper=st.booleans(),
)
def test_yaml_gives_the_recipe_back(lr: float, speeds: list[int], terms: dict[str, float], upper) -> None:
    recipe = Recipe(**LABELS, lr=lr, speeds=tuple(speeds), terms=terms)
    table = yaml.safe_load(recipe.to_yaml())
    given_back = {name if upper else name.lower(): value for name, value in table.items()}
    assert Recipe.from_dict(given_back) == recipe


def test_an_entry_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no such entry 'EPOCH'; the nearest are EPOCHS"):
        Recipe.from_dict({**LABELS, "epoch": 3})


def test_what_is_true_of_one_machine_stays_there() -> None:
    recipe = Recipe(
        "d1_S", start="/home/me/runs/first/best.safetensors", teachers=("hd2s:/data/hd2s.pth", "/data/mine.pth"),
        labelled="gaze", labelled_dir="/data/gaze",
    )  # fmt: skip
    table = recipe.without_places()
    assert table["teachers"] == ["hd2s:hd2s.pth", "mine.pth"]
    assert table["start"] == "first"
    assert "/" not in str(table)


@pytest.mark.parametrize(
    ("content", "complaint"), [("A: [", "not YAML"), ("- 1", "a table of names"), ("MODEL: 3", "MODEL 3: a word")]
)
def test_a_file_that_is_no_recipe_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(BadInput, match=complaint):
        read_recipe(tmp_path / "mine.yaml")


def test_a_name_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"recipe 'multi_r': no such file or name; the nearest are multi_rc"):
        read_recipe("multi_r")


def test_settings_are_yaml() -> None:
    assert changes(["EPOCHS=2", "SIZE=[64, 64]", "TERMS={d1: 1.0}", "START=null"]) == {
        "epochs": 2,
        "size": [64, 64],
        "terms": {"d1": 1.0},
        "start": None,
    }
    for wrong in ("EPOCHS", "=2", "SIZE=["):
        with pytest.raises(BadInput, match="--set"):
            changes([wrong])


def test_the_command_lists_recipes_and_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    assert capsys.readouterr().out.split() == recipe_names()
    assert main(["train"]) == 2
    assert "--recipe: name one" in capsys.readouterr().err
