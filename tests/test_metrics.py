"""The metrics agree with the benchmark's code and their definitions, and handle odd inputs as documented."""

import json
import warnings
from collections.abc import Callable
from itertools import combinations, permutations, product
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
import pytest
import torch
from conftest import REFERENCE, needs_shared
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import wasserstein_distance

from benchmarks.metrics import loop_auc_judd
from tinyhd_lib import metrics
from tinyhd_lib.evaluation.options import PROTOCOLS
from tinyhd_lib.evaluation.summary import AVERAGINGS
from tinyhd_lib.metrics import (
    auc_borji,
    auc_judd,
    auc_rank,
    auc_shuffled,
    cc,
    emd,
    information_gain,
    kl_div,
    log_likelihood,
    nss,
    sim,
)
from tinyhd_lib.metrics.arrays import resize
from tinyhd_lib.metrics.maps import EPSILON

quick = settings(max_examples=60, deadline=None)

KINDS = ["numpy", "cpu", *(["cuda"] if torch.cuda.is_available() else [])]
"""NumPy arrays, and tensors on each device that is here."""


class Scene(NamedTuple):
    """The inputs of any metric, of one frame (H, W) or a batch (N, H, W)."""

    saliency: Any
    fixations: Any
    truth: Any
    others: Any

    def at(self, index: int) -> Self:
        return type(self)(*(each[index] for each in self))

    def on(self, kind: str) -> Self:
        return type(self)(*(on(kind, each) for each in self))


METRICS: dict[str, Callable[[Scene], Any]] = {
    "auc_judd": lambda scene: auc_judd(scene.saliency, scene.fixations),
    "auc_judd below": lambda scene: auc_judd(scene.saliency, scene.fixations, ties="below"),
    "auc_rank": lambda scene: auc_rank(scene.saliency, scene.fixations),
    "auc_borji": lambda scene: auc_borji(scene.saliency, scene.fixations),
    "auc_borji 9": lambda scene: auc_borji(scene.saliency, scene.fixations, splits=9),
    "auc_shuffled": lambda scene: auc_shuffled(scene.saliency, scene.fixations, scene.others),
    "auc_shuffled 9": lambda scene: auc_shuffled(scene.saliency, scene.fixations, scene.others, splits=9),
    "nss": lambda scene: nss(scene.saliency, scene.fixations),
    "cc": lambda scene: cc(scene.saliency, scene.truth),
    "sim": lambda scene: sim(scene.saliency, scene.truth),
    "kl_div": lambda scene: kl_div(scene.saliency, scene.truth),
    "kl_div 0": lambda scene: kl_div(scene.saliency, scene.truth, epsilon=0.0),
    "emd": lambda scene: emd(scene.saliency, scene.truth),
    "information_gain": lambda scene: information_gain(scene.saliency, scene.fixations, scene.truth),
    "log_likelihood": lambda scene: log_likelihood(scene.saliency, scene.fixations),
}
OF_MAPS = ["cc", "sim", "kl_div", "kl_div 0", "emd"]
OF_FIXATIONS = [name for name in METRICS if name not in OF_MAPS]
AUCS = [name for name in METRICS if name.startswith("auc")]
DRAWN = ["auc_borji 9", "auc_shuffled 9"]

every_metric = pytest.mark.parametrize("name", METRICS)


def on(kind: str, array: np.ndarray) -> Any:
    return array if kind == "numpy" else torch.from_numpy(np.array(array)).to(kind)


def plain(scores: Any) -> np.ndarray:
    return np.asarray(scores.cpu() if isinstance(scores, torch.Tensor) else scores)


def places(size: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: as many random pixels as asked for."""
    chosen = np.zeros(size, bool)
    chosen.ravel()[rng.choice(chosen.size, count, replace=False)] = True
    return chosen


def scene(fixations: int = 7, others: int = 12, size: tuple[int, int] = (12, 16), seed: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    truth = cv2.GaussianBlur(rng.random(size), (0, 0), 2)
    return Scene(truth + rng.random(size) / 3, places(size, fixations, rng), truth, places(size, others, rng))


def batch(scenes: list[Scene]) -> Scene:
    return Scene(*(np.stack(each) for each in zip(*scenes, strict=True)))


def mask(shape: tuple[int, int], chosen: set[int]) -> np.ndarray:
    return np.isin(np.arange(shape[0] * shape[1]), list(chosen)).reshape(shape)


@st.composite
def tied_maps(draw: st.DrawFn, rows: int = 1) -> tuple[np.ndarray, ...]:
    """(H, W) integers with many, few or hardly any ties; and ``rows`` masks (H, W) of some pixels, but never all."""
    shape = draw(st.tuples(st.integers(2, 6), st.integers(2, 6)))
    levels = draw(st.sampled_from([1, 4, 1000]))
    saliency = draw(arrays(np.int64, shape, elements=st.integers(-levels, levels)))
    assume(saliency.min() < saliency.max())
    pixels = st.integers(0, saliency.size - 1)
    chosen = [draw(st.sets(pixels, min_size=1, max_size=saliency.size - 1)) for _ in range(rows)]
    return saliency, *(mask(shape, each) for each in chosen)


@st.composite
def densities(draw: st.DrawFn, count: int) -> list[np.ndarray]:
    """``count`` maps (H, W) of the same size: not negative, with zeros, none of them constant."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(2, 5)))
    found = [draw(arrays(np.int64, shape, elements=st.integers(0, 20))).astype(float) for _ in range(count)]
    assume(all(each.min() < each.max() for each in found))
    return found


# The benchmark's MATLAB code ------------------------------------------------------------------------------------------

CASES = ("case_a", "case_b", "case_c", "case_d", "case_e", "case_flat")
MATLAB = {
    "auc_judd below": ("AUC_Judd_no_jitter", 1e-6),
    "auc_borji": ("AUC_Borji_2000_splits", 0.005),
    "auc_shuffled": ("AUC_shuffled_2000_splits", 0.005),
    "cc": ("CC", 1e-6),
    "nss": ("NSS", 1e-6),
    "sim": ("SIM", 1e-6),
    "kl_div": ("KLdiv", 1e-6),
}


@pytest.fixture(scope="module")
def golden() -> tuple[Scene, dict[str, np.ndarray]]:
    """The cases as a batch, and the MATLAB code's results, NaN where it has none."""
    folder = REFERENCE / "metrics"

    def read(case: str, what: str) -> np.ndarray:
        return cv2.imread(str(folder / f"{case}_{what}.png"), cv2.IMREAD_UNCHANGED)

    scenes = [
        Scene(
            read(case, "prediction"),
            read(case, "fixations") > 0,
            read(case, "ground_truth"),
            read(case, "other_fixations") > 0,
        )
        for case in CASES
    ]
    answers = json.loads((folder / "expected_dhf1k_matlab.json").read_text())
    assert answers.keys() == set(CASES)
    known = {name: np.array([answers[case][label] for case in CASES], float) for name, (label, _) in MATLAB.items()}
    return batch(scenes), known


@needs_shared
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MATLAB)
def test_the_benchmarks_answers_one_by_one_and_together(name: str, kind: str, golden: tuple[Scene, Any]) -> None:
    cases, expected = golden[0].on(kind), golden[1][name]
    single = np.array([plain(METRICS[name](cases.at(index))) for index in range(len(CASES))])
    known = ~np.isnan(expected)
    np.testing.assert_allclose(single[known], expected[known], rtol=0, atol=MATLAB[name][1])
    np.testing.assert_allclose(plain(METRICS[name](cases)), single, rtol=0, atol=1e-9)
    # Our AUC-Borji is defined for one fixation; the MATLAB code's is not.
    assert np.all((single[~known] >= 0) & (single[~known] <= 1))
    assert (~known).sum() == (name == "auc_borji")


