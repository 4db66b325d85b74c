"""Notebook 02: a training as pictures and tables, live and afterwards."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinyhd_lib import BadInput
from tinyhd_lib.data.clips import Clip, Source, decoded
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.figures.training import (
    agreement_table,
    batch_pictures,
    before_after_pictures,
    cache_table,
    curves,
    recipe_table,
    resumed_curve,
    score_table,
    watch,
)
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.training.answers import AnswerCache
from tinyhd_lib.training.recipe import Recipe, read_recipe
from tinyhd_lib.training.sampling import Sample, Variation, clip_counts
from tinyhd_lib.training.teachers import WindowTeacher

ENTRIES: list[dict[str, Any]] = [
    *({"step": n, "epoch": 1, "terms": {"d1": 2.0 / n, "ground_truth": 1.0, "loss": 3.0 / n}} for n in range(1, 9)),
    {"step": 8, "epoch": 1, "scores": {"kl": 1.5, "cc": 0.2, "nss": 2.0}},
    {"step": 9, "epoch": 2, "terms": {"d1": 0.1, "ground_truth": 0.9, "loss": 0.2}},
    {"step": 9, "epoch": 2, "scores": {"kl": 1.25, "cc": 0.3}},
]


def not_blank(figure: Figure) -> bool:
    """Whether a figure has more than one colour."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bool(np.ptp(np.asarray(canvas.buffer_rgba())[..., :3], axis=(0, 1)).max() > 100)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


# The log.


def test_curves_show_every_term_and_score() -> None:
    figure = curves(ENTRIES)
    terms, *scores = figure.axes
    assert legend(figure) == ["loss", "ground_truth", "d1"]
    assert terms.get_ylabel() == "nats"
    assert [axes.get_ylabel().split()[0] for axes in scores] == ["KL", "CC", "NSS"]
    assert [len(axes.lines[0].get_xdata()) for axes in scores] == [2, 2, 1]
    assert not_blank(figure)


@pytest.mark.parametrize(("steps", "smoothing"), [(5, 0.0), (20, 0.5), (300, 0.9)])
def test_curves_smooth_long_logs_and_hide_nothing(steps: int, smoothing: float) -> None:
    losses = np.random.default_rng(0).random(steps) + 1
    entries = [{"step": n, "epoch": 1, "terms": {"loss": loss}} for n, loss in enumerate(losses, start=1)]
    faint, smooth = (line.get_ydata() for line in curves(entries).axes[0].lines)
    np.testing.assert_allclose(faint, losses)
    assert smooth[0] == losses[0]
    np.testing.assert_allclose(smooth[1:], smoothing * smooth[:-1] + (1 - smoothing) * losses[1:])


def test_curves_of_nothing_are_empty_axes_and_hints_have_another_unit() -> None:
    assert len(curves([]).axes) == 4
    hints = curves([{"step": 1, "epoch": 1, "terms": {"levels": 1.0, "loss": 0.3}}])
    assert hints.axes[0].get_ylabel() == "nats (levels: variances)"


