"""Training: every recipe trains, interrupted runs resume to identical bits, and failures are reported in one line."""

import errno
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import random_model
from test_teachers import hd2s_state
from torchvision.models import mobilenet_v2

from tinyhd_lib import MODEL_SPECS, BadInput, build_model, build_teacher, inflate_mobilenet_v2, load_model, save_model
from tinyhd_lib.cli import main
from tinyhd_lib.data import clips
from tinyhd_lib.data.clips import resized
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.synthetic import synthesise
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.models.spec import INPUT_SIZE, Sampling
from tinyhd_lib.models.weights import read_metadata
from tinyhd_lib.records import read_record
from tinyhd_lib.training import checkpoint, kernels, learner, samples, teachers
from tinyhd_lib.training import loop as training
from tinyhd_lib.training.checkpoint import log_table, read_log, read_state, smoothed
from tinyhd_lib.training.learner import build_student
from tinyhd_lib.training.loop import NonFiniteLossError, train
from tinyhd_lib.training.processes import Processes, processes
from tinyhd_lib.training.recipe import Recipe, read_recipe, recipe_names

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_views")]

MadeUp = Callable[[str], Path]
Students = Callable[[str], Path]

SMALL = {"size": [64, 64], "teacher_size": [64, 64], "clip_norm": 1.0, "validation_clips": 1, "batch": 1, "epochs": 2}
"""All that is small about the trainings here. On fewer pixels the gradients of a fresh network are chaotic."""

LESS = {"model": "S-r4-D2", "terms": {"ground_truth": 1.0, "teacher_map": 1.0, "d2": 1.0}}
STEPS = {"milestones": [1], "lr": 0.01, **LESS}
AVERAGED = {"optimiser": "adamw", "schedule": "cosine", "ema": 0.9, "lr": 0.001, "warmup": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {"steps": STEPS, "averaged": AVERAGED}
"""Of optimiser and schedule, as published, for a student that is quick, and as our own recipes have them."""


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Students:
    """Checkpoints with random weights, by row."""
    root = tmp_path_factory.mktemp("students")

    def make(row: str) -> Path:
        path = root / f"{row}.safetensors"
        if not path.exists():
            save_model(random_model(row), path, {"note": "random weights, for tests"})
        return path

    return make


@pytest.fixture(scope="module")
def labels(tiny: MadeUp) -> Recipe:
    """A small student trained on labels alone: two steps per epoch, and a validation."""
    return Recipe(
        "S-r4-D2",
        terms={"ground_truth": 1.0, "d2_ground_truth": 0.5},
        labelled="dhf1k",
        labelled_dir=str(tiny("dhf1k")),
        labelled_split="train",
        validation_split="validation",
        clips_per_video=2,
        **SMALL,
    )


@pytest.fixture(scope="module")
def taught(labels: Recipe, students: Students) -> Recipe:
    """The same for S r4, with a teacher, too."""
    terms = {"ground_truth": 1.0, "teacher_map": 1.0, "d1": 0.5, "d3": 1.0}
    return replace(labels, model="d123s_rc4_rc1T", teachers=(str(students("d123s_rc4_rc1T")),), terms=terms)


@pytest.fixture(scope="module")
def whole(taught: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Recipe, Path]]:
    """A function that gives a recipe with some `SETTINGS`, and the folder of its uninterrupted training."""
    root = tmp_path_factory.mktemp("whole")

    def make(name: str) -> tuple[Recipe, Path]:
        recipe = replace(taught, **SETTINGS[name])
        if not (root / name).exists():
            run(recipe, root / name)
        return recipe, root / name

    return make


@pytest.fixture
def always_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a checkpoint after every step."""
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)


class MadeUpTeacher:
    """Stands in for HD2S: bright pixels are salient, and calls are counted."""

    multi = False
    asked = 0

    def __init__(self, name: str, device: str, *, size: tuple[int, int]) -> None:
        assert device == "cpu"
        self.name, self.digest, self._size = "made up", f"{name} {size}", size

    def __call__(self, frames: Image) -> dict[str, np.ndarray]:
        type(self).asked += 1
        saliency = resized(frames[-1:].mean(axis=-1, dtype=np.float32) / 255 + 0.01, self._size)
        return {"map": saliency[None], "d1": np.stack([saliency**power for power in (0.5, 1, 2, 3)])}


@pytest.fixture
def made_up_teacher(monkeypatch: pytest.MonkeyPatch) -> type[MadeUpTeacher]:
    """Use a made-up teacher for ``hd2s:FILE``."""
    open_model = teachers.open_model

    def open_either(name: str, *given: Any, **named: Any) -> Any:
        return (MadeUpTeacher if name.startswith("hd2s:") else open_model)(name, *given, **named)

    monkeypatch.setattr(teachers, "open_model", open_either)
    monkeypatch.setattr(MadeUpTeacher, "asked", 0)
    return MadeUpTeacher


def published_teacher_file(path: Path) -> Path:
    """HD2S with random weights, in its authors' format."""
    torch.manual_seed(0)
    torch.save(hd2s_state(build_teacher()), path)
    return path


