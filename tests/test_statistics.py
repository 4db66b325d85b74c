"""Averages match their definitions; intervals and tests are valid in simulations with known parameters."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from tinyhd_lib.evaluation.plan import chosen_frames
from tinyhd_lib.evaluation.summary import (
    AVERAGINGS,
    Estimate,
    average,
    estimate,
    holm,
    paired_p,
    totals,
    units,
)

NAN, INF = float("nan"), float("inf")

quick = settings(max_examples=60, deadline=None)
every_averaging = pytest.mark.parametrize("averaging", AVERAGINGS)
SCORES = np.array([1.0, 2.0, 6.0, NAN, 5.0, 7.0, NAN])
VIDEOS = np.array([0, 0, 0, 1, 2, 2, 2])
"""Three frames of the first video, one of the second that is not defined, two of the third and one that is not."""

MEAN, EFFECT, NOISE = 0.7, 0.3, 0.2
"""Of simulated scores: the true mean, and the deviations of the videos around it, and of frames around their video."""


def simulated(rng: np.random.Generator, videos: int, most_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of frames, and the number of each frame's video; every video has a level of its own."""
    which = np.repeat(np.arange(videos), rng.integers(most_frames // 2, most_frames, videos))
    level = rng.normal(MEAN, EFFECT, videos)
    return level[which] + rng.normal(0, NOISE, len(which)), which


def by_signs(each: np.ndarray) -> float:
    """The fraction of all sign patterns whose sum is at least as far from 0."""
    sums = np.abs([np.dot(signs, each) for signs in product((-1, 1), repeat=len(each))])
    return float(np.mean(sums >= abs(each.sum()) - 1e-9))


def test_totals_of_each_video_leave_out_what_is_not_defined() -> None:
    sums, counts = totals(SCORES, VIDEOS)
    assert sums.tolist() == [9, 12]
    assert counts.tolist() == [3, 2]


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_totals_take_the_order_of_frames_as_it_comes(dtype: type[np.integer]) -> None:
    order = np.random.default_rng(0).permutation(len(SCORES))
    for given_totals, expected in zip(
        totals(SCORES[order], VIDEOS[order].astype(dtype)), totals(SCORES, VIDEOS), strict=True
    ):
        assert given_totals.tolist() == expected.tolist()


def test_a_pooled_mean_is_of_frames_and_the_other_of_videos() -> None:
    sums, counts = totals(SCORES, VIDEOS)
    assert average(sums, counts, "pooled") == pytest.approx(21 / 5)
    assert average(sums, counts, "per-video") == pytest.approx((3 + 6) / 2)


@quick
@given(
    st.lists(
        st.lists(st.floats(-5, 5) | st.just(NAN), min_size=1, max_size=5), min_size=1, max_size=5
    ).filter(lambda videos: not np.isnan(np.concatenate(videos)).all())
)  # fmt: skip
def test_averages_are_numpys(videos: list[list[float]]) -> None:
    which = np.repeat(np.arange(len(videos)), [len(each) for each in videos])
    sums, counts = totals(np.concatenate(videos), which)
    means = [np.nanmean(each) for each in videos if not np.isnan(each).all()]
    assert average(sums, counts, "pooled") == pytest.approx(np.nanmean(np.concatenate(videos)), abs=1e-12)
    assert average(sums, counts, "per-video") == pytest.approx(np.mean(means), abs=1e-12)


@every_averaging
@given(seed=st.integers(0, 1000), videos=st.integers(2, 12))
@settings(max_examples=25, deadline=None)
def test_an_interval_holds_the_mean(averaging: str, seed: int, videos: int) -> None:
    rng = np.random.default_rng(seed)
    found = estimate(rng.exponential(size=videos) ** 3, rng.integers(1, 9, videos).astype(float), averaging)
    assert found.low - 1e-12 <= found.mean <= found.high + 1e-12


@every_averaging
def test_intervals_shrink_with_the_root_of_the_videos(averaging: str) -> None:
    rng = np.random.default_rng(0)
    widths = []
    for videos in (10, 40, 160):
        found = [estimate(*totals(*simulated(rng, videos, 8)), averaging) for _ in range(10)]
        widths.append(np.mean([each.high - each.low for each in found]))
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.15)


@every_averaging
def test_more_frames_of_the_same_videos_hardly_narrow_an_interval(averaging: str) -> None:
    rng = np.random.default_rng(0)
    few, many = (estimate(*totals(*simulated(rng, 100, frames)), averaging) for frames in (4, 400))
    assert many.high - many.low > 0.7 * (few.high - few.low)


def test_intervals_over_videos_are_scipys() -> None:
    scores, which = simulated(np.random.default_rng(0), 20, 9)
    means = [scores[which == video].mean() for video in range(20)]
    found = estimate(*totals(scores, which), "per-video")
    expected = ttest_1samp(means, 0).confidence_interval(0.95)
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high])


