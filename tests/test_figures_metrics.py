"""Notebook 04: predictions that are wrong in known ways, curves, sets side by side, and what moves a score."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinyhd_lib import BadInput, metrics
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.synthetic import density, synthesise_once, video_of
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.evaluation.compare import compare
from tinyhd_lib.evaluation.dialects import dialect_table, in_every_dialect
from tinyhd_lib.evaluation.examples import Example, make_example
from tinyhd_lib.evaluation.folder import Scored, evaluate_into
from tinyhd_lib.evaluation.pictures import worst_frames
from tinyhd_lib.evaluation.plan import Evaluation, Rules
from tinyhd_lib.evaluation.plots import (
    comparison_plots,
    comparison_table,
    set_plots,
    set_table,
    timelines,
    worst_pictures,
)
from tinyhd_lib.evaluation.results import read_results
from tinyhd_lib.evaluation.summary import NAMES, Summary, side_by_side
from tinyhd_lib.figures.metrics import auc_pictures, metric_pictures, metric_table, roc
from tinyhd_lib.models.weights import short_names
from tinyhd_lib.prediction.files import predict_dataset
from tinyhd_lib.prediction.map_files import own_bounds

MadeUp = Callable[[str], Path]


def not_blank(figure: Figure) -> bool:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bool(np.ptp(np.asarray(canvas.buffer_rgba())[..., :3], axis=(0, 1)).max() > 100)


# One frame


@pytest.fixture(scope="module")
def example() -> Example:
    return make_example(3, size=(90, 160))


def test_each_mistake_costs_what_it_is_said_to_cost(example: Example) -> None:
    scores = metric_table(example, "dhf1k").set_index("prediction")
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


def test_an_example_is_a_frame_and_its_viewers(example: Example) -> None:
    assert example.density.sum() == pytest.approx(1)
    assert 20 <= example.truth.fixations.sum() <= 24
    assert {each.shape for each in example.predictions.values()} == {(90, 160)}
    shifted, seen = example.predictions["shifted"], example.predictions["true density"]
    assert (shifted[:, 13:] == seen[:, :-13]).all()
    again = make_example(3, size=(90, 160))
    assert all((again.predictions[name] == each).all() for name, each in example.predictions.items())


def test_the_best_of_each_line_is_bold(example: Example) -> None:
    table = metric_table(example, "dhf1k")
    figure = metric_pictures(example, table, "title")
    contest = figure.axes[-1]
    bold = [text.get_position() for text in contest.texts if text.get_weight() == "bold"]
    assert {row for _, row in bold} == set(range(len(NAMES)))
    assert all(column > 0 for column, _ in bold), "the ground truth itself takes no part"
    best = table.loc[1:, "KL"].idxmin()
    assert [column for column, row in bold if NAMES[int(row)] == "KL"] == [best]
    assert not_blank(figure)


@given(
    arrays(np.int64, (5, 6), elements=st.integers(0, 4)), arrays(bool, (5, 6)).filter(lambda map_: 0 < map_.sum() < 30)
)
@settings(deadline=None)
def test_the_area_below_a_curve_is_the_exact_auc(levels: np.ndarray, fixations: np.ndarray) -> None:
    alarms, hits = roc(levels.astype(float), fixations)
    assert (np.diff(alarms) * (hits[1:] + hits[:-1]) / 2).sum() == pytest.approx(
        metrics.auc_rank(levels.astype(float), fixations)
    )
    assert (alarms[-1], hits[-1]) == (1, 1)


def test_the_point_of_the_picture_lies_on_its_curve(example: Example) -> None:
    figure = auc_pictures(example, "true density", "title")
    right = figure.axes[1]
    curves = {line.get_label(): line for line in right.lines}
    assert set(example.predictions) < set(curves)
    (alarms,), (hits,) = curves["shown on the left"].get_data()
    known_alarms, known_hits = curves["true density"].get_data()
    near = np.abs(np.asarray(known_alarms) - alarms).argmin()
    assert known_hits[near] == pytest.approx(hits, abs=0.05)
    assert alarms == pytest.approx(0.1, abs=0.01)


# A set


@pytest.fixture(scope="module")
def dataset(made_up: MadeUp) -> Dataset:
    return open_dataset("gaze", made_up("gaze"))


@pytest.fixture(scope="module")
def maps(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true density of every frame, in two grey levels that do not mind how flat it is, and raw."""
    root = tmp_path_factory.mktemp("maps")
    for video in dataset.videos:
        for kind in ("grey", "raw"):
            (root / kind / video.name).mkdir(parents=True)
        clip = video_of(dataset.root, video.name)
        for index, name in enumerate(video.names):
            seen = density(clip, index).astype(np.float32)
            np.savez(root / "raw" / video.name / f"{name}.npz", saliency=seen)
            np.savez(root / "grey" / video.name / f"{name}.npz", saliency=to_grey(seen, seen.shape, own_bounds(seen)))
    return root


@pytest.fixture(scope="module")
def scored(maps: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scored]:
    out = tmp_path_factory.mktemp("scores")
    return {
        kind: evaluate_into(out / kind, Evaluation(maps / kind, dataset, None, Rules()), workers=1)
        for kind in ("grey", "raw")
    }