@pytest.fixture(scope="module")
def teacher_of_features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An S r4 whose batch norms are fitted to noise, so that its features are not close to zero."""
    path = tmp_path_factory.mktemp("teacher") / "other.safetensors"
    torch.manual_seed(5)
    teacher = build_model(MODEL_SPECS["S-r4"])
    with torch.no_grad():
        for _ in range(30):
            teacher(torch.randn(2, 3, 16, 64, 64))
    save_model(teacher, path, {})
    return path


def run(recipe: Recipe, out: Path, **options: Any) -> list[dict[str, Any]]:
    return list(train(recipe, out, device="cpu", **options))


def step_terms(entries: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [entry["terms"] for entry in entries if "terms" in entry]


def scores_of(entries: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [entry["scores"] for entry in entries if "scores" in entry]


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors of a nested value, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tensors(each)


def assert_same(out: Path, whole: Path) -> None:
    """Two trainings ended with identical bits and identical logs."""
    ours, theirs = read_state(out), read_state(whole)
    for name in ("model", "average", "optimiser"):
        pairs = list(zip(tensors(getattr(ours, name)), tensors(getattr(theirs, name)), strict=True))
        assert all(torch.equal(*pair) for pair in pairs), name
    assert (ours.epoch, ours.position, ours.steps, ours.best) == (
        theirs.epoch,
        theirs.position,
        theirs.steps,
        theirs.best,
    )
    assert (out / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    best = [load_model(folder / "best.safetensors").state_dict() for folder in (out, whole)]
    assert all(torch.equal(*pair) for pair in zip(*(each.values() for each in best), strict=True))
    assert json.loads((out / "run.json").read_text())["complete"]


def recipe_file(recipe: Recipe, path: Path) -> Path:
    path.write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False))
    return path


def test_what_is_complete_is_not_trained_again_and_other_data_are_told(labels: Recipe, tmp_path: Path) -> None:
    recipe = replace(labels, validation_split=None, epochs=1, clips_per_video=1)
    assert run(recipe, tmp_path / "out")
    assert run(recipe, tmp_path / "out") == []
    shutil.copytree(recipe.labelled_dir[0], tmp_path / "elsewhere")
    moved = replace(recipe, labelled_dir=str(tmp_path / "elsewhere"))
    with pytest.raises(BadInput, match="complete, on data or weights from elsewhere; another `out`, or `force=True`"):
        run(moved, tmp_path / "out")
    assert run(moved, tmp_path / "out", force=True)


def test_the_settings_have_what_resuming_is_about(whole) -> None:
    for name, averages in (("steps", False), ("averaged", True)):
        state = read_state(whole(name)[1])
        assert bool(state.average) == averages
        assert sum(1 for _ in tensors(state.optimiser)) > 100
    assert {len(scores_of(read_log(whole(name)[1]))) for name in SETTINGS} == {2}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains(
    name: str,
    tiny: MadeUp,
    students: Students,
    teacher_of_features: Path,
    made_up_teacher: type,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One epoch on one labelled and one auxiliary video; single-map models are validated, too."""
    written = read_recipe(name)
    changes: dict[str, Any] = {**SMALL, "epochs": 1, "batch": 2, "clips_per_video": 1, "auxiliary_ratio": 1}
    changes |= {"precision": "float32", "size": [32, 32], "teacher_size": [32, 32]}
    data = [each for each in ("labelled", "auxiliary") if getattr(written, each)]
    changes |= {f"{each}_dir": str(tiny(getattr(written, each))) for each in data}
    changes["teachers"] = [
        each if each.startswith("hd2s:") else str(students(each if each in MODEL_SPECS else written.model))
        for each in written.teachers
    ]
    if written.features:
        changes["teachers"] = [str(teacher_of_features)]
    if name == "single":
        monkeypatch.undo()
        changes["teachers"] = [f"hd2s:{published_teacher_file(tmp_path / 'hd2s.pth')}"]
    if not written.spec.multi:
        changes["cache"] = False  # a cache file holds sixteen windows, and these students need one
    if written.start:
        changes["start"] = str(students(written.model))
    if written.validation_split:
        assert open_dataset(written.labelled, tiny(written.labelled), written.validation_split).videos
        changes["validation_split"] = None if written.spec.multi else written.validation_split
    recipe = read_recipe(name, **changes)
    entries = run(recipe, tmp_path / "out")
    said = step_terms(entries)
    steps = 2 if written.labelled == "hollywood2" else 1  # its video has two shots, which count as videos
    assert [entry["epoch"] for entry in entries if "terms" in entry] == [1] * steps
    assert all(set(terms) == {"loss", *(term for term, weight in recipe.terms.items() if weight)} for terms in said)
    assert all(math.isfinite(value) for terms in said for value in terms.values())
    assert len(scores_of(entries)) == (1 if recipe.validation_split else 0)
    assert load_model(tmp_path / "out/best.safetensors").spec == recipe.spec
    assert read_metadata(tmp_path / "out/best.safetensors")["provenance"]["recipe"] == recipe.without_places()
    record = read_record(tmp_path / "out")
    assert record.complete
    assert (record.what, record.key, record.details["recipe"]) == ("train", recipe.without_places(), recipe.to_dict())
    teacher = record.details["teacher"]
    assert (teacher is not None) == bool(recipe.teachers)
    assert not made_up_teacher.asked or teacher["name"] == "made up"
    assert 1 <= len(record.details["videos"]) <= len(data) + steps - 1
    assert read_log(tmp_path / "out") == entries


