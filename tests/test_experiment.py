"""Experiments: runs that differ in one setting, their tables, and the cost of a model."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_model

from tinyhd_lib import MODEL_SPECS, BadInput, ModelSpec, build_teacher, load_model
from tinyhd_lib.cli import main
from tinyhd_lib.data.clips import clip_frames
from tinyhd_lib.models.graph import normalised, planes
from tinyhd_lib.models.student import count_gmac, count_parameters
from tinyhd_lib.training import samples
from tinyhd_lib.training.experiment import (
    BUDGETS,
    ExperimentOptions,
    Run,
    as_comparison,
    conduct,
    experiment_names,
    measure,
    plan,
    read_experiment,
    stages,
)

pytestmark = pytest.mark.usefixtures("small_views")

SIZE = (32, 32)
QUICK = {"epochs": 1, "clips_per_video": 1, "validation_clips": 1, "batch": 2, "size": SIZE, "teacher_size": SIZE}
KINDS = ("dhf1k", "ucf", "hollywood2", "kinetics", "folder", "gaze")
PLACE = str(Path(__file__).parent)  # any folder will do, since nothing is read from it
SMALL = """
question: Is one decoder as good as another?
recipe: single
runs:
  left: {MODEL: S-r4-D2}
  right: {MODEL: S-r4-D3}
published:
  left: {KL: 1.5}
"""


def options(**changes: object) -> ExperimentOptions:
    return ExperimentOptions(budget="smoke", changes=QUICK, **changes)


@pytest.fixture(scope="module")
def conducted(tmp_path_factory: pytest.TempPathFactory, made_up: Callable[[str], Path]) -> tuple[Path, list]:
    """A small experiment with two seeds: its file and its results."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "mine.yaml").write_text(SMALL)
    chosen = options(data={"gaze": made_up("gaze")}, seeds=(0, 1))
    return folder, list(conduct(folder / "mine.yaml", folder / "out", chosen, device="cpu"))


def planned(name: str, budget: str) -> list[Run]:
    chosen = ExperimentOptions(budget=budget, data=dict.fromkeys(KINDS, PLACE))
    return plan(read_experiment(name, budget), Path("out"), chosen)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_can_be_planned_with_every_budget(name: str, budget: str) -> None:
    runs = planned(name, budget)
    experiment = read_experiment(name, budget)
    assert experiment.question.endswith("?")
    assert {run.name for run in runs} == set(experiment.runs) >= set(experiment.published)
    assert len({str(run.recipe) for run in runs}) == len(runs) >= 3, "each run differs from every other"
    for run in runs:
        assert run.measured.labelled
        assert run.measured.validation_split
        assert run.recipe.labelled_dir == ((PLACE,) if run.recipe.labelled else ())
        assert run.recipe.auxiliary_dir == ((PLACE,) if run.recipe.auxiliary else ())


def test_the_papers_experiments_vary_what_they_say() -> None:
    def specs(name: str, budget: str = "published") -> dict[str, ModelSpec]:
        return {run.name: run.recipe.spec for run in planned(name, budget)}

    assert len({spec.decoders for spec in specs("decoders").values()}) == 7
    assert {spec.outputs for spec in specs("outputs").values()} == {1, 8, 16}
    assert {spec.reduction for spec in specs("reduction").values()} == {1, 2, 4, 8}
    assert {spec.reduction for spec in specs("decoders").values()} == {1}
    assert {spec.reduction for spec in specs("decoders", "laptop").values()} == {4}
    assert {run.recipe.labelled for run in planned("datasets", "smoke")} == {"dhf1k", "ucf", "hollywood2"}
    none, last, hierarchical, labels = planned("distillation", "published")
    assert (none.recipe.teachers, set(none.recipe.terms)) == ((), {"ground_truth"})
    assert set(last.recipe.terms) == {"ground_truth", "teacher_map"}
    assert set(hierarchical.recipe.terms) == {"ground_truth", "teacher_map", "d1"}
    assert set(labels.recipe.terms) - set(hierarchical.recipe.terms) == {"d2_ground_truth", "d3_ground_truth"}
    without, both, only = planned("auxiliary", "laptop")
    assert [bool(run.recipe.labelled) for run in (without, both, only)] == [True, True, False]
    assert [run.recipe.auxiliary for run in (without, both, only)] == [None, "folder", "folder"]
    assert only.measured.labelled == "gaze"