class Handle:
    """Where IPython would show a figure; it counts what it is shown."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def update(self, figure: Figure) -> None:
        lines = figure.axes[0].lines
        self.shown.append(len(lines[0].get_xdata()) if lines else 0)


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Handle:
    handle = Handle()
    monkeypatch.setattr("IPython.display.display", lambda _figure, **_options: handle)
    return handle


def test_what_is_watched_passes_and_ends_in_a_whole_picture(handle: Handle) -> None:
    assert list(watch(ENTRIES)) == ENTRIES
    assert handle.shown == [9]


def test_pictures_come_as_often_as_wanted(handle: Handle) -> None:
    list(watch(ENTRIES, seconds=-1))
    assert handle.shown == [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 9, 9]


def test_what_is_left_half_way_or_breaks_off_is_shown_as_far_as_it_came(handle: Handle) -> None:
    closed = []

    def training() -> Iterator[dict[str, Any]]:
        try:
            yield from ENTRIES[:5]
            raise ValueError("not finite")
        finally:
            closed.append(True)

    under_way = training()
    for entry in watch(under_way):
        if entry["step"] == 3:
            break
    assert (handle.shown, closed) == ([3], [True]), "the training is let go of, though it is still referred to"
    with pytest.raises(ValueError, match="not finite"):
        list(watch(training()))
    assert handle.shown == [3, 5]


def test_scores_are_a_row_an_epoch() -> None:
    table = score_table(ENTRIES)
    assert list(table.columns) == ["epoch", "kl", "cc", "nss"]
    assert list(table["epoch"]) == [1, 2]
    assert np.isnan(table["nss"][1])
    assert score_table([]).empty


@pytest.mark.parametrize(("cut", "again"), [(0, 0), (5, 3), (11, 11)], ids=["never", "cut", "finished before"])
def test_a_training_in_two_parts_is_one_curve(cut: int, again: int) -> None:
    figure = resumed_curve(ENTRIES[:cut], ENTRIES[again:])
    first, second, *checkpoint = figure.axes[0].lines
    steps = [entry["step"] for entry in ENTRIES if "terms" in entry]
    assert sorted({*first.get_xdata(), *second.get_xdata()}) == steps
    assert [line.get_xdata()[0] for line in checkpoint] == ([] if again == 11 else [again + 0.5])
    assert not_blank(figure)


# The recipe and the data.


@pytest.mark.parametrize("name", ["laptop", "multi_ucf"])
def test_a_recipes_table_has_every_entry_and_its_meaning(name: str) -> None:
    recipe = read_recipe(name)
    table = recipe_table(recipe).set_index("entry")
    assert list(table.index) == [each.name.upper() for each in fields(Recipe)]
    assert table.loc["LR", "value"] == str(recipe.lr)
    assert table.loc["LR", "if left out"] == "0.01"
    assert table.loc["LR", "meaning"] == "learning rate of the decoders."
    assert table["meaning"].str.len().min() > 3
    assert not table["meaning"].str.contains("\n").any()


@pytest.fixture
def source(tiny: Callable[[str], Path]) -> Source:
    return decoded(open_dataset("gaze", tiny("gaze")).videos[0])


def test_a_batch_is_shown_as_the_student_meets_it(source: Source) -> None:
    samples = [
        Sample(Clip(0, 2), Variation()),
        Sample(Clip(0, 17, step=-1, flip=True), Variation(box=(0.1, 0.2, 0.5, 0.75))),
    ]
    rng = np.random.default_rng(0)
    item = {
        "clip": torch.from_numpy(rng.standard_normal((3, 16, 32, 64), np.float32)),
        "label": torch.from_numpy(rng.random((1, 16, 32, 64), np.float32)),
        "map": torch.from_numpy(rng.random((1, 16, 32, 64), np.float32)),
    }
    unlabelled = {**item, "label": torch.zeros(1, 16, 32, 64)}
    figure = batch_pictures([item, unlabelled], samples, [source], "a batch")
    assert len(figure.axes) == 8
    name = source.video.name
    assert figure.axes[0].get_ylabel() == f"{name}\n2 to 17"
    assert figure.axes[4].get_ylabel() == f"{name}\n17 to 2\nbackwards\nflipped\ncut to 50% x 75%"
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "", "", "", "", "not known", ""]
    assert not_blank(figure)


class SlowModel:
    """A window model that counts its calls."""

    name, digest, multi = "slow", "0123456789abcdef", True
    calls = 0

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        self.calls += 1
        return {"map": np.ones((1, 16, *frames.shape[1:3]), np.float32)}


def test_the_cache_is_filled_once_and_its_worth_measured(source: Source, tmp_path: Path) -> None:
    recipe = Recipe("d123m_rc4_rc1T", teachers=("slow",), labelled="gaze")
    samples = [Sample(Clip(0, start), Variation()) for start in (0, 1, 2)]
    model, alone = SlowModel(), SlowModel()
    teacher, live = WindowTeacher(model, cache=AnswerCache(tmp_path)), WindowTeacher(alone)
    tables = [cache_table(recipe, teacher, live, [source], samples) for _ in range(2)]
    assert list(tables[0].columns) == ["what", "value", "unit"]
    files = [table["value"][1] for table in tables]
    assert files == [3, 0], "the second time, nothing is left to be computed"
    assert alone.calls == 6
    assert tables[0]["value"][0] == teacher.size(clip_counts([source], recipe)) / 2**20
    assert (tables[0]["value"] > 0).all()


def test_without_a_teacher_there_is_nothing_to_keep(source: Source) -> None:
    recipe = Recipe("d123m_rc4_rc1T", labelled="gaze")
    with pytest.raises(BadInput, match="TEACHERS: this recipe names none"):
        cache_table(recipe, None, None, [source], [])


def test_agreement_is_that_of_the_metrics_whatever_the_size() -> None:
    teacher = np.random.default_rng(0).random((2, 8, 12), np.float32)
    table = agreement_table({"same": teacher, "flat": np.ones((2, 4, 6), np.float32), "teacher": teacher}, "teacher")
    assert list(table["model"]) == ["same", "flat"]
    np.testing.assert_allclose(table["kl"][0], 0, atol=1e-6)
    np.testing.assert_allclose(table["cc"], [1, 0], atol=1e-6)
    small = torch.from_numpy(teacher.reshape(2, 4, 2, 6, 2).mean((2, 4)))
    assert table["kl"][1] == pytest.approx(float(kl_divergence(torch.ones(2, 4, 6), small).mean()), abs=1e-6)


def test_models_are_shown_under_the_frames_that_they_saw() -> None:
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (3, 24, 32, 3), np.uint8))
    maps = {"before": np.ones((3, 12, 16), np.float32), "teacher": rng.random((3, 24, 32), np.float32)}
    figure = before_after_pictures(frames, maps, [15, 31, 47], "before and after")
    assert len(figure.axes) == 3 * 3 + 1
    assert not_blank(figure)