@needs_shared
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("together", [False, True])
def test_the_benchmarks_answers_with_its_own_splits(golden: tuple[Scene, Any], kind: str, *, together: bool) -> None:
    cases = golden[0].on(kind)
    for name, metric in (
        ("auc_borji", lambda scene: auc_borji(scene.saliency, scene.fixations, splits=2000)),
        ("auc_shuffled", lambda scene: auc_shuffled(scene.saliency, scene.fixations, scene.others, splits=2000)),
    ):
        expected = golden[1][name]
        known = ~np.isnan(expected)
        found = metric(cases) if together else [plain(metric(cases.at(index))) for index in range(len(CASES))]
        np.testing.assert_allclose(plain(found)[known], expected[known], rtol=0, atol=0.005)


@needs_shared
def test_the_benchmark_too_draws_nothing_where_others_are_fewer(golden: tuple[Scene, Any]) -> None:
    case = golden[0].at(CASES.index("case_e"))
    assert case.fixations.sum() > case.others.sum()
    expected = golden[1]["auc_shuffled"][CASES.index("case_e")]
    assert METRICS["auc_shuffled"](case) == pytest.approx(expected, abs=1e-9)
    assert METRICS["auc_shuffled 9"](case) == pytest.approx(expected, abs=1e-9)


# By hand --------------------------------------------------------------------------------------------------------------

BY_HAND = {
    # Of four pixels the first and the third highest: (0, 0), (0, 1/2), (1/2, 1), (1, 1).
    "auc_judd": (lambda: auc_judd(row(4, 3, 2, 1), at(1, 0, 1, 0)), 0.875),
    # A tie at the threshold is a false alarm: (0, 0), (1/3, 1), (1, 1).
    "auc_judd, tied, below": (lambda: auc_judd(row(2, 2, 1, 0), at(1, 0, 0, 0), ties="below"), 5 / 6),
    # It is a false alarm with probability 1/2: the mean of that area and 1.
    "auc_judd, tied": (lambda: auc_judd(row(2, 2, 1, 0), at(1, 0, 0, 0)), 11 / 12),
    # Of four pairs, three are in order.
    "auc_rank": (lambda: auc_rank(row(4, 3, 2, 1), at(1, 0, 1, 0)), 0.75),
    # Of three pairs, two are in order, and one is a tie.
    "auc_rank, tied": (lambda: auc_rank(row(2, 2, 1, 0), at(1, 0, 0, 0)), 2.5 / 3),
    # Half of the pixels pass all thresholds but the last: (0, 0), (1/2, 1), (1, 1).
    "auc_borji": (lambda: auc_borji(row(0, 10), at(0, 1)), 0.75),
    # Thresholds 1 to 0.6: (0, 1/2); 0.5 to 0.1: (1/2, 1); 0: (1, 1).
    "auc_shuffled": (
        lambda: auc_shuffled(row(0, 5, 5, 10), at(0, 1, 0, 1), at(1, 0, 1, 0)),
        0.875,
    ),
    # One of two other pixels is drawn: it passes every threshold, or only threshold 0: (1 / 2 + 1) / 2.
    "auc_shuffled, drawn": (lambda: auc_shuffled(row(0, 5, 10), at(0, 0, 1), at(1, 0, 1)), 0.75),
    "cc": (lambda: cc(row(1, 2, 3), row(1, 3, 2)), 0.5),
    # Mean 1, standard deviation 2.
    "nss": (lambda: nss(row(0, 0, 0, 4), at(1, 0, 0, 1)), 0.5),
    # The maps are stretched and normalised to (0, 1/4, 3/4) and (0, 3/4, 1/4).
    "sim": (lambda: sim(row(1, 2, 4), row(-5, -2, -4)), 0.5),
    "kl_div": (lambda: kl_div(row(1, 3), row(5, 5)), np.log(4 / 3) / 2),
    "kl_div 0": (lambda: kl_div(row(1, 3), row(5, 5), epsilon=0.0), np.log(4 / 3) / 2),
    # log(1 / (0 + epsilon)) for half of the mass, log(1/2) for the other.
    "kl_div, missed": (lambda: kl_div(row(0, 3), row(5, 5)), 25.5 * np.log(2) - np.log(2) / 2),
    # At the fixation, 1/2 where the baseline has 1/4, or 1/4 where it has 1/2.
    "information_gain": (lambda: information_gain(row(2, 1, 1), at(1, 0, 0), row(5, 5, 10)), 1.0),
    "information_gain, lost": (lambda: information_gain(row(2, 1, 1), at(0, 0, 1), row(5, 5, 10)), -1.0),
}


def row(*values: float) -> np.ndarray:
    return np.array([values])


def at(*flags: int) -> np.ndarray:
    return np.array([flags], bool)


@pytest.mark.parametrize("name", BY_HAND)
def test_what_can_be_worked_out_by_hand(name: str) -> None:
    compute, expected = BY_HAND[name]
    assert compute() == pytest.approx(expected, abs=1e-9)


def test_kl_without_epsilon_is_infinite_where_people_looked_at_a_zero() -> None:
    assert kl_div(row(0, 1), row(1, 1), epsilon=0.0) == np.inf
    assert kl_div(torch.tensor([[0, 1]]), torch.tensor([[1, 1]]), epsilon=0.0).item() == np.inf
    # A zero where nobody looked has no cost.
    assert kl_div(row(0, 1, 1), row(0, 1, 1), epsilon=0.0) == 0