@pytest.mark.parametrize("r", ["r1", "r4"])
def test_three_kinds_have_the_parameters_of_the_mean_of_one_kind(r: str) -> None:
    count = {spec.decoders: count_parameters(random_model_of(spec)) for spec in kinds(r)}
    *same, unlike = count.values()
    assert sum(same) == 3 * unlike


def kinds(r: str) -> list[ModelSpec]:
    return [MODEL_SPECS[f"S-{r}{which}"] for which in ("-D1+D1+D1", "-D2+D2+D2", "-D3+D3+D3", "")]


def random_model_of(spec: ModelSpec) -> torch.nn.Module:
    return random_model(f"S-r{spec.reduction}-{'+'.join(spec.decoders).upper()}")


def test_assistants_are_trained_first_and_teach_the_run_of_their_seed() -> None:
    chosen = ExperimentOptions(budget="smoke", data={"gaze": PLACE}, seeds=(0, 1))
    runs = plan(read_experiment("reduction", "smoke"), Path("out"), chosen)
    first, second = stages(runs)
    assert len(first) == 8
    assert {run.name for run in second} == {f"r{r}, taught by r1" for r in (2, 4, 8)}
    assert {run.recipe.teachers for run in first} == {("workbench_m_r4",)}
    for run in second:
        assert run.recipe.teachers == (f"out/r1/seed_{run.seed}/best.safetensors",)


def test_runs_may_wait_in_a_chain_and_not_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("""
question: In which order?
recipe: single
runs:
  third: {MODEL: S-r8, TEACHERS: ["run:second"]}
  second: {MODEL: S-r4, START: "run:first"}
  first: {MODEL: S-r2}
""")
    runs = plan(read_experiment(tmp_path / "mine.yaml", "smoke"), tmp_path, options(data={"gaze": PLACE}))
    assert [[run.name for run in stage] for stage in stages(runs)] == [["first"], ["second"], ["third"]]
    circle = [run._replace(after={"third"}) if run.name == "first" else run for run in runs]
    with pytest.raises(BadInput, match=r"runs wait for one another: .*first"):
        list(stages(circle))


@pytest.mark.slow
def test_a_run_that_waits_learns_from_the_one_before(tmp_path: Path, made_up: Callable[[str], Path]) -> None:
    (tmp_path / "mine.yaml").write_text("""
question: Does it wait?
recipe: single
runs:
  after: {MODEL: S-r4-D2, TEACHERS: ["run:before"], START: "run:before", TERMS: {teacher_map: 1}}
  before: {MODEL: S-r4-D2}
""")
    found = list(conduct(tmp_path / "mine.yaml", tmp_path, options(data={"gaze": made_up("gaze")}), device="cpu"))
    assert [run.name for run, _ in found] == ["before", "after"]
    record = json.loads((tmp_path / "after" / "seed_0" / "run.json").read_bytes())
    assert record["details"]["recipe"]["start"] == str(tmp_path / "before" / "seed_0" / "best.safetensors")
    assert "best" in record["details"]["teacher"]["name"]


@pytest.mark.slow
def test_what_was_trained_is_not_trained_again_and_the_table_is_the_same(conducted: tuple[Path, list]) -> None:
    folder, found = conducted
    files = sorted((folder / "out").rglob("*.pt")), sorted((folder / "out").glob("table.*"))
    assert list(map(len, files)) == [4, 4]
    times = [path.stat().st_mtime_ns for path in files[0]]
    tables = [path.read_bytes() for path in files[1]]
    again = list(
        conduct(folder / "mine.yaml", folder / "out", options(data=data_of(found), seeds=(0, 1)), device="cpu")
    )
    assert [path.stat().st_mtime_ns for path in files[0]] == times
    assert [path.read_bytes() for path in files[1]] == tables
    for (run, frames), (other, others) in zip(found, again, strict=True):
        assert run == other
        pd.testing.assert_frame_equal(frames, others)
    assert (folder / "out" / "figure.png").stat().st_size > 5000


def data_of(found: list) -> dict[str, str]:
    return {"gaze": found[0][0].recipe.labelled_dir[0]}


@pytest.mark.slow
def test_other_data_or_another_teacher_is_another_run(
    conducted: tuple[Path, list], tiny: Callable[[str], Path]
) -> None:
    folder, _ = conducted
    for changed in (options(data={"gaze": tiny("gaze")}), options(data={"gaze": PLACE})):
        with pytest.raises(BadInput, match=r"left/seed_0: was trained in another way, or on other data"):
            list(conduct(folder / "mine.yaml", folder / "out", changed, device="cpu"))


