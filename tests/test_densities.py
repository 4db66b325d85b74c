"""Predictions that are densities: bits per fixation, and the saliency maps derived from them."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import video_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.gaze import ASSUMED_WIDTH_DEGREES, GroundTruth, blur
from tinyhd_lib.data.synthetic.observers import density
from tinyhd_lib.evaluation.compare import compare
from tinyhd_lib.evaluation.folder import Evaluation, read_evaluation
from tinyhd_lib.evaluation.options import PROTOCOLS
from tinyhd_lib.evaluation.scores import MATCHED, METRICS, OF_DENSITIES, Target, _blurred, score, spread_of
from tinyhd_lib.metrics import cc, information_gain, kl_div, log_likelihood

MadeUp = Callable[[str], Path]
NAMES = [metric.name for metric in METRICS]
IN_BITS = [metric.name for metric in OF_DENSITIES]
OF_BLURRED = [metric.name for metric in MATCHED]
NOWHERE = np.zeros((12, 16), bool)


def drawn(seed: int, size: tuple[int, int] = (12, 16)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two densities that are far from uniform, and a fixation map."""
    rng = np.random.default_rng(seed)
    fixations = rng.random(size) < 0.1
    fixations.flat[rng.integers(fixations.size)] = True
    return rng.random(size) ** 8 + 1e-12, rng.random(size) ** 2 + 1e-6, fixations


