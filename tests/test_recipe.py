"""Recipes: which values are valid, and how they are read."""

import pydoc
import re
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
import yaml
from conftest import defined_in
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyhd_lib import MODEL_SPECS, BadInput
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import KINDS
from tinyhd_lib.losses import OfFeatures, Term
from tinyhd_lib.training.recipe import Recipe, read_recipe, read_settings, recipe_names

LABELS = {"model": "d1_S", "labelled": "gaze"}

REFUSED = {
    "MODEL 'd4_S'": {"model": "d4_S"},
    "TIMING 'late'": {"timing": "late"},
    "OPTIMISER 'adam'": {"optimiser": "adam"},
    "SCHEDULE 'linear'": {"schedule": "linear"},
    "PRECISION 'float8'": {"precision": "float8"},
    "VALIDATION_VIEW 'half'": {"validation_view": "half"},
    "LABELLED 'salicon'": {"labelled": "salicon"},
    "AUXILIARY 'youtube'": {"auxiliary": "youtube"},
    "MODEL 3: should be a valid string": {"model": 3},
    "TIMING None: should be 'aligned'": {"timing": None},
    "LABELLED_DIR 3: should be a valid tuple": {"labelled_dir": 3},
    "EPOCHS 'two': should be a valid integer": {"epochs": "two"},
    "BATCH 1.5: should be a valid integer": {"batch": 1.5},
    "SEED True: should be a valid integer": {"seed": True},
    "LR 'fast': could not convert": {"lr": "fast"},
    "LR True: should be a valid number": {"lr": True},
    "LR nan: should be a finite number": {"lr": float("nan")},
    "CACHE 'no': should be a valid boolean": {"cache": "no"},
    "TEACHERS 3: should be a valid tuple": {"teachers": 3},
    "EXCLUDE 0 385: should be a valid string": {"exclude": [385]},  # YAML reads 0601 as octal
    "SPEEDS 2: should be a valid tuple": {"speeds": 2},
    "MILESTONES 0 1.5: should be a valid integer": {"milestones": [1.5]},
    "SIZE 'large': should be a valid tuple": {"size": "large"},
    "TERMS d1 'much': could not convert": {"terms": {"d1": "much"}},
    r"TERMS \['d1'\]: should be a valid": {"terms": ["d1"]},
    "EPOCHS 0": {"epochs": 0},
    "BATCH 0": {"batch": 0},
    "ACCUMULATE -1": {"accumulate": -1},
    "CLIPS_PER_VIDEO 0": {"clips_per_video": 0},
    "CLIPS_PER_VIDEO 1 1.5: should be a valid integer": {"clips_per_video": [2, 1.5]},
    "CLIPS_PER_VIDEO: one number, or one for each of LABELLED_DIR": {"clips_per_video": [2, 1], "labelled_dir": "here"},
    "EVERY 0": {"every": 0},
    "VALIDATION_CLIPS 0": {"validation_clips": 0},
    "LR 0": {"lr": 0},
    "AUXILIARY_RATIO -1: should be greater than or equal to 0": {"auxiliary_ratio": -1},
    "ENCODER_LR -1": {"encoder_lr": -1},
    "FUSION_LR -1": {"fusion_lr": -1},
    "WEIGHT_DECAY -1": {"weight_decay": -1},
    "WARMUP -1": {"warmup": -1},
    "CLIP_NORM -1": {"clip_norm": -1},
    "SEED -1": {"seed": -1},
    "TERMS d2 -1.0: should be greater than or equal to 0": {"terms": {"d1": 1.0, "d2": -1.0}},
    "TERMS d4 .*: should be 'ground_truth'": {"terms": {"d4": 1.0}},
    "nothing would be learnt": {"terms": {"d1": 0.0}},
    "name the data to learn from": {"labelled": None, "teachers": ["d1d2d3_S_lt"]},
    "TEACHERS: without any": {"labelled": None, "auxiliary": "folder"},
    "TERMS blocks: needs TEACHERS to learn": {"terms": {"blocks": 1.0}},
    "blocks or features, not both at once": {"teachers": ["S-r4"], "terms": {"blocks": 1.0, "features": 1.0}},
    "SIZE 0 100: should be a multiple of 32": {"size": [100, 128]},
    "TEACHER_SIZE 0 0: should be greater than 0": {"teacher_size": [0, 32]},
    "SPEEDS": {"speeds": [1, 0]},
    r"SPEEDS \[\]: Tuple should have at least 1": {"speeds": []},
    r"SIZE 1 \[64\]": {"size": [64]},
    "CROP 0.05": {"crop": 0.05},
    "CROP 1.5": {"crop": 1.5},
    "COLOUR 2": {"colour": 2},
    "EMA 1": {"ema": 1},
    "TERMS levels .*: should be 'ground_truth'": {"terms": {"levels": 1.0}, "teachers": ["d1d2d3_S_lt"]},
    "no such entry 'COMPILE'": {"compile": True},
}