def test_protocols_name_what_can_be_computed() -> None:
    assert {protocol.averaging for protocol in PROTOCOLS.values()} <= set(AVERAGINGS)
    assert {name: protocol.kl_epsilon for name, protocol in PROTOCOLS.items()} == {"dhf1k": EPSILON, "published": 0.0}
    assert np.finfo(np.float64).eps == EPSILON


# AUC by rank ----------------------------------------------------------------------------------------------------------

RISING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "affine": lambda levels: 3.0 * levels - 7,
    "cubic": lambda levels: levels**3 + 2 * levels,
    "exponential": lambda levels: np.exp(levels / 200),
    "reciprocal": lambda levels: -1.0 / (levels + 1001),
    "ranks": lambda levels: np.unique(levels, return_inverse=True)[1].reshape(levels.shape),
}


@quick
@given(tied_maps())
def test_auc_judd_is_the_naive_loop(drawn: tuple[np.ndarray, ...]) -> None:
    saliency, fixations = drawn
    assert auc_judd(saliency, fixations, ties="below") == pytest.approx(loop_auc_judd(saliency, fixations), abs=1e-12)


@quick
@given(
    st.lists(st.integers(0, 2), min_size=2, max_size=6),
    st.sets(st.integers(0, 5), min_size=1),
)
def test_auc_judd_is_the_mean_over_all_orders_of_what_is_tied(levels: list[int], chosen: set[int]) -> None:
    chosen = {place % len(levels) for place in chosen}
    assume(len(chosen) < len(levels))
    assume(len(set(levels)) > 1)
    saliency, fixations = np.array([levels], float), mask((1, len(levels)), chosen)
    orders = np.array(list(permutations(range(len(levels)))))
    jittered = [loop_auc_judd(saliency + 1e-3 * order[None], fixations) for order in orders]
    assert auc_judd(saliency, fixations) == pytest.approx(np.mean(jittered), abs=1e-12)


WIDE = np.array([[np.finfo(float).max, -np.finfo(float).max, *range(62)]] * 2)


@quick
@given(
    arrays(np.float64, (2, 64), elements=st.floats(-1e306, 1e306) | st.sampled_from([0.0, 1.0, 2.0, 5e-324, 1e-300])),
    st.lists(st.integers(0, 63), min_size=1, max_size=3),
)
@example(WIDE, [0, 1, 6])
def test_values_are_ranked_as_sorting_ranks_them(rows: np.ndarray, asked: list[int]) -> None:
    values = np.stack([[-np.inf, *row[asked], (row.min() / 2 + row.max() / 2), np.inf] for row in rows])
    for kind in (np.asarray, torch.from_numpy):
        less, most = metrics.prepare(kind(rows.reshape(2, 8, 8))).below(kind(values))
        for row, each, under, up_to in zip(np.sort(rows), values, less, most, strict=True):
            np.testing.assert_array_equal(under, np.searchsorted(row, each, "left"))
            np.testing.assert_array_equal(up_to, np.searchsorted(row, each, "right"))


def test_a_wrong_way_with_ties_is_refused() -> None:
    with pytest.raises(ValueError, match="ties 'above': random or below"):
        auc_judd(row(2, 1), at(1, 0), ties="above")


@pytest.mark.parametrize("fixations", [1, 2, 40, 190, 191])
def test_auc_judd_is_the_naive_loop_without_ties(fixations: int) -> None:
    saliency, fixated, *_ = scene(fixations)
    assert len(np.unique(saliency)) == saliency.size
    expected = pytest.approx(loop_auc_judd(saliency, fixated), abs=1e-12)
    assert auc_judd(saliency, fixated) == expected
    assert auc_judd(saliency, fixated, ties="below") == expected


@quick
@given(tied_maps())
def test_auc_rank_is_what_scikit_learn_computes(drawn: tuple[np.ndarray, ...]) -> None:
    saliency, fixations = drawn
    oracle = pytest.importorskip("sklearn.metrics")
    assert auc_rank(saliency, fixations) == pytest.approx(
        oracle.roc_auc_score(fixations.ravel(), saliency.ravel()), abs=1e-12
    )


@quick
@given(tied_maps(), st.sampled_from(sorted(RISING)))
def test_aucs_by_rank_know_only_the_order(drawn: tuple[np.ndarray, ...], transform: str) -> None:
    saliency, fixations = drawn
    changed = RISING[transform](saliency)
    assert len(np.unique(changed)) == len(np.unique(saliency))
    assert auc_judd(changed, fixations) == auc_judd(saliency, fixations)
    assert auc_rank(changed, fixations) == auc_rank(saliency, fixations)


@quick
@given(tied_maps())
def test_the_opposite_map_has_the_opposite_auc(drawn: tuple[np.ndarray, ...]) -> None:
    saliency, fixations = drawn
    assert auc_rank(-saliency, fixations) == pytest.approx(1 - auc_rank(saliency, fixations), abs=1e-12)
    assert auc_rank(saliency, ~fixations) == pytest.approx(1 - auc_rank(saliency, fixations), abs=1e-12)


@quick
@given(st.permutations(range(12)), st.sets(st.integers(0, 11), min_size=1, max_size=11))
def test_without_ties_auc_judd_exceeds_auc_rank_by_half_a_fixation_at_most(order: list[int], chosen: set[int]) -> None:
    saliency, fixations = np.array(order).reshape(3, 4), mask((3, 4), chosen)
    excess = auc_judd(saliency, fixations) - auc_rank(saliency, fixations)
    assert -1e-12 <= excess <= 0.5 / len(chosen) + 1e-12
    assert 0 <= auc_judd(saliency, fixations) <= 1


def test_auc_judd_leaves_its_range_where_most_pixels_are_fixated_and_tied() -> None:
    """As in the MATLAB code, the n - 1 other tied fixations count as false alarms of the first one."""
    tied = np.array([[0, 1], [1, 1]]), mask((2, 2), {0, 1, 2})
    assert auc_judd(*tied, ties="below") == pytest.approx(-1 / 6, abs=1e-12)
    assert 0 <= auc_judd(*tied) <= 1


# AUC by thresholds, exact and drawn -----------------------------------------------------------------------------------


def area(saliency: np.ndarray, fixated: np.ndarray, drawn: np.ndarray) -> float:
    """The AUC of one split by its definition; integers only, so that rounding cannot miss a threshold."""
    low, high = saliency.min(), saliency.max()
    hits, alarms = [0.0], [0.0]
    for step in range(10, -1, -1):
        hits.append(float(np.mean(10 * (fixated - low) >= step * (high - low))))
        alarms.append(float(np.mean(10 * (drawn - low) >= step * (high - low))))
    return float(np.trapezoid([*hits, 1.0], [*alarms, 1.0]))


