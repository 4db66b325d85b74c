"""Notebook 04: predictions with known errors, curves, comparisons of sets, and what changes a score."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import defined_in, video_settings
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinyhd_lib import BadInput
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.synthetic import synthesise_once
from tinyhd_lib.data.synthetic.observers import density
from tinyhd_lib.data.transforms import own_bounds, to_grey
from tinyhd_lib.evaluation.compare import compare
from tinyhd_lib.evaluation.folder import Evaluation, evaluate, read_evaluation
from tinyhd_lib.evaluation.options import PROTOCOLS, EvaluateOptions
from tinyhd_lib.evaluation.page import set_plots, timelines, worst_frames
from tinyhd_lib.evaluation.scores import METRICS, Target, score
from tinyhd_lib.evaluation.summary import AVERAGINGS, Summary, summarise
from tinyhd_lib.evaluation.tasks import PREDICTION
from tinyhd_lib.models.weights import short_names
from tinyhd_lib.prediction.files import predict_files
from tinyhd_lib.prediction.jobs import dataset_jobs
from tinyhd_lib.prediction.options import PredictOptions
from tinyhd_lib.runtime import open_runtime

MadeUp = Callable[[str], Path]
NAMES = [metric.name for metric in METRICS]


def not_blank(figure: Figure) -> bool:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bool(np.ptp(np.asarray(canvas.buffer_rgba())[..., :3], axis=(0, 1)).max() > 100)


# One frame


def notebook_example() -> Any:
    """The notebook's example, made by its own code."""
    return defined_in("04_metric_evaluation.ipynb")["make_example"](3, size=(90, 160))


@pytest.fixture(scope="module")
def example() -> Any:
    return notebook_example()


def test_each_mistake_costs_what_it_is_said_to_cost(example: Any) -> None:
    target = Target(example.truth, example.others, PROTOCOLS["dhf1k"])
    scores = pd.DataFrame({name: score(each, target) for name, each in example.predictions.items()}).T
    best = scores.loc["ground truth"]
    assert best[["CC", "SIM", "KL"]].tolist() == pytest.approx([1, 1, 0], abs=1e-9)
    assert scores.loc["uniform", ["AUC-J", "AUC-B", "sAUC", "CC", "NSS"]].tolist() == [0.5, 0.5, 0.5, 0, 0]
    known = scores.loc["true density"]
    assert scores.loc["too sure", "AUC-J"] == known["AUC-J"], "the ranks are the same"
    assert scores.loc["too sure", "KL"] > 2 * known["KL"]
    assert scores.loc["one missed", "KL"] > 2 * known["KL"]
    assert scores.loc["inverted", ["CC", "NSS"]].tolist() == pytest.approx((-known[["CC", "NSS"]]).tolist())
    assert scores.loc["centre bias", "AUC-J"] > scores.loc["centre bias", "sAUC"] + 0.2
    worse = scores.drop(index=["ground truth", "true density", "blurred", "too sure"])
    assert (worse[["AUC-J", "CC", "SIM", "NSS"]] < known[["AUC-J", "CC", "SIM", "NSS"]]).all(axis=None)


def test_an_example_is_a_frame_and_its_observers(example: Any) -> None:
    assert example.predictions["true density"].sum() == pytest.approx(1)
    assert 20 <= example.truth.fixations.sum() <= 24
    assert {each.shape for each in example.predictions.values()} == {(90, 160)}
    shifted, seen = example.predictions["shifted"], example.predictions["true density"]
    assert (shifted[:, 13:] == seen[:, :-13]).all()
    again = notebook_example()
    assert all((again.predictions[name] == each).all() for name, each in example.predictions.items())


# A set


@pytest.fixture(scope="module")
def dataset(made_up: MadeUp) -> Dataset:
    return open_dataset("gaze", made_up("gaze"))