def test_a_pooled_interval_is_that_over_videos_where_all_are_as_long() -> None:
    scores = np.random.default_rng(0).normal(size=120)
    which = np.repeat(np.arange(12), 10)
    pooled, other = (estimate(*totals(scores, which), averaging) for averaging in ("pooled", "per-video"))
    assert pooled == pytest.approx(other)


def test_a_pooled_interval_is_as_wide_as_the_mean_is_spread() -> None:
    """With videos of very different lengths, the spread of many sets' means matches the width of the intervals."""
    rng = np.random.default_rng(0)
    found = [estimate(*totals(*simulated(rng, 60, 40)), "pooled") for _ in range(300)]
    said = np.mean([each.high - each.low for each in found]) / (2 * student.ppf(0.975, 59))
    assert said == pytest.approx(np.std([each.mean for each in found]), rel=0.12)


def test_shots_of_a_film_are_one_unit() -> None:
    videos = pd.Series(["a_1", "a_2", "b_1"])
    assert units(videos, "hollywood2").tolist() == ["a", "a", "b"]
    assert units(videos, "dhf1k").tolist() == ["a_1", "a_2", "b_1"]
    assert units(pd.Series(["a", "b"]), "hollywood2").tolist() == ["a", "b"]
    assert totals([1.0, 3.0, 4.0], units(videos, "hollywood2"))[0].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, NAN, 0.001], [0.5, NAN, 0.002]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([NAN], [NAN]),
        ([], []),
    ],
)
def test_holms_correction_by_hand(p: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p, float)), expected)


@every_averaging
def test_a_video_without_scores_changes_nothing(averaging: str) -> None:
    scores, videos = simulated(np.random.default_rng(0), 9, 8)
    with_empty = totals(np.append(scores, NAN), np.append(videos, 9))
    assert estimate(*with_empty, averaging) == estimate(*totals(scores, videos), averaging)


@every_averaging
def test_one_video_has_no_interval(averaging: str) -> None:
    for scores, videos in (([1.0, 3.0], [0, 0]), ([NAN, 1.0, 3.0, NAN], [0, 1, 1, 2])):
        found = estimate(*totals(np.array(scores), np.array(videos)), averaging)
        assert found.mean == 2
        assert np.isnan([found.low, found.high]).all()


@every_averaging
def test_where_nothing_is_defined_there_is_no_figure(averaging: str) -> None:
    """As the shuffled AUC of a set with a single video."""
    sums, counts = totals(np.full(4, NAN), np.array([0, 0, 1, 1]))
    assert counts.tolist() == []
    found = estimate(sums, counts, averaging)
    assert np.isnan([found.mean, found.low, found.high]).all()
    assert np.isnan(paired_p(sums, counts, averaging, 0))


@every_averaging
def test_nothing_at_all_has_no_figure(averaging: str) -> None:
    found = estimate(*totals(np.empty(0), np.empty(0, int)), averaging)
    assert np.isnan([found.mean, found.low, found.high]).all()


@every_averaging
def test_identical_videos_have_an_interval_without_width(averaging: str) -> None:
    found = estimate(np.array([0.3, 0.3, 0.3, 0.3]), np.full(4, 3.0), averaging)
    assert [found.mean, found.low, found.high] == pytest.approx([0.1] * 3, abs=1e-12)


@every_averaging
def test_an_infinite_mean_has_no_interval(averaging: str) -> None:
    """KL without epsilon is infinite where people looked at a zero of the prediction."""
    found = estimate(np.array([INF, 2.0, 3.0, 4.0]), np.ones(4), averaging)
    assert found.mean == INF
    assert np.isnan([found.low, found.high]).all()


@every_averaging
@pytest.mark.parametrize("videos", [3, 6, 30])
def test_intervals_cover_the_truth_as_often_as_they_say(averaging: str, videos: int) -> None:
    rng = np.random.default_rng(videos)
    found = [estimate(*totals(*simulated(rng, videos, 12)), averaging) for _ in range(400)]
    assert 0.91 <= coverage(found) <= 0.98


@every_averaging
def test_intervals_over_frames_would_not(averaging: str) -> None:
    """The simulation has the power to tell: if each frame counts as a video, coverage is far too low."""
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        scores, _ = simulated(rng, 30, 12)
        found.append(estimate(*totals(scores, np.arange(len(scores))), averaging))
    assert coverage(found) < 0.7


def coverage(figures: list[Estimate]) -> float:
    return float(np.mean([each.low <= MEAN <= each.high for each in figures]))


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # Of the 8 patterns, only +++ and --- reach 6.
        ([3, 1, 2], 2 / 8),
        # +++, ++-, and their opposites reach 4: 3 + 1 + 0 and 3 + 1 - 0.
        ([3, 1, 0], 4 / 8),
        # 3 - 1 = 2 is reached by all of ++, +- and their opposites.
        ([3, -1], 4 / 4),
        ([1, 1], 2 / 4),
        ([0, 0, 0], 1),
        # Of 16 patterns, those with sums 10, 8, 6, 4 and 4, and their opposites.
        ([1, 2, -3, 4], 10 / 16),
    ],
)
def test_p_counts_sign_patterns(differences: list[float], expected: float) -> None:
    for scale in (1, 0.1, -1):
        each = scale * np.array(differences, float)
        assert by_signs(each) == expected
        for averaging in AVERAGINGS:
            assert paired_p(each, np.ones(len(each)), averaging, 0) == pytest.approx(expected)