@pytest.mark.slow
@quick
@given(arrays(np.int64, (2, 3), elements=st.integers(-20, 20)), st.sets(st.integers(0, 5), min_size=1, max_size=3))
def test_exact_auc_borji_is_the_mean_of_all_possible_draws(saliency: np.ndarray, chosen: set[int]) -> None:
    assume(saliency.min() < saliency.max())
    fixations = mask((2, 3), chosen)
    draws = product(saliency.ravel(), repeat=len(chosen))
    expected = np.mean([area(saliency, saliency[fixations], np.array(drawn)) for drawn in draws])
    assert auc_borji(saliency, fixations) == pytest.approx(expected, abs=1e-12)


@quick
@given(tied_maps(rows=2))
def test_exact_auc_shuffled_is_the_mean_of_all_possible_draws(drawn: tuple[np.ndarray, ...]) -> None:
    saliency, fixations, others = drawn
    assume(others.sum() <= 8)
    draws = combinations(saliency[others], min(fixations.sum(), others.sum()))
    expected = np.mean([area(saliency, saliency[fixations], np.array(each)) for each in draws])
    assert auc_shuffled(saliency, fixations, others) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("fixations", [1, 15, 40])
@pytest.mark.parametrize("shuffled", [False, True])
def test_many_splits_come_near_the_exact_value(fixations: int, *, shuffled: bool) -> None:
    saliency, fixated, _, others = scene(fixations, others=50, seed=4)
    metric, given_places = (auc_shuffled, (fixated, others)) if shuffled else (auc_borji, (fixated,))
    exact, count = metric(saliency, *given_places), 400
    single = np.array([metric(saliency, *given_places, splits=1, seed=seed) for seed in range(count)])
    error = single.std(ddof=1) / np.sqrt(count)
    assert error > 0
    assert abs(single.mean() - exact) < 4 * error
    assert abs(metric(saliency, *given_places, splits=count, seed=1) - exact) < 4 * error
    assert error < 0.02


@pytest.mark.parametrize("shuffled", [False, True])
def test_single_splits_vary_as_draws_by_the_book_do(*, shuffled: bool) -> None:
    """Their mean would be right even if all negatives of a split were one pixel; their standard deviation would not."""
    rng, count = np.random.default_rng(0), 400
    # The pool is so small that drawing with or without replacement makes a difference.
    _, fixated, _, others = scene(15, others=20, size=(4, 5) if not shuffled else (12, 16))
    saliency = rng.integers(0, 1000, fixated.shape)
    metric, given_places = (auc_shuffled, (fixated, others)) if shuffled else (auc_borji, (fixated,))
    pool = saliency[others] if shuffled else saliency.ravel()
    ours = [metric(saliency, *given_places, splits=1, seed=seed) for seed in range(count)]
    naive = [area(saliency, saliency[fixated], rng.choice(pool, 15, replace=not shuffled)) for _ in range(count)]
    assert np.std(ours) == pytest.approx(np.std(naive), rel=0.15)


@pytest.mark.parametrize("others", [1, 7])
def test_with_no_more_others_than_fixations_nothing_is_left_to_chance(others: int) -> None:
    given_scene = scene(7, others)
    saliency, fixated, _, others_map = given_scene
    exact = METRICS["auc_shuffled"](given_scene)
    for seed in range(5):
        assert auc_shuffled(saliency, fixated, others_map, splits=3, seed=seed) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_the_splits(kind: str) -> None:
    saliency, fixated, _, others = scene().on(kind)
    for metric, given_places in ((auc_borji, (fixated,)), (auc_shuffled, (fixated, others))):
        first, again, other = (float(metric(saliency, *given_places, splits=5, seed=seed)) for seed in (3, 3, 4))
        assert first == again
        assert first != other
        on_numpy = metric(*(plain(each) for each in (saliency, *given_places)), splits=5, seed=3)
        assert first == pytest.approx(on_numpy, abs=1e-12)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_in_a_batch_has_the_splits_that_it_has_by_itself(name: str, kind: str) -> None:
    frames = batch([scene(seed=seed) for seed in range(3)]).on(kind)
    single = [plain(METRICS[name](frames.at(index))) for index in range(3)]
    np.testing.assert_allclose(plain(METRICS[name](frames)), single, rtol=0, atol=1e-12)


@pytest.mark.parametrize("splits", [0, -1])
def test_there_is_at_least_one_split(splits: int) -> None:
    saliency, fixated, _, others = scene()
    with pytest.raises(ValueError, match=f"splits {splits}: at least 1, or None"):
        auc_borji(saliency, fixated, splits=splits)
    with pytest.raises(ValueError, match=f"splits {splits}: at least 1, or None"):
        auc_shuffled(saliency, fixated, others, splits=splits)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 1.0),
        (5.0, 5.5),
        # Here low + (high - low) is slightly more than high in floating point.
        (-1.0, 0.1),
        (0.3, 0.9),
        (0.039883960525073536, 0.797584725537709),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_highest_threshold_is_the_maps_maximum_whatever_its_range(low: float, high: float, kind: str) -> None:
    levels = np.array([[0.0, 9.5, 9.5, 10.0, 10.0]])
    stretched = np.where(levels == 10, high, low + (high - low) * levels / 10)
    fixations = levels == 10
    for saliency in (levels, stretched):
        assert float(auc_borji(on(kind, saliency), on(kind, fixations))) == pytest.approx(0.8, abs=1e-12)
        found = float(auc_shuffled(on(kind, saliency), on(kind, fixations), on(kind, ~fixations)))
        assert found == pytest.approx(1.0, abs=1e-12)


# Maps -----------------------------------------------------------------------------------------------------------------


@quick
@given(tied_maps(), st.floats(0.01, 100), st.floats(-100, 100))
def test_cc_and_nss_know_neither_scale_nor_offset(drawn: tuple[np.ndarray, ...], scale: float, offset: float) -> None:
    saliency, fixations = drawn
    truth = cv2.GaussianBlur(fixations.astype(float), (0, 0), 1)
    for metric, other in ((cc, truth), (nss, fixations)):
        expected = metric(saliency, other)
        assert metric(scale * saliency + offset, other) == pytest.approx(expected, abs=1e-9)
        assert metric(-scale * saliency + offset, other) == pytest.approx(-expected, abs=1e-9)
    assert cc(saliency, 3 - scale * truth) == pytest.approx(-cc(saliency, truth), abs=1e-9)
    assert cc(saliency, saliency) == pytest.approx(1, abs=1e-12)


@quick
@given(densities(2))
def test_cc_is_numpys_and_symmetric(maps: list[np.ndarray]) -> None:
    first, second = maps
    assert cc(first, second) == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], abs=1e-12)
    assert cc(first, second) == pytest.approx(cc(second, first), abs=1e-12)