def test_training_teaches(labels: Recipe, tmp_path: Path) -> None:
    list(synthesise("gaze", tmp_path / "gaze", videos=1, frames=16))
    data = {"labelled": "gaze", "labelled_dir": str(tmp_path / "gaze"), "labelled_split": None}
    changes = {"optimiser": "adamw", "schedule": "cosine", "lr": 0.01, "fusion_lr": 30.0, "warmup": 0.0}
    recipe = replace(labels, model="S-r4", **data, **changes, validation_split=None, epochs=1, clips_per_video=15)
    losses = [terms["loss"] for terms in step_terms(run(recipe, tmp_path / "out"))]
    assert len(losses) == 15
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3]), losses


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.usefixtures("always_saved")
def test_cut_off_again_and_again_it_goes_on_to_the_same_bits(whole, name: str, tmp_path: Path) -> None:
    """It is interrupted in the middle of an epoch, at its end, and after validation."""
    recipe, unbroken = whole(name)
    last = []
    while not last or last[-1]:
        running = train(recipe, tmp_path, device="cpu")
        last.append(list(itertools.islice(running, 2))[1:])
        running.close()
    assert [entry["step"] for (entry,) in last[:-1] if "terms" in entry] == [2, 3, 4]
    assert [entry["step"] for (entry,) in last[:-1] if "scores" in entry] == [2, 4]
    assert_same(tmp_path, unbroken)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_killed_in_an_epoch_it_goes_on_to_the_same_bits(whole, tmp_path: Path) -> None:
    recipe, unbroken = whole("steps")
    file, out = recipe_file(recipe, tmp_path / "recipe.yaml"), tmp_path / "out"
    code = (
        "import sys; from tinyhd_lib.cli import main; from tinyhd_lib.training import loop as train; "
        "train._SECONDS_BETWEEN_CHECKPOINTS = -1.0; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "train", "--recipe", str(file), "--out", str(out), "--device", "cpu"]
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    )
    deadline = time.monotonic() + 120
    while len(read_log(out)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() < 0
    assert 1 <= read_state(out).steps < 4
    run(recipe, out)
    assert_same(out, unbroken)


def test_a_training_that_is_done_is_not_done_again(whole, tmp_path: Path) -> None:
    recipe, unbroken = whole("steps")
    shutil.copytree(unbroken, tmp_path / "out")
    assert run(recipe, tmp_path / "out") == []
    assert_same(tmp_path / "out", unbroken)


def test_another_recipe_is_refused_and_force_begins_anew(whole, labels: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole("steps")[1], out)
    recipe = replace(labels, epochs=1, validation_split=None)
    with pytest.raises(BadInput, match=r"another run \(.*epochs 2 then, 1 now.*or `force=True`"):
        run(recipe, out)
    assert read_state(out).steps == 4
    assert [entry["step"] for entry in run(recipe, out, force=True)] == [1, 2]
    assert read_record(out).details["recipe"] == recipe.to_dict()
    assert len(read_log(out)) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "no pickle", "another"])
