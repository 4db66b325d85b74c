"""Two or more models in one table: means, the best, and the others' differences from it, checked against NumPy."""

import json
import os
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinyhd_lib.cli import main
from tinyhd_lib.evaluation.compare import compare
from tinyhd_lib.evaluation.folder import Evaluation
from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.summary import Estimate, estimate, holm, paired_p
from tinyhd_lib.evaluation.tasks import PREDICTION

NAMES = [metric.name for metric in METRICS]
VIDEOS, FRAMES = 8, 3
LEAST = "KL"
SETTINGS: dict[str, Any] = {"data": "gaze", "split": "all", "averaging": "per-video", "seed": 0}


def evaluation(name: str, scores: np.ndarray, **more: Any) -> Evaluation:
    """An evaluation with these scores (V, F, M)."""
    rows = [
        {"predictor": PREDICTION, "video": f"clip_{video}", "index": frame, "truth": 1}
        | dict(zip(NAMES, scores[video, frame], strict=True))
        for video, frame in product(range(len(scores)), range(scores.shape[1]))
    ]
    return Evaluation(SETTINGS | {"predictions": name} | more, pd.DataFrame(rows))


def drawn(seed: int, models: int, videos: int = VIDEOS) -> tuple[np.ndarray, list[Evaluation]]:
    """Scores (N, V, F, M), and the evaluations that hold them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(models, 1, 1, 1)) + rng.normal(size=(models, videos, FRAMES, len(NAMES)))
    return scores, [evaluation(f"maps/model_{number}", each) for number, each in enumerate(scores)]


def write(folder: Path, each: Evaluation) -> str:
    """Write the files of an evaluation that `tinyhd compare` reads; return their folder."""
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({"settings": each.settings}))
    each.frames.to_parquet(folder / "frames.parquet")
    return str(folder)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), models=st.integers(2, 4))
@example(seed=513, models=2)  # a sign pattern whose sum differs from the observed one only by rounding
def test_means_the_best_and_p_are_numpys(seed: int, models: int) -> None:
    scores, evaluations = drawn(seed, models)
    found = compare(evaluations)
    videos = scores.mean(axis=2)  # (N, V, M)
    for column, metric in enumerate(METRICS):
        means = videos[:, :, column].mean(axis=1)
        first = means.argmax() if metric.higher_is_better else means.argmin()
        assert found.mean[metric.name].to_numpy() == pytest.approx(means)
        assert found.best[metric.name].tolist() == [number == first for number in range(models)]
        for number in set(range(models)) - {first}:
            apart = FRAMES * (videos[number, :, column] - videos[first, :, column])
            expected = paired_p(apart, np.full(VIDEOS, float(FRAMES)), "per-video", 0)
            assert found.p[metric.name].iloc[number] == pytest.approx(expected)
        assert np.isnan(found.p[metric.name].iloc[first])
    np.testing.assert_allclose(found.holm.to_numpy().ravel(), holm(found.p.to_numpy().ravel()))
    assert found.p.notna().to_numpy().sum() == len(METRICS) * (models - 1)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(4)))
def test_the_order_of_the_models_changes_nothing(seed: int, order: list[int]) -> None:
    _, evaluations = drawn(seed, 4)
    found, other = compare(evaluations), compare([evaluations[number] for number in order])
    for part in ("mean", "best", "difference", "p"):
        one, again = getattr(found, part), getattr(other, part)
        pd.testing.assert_frame_equal(again.loc[one.index], one)


def test_of_two_models_the_other_minus_the_best_has_students_interval() -> None:
    scores, (first, second) = drawn(1, 2)
    found = compare([first, second])
    for column, metric in enumerate(METRICS):
        best = int(found.best[metric.name].to_numpy().argmax())
        apart = scores[1 - best, :, :, column].mean(axis=1) - scores[best, :, :, column].mean(axis=1)  # (V,)
        expected = estimate(apart, np.ones(VIDEOS), "per-video")
        estimates: list[Estimate] = found.difference[metric.name].tolist()
        assert estimates[1 - best] == pytest.approx(expected)
        assert estimates[1 - best].mean == pytest.approx(np.diff(found.mean[metric.name])[0] * (1 - 2 * best))
        assert (estimates[1 - best].mean < 0) == metric.higher_is_better
        assert np.isnan(estimates[best]).all()
    assert found.p.notna().sum().eq(1).all()
    assert found.holm.max().to_numpy() == pytest.approx(holm(found.p.max().to_numpy()))


def test_a_clear_difference_gets_its_mark_and_the_best_is_bold() -> None:
    rng = np.random.default_rng(0)
    base = rng.random((14, FRAMES, len(NAMES)))
    models = {"maps/best": base + 1, "maps/worse": base, "maps/tied": base + 1 + 1e-12}
    found = compare([evaluation(name, scores) for name, scores in models.items()])
    higher = [name for name in NAMES if name != LEAST]
    assert found.best.loc["maps/best", higher].all()
    assert found.best.loc["maps/tied", higher].all(), "what differs in its last digits is tied"
    assert found.best[LEAST].tolist() == [False, True, False], "less of it is better"
    latex = found.to_latex()
    mean = f"{found.mean.loc['maps/worse', 'NSS']:.3f}"
    mark = "**" if found.holm.loc["maps/worse", "NSS"] < 0.01 else "*"
    assert 0.001 <= found.holm.loc["maps/worse", "NSS"] < 0.05
    assert f" {mean}{mark} " in latex
    assert f"{mean}{mark}" in str(found)
    assert f"{mean}{mark}<" in found.to_html()


def test_the_tables_have_every_figure_and_no_other_file() -> None:
    _, evaluations = drawn(2, 3)
    found = compare(evaluations)
    latex, page, text = found.to_latex(), found.to_html(), str(found)
    assert all(command in latex for command in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert r"maps/model\_0" in latex
    assert r"NSS$\uparrow$" in latex
    assert r"KL$\downarrow$" in latex
    assert latex.count(r"\bfseries") == found.best.to_numpy().sum() == len(NAMES)
    above, _, below = text.partition("Each score minus the best of its column")
    assert above.count(" best") == len(NAMES) + 1, "once in each column, and once in the note"
    for model, metric in product(found.mean.index, NAMES):
        apart = found.difference.loc[model, metric]
        assert np.isnan(apart.mean) == found.best.loc[model, metric]
        if not found.best.loc[model, metric]:
            assert f"{apart.mean:+.3f}" in below
            assert f"[{apart.low:+.3f}, {apart.high:+.3f}]" in below
            assert f"{apart.low:+.3f}" not in latex + page
    assert not re.search(r"(src|href)=", page)
    for mean in found.mean.to_numpy().ravel():
        assert all(f"{mean:.3f}" in table for table in (latex, page, text))


def test_frames_that_not_all_have_are_left_out_for_all() -> None:
    scores, evaluations = drawn(3, 3)
    frames = evaluations[1].frames
    evaluations[1] = Evaluation(evaluations[1].settings, frames[frames["video"] != "clip_0"])
    found = compare(evaluations)
    assert found.headline == f"7 videos, 21 frames that all have ({FRAMES} that not all have are left out)"
    assert found.mean.to_numpy() == pytest.approx(scores[:, 1:].mean(axis=(1, 2)))


def test_what_no_frame_defines_has_no_best() -> None:
    """As the shuffled AUC of a set with a single video."""
    scores, _ = drawn(4, 3)
    scores[..., NAMES.index("sAUC")] = np.nan
    found = compare([evaluation(f"maps/{number}", each) for number, each in enumerate(scores)])
    assert not found.best["sAUC"].any()
    assert found.p["sAUC"].isna().all()
    assert re.search(r"& - &", found.to_latex())


def test_only_metrics_that_all_have_are_compared() -> None:
    _, evaluations = drawn(5, 3)
    evaluations[2] = Evaluation(evaluations[2].settings, evaluations[2].frames.drop(columns="SIM"))
    assert list(compare(evaluations).mean) == [name for name in NAMES if name != "SIM"]
    assert "SIM" not in compare(evaluations[1:]).mean


def test_models_of_one_name_are_told_apart_by_their_numbers() -> None:
    scores, (first, second) = drawn(6, 2)
    found = compare([first, second, first])
    assert found.mean.index.tolist() == ["maps/model_0 (1)", "maps/model_1 (2)", "maps/model_0 (3)"]
    assert found.mean.to_numpy() == pytest.approx(scores[[0, 1, 0]].mean(axis=(1, 2)))
    assert found.best.iloc[0].equals(found.best.iloc[2])
    assert all(name.replace("_", r"\_") in found.to_latex() and name in found.to_html() for name in found.mean.index)


def test_the_command_writes_the_table_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, evaluations = drawn(7, 3)
    folders = [write(tmp_path / str(number), each) for number, each in enumerate(evaluations)]
    places = {kind: tmp_path / f"table.{kind}" for kind in ("json", "latex", "html")}
    options = [word for kind, place in places.items() for word in (f"--{kind}", str(place))]
    assert main(["compare", *folders, *options]) == 0
    found = compare(evaluations)
    assert capsys.readouterr().out == f"{found}\n"
    assert places["latex"].read_text() == found.to_latex()
    assert places["html"].read_text() == found.to_html()
    told = json.loads(places["json"].read_bytes())
    assert told["mean"]["maps/model_1"]["NSS"] == pytest.approx(found.mean.loc["maps/model_1", "NSS"])
    leader = found.best["NSS"].idxmax()
    assert told["p"][leader]["NSS"] is None
    assert told["difference"][leader]["NSS"] == {"mean": None, "low": None, "high": None}
    last = found.mean["NSS"].idxmin()
    assert told["difference"][last]["NSS"] == found.difference.loc[last, "NSS"]._asdict()
    assert main(["compare", *folders[:2], "--latex", str(places["latex"])]) == 0
    assert capsys.readouterr().out == f"{compare(evaluations[:2])}\n", "two are shown as more are"
    assert places["latex"].read_text() == compare(evaluations[:2]).to_latex()


def test_a_video_called_na_is_no_missing_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, evaluations = drawn(7, 3)
    folders = [write(tmp_path / str(number), each) for number, each in enumerate(evaluations)]
    assert main(["compare", *folders]) == 0
    expected = capsys.readouterr().out
    for folder, each in zip(map(Path, folders), evaluations, strict=True):
        (folder / "frames.parquet").unlink()
        each.frames.replace({"video": {"clip_0": "NA", "clip_1": "null"}}).to_csv(folder / "frames.csv", index=False)
    assert main(["compare", *folders]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("lost", ["predictor", "video", "truth"])
def test_a_table_of_something_else_is_one_line(lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, (first, second) = drawn(7, 2)
    folders = [write(tmp_path / "a", first), write(tmp_path / "b", second)]
    second.frames.drop(columns=lost).to_parquet(tmp_path / "b/frames.parquet")
    assert main(["compare", *folders]) == 2
    assert f"{tmp_path / 'b/frames.parquet'}: not the table of an evaluation" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, _ = drawn(7, 2)
    models = "maps/cafe", os.fsdecode(b"maps/caf\xe9")
    pairs = enumerate(zip(models, scores, strict=True))
    folders = [write(tmp_path / str(number), evaluation(model, each)) for number, (model, each) in pairs]
    assert main(["compare", *folders, "--html", str(tmp_path / "table.html")]) == 2
    assert "tinyhd: a file's name is not UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "table.html").exists()


def test_one_evaluation_is_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path)]) == 2
    assert "name the folders of two evaluations or more" in capsys.readouterr().err