@quick
@given(densities(2), st.floats(0.01, 100), st.floats(0, 100))
def test_sim_is_a_symmetric_share(maps: list[np.ndarray], scale: float, offset: float) -> None:
    first, second = maps
    assert 0 <= sim(first, second) <= 1 + 1e-12
    assert sim(first, second) == pytest.approx(sim(second, first), abs=1e-12)
    assert sim(first, first) == pytest.approx(1, abs=1e-12)
    # SIM stretches maps to 0..1, which removes scale and offset.
    assert sim(scale * first + offset, second) == pytest.approx(sim(first, second), abs=1e-9)


@quick
@given(densities(2), st.floats(0.01, 100), st.sampled_from([EPSILON, 0.0]))
def test_kl_is_not_negative_and_knows_no_scale(maps: list[np.ndarray], scale: float, epsilon: float) -> None:
    first, second = maps
    found = kl_div(first, second, epsilon)
    assert found >= -1e-12
    assert kl_div(first, first, epsilon) == pytest.approx(0, abs=1e-12)
    assert kl_div(scale * first, second, epsilon) == pytest.approx(found, abs=1e-9)
    assert kl_div(first, scale * second, epsilon) == pytest.approx(found, abs=1e-9)


@quick
@given(densities(2))
def test_kl_without_epsilon_is_scipys_relative_entropy(maps: list[np.ndarray]) -> None:
    from scipy.stats import entropy

    first, second = maps
    expected = entropy(second.ravel() / second.sum(), first.ravel() / first.sum())
    assert kl_div(first, second, epsilon=0.0) == pytest.approx(expected, abs=1e-9)
    # Epsilon bounds the cost of zeros, and has no effect otherwise.
    if np.isfinite(expected):
        assert kl_div(first, second) == pytest.approx(expected, abs=1e-9)


@quick
@given(densities(3), st.data())
def test_information_gain_adds_up(maps: list[np.ndarray], data: st.DataObject) -> None:
    first, second, third = maps
    chosen = data.draw(st.sets(st.integers(0, first.size - 1), min_size=1))
    fixations = mask(first.shape, chosen)
    assert information_gain(first, fixations, first) == 0
    through = information_gain(first, fixations, second) + information_gain(second, fixations, third)
    assert information_gain(first, fixations, third) == pytest.approx(through, abs=1e-9)
    assert information_gain(7 * first, fixations, 3 * second) == pytest.approx(
        information_gain(first, fixations, second), abs=1e-9
    )


@quick
@given(densities(2))
def test_information_gain_of_the_truth_is_relative_entropy_in_bits(maps: list[np.ndarray]) -> None:
    truth, baseline = (each + 1 for each in maps)
    gains = [information_gain(truth, mask(truth.shape, {pixel}), baseline) for pixel in range(truth.size)]
    expected = kl_div(baseline, truth, epsilon=0.0) / np.log(2)
    assert np.average(gains, weights=truth.ravel()) == pytest.approx(expected, abs=1e-9)


def test_the_widespread_library_agrees() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = pytest.importorskip("pysaliency.metrics")
        ranks = pytest.importorskip("pysaliency.numba_utils")
    saliency, fixations, truth, _ = scene()
    saliency, truth = saliency - saliency.min(), truth - truth.min()
    rows, columns = np.nonzero(fixations)
    # The oracle divides by the number of pixels, the benchmark by one less.
    of_samples = np.sqrt((saliency.size - 1) / saliency.size)
    assert nss(saliency, fixations) == pytest.approx(oracle.NSS(saliency, columns, rows).mean() * of_samples, abs=1e-9)
    assert cc(saliency, truth) == pytest.approx(oracle.CC(saliency, truth), abs=1e-9)
    assert sim(saliency, truth) == pytest.approx(oracle.SIM(saliency, truth), abs=1e-9)
    with np.errstate(divide="ignore"):
        expected = oracle.image_based_kl_divergence(saliency, truth, 0, EPSILON, EPSILON)
    assert kl_div(saliency, truth) == pytest.approx(expected, abs=1e-9)
    for levels in (saliency, np.rint(5 * saliency)):
        areas = [ranks.auc_for_one_positive(each, levels[~fixations]) for each in levels[fixations]]
        assert auc_rank(levels, fixations) == pytest.approx(np.mean(areas), abs=1e-9)


# What goes in, what comes out -----------------------------------------------------------------------------------------


@every_metric
def test_one_frame_is_a_number_and_several_are_an_array(name: str) -> None:
    assert type(METRICS[name](scene())) is float
    for count in (1, 3):
        found = METRICS[name](batch([scene(seed=seed) for seed in range(count)]))
        assert isinstance(found, np.ndarray)
        assert (found.shape, found.dtype) == ((count,), np.float64)


@every_metric
@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_are_answered_with_tensors(name: str, kind: str, dtype: torch.dtype) -> None:
    for count in (None, 1, 3):
        given_scene = scene() if count is None else batch([scene(seed=seed) for seed in range(count)])
        tensors = given_scene.on(kind)
        tensors = tensors._replace(saliency=tensors.saliency.to(dtype), truth=tensors.truth.to(dtype))
        found = METRICS[name](tensors)
        assert isinstance(found, torch.Tensor)
        assert (found.shape, found.dtype) == (() if count is None else (count,), torch.float64)
        assert found.device == tensors.saliency.device
        exact = Scene(*(plain(each) for each in tensors))
        np.testing.assert_allclose(plain(found), METRICS[name](exact), rtol=0, atol=1e-12)


@every_metric
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32", "bool", ">f8"])
def test_any_type_of_number_is_taken_at_its_value(name: str, dtype: str) -> None:
    given_scene = scene()
    scale = 1 if dtype.startswith(("float", ">")) else 200
    few = given_scene._replace(
        **{field: (getattr(given_scene, field) * scale / 2).astype(dtype) for field in ("saliency", "truth")}
    )
    exact = few._replace(saliency=few.saliency.astype(float), truth=few.truth.astype(float))
    if dtype == "bool":  # the scaled maps would be true everywhere
        few, exact = (
            each._replace(saliency=each.others.astype(kind), truth=each.fixations.astype(kind))
            for each, kind in ((few, bool), (exact, float))
        )
    assert METRICS[name](few) == METRICS[name](exact)