@pytest.mark.slow
def test_models_of_one_map_and_of_many_are_measured_on_the_same_frames(tmp_path: Path) -> None:
    found = list(conduct("outputs", tmp_path, options(), device="cpu"))
    places = [set(zip(frames["video"], frames["index"], strict=True)) for _, frames in found]
    assert places[0] == places[1] == places[2]
    table = pd.read_csv(tmp_path / "table.csv").set_index("run")
    mean = as_comparison(read_experiment("outputs", "smoke"), found).mean
    assert mean["KL"].to_numpy() == pytest.approx(table["KL"][mean.index].to_numpy())


@pytest.mark.slow
def test_scores_are_those_of_the_best_checkpoint_on_the_frames_it_was_measured_on(conducted: tuple[Path, list]) -> None:
    _, found = conducted
    run, frames = found[0]
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    scores = min((entry["scores"] for entry in log if "scores" in entry), key=lambda each: each["kl"])
    means = frames.groupby("video")[["KL", "CC", "NSS"]].mean().mean()
    assert means.to_numpy() == pytest.approx([scores[name] for name in ("kl", "cc", "nss")], rel=1e-5)
    assert "alike" not in frames, "one decoder is like no other"


@pytest.mark.slow
def test_the_table_has_means_over_seeds_their_deviation_and_the_papers_figures(conducted: tuple[Path, list]) -> None:
    folder, found = conducted
    comparison = as_comparison(read_experiment(folder / "mine.yaml", "smoke"), found)
    kl = {(run.name, run.seed): frames.groupby("video")["KL"].mean().mean() for run, frames in found}
    assert comparison.facts is not None
    assert comparison.spread is not None
    for name in ("left", "right"):
        pair = [kl[name, 0], kl[name, 1]]
        assert comparison.mean.loc[name, "KL"] == pytest.approx(np.mean(pair))
        assert comparison.spread.loc[name, "KL"] == pytest.approx(np.std(pair, ddof=1))
    assert comparison.facts["KL of the paper"].tolist() == ["1.500", "-"]
    assert comparison.facts.loc["right", "parameters"] == f"{count_parameters(random_model('S-r4-D3')):,}"
    text, latex, page = ((folder / "out" / f"table.{suffix}").read_text() for suffix in ("txt", "tex", "html"))
    assert text.startswith("Is one decoder as good as another?")
    cell = f"{comparison.mean.loc['left', 'KL']:.3f} ± {comparison.spread.loc['left', 'KL']:.3f}"
    assert all(cell in each for each in (text, latex, page))
    assert latex.count(r"\bfseries") == 3, "one in each column of scores"
    assert len(pd.read_csv(folder / "out" / "table.csv")) == 4


@pytest.mark.slow
def test_alike_is_the_squared_correlation_of_the_decoders_maps(tmp_path: Path, made_up: Callable[[str], Path]) -> None:
    (tmp_path / "mine.yaml").write_text("question: Alike?\nrecipe: single\nruns: {both: {MODEL: S-r4-D2+D3}}\n")
    ((run, frames),) = conduct(tmp_path / "mine.yaml", tmp_path, options(data={"gaze": made_up("gaze")}), device="cpu")
    _, sources = samples.open_sources(run.measured)
    student, expected = load_model(run.folder / "best.safetensors"), []
    for clip in samples.validation_clips(sources, 1):
        with torch.inference_mode():
            maps = student(normalised(planes(torch.from_numpy(clip_frames(sources[clip.video], clip))[None]))).side_maps
        d2, d3 = (each.flatten().double().numpy() for each in maps)
        expected.append(np.corrcoef(d2, d3)[0, 1] ** 2)
    assert frames["alike"].to_numpy() == pytest.approx(expected, abs=1e-5)
    pd.testing.assert_frame_equal(measure(run), frames)


@pytest.mark.slow
def test_data_sets_stand_in_one_table_without_a_test_between_them(tmp_path: Path) -> None:
    found = list(conduct("datasets", tmp_path, options(), device="cpu"))
    comparison = as_comparison(read_experiment("datasets", "smoke"), found)
    assert list(comparison.mean.index) == ["DHF1K", "UCF-Sports", "Hollywood-2"]
    assert comparison.p.isna().all(axis=None)
    assert not comparison.best.any(axis=None)
    assert np.isfinite(comparison.mean.to_numpy()).all()
    assert {run.recipe.labelled_dir for run, _ in found} == {
        (str(tmp_path / "data" / kind),) for kind in ("dhf1k", "ucf", "hollywood2")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*experiment_names()} - {"datasets", "outputs"}))