def test_what_it_answers_is_what_it_writes(maps: Path, dataset: Dataset, tmp_path: Path) -> None:
    evaluation = Evaluation(maps / "raw", dataset, None, Rules(every=4))
    found = evaluate_into(tmp_path / "scores", evaluation, workers=1)
    written = read_results(tmp_path / "scores")
    assert written.settings == found.results.settings
    assert written.table.astype(object).equals(found.table.astype(object))
    parts = {part: part.stat().st_mtime_ns for part in (tmp_path / "scores" / ".parts").iterdir()}
    again = evaluate_into(tmp_path / "scores", evaluation, workers=1)
    assert again.table.equals(found.table)
    assert {part: part.stat().st_mtime_ns for part in parts} == parts, "nothing was scored again"
    with pytest.raises(BadInput, match="holds another evaluation"):
        evaluate_into(tmp_path / "scores", Evaluation(maps / "raw", dataset, None, Rules()), workers=1)


@pytest.fixture(scope="module")
def both(scored: dict[str, Scored]) -> Summary:
    return side_by_side({name: each.summary for name, each in scored.items()})


def test_models_stand_between_the_baselines(both: Summary, scored: dict[str, Scored]) -> None:
    assert list(both.figures) == ["chance", "centre bias", "grey", "raw", "half of the viewers"]
    assert both.figures["raw"] == scored["raw"].summary.figures["prediction"]
    assert both.videos.groupby("predictor").size().tolist() == [3] * 5
    assert both.settings["predictions"] == "grey, raw"


def test_the_table_of_a_set_has_what_is_defined(both: Summary) -> None:
    table = set_table(both)
    assert np.isfinite(table[["mean", "low", "high"]]).all(axis=None)
    assert len(table) == 5 * len(NAMES) - 1, "a centre bias of the other videos has no sAUC"
    row = table[(table["predictor"] == "raw") & (table["metric"] == "NSS")].iloc[0]
    assert row["mean"] == both.figures["raw"]["NSS"].mean


def test_the_figures_of_a_set_show_all_of_it(both: Summary, scored: dict[str, Scored]) -> None:
    assert [label.get_text() for label in set_plots(both).axes[0].get_yticklabels()] == list(both.figures)
    lines = timelines({name: each.table for name, each in scored.items()})
    assert len(lines.axes) == 3
    assert {line.get_label() for line in lines.axes[0].lines} >= {"half of the viewers", "grey", "raw"}
    worst = worst_frames(scored["raw"].table, scored["raw"].plan.pairs)
    shown = worst_pictures(worst, "title")
    assert [axes.get_title() for axes in shown.axes if axes.images] == [
        f"{each.video}, frame {each.frame}: NSS {each.nss:.2f}" for each in worst
    ]
    assert all(map(not_blank, (set_plots(both), lines, shown)))


def test_a_difference_is_drawn_video_by_video(both: Summary, scored: dict[str, Scored]) -> None:
    comparison = compare(scored["grey"].results, scored["raw"].results)
    table = comparison_table(comparison).set_index("metric")
    assert table["difference"].to_numpy() == pytest.approx((table["B"] - table["A"]).to_numpy())
    figure = comparison_plots(comparison, both, ("grey", "raw"), "title")
    points = figure.axes[NAMES.index("NSS")].lines[1].get_xdata()
    assert len(points) == 3
    assert np.mean(points) == pytest.approx(table.loc["NSS", "difference"])


def test_a_wrong_zero_is_infinite_in_one_dialect_only(maps: Path, dataset: Dataset, tmp_path: Path) -> None:
    rules = Rules(every=4)
    ways = {
        kind: in_every_dialect(Evaluation(maps / kind, dataset, None, rules), tmp_path / kind)
        for kind in ("grey", "raw")
    }
    table = dialect_table(ways).set_index(["maps", "dialect", "averaging"])
    assert len(table) == 8
    assert (table["KL"] == "infinite").tolist() == [False, False, True, True, False, False, False, False]
    same = table.drop(columns="KL").round(9).groupby("maps").nunique()
    assert (same == 1).all(axis=None), "frames are the same, and videos equally long"
    assert table.loc[("grey", "dhf1k", "pooled"), "KL"] > table.loc[("raw", "dhf1k", "pooled"), "KL"]


# Getting there


def test_the_maps_of_a_set_are_computed_once(tiny: MadeUp, weights_file: Path, tmp_path: Path) -> None:
    videos = open_dataset("ucf", tiny("ucf"), "testing").videos
    frames = sum(len(video.names) for video in videos)
    assert sum(1 for _ in predict_dataset(videos, str(weights_file), tmp_path, maps="npz", device="cpu")) == frames
    names = {f"{video.name}/{name}.npz" for video in videos for name in video.names}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.npz")} == names
    assert not list(predict_dataset(videos, str(weights_file), tmp_path, maps="npz", device="cpu"))


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
    with pytest.raises(BadInput, match="two go by one name"):
        short_names(["workbench_m_r4", "workbench_m_r4"])