@pytest.mark.parametrize("complaint", REFUSED)
def test_what_no_recipe_can_be_is_refused_by_name(complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as refusal:
        Recipe(**{**LABELS, **REFUSED[complaint]})
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_of_ours_is_whole_and_what_papermill_takes(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.model in MODEL_SPECS
    source = Path(__file__).parents[1] / f"tinyhd_lib/training/recipes/{name}.yaml"
    table = yaml.safe_load(source.read_text())
    assert all(entry.isidentifier() and entry.isupper() for entry in table)
    assert Recipe(**yaml.safe_load(yaml.safe_dump(recipe.to_dict()))) == recipe


def test_the_published_models_have_their_recipes() -> None:
    models = {read_recipe(name).model for name in recipe_names()}
    published = {
        row
        for row in MODEL_SPECS
        if "_rc" in row or "rc8" in row or row in {"d1d2d3_S_lt", "d1d2d3_M_lt", "d123_M_8out"}
    }
    assert published - {"d123_allM_rc4"} <= models


WORDS, SIDES = st.text(min_size=1, max_size=8), st.sampled_from([32, 64, 192])
WEIGHTS = st.floats(0, 10) | st.integers(0, 10)
VALUES: dict[str, Any] = {
    "model": st.sampled_from(list(MODEL_SPECS)),
    "start": st.none() | WORDS,
    "timing": st.sampled_from(["aligned", "published"]),
    "terms": st.dictionaries(
        st.sampled_from(sorted({*get_args(Term)} - {*get_args(OfFeatures)})), st.floats(0.1, 10), min_size=1
    ),
    "labelled": st.sampled_from(list(KINDS)),
    "auxiliary": st.none() | st.sampled_from(list(KINDS)),
    "validation_view": st.sampled_from(["whole", "published"]),
    "speeds": st.lists(st.integers(-3, 3).filter(bool), min_size=1, max_size=3),
    "milestones": st.lists(st.integers(1, 300), max_size=3),
    "crop": st.floats(0.1, 1),
    "colour": st.floats(0, 1),
    "ema": st.floats(0, 1, exclude_max=True),
    "lr": st.floats(0, 1, exclude_min=True),
    "optimiser": st.sampled_from(["sgd", "adamw"]),
    "schedule": st.sampled_from(["steps", "cosine"]),
    "precision": st.sampled_from(["float32", "bfloat16", "float16"]),
    **dict.fromkeys(("teachers", "exclude"), st.lists(WORDS, max_size=2)),
    **dict.fromkeys(("size", "teacher_size"), st.tuples(SIDES, SIDES)),
    **dict.fromkeys(("store", "cache"), st.booleans()),
    **dict.fromkeys(("labelled_split", "auxiliary_split", "sigma"), st.none() | WORDS),
    **dict.fromkeys(("labelled_dir", "auxiliary_dir"), st.lists(WORDS, max_size=2)),
    "freeze": st.lists(st.sampled_from(["encoder", "d1", "fusion"]), max_size=2),
    "best_by": st.sampled_from(["kl", "cc", "nss"]),
    "patience": st.integers(0, 9),
    "validation_split": st.none() | WORDS,
    **dict.fromkeys(("encoder_lr", "fusion_lr", "weight_decay", "warmup", "clip_norm", "auxiliary_ratio"), WEIGHTS),
    **dict.fromkeys(("clips_per_video", "every", "validation_clips", "epochs", "batch", "accumulate"), st.integers(1)),
    "seed": st.integers(0),
}


@settings(deadline=None, max_examples=40)
@given(values=st.fixed_dictionaries(VALUES), upper=st.booleans())
def test_a_file_gives_the_recipe_back(values: dict[str, Any], upper: bool) -> None:
    assert set(values) == {each.name for each in fields(Recipe)}
    recipe = Recipe(**values)
    table = recipe.to_dict()
    written = yaml.safe_dump({name.upper(): value for name, value in table.items()} if upper else table)
    with TemporaryDirectory() as folder:
        (Path(folder) / "mine.yaml").write_text(written)
        assert read_recipe(Path(folder) / "mine.yaml") == recipe
        assert read_recipe(Path(folder) / "mine.yaml", seed=recipe.seed + 1).seed == recipe.seed + 1


def test_an_entry_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no such entry 'EPOCH'; the nearest are EPOCHS"):
        Recipe(**LABELS, epoch=3)


def test_a_recipe_names_its_model(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("LABELLED: gaze")
    with pytest.raises(BadInput, match=r"mine.yaml: MODEL: name the student's model, one of d1d2d3_S_lt, "):
        read_recipe(tmp_path / "mine.yaml")


def test_what_yaml_takes_for_text_and_a_single_name_are_understood() -> None:
    recipe = Recipe("M-r4", labelled="gaze", lr="1e-3", teachers="S-r1", exclude="0601", terms={"d1": "1e-1"})
    assert recipe == Recipe(
        "d123m_rc4_rc1T", labelled="gaze", lr=0.001, teachers=["S-r1"], exclude=("0601",), terms={"d1": 0.1}
    )
    assert read_recipe("laptop", **read_settings(["LR=1e-3", "TEACHERS=S-r1"])).teachers == ("S-r1",)


def test_a_changed_recipe_is_checked_again_and_none_is_changed_in_place() -> None:
    recipe = Recipe(**LABELS)
    with pytest.raises(BadInput, match="EPOCHS 0: should be greater than 0"):
        replace(recipe, epochs=0)
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 2


@pytest.mark.parametrize("name", ["laptop", "multi_ucf"])
def test_a_recipes_table_has_every_entry_and_its_meaning(name: str) -> None:
    recipe = read_recipe(name)
    table = defined_in("02_distillation_training.ipynb")["recipe_table"](recipe).set_index("entry")
    assert list(table.index) == [each.name.upper() for each in fields(Recipe)]
    assert table.loc["LR", "value"] == str(recipe.lr)
    assert table.loc["LR", "if left out"] == "0.01"
    assert table.loc["LR", "meaning"] == "learning rate of the decoders."
    assert table["meaning"].str.len().min() > 3
    assert not table["meaning"].str.contains("\n").any()


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
    ("content", "complaint"),
    [("A: [", "not YAML"), ("- 1", "a table of names"), ("MODEL: 3", "MODEL 3: should be a valid string")],
)
def test_a_file_that_is_no_recipe_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(BadInput, match=complaint):
        read_recipe(tmp_path / "mine.yaml")


def test_a_name_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"recipe 'multi_r': no such file or name; the nearest are multi_rc"):
        read_recipe("multi_r")


def test_settings_are_yaml() -> None:
    assert read_settings(["EPOCHS=2", "SIZE=[64, 64]", "TERMS={d1: 1.0}", "START=null"]) == {
        "epochs": 2,
        "size": [64, 64],
        "terms": {"d1": 1.0},
        "start": None,
    }
    for wrong in ("EPOCHS", "=2", "SIZE=["):
        with pytest.raises(BadInput, match=r"NAME=VALUE|no YAML"):
            read_settings([wrong])


def test_the_command_lists_recipes_and_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    assert capsys.readouterr().out.split() == recipe_names()
    assert main(["train"]) == 2
    assert "--recipe: name one" in capsys.readouterr().err


def test_help_says_what_the_entries_are() -> None:
    told = pydoc.render_doc(Recipe, renderer=pydoc.plaintext)
    assert "Recipe(model, start=None, freeze=(), teachers=()" in told
    assert "lr: learning rate of the decoders." in told
    assert not re.search(r"typing\.|FieldInfo|Validator", told.partition("Methods defined here")[0])