@every_metric
@pytest.mark.parametrize("size", [(12, 16), (6, 8)])
def test_memory_may_be_laid_out_in_any_way(name: str, size: tuple[int, int]) -> None:
    given_scene = scene()._replace(saliency=scene(size=size).saliency)
    expected = METRICS[name](given_scene)
    for lay in (
        np.asfortranarray,
        lambda array: array[::-1, ::-1].copy()[::-1, ::-1],
        lambda array: np.repeat(np.repeat(array, 2, 0), 3, 1)[::2, ::3],
    ):
        laid = Scene(*(lay(each) for each in given_scene))
        assert not laid.saliency.flags.c_contiguous
        assert METRICS[name](laid) == pytest.approx(expected, abs=1e-12)
    turned = Scene(*(torch.from_numpy(np.ascontiguousarray(each.T)).T for each in given_scene))
    assert not turned.saliency.is_contiguous()
    assert METRICS[name](turned).item() == pytest.approx(expected, abs=1e-12)


@every_metric
@pytest.mark.parametrize("size", [(12, 16), (6, 8)])
def test_inputs_are_left_as_they_are(name: str, size: tuple[int, int]) -> None:
    for kind in KINDS:
        given_scene = scene()._replace(saliency=scene(size=size).saliency).on(kind)
        before = [plain(each).copy() for each in given_scene]
        METRICS[name](given_scene)
        assert all(np.array_equal(plain(each), old) for each, old in zip(given_scene, before, strict=True))


@pytest.mark.parametrize("size", [(12, 16), (6, 8)])
def test_read_only_maps_are_read_without_a_warning(size: tuple[int, int]) -> None:
    given_scene = scene()._replace(saliency=scene(size=size).saliency)
    for each in given_scene:
        each.flags.writeable = False
    for metric in METRICS.values():
        metric(given_scene)


# Frames side by side --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in METRICS if name not in DRAWN])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_with_any_number_of_fixations_are_as_each_by_itself(name: str, kind: str) -> None:
    frames = batch([scene(fixations, others, seed=fixations) for fixations, others in ((7, 12), (1, 1), (150, 3))])
    single = [METRICS[name](frames.at(index)) for index in range(3)]
    np.testing.assert_allclose(plain(METRICS[name](frames.on(kind))), single, rtol=0, atol=1e-12)


@quick
@given(st.data(), st.sampled_from(KINDS))
def test_negative_and_tied_frames_are_as_each_by_itself(data: st.DataObject, kind: str) -> None:
    """Shorter rows of fixations are padded with values that must not be confused with real ones."""
    elements = st.integers(-3, 3)
    saliency = data.draw(arrays(np.int64, (3, 2, 3), elements=elements))
    truth = data.draw(arrays(np.int64, (3, 2, 3), elements=elements))
    chosen = [data.draw(st.sets(st.integers(0, 5), min_size=1, max_size=5)) for _ in range(6)]
    fixations, others = (np.stack([mask((2, 3), each) for each in part]) for part in (chosen[:3], chosen[3:]))
    frames = Scene(saliency, fixations, truth, others)
    for name in ("auc_judd", "auc_rank", "auc_borji", "auc_shuffled", "nss", "cc", "sim"):
        single = [METRICS[name](frames.at(index)) for index in range(3)]
        np.testing.assert_allclose(plain(METRICS[name](frames.on(kind))), single, rtol=0, atol=1e-12)