# The metrics ----------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-12, 1.0, 1e9]))
def test_bits_are_numpys(seed: int, scale: float) -> None:
    first, second, fixations = drawn(seed)
    bits = np.log2(first / first.sum())[fixations].mean()
    baseline = np.log2(second / second.sum())[fixations].mean()
    assert log_likelihood(scale * first, fixations) == pytest.approx(bits, abs=1e-9)
    assert information_gain(scale * first, fixations, second) == pytest.approx(bits - baseline, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_bits_are_pysaliencys(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports cause warnings
        pysaliency = pytest.importorskip("pysaliency", reason="pysaliency is not installed")

        class Fixed(pysaliency.Model):
            def __init__(self, values: np.ndarray) -> None:
                super().__init__()
                self.values = values

            def _log_density(self, _: Any) -> np.ndarray:
                return np.log(self.values / self.values.sum())

        first, second, fixations = drawn(seed)
        stimuli = pysaliency.Stimuli([np.zeros((*fixations.shape, 3), np.uint8)])
        y, x = np.nonzero(fixations)
        looked = pysaliency.Fixations.create_without_history(x=x, y=y, n=np.zeros(len(x), int))
        likelihood = Fixed(first).log_likelihood(stimuli, looked) / np.log(2)
        gain = Fixed(first).information_gain(stimuli, looked, Fixed(second))
    assert log_likelihood(first, fixations) == pytest.approx(likelihood, abs=1e-6)
    assert information_gain(first, fixations, second) == pytest.approx(gain, abs=1e-6)


def test_a_fixation_on_a_zero_costs_52_bits_and_not_everything() -> None:
    saliency, fixations = np.array([[0.0, 1.0, 1.0]]), np.array([[True, True, False]])
    assert log_likelihood(saliency, fixations) == pytest.approx((-52 - 1) / 2)
    assert log_likelihood(np.zeros((1, 3)), fixations) == pytest.approx(-np.log2(3)), "a constant map is uniform"
    assert np.isnan(log_likelihood(saliency, np.zeros((1, 3), bool)))
    together = log_likelihood(np.stack([saliency, saliency + 1]), np.stack([fixations, fixations]))
    assert together[0] == log_likelihood(saliency, fixations)
    assert together.shape == (2,)
    with pytest.raises(ValueError, match="a density has no negative values"):
        log_likelihood(saliency - 1, fixations)


def test_bits_are_gained_over_the_centre_bias_and_over_a_uniform_map() -> None:
    saliency, centre, fixations = drawn(3)
    truth = GroundTruth(blur(fixations.astype(np.float32), 1.5), fixations)
    found = score(saliency, Target(truth, NOWHERE, PROTOCOLS["dhf1k"], centre))
    assert list(found) == NAMES + IN_BITS
    assert found["IG"] == information_gain(saliency, fixations, centre)
    assert found["LL"] == pytest.approx(log_likelihood(saliency, fixations) + np.log2(saliency.size))
    assert score(centre, Target(truth, NOWHERE, PROTOCOLS["dhf1k"], centre))["IG"] == 0
    assert score(np.ones_like(centre), Target(truth, NOWHERE, PROTOCOLS["dhf1k"], centre))["LL"] == 0


# The saliency map of a density ----------------------------------------------------------------------------------------


def looked_at(density: np.ndarray, rng: np.random.Generator, sigma: float, observers: int = 12) -> np.ndarray:
    """The saliency map of some observers whose fixations are drawn from a density."""
    places = rng.choice(density.size, observers, p=(density / density.sum()).ravel())
    return blur(np.bincount(places, minlength=density.size).reshape(density.shape).astype(np.float32), sigma)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_other_map_is_expected_to_score_better_than_the_blurred_density(seed: int) -> None:
    """Fixations are drawn from the density itself; other exponents, and no blur, score worse on average."""
    rng, sigma = np.random.default_rng(seed), 2.5
    peaks = np.zeros((24, 32), np.float32)
    peaks[rng.integers(4, 20, 3), rng.integers(4, 28, 3)] = rng.random(3) + 0.3
    truth = blur(peaks, 1.5).astype(float) + 1e-5
    seen = np.array([looked_at(truth, rng, sigma) for _ in range(300)])
    best = blur(truth.astype(np.float32), sigma)
    others = [truth, *(blur((truth**power).astype(np.float32), sigma) for power in (0.5, 0.7, 1.5, 2.0)), best**1.5]
    for other in others:
        assert np.mean([kl_div(best, each) for each in seen]) < np.mean([kl_div(other, each) for each in seen])
        assert np.mean([cc(best, each) for each in seen]) > np.mean([cc(other, each) for each in seen]) - 1e-3


def test_matched_columns_are_those_of_the_blurred_density() -> None:
    saliency, centre, fixations = drawn(4)
    truth = GroundTruth(blur(fixations.astype(np.float32), 1.5), fixations)
    found = score(saliency, Target(truth, NOWHERE, PROTOCOLS["dhf1k"], centre, sigma=1.5))
    assert list(found) == NAMES + IN_BITS + OF_BLURRED
    blurred = cv2.GaussianBlur(saliency, (13, 13), 1.5, borderType=cv2.BORDER_REFLECT)
    assert found["CC matched"] == pytest.approx(cc(blurred, truth.saliency), abs=1e-3)
    assert found["KL matched"] == pytest.approx(kl_div(blurred, truth.saliency), abs=1e-3)
    assert found["CC"] == cc(saliency, truth.saliency)
    again = score(1e-30 * saliency, Target(truth, NOWHERE, PROTOCOLS["dhf1k"], centre, sigma=1.5))
    assert again["KL matched"] == pytest.approx(found["KL matched"], abs=1e-6), "no scale is too small"


# Whole evaluations ----------------------------------------------------------------------------------------------------


def write_maps(dataset: Dataset, out: Path, form: str) -> Path:
    for video in dataset.videos:
        clip = video_settings(dataset.root)[video.name].clip()
        (out / video.name).mkdir(parents=True)
        for index, name in enumerate(video.names):
            seen = density(clip, index)
            if form == "npz":
                np.savez(out / video.name / f"{name}.npz", saliency=seen.astype(np.float32))
            else:
                kind, white = (np.uint16, 65535) if form == "png16" else (np.uint8, 255)
                cv2.imwrite(str(out / video.name / f"{name}.png"), (seen / seen.max() * white).astype(kind))
    return out


def evaluate(predictions: Path, dataset: Dataset, out: Path, *more: str) -> int:
    words = [str(predictions), dataset.kind.name, str(dataset.root), "--out", str(out), "--workers", "1"]
    return main(["evaluate", *words, "--every", "4", *more])


@pytest.fixture(scope="module")
def gaze(made_up: MadeUp) -> Dataset:
    return open_dataset("gaze", made_up("gaze"))


@pytest.fixture(scope="module")
def scored(gaze: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluation]:
    root = tmp_path_factory.mktemp("densities")
    for form in ("npz", "png16", "png"):
        assert evaluate(write_maps(gaze, root / form, form), gaze, root / f"{form}_scores") == 0
    assert evaluate(root / "npz", gaze, root / "matched_scores", "--matched", "--emd") == 0
    return {form: read_evaluation(root / f"{form}_scores") for form in ("npz", "png16", "png", "matched")}


def means_of(evaluation: Evaluation) -> pd.DataFrame:
    columns = [name for name in [*IN_BITS, *OF_BLURRED, "EMD"] if name in evaluation.frames]
    return evaluation.frames.groupby("predictor", observed=True)[columns].mean()


@pytest.mark.slow
def test_only_densities_have_bits(scored: dict[str, Evaluation]) -> None:
    assert not set(IN_BITS) & set(scored["png"].frames)
    assert "IG" not in str(scored["png"])
    for form in ("npz", "png16"):
        means = means_of(scored[form])
        assert means.loc["chance", "LL"] == 0
        assert means.loc["centre bias", "IG"] == 0
        assert means.loc["prediction", "IG"] > 1, "who knows the density knows far more than the middle"
        assert not set(OF_BLURRED) & set(scored[form].frames)
        assert "IG and LL: bits a fixation more than the centre bias" in str(scored[form])
    assert means_of(scored["npz"]).loc["prediction", "LL"] == pytest.approx(
        means_of(scored["png16"]).loc["prediction", "LL"], abs=0.01
    )


@pytest.mark.slow
def test_a_score_in_bits_is_what_numpy_says(scored: dict[str, Evaluation], gaze: Dataset) -> None:
    video = gaze.videos[1]
    rows = scored["npz"].frames.query("predictor == 'prediction' and index == 8")
    seen = density(video_settings(gaze.root)[video.name].clip(), 8).astype(np.float32).astype(float)
    truth = video.truth(8)
    assert truth is not None
    expected = np.log2(seen / seen.sum())[truth.fixations].mean() + np.log2(seen.size)
    assert rows[rows["video"] == video.name]["LL"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_both_ways_stand_beside_each_other(scored: dict[str, Evaluation]) -> None:
    matched, plain = scored["matched"], scored["npz"]
    assert [each.name for each in matched.summary.metrics] == [*NAMES, *IN_BITS, *OF_BLURRED, "EMD"]
    means = means_of(matched).loc["prediction"]
    own = matched.frames.query("predictor == 'prediction'")
    assert means["KL matched"] < own["KL"].mean(), "the made-up observers look where the density says, and are blurred"
    assert means["CC matched"] > own["CC"].mean()
    assert means["EMD"] < means_of(matched).loc["chance", "EMD"]
    pd.testing.assert_frame_equal(matched.frames[list(plain.frames)], plain.frames)
    assert "KL matched$\\downarrow$" in matched.summary.to_latex()
    assert "matched: scores of the density, blurred like the ground truth." in str(matched)
    assert "EMD: in cells of 32 x 32 pixels." in str(matched)


@pytest.mark.slow
def test_densities_and_grey_levels_are_compared_in_what_both_have(scored: dict[str, Evaluation]) -> None:
    assert list(compare([scored["npz"], scored["png"]]).mean) == NAMES
    assert list(compare([scored["npz"], scored["png16"]]).mean) == NAMES + IN_BITS


@pytest.mark.usefixtures("quick_pages")
@pytest.mark.slow
def test_the_pages_have_the_columns(scored: dict[str, Evaluation], gaze: Dataset, tmp_path: Path) -> None:
    assert evaluate(write_maps(gaze, tmp_path / "maps", "npz"), gaze, tmp_path / "scores", "--matched", "--emd") == 0
    page, told = (
        (tmp_path / "scores/report.html").read_text(),
        json.loads((tmp_path / "scores/summary.json").read_bytes()),
    )
    assert all(f'<th scope="col">{name} <span' in page for name in [*IN_BITS, *OF_BLURRED, "EMD"])
    assert told["figures"]["prediction"].keys() == scored["matched"].summary.to_json()["figures"]["prediction"].keys()


@pytest.mark.parametrize("sigma", [12.0, 40.0])
def test_a_far_blur_on_a_coarser_grid_is_that_blur(sigma: float) -> None:
    noise = np.random.default_rng(3).random((360, 640)).astype(np.float32) ** 8
    for density_map, allowed in ((blur(noise, 6), 1e-5), (noise, 1e-3)):
        assert cc(_blurred(density_map, sigma), blur(density_map, sigma)) > 1 - allowed


@pytest.mark.parametrize("sigma", [0.8, 5.0, 12.7, 40.0])
@pytest.mark.parametrize("points", [1, 12])
def test_how_far_fixations_spread_is_found_in_a_map(sigma: float, points: int) -> None:
    rng = np.random.default_rng(round(10 * sigma) + points)
    fixations = np.zeros((360, 640), bool)
    fixations.flat[rng.choice(fixations.size, points, replace=False)] = True
    saliency = blur(fixations.astype(np.float32), sigma)
    assert spread_of(GroundTruth(saliency, fixations)) == pytest.approx(sigma, rel=0.01)
    levels = np.rint(255 * saliency / saliency.max())
    assert spread_of(GroundTruth(levels, fixations)) == pytest.approx(sigma, rel=0.03)


@pytest.mark.usefixtures("quick_pages")
@pytest.mark.parametrize(("kind", "split"), [("dhf1k", "validation"), ("ucf", "testing")])
def test_densities_are_blurred_as_far_as_the_maps_that_are_given(
    made_up: MadeUp, tmp_path: Path, kind: str, split: str
) -> None:
    dataset = open_dataset(kind, made_up(kind))
    predictions = write_maps(dataset.of_split(split), tmp_path / "maps", "npz")
    assert evaluate(predictions, dataset, tmp_path / "scores", "--matched") == 0
    video = dataset.of_split(split).videos[0]
    truth = video.truth(4)
    assert truth is not None
    with np.load(predictions / video.name / f"{video.names[4]}.npz") as file:
        blurred = blur(file["saliency"], truth.saliency.shape[1] / ASSUMED_WIDTH_DEGREES)
    rows = read_evaluation(tmp_path / "scores").frames.query("predictor == 'prediction' and index == 4")
    expected = kl_div(blurred, truth.saliency)
    assert rows[rows["video"] == video.name]["KL matched"].item() == pytest.approx(expected, abs=2e-3)


@pytest.mark.usefixtures("quick_pages")
def test_what_is_no_density_calls_for_no_map(gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = write_maps(gaze, tmp_path / "grey", "png")
    assert evaluate(grey, gaze, tmp_path / "scores", "--matched") == 2
    assert "--matched is for densities, not for 8-bit maps; make .npz or 16 bits" in capsys.readouterr().err


@pytest.mark.usefixtures("quick_pages")
def test_without_pot_its_column_is_refused_in_one_line(
    gaze: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tinyhd_lib.evaluation.plan.find_spec", lambda _name: None)
    assert evaluate(write_maps(gaze, tmp_path / "maps", "npz"), gaze, tmp_path / "scores", "--emd") == 2
    assert "needs POT (pip install -e '.[emd]'" in capsys.readouterr().err