def test_a_damaged_checkpoint_is_one_line(
    whole, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, unbroken = whole("steps")
    content = (unbroken / "last.pt").read_bytes()
    damaged = {"cut": content[:-1000], "empty": b"", "no pickle": b"no pickle"}.get(damage, b"")
    (tmp_path / "last.pt").write_bytes(damaged)
    if damage == "another":
        torch.save([1, 2], tmp_path / "last.pt")
    file = recipe_file(recipe, tmp_path / "recipe.yaml")
    assert main(["train", "--recipe", str(file), "--out", str(tmp_path), "--device", "cpu"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "last.pt: damaged, or not the state of a training; give another --out, or --force" in told[-1]
    assert not any("Traceback" in line for line in told)


def test_a_second_run_does_not_work_in_the_folder(whole, tmp_path: Path) -> None:
    recipe, _ = whole("steps")
    first = train(recipe, tmp_path, device="cpu")
    next(first)
    with pytest.raises(BadInput, match="another run is at work there"):
        next(train(recipe, tmp_path, device="cpu", force=True))
    first.close()
    assert len(read_log(tmp_path)) == 1


def test_the_cache_says_what_the_teacher_says_and_is_asked_instead(
    taught: Recipe, made_up_teacher: type[MadeUpTeacher], tmp_path: Path
) -> None:
    changes = {"model": "d123m_rc4_rc1T", "validation_split": None, "epochs": 1, "lr": 1e-6}
    recipe = replace(taught, teachers=(f"hd2s:{tmp_path}",), **changes)
    live = step_terms(run(replace(recipe, cache=False), tmp_path / "live"))
    assert made_up_teacher.asked == 2 * 16
    kept = step_terms(run(recipe, tmp_path / "kept"))
    assert [list(terms) for terms in kept] == [list(terms) for terms in live]
    for ours, theirs in zip(kept, live, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3)
    asked = made_up_teacher.asked
    assert step_terms(run(recipe, tmp_path / "again")) == kept
    assert made_up_teacher.asked <= asked + 1, "once, to see how large its answers are"


def test_processes_that_prepare_clips_change_nothing(taught: Recipe, tmp_path: Path) -> None:
    recipe = replace(taught, validation_split=None, epochs=1)
    assert run(recipe, tmp_path / "two", loaders=2) == run(recipe, tmp_path / "none")


def test_two_processes_take_the_steps_of_one(taught: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips each, four in all, per step; the cache is empty, and the best student is reloaded after an epoch."""
    monkeypatch.setattr(clips, "INPUT_SIZE", INPUT_SIZE)  # which they have, while `small_views` is of this process
    monkeypatch.setitem(clips.VIEWS, "whole", INPUT_SIZE)
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path / "cache of one"))
    recipe = replace(taught, **LESS, milestones=[1], lr=5e-4, clips_per_video=4, accumulate=2)
    file = recipe_file(recipe, tmp_path / "recipe.yaml")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tinyhd_lib", "train", "--recipe", str(file), "--out", str(tmp_path / "two"), "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TINYHD_CACHE": str(tmp_path / "cache")}
    finished = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)
    assert finished.returncode == 0, finished.stderr
    run(replace(recipe, accumulate=4), tmp_path / "one")
    two, one = (read_log(tmp_path / name) for name in ("two", "one"))
    assert [(entry["step"], entry["epoch"], "terms" in entry) for entry in two] == [
        (1, 1, True), (1, 1, False), (2, 2, True), (2, 2, False)
    ]  # fmt: skip
    for ours, theirs in zip(step_terms(two), step_terms(one), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    ours, theirs = (read_state(tmp_path / name).model for name in ("two", "one"))
    # Running statistics of batch norms are not compared: each process sees only its own clips.
    begun = {name: value.detach() for name, value in random_model(recipe.model).named_parameters()}
    moved, apart = (max(float((ours[name] - other[name]).abs().max()) for name in begun) for other in (begun, theirs))
    assert apart < 5e-6
    assert moved > 2e-5


def test_shares_of_the_teachers_work_are_counted_before_any_is_done(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, a late process would find less work to divide, and some would not be done."""
    events = []

    class Teacher:
        name = digest = "two jobs"

        def prepare(self, *_: Any) -> list[Callable[[], None]]:
            events.append("shares")
            return [lambda: events.append("first"), lambda: events.append("second")]

        def size(self, *_: Any) -> int:
            return 0

    group = Processes(1, 2, torch.device("cpu"))
    monkeypatch.setattr(Processes, "wait", lambda _: events.append("wait"))
    monkeypatch.setattr(Processes, "share", lambda _, module: module)
    started = training._Training(labels, tmp_path, group, 0, Teacher())
    events.clear()
    started._prepare([])
    assert events == ["shares", "wait", "second", "wait"]


@pytest.mark.parametrize("told", [{}, {"RANK": "2"}, {"WORLD_SIZE": "4"}])
def test_without_torchrun_there_is_one_process(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with processes("cpu") as group:
        assert (group.rank, group.count) == (0, 1)


def test_a_loss_that_is_not_finite_stops_the_run(whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, unbroken = whole("steps")
    set_rates, calls = learner.set_rates, itertools.count(1)
    with monkeypatch.context() as patch:
        patch.setattr(learner, "set_rates", lambda to, factor: set_rates(to, math.nan if next(calls) == 3 else factor))
        with pytest.raises(NonFiniteLossError, match=r"at step 4: \{'ground_truth': nan, .*lower LR") as stopped:
            run(recipe, tmp_path)
    assert all(term in str(stopped.value) for term in recipe.terms)
    state = read_state(tmp_path)
    assert (state.epoch, state.steps) == (1, 2)
    assert all(value.isfinite().all() for value in tensors(state.model))
    run(recipe, tmp_path)
    assert_same(tmp_path, unbroken)


def test_a_loss_that_is_not_finite_is_one_line(
    labels: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_model(labels.model)
    torch.nn.init.constant_(model.get_parameter("encoder.features.0.0.weight"), 3e38)
    save_model(model, tmp_path / "start.safetensors", {"note": "for tests"})
    file = recipe_file(replace(labels, start=str(tmp_path / "start.safetensors")), tmp_path / "recipe.yaml")
    assert main(["train", "--recipe", str(file), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("tinyhd: the loss is not finite at step 1: {'ground_truth': nan")
    assert not any("Traceback" in line for line in told)
    assert read_state(tmp_path / "out") is None


def test_a_gradient_that_is_not_finite_stops_the_run(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not reach the weights, and through them the checkpoint."""
    terms = training.distillation_terms

    def poisoned(output: Any, *given: Any) -> dict[str, torch.Tensor]:
        return {name: term + (0 * output.map.sum()).sqrt() for name, term in terms(output, *given).items()}

    monkeypatch.setattr(training, "distillation_terms", poisoned)
    with pytest.raises(NonFiniteLossError, match=r"the gradient is not finite at step 1: \{'ground_truth': "):
        run(replace(labels, clip_norm=0.0), tmp_path)


@pytest.mark.usefixtures("always_saved")
def test_a_full_disk_leaves_the_last_checkpoint(whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, unbroken = whole("steps")
    write, written = checkpoint.write_atomically, itertools.count(1)

    def full(path: Path, content: bytes) -> None:
        if path.name == "last.pt" and next(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_atomically", full)
        with pytest.raises(OSError, match="No space left on device"):
            run(recipe, tmp_path)
    assert read_state(tmp_path).steps == 1
    assert not json.loads((tmp_path / "run.json").read_text())["complete"]
    run(recipe, tmp_path)
    assert_same(tmp_path, unbroken)


@pytest.fixture
def broken(made_up: MadeUp, tmp_path: Path) -> Path:
    """DHF1K with the last two training videos and a validation video truncated."""
    root = tmp_path / "dhf1k"
    shutil.copytree(made_up("dhf1k"), root)
    for name in ("002", "003", "602"):
        path = root / f"video/{name}.AVI"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return root


@pytest.mark.parametrize(("store", "cache"), [(True, True), (False, True), (False, False)])
def test_damaged_videos_are_left_out_with_a_line(
    taught: Recipe, broken: Path, store: bool, cache: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"labelled_dir": str(broken), "clips_per_video": 2, "batch": 3, "epochs": 1}
    recipe = replace(taught, **changes, store=store, cache=cache)
    entries = run(recipe, tmp_path / "out")
    assert len(step_terms(entries)) == (1 if store else 2)
    assert np.isfinite(scores_of(entries)[0]["nss"])
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    for name in ("002", "003", "602"):
        assert sum(f"left out: {broken}/video/{name}.AVI: damaged" in line for line in lines) == 1, lines
    assert json.loads((tmp_path / "out/run.json").read_text())["complete"]


def test_the_place_of_a_damaged_clip_is_taken_by_the_next_one(labels: Recipe, broken: Path) -> None:
    recipe = replace(labels, labelled_dir=str(broken), store=False, clips_per_video=1)
    sources, _ = samples.open_sources(recipe)
    drawn = samples.epoch_samples(sources, recipe, 0)
    places = {sources[sample.clip.video].video.name: place for place, sample in enumerate(drawn)}
    items = samples.DistillationSet(sources, None, drawn, recipe)
    for name in ("0002", "0003"):
        assert all(torch.equal(value, items[places["0001"]][key]) for key, value in items[places[name]].items())


def test_ground_truth_that_cannot_be_read_is_left_out_too(
    labels: Recipe, made_up: MadeUp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(made_up("ucf"), tmp_path / "ucf")
    damaged = min((tmp_path / "ucf/training").iterdir()) / "maps"
    for path in damaged.iterdir():
        path.write_bytes(b"no image")
    changes = {"labelled": "ucf", "labelled_dir": str(tmp_path / "ucf"), "labelled_split": "training"}
    recipe = replace(labels, **changes, validation_split=None, store=False, clips_per_video=1, epochs=1)
    assert len(run(recipe, tmp_path / "out")) == 3
    lines = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(lines) == 1
    assert f"left out: {damaged}" in lines[0]


def test_where_nothing_can_be_read_that_is_said(labels: Recipe, tiny: MadeUp, tmp_path: Path) -> None:
    shutil.copytree(tiny("dhf1k"), tmp_path / "dhf1k")
    path = tmp_path / "dhf1k/video/001.AVI"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recipe = replace(labels, labelled_dir=str(tmp_path / "dhf1k"))
    with pytest.raises(BadInput, match="nothing to learn from: every video was left out or cannot be read"):
        run(recipe, tmp_path / "out")
    with pytest.raises(BadInput, match=r"nothing to learn from: no clip .* can be read \(.*001.AVI: damaged"):
        run(replace(recipe, store=False), tmp_path / "out")


def test_labels_alone_teach_and_measure(labels: Recipe, tmp_path: Path) -> None:
    entries = run(replace(labels, model="S-r4", epochs=1), tmp_path)
    assert all(set(terms) == {"ground_truth", "d2_ground_truth", "loss"} for terms in step_terms(entries))
    assert all(
        terms["loss"] == pytest.approx(terms["ground_truth"] + 0.5 * terms["d2_ground_truth"])
        for terms in step_terms(entries)
    )
    (scores,) = scores_of(entries)
    assert set(scores) == {"kl", "cc", "nss", "alike"}
    assert read_metadata(tmp_path / "best.safetensors")["provenance"]["validation"] == scores
    assert read_record(tmp_path).details["teacher"] is None


@pytest.mark.parametrize("row", ["d123s_rc4_rc1T", "d123m_rc4_rc1T"])
def test_a_teacher_alone_teaches_and_is_what_is_measured_against(
    taught: Recipe, students: Students, row: str, tiny: MadeUp, tmp_path: Path
) -> None:
    data = {"labelled": None, "auxiliary": "kinetics", "auxiliary_dir": str(tiny("kinetics"))}
    changes = {"auxiliary_split": "train", "validation_split": "val", "epochs": 1, "clips_per_video": 1}
    recipe = replace(taught, model=row, teachers=(str(students(row)),), **data, **changes)
    entries = run(recipe, tmp_path)
    assert [set(terms) for terms in step_terms(entries)] == [{"teacher_map", "d1", "d3", "loss"}]
    assert [set(scores) for scores in scores_of(entries)] == [{"kl", "alike"}]
    assert 0 < scores_of(entries)[0]["kl"] < 1


def test_folders_are_one_set(labels: Recipe, tmp_path: Path) -> None:
    for name in ("talks", "sequences"):
        list(synthesise("gaze", tmp_path / name, videos=2, frames=16, seed=len(name)))
    folders = {"labelled": "gaze", "labelled_dir": [str(tmp_path / name) for name in ("talks", "sequences")]}
    learnt, _ = samples.open_sources(replace(labels, **folders, labelled_split=None, validation_split=None))
    assert len(learnt) == 4
    assert len({source.digest for source in learnt}) == 4
    narrow = replace(labels, **folders, labelled_split=None, validation_split=None, sigma="0.5deg")
    for before, after in zip(learnt, samples.open_sources(narrow)[0], strict=True):
        assert before.video.viewing.sigma == 2 * after.video.viewing.sigma
        assert before.digest != after.digest, "what was kept of the other labels would be taken"


@pytest.mark.parametrize("term", ["blocks", "features"])
def test_features_are_learnt_from_a_teacher(
    labels: Recipe,
    students: Students,
    teacher_of_features: Path,
    term: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The device ``cpu`` means torch alone: neither student nor teacher uses our own kernels."""
    monkeypatch.setattr(training, "accelerated", lambda *_: pytest.fail("no kernels were asked for"))
    changes = {"optimiser": "adamw", "lr": 0.01, "encoder_lr": 1.0, "schedule": "cosine", "warmup": 0.0}
    changes |= {"validation_split": None, "epochs": 1, "clips_per_video": 12, "crop": 0.8, "colour": 0.5}
    terms = {term: 1.0, "d2": 1.0, "ground_truth": 0.01}
    recipe = replace(labels, model="S-r4", terms=terms, teachers=str(teacher_of_features), **changes)
    entries = run(recipe, tmp_path / "out")
    wrong = [terms[term] for terms in step_terms(entries)]
    assert np.mean(wrong[-3:]) < 0.8 * np.mean(wrong[:3]), wrong
    assert read_record(tmp_path / "out").details["teacher"]["name"] == "S r4 (other)"
    for teachers_ in ([str(students("S-r8"))], [str(teacher_of_features)] * 2):
        with pytest.raises(BadInput, match=f"TERMS {term}: TEACHERS is one student of the same model as MODEL, S r4"):
            run(replace(recipe, teachers=teachers_), tmp_path / "refused")


def test_what_is_frozen_does_not_learn(labels: Recipe, tmp_path: Path) -> None:
    recipe = replace(labels, model="S-r4", freeze=["encoder", "d2"], epochs=1, validation_split=None)
    run(recipe, tmp_path)
    begun, state = random_model(recipe.model).state_dict(), read_state(tmp_path).model
    changed = [name for name, value in begun.items() if not torch.equal(value, state[name])]
    assert {name.removeprefix("decoders.").split(".")[0] for name in changed} == {"d1", "d3", "fusion"}


def test_an_encoder_starts_from_image_net(labels: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(3)
    images = mobilenet_v2(weights=None)
    torch.save(images.state_dict(), tmp_path / "mobilenet.pth")
    student = build_student(replace(labels, start=f"mobilenet_v2:{tmp_path / 'mobilenet.pth'}"))
    expected = random_model(labels.model)
    with torch.no_grad():
        inflate_mobilenet_v2(expected, images.state_dict())
    for name, value in student.encoder.state_dict().items():
        assert torch.equal(value, expected.encoder.state_dict()[name]), name


def test_a_student_starts_from_the_encoder_of_another(labels: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(3)
    trained = build_model(labels.spec)
    save_model(trained, tmp_path / "trained.safetensors", {})
    student = build_student(replace(labels, start=f"encoder:{tmp_path / 'trained.safetensors'}"))
    fresh = random_model(labels.model).state_dict()
    for name, value in student.state_dict().items():
        expected = trained.state_dict() if name.startswith("encoder.") else fresh
        assert torch.equal(value, expected[name]), name


def test_the_best_is_the_best_by_the_score_that_is_named(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training ends when this score has not improved for ``patience`` epochs."""
    scores = iter([{"kl": 3.0, "nss": 1.0}, {"kl": 2.0, "nss": 2.0}, {"kl": 1.0, "nss": 1.5}, {"kl": 0.5, "nss": 2.0}])
    monkeypatch.setattr(learner, "means_over_videos", lambda _: next(scores))
    recipe = replace(labels, best_by="nss", patience=2, epochs=9, clips_per_video=1)
    entries = run(recipe, tmp_path)
    assert len(scores_of(entries)) == 4
    assert read_metadata(tmp_path / "best.safetensors")["provenance"]["epoch"] == 2
    assert read_record(tmp_path).complete
    assert run(recipe, tmp_path) == []


def test_an_epoch_without_scores_does_not_forget_the_best(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([{"kl": 1.0}, {}, {"kl": 2.0}])
    monkeypatch.setattr(learner, "means_over_videos", lambda _: next(scores))
    run(replace(labels, epochs=3, clips_per_video=1), tmp_path)
    assert read_state(tmp_path).best == 1


def test_a_score_that_cannot_be_measured_is_one_line(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "means_over_videos", lambda _: {"kl": 1.0})
    with pytest.raises(BadInput, match="BEST_BY nss: with these data only kl can be measured"):
        run(replace(labels, best_by="nss", epochs=1), tmp_path)


def test_a_student_brings_its_best_way_along(labels: Recipe, tmp_path: Path) -> None:
    run(replace(labels, epochs=1, clips_per_video=1, validation_split=None), tmp_path)
    assert load_model(tmp_path / "best.safetensors").sampling == Sampling.best(labels.spec) == Sampling(8)


def test_terms_that_the_data_cannot_give_are_one_line(labels: Recipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TERMS: these data and teachers give none of teacher_map, d1"):
        run(replace(labels, terms={"teacher_map": 1.0, "d1": 1.0}), tmp_path)


@pytest.mark.parametrize(("milestones", "reloaded"), [([3], True), ([1], False)])
def test_at_a_milestone_the_best_student_comes_back(
    labels: Recipe, milestones: list[int], reloaded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this test it is the student of the second of three epochs."""
    scores = iter((2.0, 1.0, 3.0))
    monkeypatch.setattr(learner, "means_over_videos", lambda _: {"kl": next(scores)})
    run(replace(labels, milestones=milestones, epochs=3, clips_per_video=1), tmp_path)
    assert read_metadata(tmp_path / "best.safetensors")["provenance"]["epoch"] == 2
    best, state = load_model(tmp_path / "best.safetensors").state_dict(), read_state(tmp_path)
    assert state.best == 1
    assert all(torch.equal(value, best[name]) for name, value in state.model.items()) == (reloaded)


def test_accumulated_gradients_are_the_mean(labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[torch.Tensor]] = []

    def look(optimiser: torch.optim.SGD) -> None:
        """Record the gradients, and do not change the weights."""
        found.append([each.grad.clone() for group in optimiser.param_groups for each in group["params"]])

    monkeypatch.setattr(torch.optim.SGD, "step", look)
    recipe = replace(labels, clip_norm=0.0, validation_split=None, epochs=1, clips_per_video=2)
    run(recipe, tmp_path / "one")
    run(replace(recipe, accumulate=2), tmp_path / "two")
    first, second, both = found
    assert not all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    for one, two, mean in zip(first, second, both, strict=True):
        torch.testing.assert_close(mean, (one + two) / 2)


@pytest.mark.parametrize(("precision", "computed"), [("bfloat16", torch.float32), ("float16", torch.float16)])
def test_a_mixed_step_has_its_loss_in_float32(
    labels: Recipe, precision: str, computed: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, whose bfloat16 gradients are wrong, the whole step is in float32 instead."""
    terms_of = training.distillation_terms
    kinds = []

    def look(output: Any, *given: Any) -> dict[str, torch.Tensor]:
        terms = terms_of(output, *given)
        kinds.append((output.map.dtype, {term.dtype for term in terms.values()}))
        return terms

    monkeypatch.setattr(training, "distillation_terms", look)
    recipe = replace(labels, precision=precision, validation_split=None, epochs=1, clips_per_video=1)
    (terms,) = step_terms(run(recipe, tmp_path))
    assert math.isfinite(terms["loss"])
    assert kinds == [(computed, {torch.float32})]
    assert all(value.isfinite().all() for value in tensors(read_state(tmp_path).model))
    assert {value.dtype for value in tensors(read_state(tmp_path).model)} == {torch.float32, torch.int64}


@pytest.mark.usefixtures("always_saved")
def test_kernels_of_our_own_train_alike_in_any_precision_and_go_on(labels: Recipe, tmp_path: Path) -> None:
    """On a CPU they use float32, whatever the recipe says, and resume what torch has begun."""
    recipe = replace(labels, validation_split=None, epochs=1, clips_per_video=2)
    torchs = step_terms(run(recipe, tmp_path / "torch"))
    for place in ("auto", "fused"):
        ours = step_terms(list(train(replace(recipe, precision="float16"), tmp_path / place, device=place)))
        for found, expected in zip(ours, torchs, strict=True):
            assert found == pytest.approx(expected, rel=1e-4)
    for first, then, precision, tolerance in (("cpu", "fused", "float32", 1e-4), ("fused", "cpu", "float16", 1e-2)):
        half, out = replace(recipe, precision=precision), tmp_path / f"{first} then {then}"
        begun = train(half, out, device=first)
        next(begun)
        next(begun)  # the first step was saved before this
        begun.close()
        (rest,) = step_terms(list(train(half, out, device=then)))
        assert rest == pytest.approx(torchs[-1], rel=tolerance)
    with pytest.raises(BadInput, match="device 'fused:1' cannot be used here"):
        next(train(recipe, tmp_path / "none", device="fused:1"))


def test_where_nothing_can_be_compiled_torch_trains_and_a_line_says_so(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise UnpicklingError("pickle data was truncated")

    monkeypatch.setattr(kernels, "convolve", fail)
    recipe = replace(labels, validation_split=None, epochs=1, clips_per_video=1)
    assert list(train(recipe, tmp_path, device="fused"))
    assert "training with torch alone, which takes longer" in caplog.text
    assert "pickle data was truncated" in caplog.text


ENTRIES: list[dict[str, Any]] = [
    *({"step": n, "epoch": 1, "terms": {"d1": 2.0 / n, "ground_truth": 1.0, "loss": 3.0 / n}} for n in range(1, 9)),
    {"step": 8, "epoch": 1, "scores": {"kl": 1.5, "cc": 0.2, "nss": 2.0}},
    {"step": 9, "epoch": 2, "terms": {"d1": 0.1, "ground_truth": 0.9, "loss": 0.2}},
    {"step": 9, "epoch": 2, "scores": {"kl": 1.25, "cc": 0.3}},
]


def test_a_log_is_a_table_of_terms_and_one_of_scores() -> None:
    scores, terms = (log_table(ENTRIES, kind) for kind in ("scores", "terms"))
    assert list(scores.columns) == ["step", "epoch", "kl", "cc", "nss"]
    assert list(scores["epoch"]) == [1, 2]
    assert np.isnan(scores["nss"][1])
    assert list(terms["step"]) == list(range(1, 10))
    assert list(terms.columns) == ["step", "epoch", "d1", "ground_truth", "loss"]
    assert list(log_table([], "scores").columns) == ["step", "epoch"]


@pytest.mark.parametrize(("steps", "smoothing"), [(5, 0.0), (20, 0.5), (300, 0.9)])
def test_long_logs_are_smoothed(steps: int, smoothing: float) -> None:
    losses = np.random.default_rng(0).random(steps) + 1
    entries = [{"step": n, "epoch": 1, "terms": {"loss": loss}} for n, loss in enumerate(losses, start=1)]
    smooth = smoothed(log_table(entries, "terms"))["loss"].to_numpy()
    assert smooth[0] == losses[0]
    np.testing.assert_allclose(smooth[1:], smoothing * smooth[:-1] + (1 - smoothing) * losses[1:])


def test_the_command_trains(labels: Recipe, tmp_path: Path) -> None:
    file = recipe_file(labels, tmp_path / "mine.yaml")
    changes = [argument for each in ("EPOCHS=1", "clips_per_video=1") for argument in ("--set", each)]
    assert main(["train", "--recipe", str(file), "--out", str(tmp_path / "out"), "--device", "cpu", *changes]) == 0
    changed = replace(labels, epochs=1, clips_per_video=1)
    assert read_record(tmp_path / "out").details["recipe"] == changed.to_dict()
    assert len(read_log(tmp_path / "out")) == 2


def test_tensorboard_gets_what_the_log_gets(labels: Recipe, tmp_path: Path) -> None:
    file = recipe_file(labels, tmp_path / "mine.yaml")
    out = tmp_path / "out"
    assert main(["train", "--recipe", str(file), "--out", str(out), "--device", "cpu", "--tensorboard"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from TensorBoard itself
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(out / "tensorboard"))
        events.Reload()
    for kind in ("terms", "scores"):
        entries = [entry for entry in read_log(out) if kind in entry]
        assert entries
        for name in entries[0][kind]:
            said = [(event.step, event.value) for event in events.Scalars(f"{kind}/{name}")]
            assert said == [(entry["step"], pytest.approx(entry[kind][name])) for entry in entries]


def test_without_tensorboard_it_says_how_to_get_it(
    labels: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recipe_file(labels, tmp_path / "mine.yaml")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    command = ["train", "--recipe", str(file), "--out", str(tmp_path / "out"), "--device", "cpu", "--tensorboard"]
    assert main(command) == 2
    assert "pip install -e '.[tensorboard]' from the checkout" in capsys.readouterr().err