@pytest.fixture(scope="module")
def maps(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true density of every frame, as grey levels stretched to full range, and raw."""
    root = tmp_path_factory.mktemp("maps")
    for video in dataset.videos:
        for kind in ("grey", "raw"):
            (root / kind / video.name).mkdir(parents=True)
        clip = video_settings(dataset.root)[video.name].clip()
        for index, name in enumerate(video.names):
            seen = density(clip, index).astype(np.float32)
            np.savez(root / "raw" / video.name / f"{name}.npz", saliency=seen)
            np.savez(root / "grey" / video.name / f"{name}.npz", saliency=to_grey(seen, seen.shape, own_bounds(seen)))
    return root


def options(predictions: Path, dataset: Dataset, **more: Any) -> EvaluateOptions:
    return EvaluateOptions(predictions=predictions, kind="gaze", dir=dataset.root, workers=1, **more)


@pytest.fixture(scope="module")
def scored(maps: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluation]:
    out = tmp_path_factory.mktemp("scores")
    return {kind: evaluate(options(maps / kind, dataset, out=out / kind)) for kind in ("grey", "raw")}


@pytest.mark.usefixtures("quick_pages")
def test_what_it_answers_is_what_it_writes(maps: Path, dataset: Dataset, tmp_path: Path) -> None:
    asked = options(maps / "raw", dataset, every=4, out=tmp_path / "scores")
    found, written = evaluate(asked), read_evaluation(tmp_path / "scores")
    assert written.settings == found.settings
    assert written.frames.astype(object).equals(found.frames.astype(object))
    assert str(written) == str(found)
    parts = {part: part.stat().st_mtime_ns for part in (tmp_path / "scores" / ".parts").iterdir()}
    assert evaluate(asked).frames.equals(found.frames)
    assert {part: part.stat().st_mtime_ns for part in parts} == parts, "nothing was scored again"
    with pytest.raises(BadInput, match="holds the results of another run"):
        evaluate(replace(asked, every=1))


@pytest.fixture(scope="module")
def both(scored: dict[str, Evaluation]) -> Summary:
    side_by_side = defined_in("04_metric_evaluation.ipynb")["side_by_side"]
    return side_by_side({name: each.summary for name, each in scored.items()})


def test_models_stand_between_the_baselines(both: Summary, scored: dict[str, Evaluation]) -> None:
    names = ["chance", "centre bias", "grey", "raw", "half of the observers"]
    assert list(both.figures["predictor"].unique()) == names
    raw, own = both.figures, scored["raw"].summary.figures
    columns = ["metric", "mean", "low", "high"]
    assert raw.loc[raw["predictor"] == "raw", columns].to_numpy().tolist() == (
        own.loc[own["predictor"] == PREDICTION, columns].to_numpy().tolist()
    )
    defined = both.figures.dropna()
    defined, in_bits = (defined[defined["metric"].isin(NAMES) == plain] for plain in (True, False))
    assert len(defined) == 5 * len(NAMES) - 1, "a centre bias of the other videos has no sAUC"
    assert in_bits["predictor"].tolist() == ["raw", "raw"], "grey levels are no densities, and come first"
    assert (both.texts()[0].loc["raw", ["IG", "LL"]] != "-").all()
    assert (both.texts()[0].loc["grey", ["IG", "LL"]] == "-").all()
    assert both.videos.groupby("predictor").size().tolist() == [3] * 5
    assert both.settings["predictions"] == "grey, raw"


def test_the_figures_of_a_set_show_all_of_it(both: Summary, scored: dict[str, Evaluation]) -> None:
    assert [label.get_text() for label in set_plots(both).axes[0].get_yticklabels()] == list(
        both.figures["predictor"].unique()
    )
    lines = timelines({name: each.frames for name, each in scored.items()})
    assert len(lines.axes) == 3
    assert {line.get_label() for line in lines.axes[0].lines} >= {"half of the observers", "grey", "raw"}
    worst = worst_frames(scored["raw"].frames, scored["raw"].pairs)
    assert [each.nss for each in worst] == sorted(each.nss for each in worst)
    assert all(np.ptp(each.picture) > 100 for each in worst)
    assert all(map(not_blank, (set_plots(both), lines)))


def test_a_difference_is_of_the_same_frames(scored: dict[str, Evaluation]) -> None:
    found = compare([scored["grey"], scored["raw"]])
    for metric, (grey, raw) in found.mean.items():
        other = int(found.best[metric].iloc[0])
        assert found.difference[metric].iloc[other].mean == pytest.approx((raw - grey) * (1 if other else -1))


@pytest.mark.usefixtures("quick_pages")
def test_a_wrong_zero_is_infinite_by_one_protocol_only(maps: Path, dataset: Dataset, tmp_path: Path) -> None:
    rows = []
    for kind, protocol in product(("grey", "raw"), PROTOCOLS):
        asked = options(maps / kind, dataset, every=4, out=tmp_path / kind / protocol)
        found = evaluate(replace(asked, protocol=protocol))
        for averaging in AVERAGINGS:
            figures = summarise(found.frames, found.settings | {"averaging": averaging}).figures
            means = figures[figures["predictor"] == PREDICTION].set_index("metric")["mean"]
            rows.append({"maps": kind, "protocol": protocol, "averaging": averaging, **means})
    table = pd.DataFrame(rows).set_index(["maps", "protocol", "averaging"])
    assert np.isinf(table["KL"]).tolist() == [False, False, True, True, False, False, False, False]
    same = table.drop(columns="KL").round(9).groupby("maps").nunique(dropna=False)
    assert (same == 1).all(axis=None), "frames are the same, and videos equally long"
    assert table.loc[("grey", "dhf1k", "pooled"), "KL"] > table.loc[("raw", "dhf1k", "pooled"), "KL"]


# Getting there


def test_the_maps_of_a_set_are_computed_once(tiny: MadeUp, weights_file: Path, tmp_path: Path) -> None:
    videos = open_dataset("ucf", tiny("ucf"), "testing").videos
    frames = sum(len(video.names) for video in videos)
    runtime = open_runtime(str(weights_file), "cpu")

    def steps() -> int:
        jobs = dataset_jobs(videos, tmp_path, PredictOptions(maps="npz"))
        return sum(1 for job in jobs for _ in predict_files(job, runtime, str(weights_file)))

    assert steps() == frames
    names = {f"{video.name}/{name}.npz" for video in videos for name in video.names}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.npz")} == names
    assert steps() == 0


def test_a_made_up_set_is_made_once(tmp_path: Path) -> None:
    folder = synthesise_once("gaze", tmp_path / "set", videos=1, frames=2)
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert synthesise_once("gaze", folder, videos=1, frames=2) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    for kind, frames in (("gaze", 3), ("folder", 2)):
        with pytest.raises(BadInput, match="holds another made-up data set"):
            synthesise_once(kind, folder, videos=1, frames=frames)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("of somebody else")
    with pytest.raises(BadInput, match="nothing is overwritten"):
        synthesise_once("gaze", tmp_path / "full")


def test_models_need_a_name_each() -> None:
    with pytest.raises(BadInput, match="name 2 or more"):
        short_names(["workbench_m_r4"], least=2)
    with pytest.raises(BadInput, match="two have the same name"):
        short_names(["workbench_m_r4", "workbench_m_r4"])