@quick
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=8))
def test_p_is_exact_for_few_videos(differences: list[int]) -> None:
    each = np.array(differences, float)
    assert paired_p(each, np.ones(len(each)), "pooled", 0) == pytest.approx(by_signs(each))


def test_p_is_of_the_average_that_is_asked_for() -> None:
    sums, counts = np.array([9.0, -1.0, -1.0, -1.0]), np.array([9.0, 1, 1, 1])
    # Whatever the signs, the sum reaches 9 - 3; of the videos' means, not all patterns reach 2.
    assert paired_p(sums, counts, "pooled", 0) == by_signs(sums) == 1
    assert paired_p(sums, counts, "per-video", 0) == by_signs(sums / counts) == 10 / 16
    sums, counts = np.array([9.0, 1.0, 1.0, -1.0]), np.array([9.0, 1, 1, 1])
    assert paired_p(sums, counts, "pooled", 0) == by_signs(sums) == 8 / 16
    assert paired_p(sums, counts, "per-video", 0) == by_signs(sums / counts) == 10 / 16


@every_averaging
def test_p_leaves_out_videos_without_scores(averaging: str) -> None:
    assert paired_p(*totals([3.0, NAN, 1.0, 2.0], [0, 1, 2, 3]), averaging, 0) == 0.25
    assert np.isnan(paired_p(*totals([3.0, NAN], [0, 1]), averaging, 0))


@pytest.mark.parametrize("videos", [2, 5, 13, 14, 60])
def test_p_is_small_for_a_consistent_difference_but_never_zero(videos: int) -> None:
    found = paired_p(np.random.default_rng(0).uniform(0.9, 1.1, videos), np.ones(videos), "pooled", 0)
    # The number of patterns tried: all for up to 13 videos, and 9,999 plus the observed one for more.
    assert found == pytest.approx(2 / min(2**videos, 10_000))


def test_p_is_drawn_for_many_videos_and_near_the_exact_one() -> None:
    each = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1])
    exact, found = by_signs(each), paired_p(each, np.ones(14), "pooled", 0)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999) * 2)
    assert found == paired_p(each, np.ones(14), "pooled", 0)
    assert found != paired_p(each, np.ones(14), "pooled", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("videos", "trials"), [(9, 400), (30, 150)])
def test_p_is_uniform_where_there_is_no_difference(videos: int, trials: int) -> None:
    rng = np.random.default_rng(0)
    found = np.array([paired_p(rng.normal(size=videos), np.ones(videos), "pooled", seed) for seed in range(trials)])
    for level in (0.05, 0.2, 0.5, 0.8):
        error = np.sqrt(level * (1 - level) / trials)
        # The 2**9 patterns come in pairs of opposites, so p has steps of 1/256.
        assert np.mean(found <= level) == pytest.approx(level, abs=4 * error + 1 / 256)


def test_p_is_two_sided() -> None:
    each = np.array([0.5, 1.5, -0.2, 0.8, 1.1, 0.3])
    assert paired_p(each, np.ones(6), "pooled", 0) == paired_p(-each, np.ones(6), "pooled", 0)


@every_averaging
def test_an_infinite_difference_has_no_p(averaging: str) -> None:
    assert np.isnan(paired_p(np.array([INF, 1.0, 2.0, 3.0]), np.ones(4), averaging, 0))


@quick
@given(st.integers(0, 60), st.none() | st.integers(0, 70), st.integers(0, 5))
def test_chosen_frames_are_some_of_them_in_order(frames: int, most: int | None, seed: int) -> None:
    found = chosen_frames(frames, most, seed)
    assert len(found) == min(frames, frames if most is None else most)
    assert set(found) <= set(range(frames))
    assert (np.diff(found) > 0).all()
    assert found.tolist() == chosen_frames(frames, most, seed).tolist()


def test_chosen_frames_are_all_where_there_are_few_enough() -> None:
    for most in (None, 9, 10):
        assert chosen_frames(9, most, 0).tolist() == list(range(9))


def test_every_frame_is_as_likely_to_be_chosen() -> None:
    trials = 600
    counts = np.bincount(np.concatenate([chosen_frames(12, 4, seed) for seed in range(trials)]), minlength=12)
    assert counts.sum() == 4 * trials
    assert np.abs(counts - trials / 3).max() < 4 * np.sqrt(trials * (1 / 3) * (2 / 3))