def test_each_experiment_runs_on_made_up_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cost of their models is tested elsewhere."""
    monkeypatch.setattr("tinyhd_lib.training.experiment._facts", lambda _: {"parameters": "-", "GMAC": "-"})
    quick = [
        f"--set={entry.upper()}={list(value) if isinstance(value, tuple) else value}" for entry, value in QUICK.items()
    ]
    command = ["experiment", name, "--budget", "smoke", "--out", str(tmp_path), "--device", "cpu"]
    assert main([*command, *quick]) == 0
    told = capsys.readouterr().out
    experiment = read_experiment(name, "smoke")
    assert experiment.question in told
    assert all(run in told for run in experiment.runs)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["homogeneity"], "no such file or name; there are auxiliary, datasets, decoders"),
        (["decoders", "--data", "gaze"], "--data gaze: KIND=DIR, such as gaze=DIR"),
        (["decoders", "--data", "gaze=nowhere"], "nowhere: no such folder"),
        (["decoders", "--set", "EPOCH=1"], "no such entry 'EPOCH'; the nearest are EPOCHS"),
        (["decoders", "--set", "VALIDATION_SPLIT=null"], "without gaze to measure on there is nothing to compare"),
        (["decoders", "--budget", "published"], "name its folder, or set TINYHD_DHF1K"),
        (["decoders", "--seeds"], "--seeds: name one or more, each once"),
        (["decoders", "--seeds", "1", "1"], "--seeds: name one or more, each once"),
        (
            ["decoders", "--data", "gazee=."],
            "kind 'gazee': choose from dhf1k, ucf, hollywood2, kinetics, folder, avimos, gaze; gaze?",
        ),
    ],
)
def test_what_cannot_be_tried_is_told_in_a_line(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYHD_DHF1K", raising=False)
    assert main(["experiment", "--budget", "smoke", *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert told in error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("question: What?\nrecipe: single\n", "runs"),
        ("question: What?\nrecipe: single\nruns: {a: {MODEL: S-r4, COLOR: 1}}", "COLOR"),
        ("question: What?\nrecipe: single\nruns: {a: {MODEL: S-r3}}", "no such model"),
        ("question: What?\nrecipe: single\nruns: {a: {MODEL: $x}}", "'x'"),
        ("question: What?\nrecipe: single\nruns: {../a: {MODEL: S-r4}}", "run '../a': its name must also be valid"),
        ("question: What?\nrecipe: single\nruns: {a: {MODEL: S-r4, TEACHERS: ['run:b']}}", "run:b is none of run:a"),
        (
            "question: What?\nrecipe: single\nruns: {a: {MODEL: S-r4}}\npublished: {a: {KL: x}}",
            "could not convert string",
        ),
        ("question: What?\nrecipe: single\nruns: {a: 3}", "question, recipe, runs and perhaps published are needed"),
        ("- a\n- b\n", "a table of names and values is needed"),
        ("a: [", "not YAML that can be read"),
    ],
)
def test_a_file_that_is_no_experiment_is_told_in_a_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput) as caught:
        plan(read_experiment(tmp_path / "mine.yaml", "smoke"), tmp_path, options(data={"gaze": PLACE}))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_are_found_by_any_label_that_describes_them() -> None:
    for count, width in ((1, 1), (2, 4), (3, 8)):
        for digits in combinations("123", count):
            decoders = tuple(f"d{digit}" for digit in digits)
            spec = MODEL_SPECS[f"S-r{width}-{'+'.join(decoders).upper()}"]
            assert spec == ModelSpec(width, decoders, (True,) * count)
    assert MODEL_SPECS["M-r2-D1+D3"] == ModelSpec(2, ("d1", "d3"), (True, False), outputs=16)
    assert MODEL_SPECS["M-r4-D1"].single_frame == (False,)
    assert MODEL_SPECS["M-r2-8-outputs"].outputs == 8
    for label in ("S-r3", "S-r4-D3+D1", "S-r4-8-outputs", "S-r4-D1+D1+D1+D1", "S-r4-D4", "s-r4"):
        assert label not in MODEL_SPECS


@pytest.mark.slow
def test_the_teacher_costs_what_its_specification_says() -> None:
    assert count_gmac(build_teacher().eval()) == pytest.approx(22.0, abs=0.05)
    assert count_gmac(random_model("M-r4")) == pytest.approx(3.39, abs=0.01)