@every_metric
@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_constant_frames_do_not_touch_their_neighbours(name: str, kind: str) -> None:
    """The frames: an ordinary one, a constant map, no fixations, both of these, and a single fixation."""
    usual, single = scene(), scene(fixations=1, others=1, seed=1)
    constant = usual._replace(saliency=np.full_like(usual.saliency, 0.1))
    nobody = {"fixations": usual.fixations & False, "truth": usual.truth * 0}
    frames = batch([usual, constant, usual._replace(**nobody), constant._replace(**nobody), single])
    if name == "information_gain":  # the baseline must not be empty, or the uniform one is used instead
        frames = frames._replace(truth=frames.truth + 1)
    found = plain(METRICS[name](frames.on(kind)))
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, True, False])
    assert found[0] == pytest.approx(METRICS[name](frames.at(0)), abs=1e-12)
    if name not in DRAWN:
        for index in (1, 4):
            assert found[index] == pytest.approx(METRICS[name](frames.at(index)), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("splits", [None, 5])
def test_frames_without_others_have_no_shuffled_auc(kind: str, splits: int | None) -> None:
    usual = scene()
    frames = batch([usual, usual._replace(others=usual.others & False), usual])
    saliency, fixations, _, others = frames.on(kind)
    found = plain(auc_shuffled(saliency, fixations, others, splits=splits))
    np.testing.assert_array_equal(np.isnan(found), [False, True, False])
    assert np.isnan(plain(auc_shuffled(saliency[1], fixations[1], others[1], splits=splits)))


# Odd maps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1e-300, 255.0, 1 / 3])
@pytest.mark.parametrize("size", [(12, 16), (5, 7)])
def test_a_constant_prediction_scores_as_chance(kind: str, value: float, size: tuple[int, int]) -> None:
    usual = scene()
    flat = usual._replace(saliency=np.full(size, value)).on(kind)
    for name in AUCS:
        assert float(METRICS[name](flat)) == 0.5
    assert float(METRICS["nss"](flat)) == 0
    assert float(METRICS["cc"](flat)) == 0
    uniform, truth = np.full(usual.truth.shape, 1 / usual.truth.size), usual.truth / usual.truth.sum()
    stretched = (usual.truth - usual.truth.min()) / (usual.truth - usual.truth.min()).sum()
    assert float(METRICS["sim"](flat)) == pytest.approx(np.minimum(uniform, stretched).sum(), abs=1e-9)
    for name in ("kl_div", "kl_div 0"):
        assert float(METRICS[name](flat)) == pytest.approx((truth * np.log(truth / uniform)).sum(), abs=1e-9)
    gain = np.log2(uniform / truth)[usual.fixations].mean()
    assert float(METRICS["information_gain"](flat)) == pytest.approx(gain, abs=1e-9)


def test_a_negative_constant_is_chance_too_where_negative_values_are_allowed() -> None:
    flat = scene()._replace(saliency=np.full((12, 16), -0.1))
    assert [METRICS[name](flat) for name in AUCS] == [0.5] * len(AUCS)
    assert METRICS["nss"](flat) == METRICS["cc"](flat) == 0


@every_metric
@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_looked_there_is_nothing_to_measure(name: str, kind: str) -> None:
    empty = scene()._replace(fixations=np.zeros((12, 16), bool))
    if name in OF_MAPS:
        empty = empty._replace(truth=np.zeros((12, 16)))
    for saliency in (empty.saliency, np.zeros((12, 16)), empty.saliency[:5, :7]):
        assert np.isnan(plain(METRICS[name](empty._replace(saliency=saliency).on(kind))))
    two = batch([empty, empty]).on(kind)
    assert np.isnan(plain(METRICS[name](two))).tolist() == [True, True]


def test_a_constant_ground_truth_has_no_correlation_but_is_a_distribution() -> None:
    usual = scene()._replace(truth=np.full((12, 16), 0.1))
    assert np.isnan(METRICS["cc"](usual))
    assert 0 < METRICS["sim"](usual) < 1
    assert METRICS["kl_div"](usual) > 0
    assert sim(usual.truth, usual.truth) == pytest.approx(1, abs=1e-12)
    assert kl_div(usual.truth, usual.truth) == pytest.approx(0, abs=1e-12)


@every_metric
@pytest.mark.parametrize("kind", KINDS)
def test_one_fixation_is_enough(name: str, kind: str) -> None:
    assert np.isfinite(plain(METRICS[name](scene(fixations=1, others=1).on(kind))))


def test_one_fixation_in_closed_form() -> None:
    usual = scene(fixations=1)
    saliency, fixations = usual.saliency, usual.fixations
    (value,) = saliency[fixations]
    assert auc_judd(saliency, fixations) == pytest.approx(1 - (saliency > value).sum() / 191 / 2, abs=1e-12)
    assert auc_rank(saliency, fixations) == pytest.approx((saliency < value).sum() / 191, abs=1e-12)
    assert nss(saliency, fixations) == pytest.approx((value - saliency.mean()) / saliency.std(ddof=1), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_where_people_looked_everywhere_nss_and_borjis_auc_are_chance(kind: str) -> None:
    full = scene()._replace(fixations=np.ones((12, 16), bool)).on(kind)
    assert float(METRICS["nss"](full)) == pytest.approx(0, abs=1e-12)
    assert float(METRICS["auc_borji"](full)) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("name", ["auc_judd", "auc_rank"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [False, True])
def test_where_people_looked_everywhere_there_are_no_false_alarms_to_count(name: str, kind: str, *, tied: bool) -> None:
    full = scene()._replace(fixations=np.ones((12, 16), bool))
    if tied:
        full = full._replace(saliency=np.rint(3 * full.saliency))
    assert np.isnan(plain(METRICS[name](full.on(kind))))


def test_a_single_pixel_is_constant() -> None:
    assert auc_borji(row(3), at(1)) == 0.5
    assert sim(row(3), row(3)) == 1
    assert kl_div(row(3), row(3)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(cc(row(3), row(3)))


# What is refused ------------------------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(name: str, kind: str, bad: float) -> None:
    frames = batch([scene(seed=seed) for seed in range(2)])
    for field in ("saliency", "truth"):
        spoilt = getattr(frames, field).copy()
        spoilt[1, 3, 4] = bad
        wrong = frames._replace(**{field: spoilt})
        if field == "saliency" or name in {*OF_MAPS, "information_gain"}:
            for each in (wrong, wrong.at(1)):
                with pytest.raises(ValueError, match="NaN or infinite"):
                    METRICS[name](each.on(kind))


def test_infinities_that_cancel_are_refused_too() -> None:
    usual = scene()
    saliency = usual.saliency.copy()
    saliency[0, :2] = np.inf, -np.inf
    for metric in METRICS.values():
        with pytest.raises(ValueError, match="NaN or infinite"):
            metric(usual._replace(saliency=saliency))


@every_metric
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_that_do_not_fit_are_named(name: str, kind: str) -> None:
    usual, two = scene(), batch([scene(), scene()])
    for saliency, against, shapes in (
        (two.saliency, usual, r"\(2, 12, 16\).*\(12, 16\)"),
        (usual.saliency, two, r"\(12, 16\).*\(2, 12, 16\)"),
        (usual.saliency[None], two, r"\(1, 12, 16\).*\(2, 12, 16\)"),
        (usual.saliency[0], usual, r"\(16,\)"),
        (usual.saliency, Scene(*(each[0] for each in usual)), r"\(16,\)"),
        (two.saliency[None], Scene(*(each[None] for each in two)), r"\(1, 2, 12, 16\)"),
    ):
        with pytest.raises(ValueError, match=shapes):
            METRICS[name](against._replace(saliency=saliency).on(kind))


def test_other_fixations_of_another_shape_are_named() -> None:
    usual = scene()
    with pytest.raises(ValueError, match=r"\(12, 16\), \(12, 15\)"):
        auc_shuffled(usual.saliency, usual.fixations, usual.others[:, 1:])


def test_a_baseline_of_another_shape_is_named() -> None:
    usual = scene()
    with pytest.raises(ValueError, match=r"\(1, 12, 16\).*\(12, 16\)"):
        information_gain(usual.saliency, usual.fixations, usual.truth[None])


@pytest.mark.parametrize("name", OF_FIXATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_fixations_that_are_not_boolean_are_refused_with_the_remedy(name: str, kind: str, dtype: str) -> None:
    usual = scene()
    fields = ["fixations", "others"] if name.startswith("auc_shuffled") else ["fixations"]
    for field in fields:
        wrong = usual._replace(**{field: getattr(usual, field).astype(dtype)})
        with pytest.raises(ValueError, match=rf"{dtype} \(write fixations > 0\)"):
            METRICS[name](wrong.on(kind))


@pytest.mark.parametrize("name", ["kl_div", "kl_div 0", "information_gain"])
@pytest.mark.parametrize("field", ["saliency", "truth"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_density_is_not_negative(name: str, field: str, kind: str) -> None:
    spoilt = getattr(scene(), field).copy()
    spoilt[2, 3] = -1e-9
    with pytest.raises(ValueError, match="no negative values: subtract the minimum"):
        METRICS[name](scene()._replace(**{field: spoilt}).on(kind))


# Another size ---------------------------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(6, 8), (24, 32), (5, 30), (1, 1)])
def test_a_prediction_of_another_size_is_resized_first(name: str, kind: str, size: tuple[int, int]) -> None:
    frames = batch([scene(seed=seed) for seed in range(2)]).on(kind)
    small = on(kind, np.stack([scene(size=size, fixations=1, others=1, seed=seed).saliency for seed in range(2)]))
    large = resize(small, (12, 16))
    assert type(large) is type(small)
    resized = METRICS[name](frames._replace(saliency=large))
    np.testing.assert_allclose(plain(METRICS[name](frames._replace(saliency=small))), plain(resized), rtol=0, atol=1e-9)
    alone = METRICS[name](frames.at(0)._replace(saliency=small[0]))
    np.testing.assert_allclose(plain(alone), plain(resized)[0], rtol=0, atol=1e-9)


def test_a_baseline_of_another_size_is_resized_too() -> None:
    usual = scene()
    found = information_gain(usual.saliency, usual.fixations, usual.truth[:5, :7])
    expected = information_gain(usual.saliency, usual.fixations, resize(usual.truth[:5, :7], (12, 16)))
    assert found == pytest.approx(expected, abs=1e-12)


@quick
@given(
    arrays(np.int64, (4, 5), elements=st.integers(-5, 5)),
    st.integers(1, 15),
    st.integers(2, 15),  # torch 2.14 makes all rows equal if there is a single column
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
def test_resizing_keeps_range_direction_and_scale(
    levels: np.ndarray, height: int, width: int, scale: float, offset: float
) -> None:
    found = resize(levels.astype(float), (height, width))
    assert found.shape == (height, width)
    assert levels.min() <= found.min()
    assert found.max() <= levels.max()
    np.testing.assert_allclose(resize(levels[::-1, ::-1].astype(float), (height, width)), found[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(resize(scale * levels + offset, (height, width)), scale * found + offset, atol=1e-9)
    each_by_itself = [resize(each.astype(float), (height, width)) for each in (levels, 2 * levels)]
    np.testing.assert_allclose(resize(np.stack([levels, 2.0 * levels]), (height, width)), each_by_itself, atol=1e-12)


def test_resizing_holds_each_map_to_its_own_range() -> None:
    step = np.zeros((6, 8))
    step[:, 4:] = 1
    found = resize(np.stack([step, 100 + step]), (24, 32))
    assert [(each.min(), each.max()) for each in found] == [(0, 1), (100, 101)]


def keys(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic kernel with a = -1/2."""
    far = abs(distance)
    near = 1.5 * far**3 - 2.5 * far**2 + 1
    return np.where(far <= 1, near, np.where(far <= 2, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2, 0))


def weights(old: int, new: int) -> np.ndarray:
    """(new, old): the weights of the old pixels in each new one, valid where the filter stays within the edges."""
    widened = max(1.0, old / new)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    found = keys((centres[:, None] - np.arange(old)) / widened)
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", [(48, 64), (72, 96), (30, 80), (12, 16), (8, 9)])
def test_the_filter_is_keys_with_antialiasing(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((24, 32))
    expected = weights(24, size[0]) @ image @ weights(32, size[1]).T
    inner = tuple(slice(length // 4, -(length // 4)) for length in size)
    unclipped = np.clip(expected, image.min(), image.max())
    np.testing.assert_allclose(resize(image, size)[inner], unclipped[inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-100, 1e100, 1e300])
@pytest.mark.parametrize("name", ["cc", "nss", "sim", "kl_div", "auc_judd", "auc_rank", "auc_borji", "emd"])
def test_no_scale_is_too_small_or_too_large(name: str, scale: float) -> None:
    rng = np.random.default_rng(5)
    saliency, truth = rng.random((2, 20, 30))
    against = truth if name in {"cc", "emd", "sim", "kl_div"} else truth > 0.95
    score = getattr(metrics, name)
    assert score(scale * saliency, against) == pytest.approx(score(saliency, against), abs=1e-9)


def test_a_span_that_is_hardly_a_float_has_thresholds() -> None:
    saliency, fixations = np.array([[1, -1, 0.7, -0.7, 0.3, -0.3]]), np.array([[1, 0, 0, 1, 1, 0]]) > 0
    for score in (metrics.auc_borji, lambda *given: metrics.auc_shuffled(*given, ~fixations)):
        assert score(2.0**1022 * saliency, fixations) == score(saliency, fixations)


@pytest.mark.parametrize("kind", KINDS)
def test_prepared_maps_score_as_they_are_and_stay_as_they_were(kind: str) -> None:
    frames = batch([scene(seed=1), scene(seed=2)]).on(kind)
    for usual in (frames, frames.at(0), frames._replace(saliency=frames.saliency[..., :8, :9])):
        saliency, truth = metrics.prepare(usual.saliency), metrics.prepare(usual.truth)
        fixations, others = map(metrics.prepare_fixations, (usual.fixations, usual.others))
        prepared = usual._replace(saliency=saliency, truth=truth, fixations=fixations, others=others)
        for name, metric in METRICS.items():
            np.testing.assert_array_equal(plain(metric(prepared)), plain(metric(usual)), err_msg=name)
        np.testing.assert_array_equal(plain(saliency.maps), plain(usual.saliency))
        assert metrics.prepare(saliency) is saliency
        assert tuple(metrics.prepare(saliency, (5, 4)).maps.shape[-2:]) == (5, 4)


def test_what_is_no_array_of_real_numbers_is_refused_by_all_metrics() -> None:
    saliency, fixations = np.eye(4), np.eye(4) > 0
    others = {"auc_shuffled": (fixations,), "information_gain": (saliency,)}
    for name in set(metrics.__all__) - {"prepare", "prepare_fixations"}:
        against = saliency if name in {"cc", "emd", "sim", "kl_div"} else fixations
        score, more = getattr(metrics, name), others.get(name, ())
        for wrong in (saliency + 1j, np.ma.masked_array(saliency, saliency > 0), saliency.astype(str)):
            with pytest.raises(ValueError, match="real numbers, without a mask"):
                score(wrong, against, *more)
        with pytest.raises(ValueError, match="a NumPy array or a torch tensor, got list"):
            score(saliency.tolist(), against, *more)
        with pytest.raises(ValueError, match="a NumPy array or a torch tensor, got list"):
            score(saliency, against.tolist(), *more)
        with pytest.raises(ValueError, match="so large that their sum is infinite"):
            score(saliency * 1e308, against, *more)
        with pytest.raises(ValueError, match="all NumPy arrays, or all torch tensors"):
            score(torch.from_numpy(saliency), against, *more)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_taken_as_the_array_that_it_is() -> None:
    saliency, truth = np.random.default_rng(0).random((2, 5, 6))
    assert metrics.cc(np.matrix(saliency), truth) == metrics.cc(saliency, truth)


@quick
@given(cells=st.integers(1, 8), seed=st.integers(0, 1000))
def test_in_a_row_of_cells_the_earth_movers_distance_is_scipys(cells: int, seed: int) -> None:
    maps = np.random.default_rng(seed).random((2, 32, 32 * cells)) ** 9
    masses = resize(maps, (1, cells))[:, 0]
    assert emd(*maps) == pytest.approx(wasserstein_distance(range(cells), range(cells), *masses), abs=1e-9)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 3), (2, 0), (3, 4)])
def test_mass_that_is_moved_by_cells_is_that_far_away(down: int, right: int) -> None:
    one, other = np.zeros((2, 10 * 32, 12 * 32))
    one[96:128, 96:128] = other[96 + 32 * down : 128 + 32 * down, 96 + 32 * right : 128 + 32 * right] = 1
    assert emd(one, other) == pytest.approx(np.hypot(down, right), abs=1e-4)
    assert emd(7 * one, one) == pytest.approx(0, abs=1e-9)
