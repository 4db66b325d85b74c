"""Baselines do not use what they must not know, and scores of simulated viewers agree with their closed form."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import video_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from tinyhd_lib import metrics
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.gaze import Gaze, GroundTruth, as_fixations, blur, places_of, read_gaze, truth_of
from tinyhd_lib.data.synthetic import synthesise
from tinyhd_lib.data.synthetic.observers import density
from tinyhd_lib.evaluation.options import PROTOCOLS
from tinyhd_lib.evaluation.scores import METRICS, Target, score
from tinyhd_lib.evaluation.tasks import (
    CENTRE_FRAMES,
    CENTRE_SIZE,
    OTHER_FRAMES,
    annotated_frames,
    centre_bias,
    halves,
    mean_truth,
    other_fixations,
)
from tinyhd_lib.metrics.arrays import resize

quick = settings(max_examples=60, deadline=None)

VIEWERS, SIZE, FRAMES = 2400, (32, 48), 6
NOWHERE = np.zeros(SIZE, bool)
INDICES = (0, FRAMES - 1)
"""A frame of things that wander, and one of things of which one pops out."""

FEW = 12
"""Viewers of sets that are as small as real ones."""


@dataclass(frozen=True)
class Imagined(Video):
    """A video whose ground truth is in memory."""

    truths: tuple[GroundTruth | None, ...] = ()

    def truth(self, index: int) -> GroundTruth | None:
        return self.truths[index]


def imagined(name: str, *maps: np.ndarray | None) -> Imagined:
    """A video with these saliency maps, and fixations wherever they are not zero."""
    truths = tuple(None if each is None else GroundTruth(each, each > 0) for each in maps)
    return Imagined(name, "all", Path(name), tuple(map(str, range(len(maps)))), truths=truths)


def spot(row: int, column: int, size: tuple[int, int] = CENTRE_SIZE, value: float = 1) -> np.ndarray:
    found = np.zeros(size, np.float32)
    found[row, column] = value
    return found


def synthetic(kind: str, folder: Path, viewers: int) -> tuple[Video, ...]:
    for _ in synthesise(kind, folder, videos=3, frames=FRAMES, size=SIZE, observers=viewers, seed=2):
        pass
    return open_dataset(kind, folder).videos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a set with very many viewers."""
    return tmp_path_factory.mktemp("many") / "gaze"


@pytest.fixture(scope="module")
def crowd(folder: Path) -> Video:
    """A video that very many people looked at."""
    return synthetic("gaze", folder, VIEWERS)[0]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Video, ...]:
    """Three videos of a small set with viewers."""
    return synthetic("gaze", tmp_path_factory.mktemp("few") / "gaze", FEW)


@pytest.fixture(scope="module")
def anonymous(tmp_path_factory: pytest.TempPathFactory) -> tuple[Video, ...]:
    """Videos of a set that does not tell viewers apart."""
    return synthetic("ucf", tmp_path_factory.mktemp("anonymous") / "ucf", FEW)


# Centre bias ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 20))
@quick
def test_annotated_frames_are_spread_evenly_over_the_video(count: int, most: int) -> None:
    found = annotated_frames(imagined("video", *[None] * count), most)
    assert found == sorted(set(found))
    assert len(found) == min(count, most)
    assert set(found) <= set(range(count))
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, count - 1)
        steps = np.diff(found)
        assert steps.max() - steps.min() <= 1


def test_all_frames_of_a_mean_weigh_the_same_however_bright_they_are() -> None:
    maps = (spot(3, 5, value=1), None, spot(80, 150, value=200), np.zeros(CENTRE_SIZE, np.float32))
    found = mean_truth(imagined("video", *maps))
    assert found is not None
    assert found.shape == CENTRE_SIZE
    assert (found[3, 5], found[80, 150], found.sum()) == pytest.approx((0.5, 0.5, 1))


def test_a_mean_is_of_frames_that_are_evenly_spaced() -> None:
    found = mean_truth(imagined("video", *(spot(0, index) for index in range(150))))
    assert found is not None
    seen = np.flatnonzero(found[0])
    assert seen.tolist() == annotated_frames(imagined("video", *[None] * 150), CENTRE_FRAMES)
    assert len(seen) == CENTRE_FRAMES


@pytest.mark.parametrize("size", [(360, 640), (45, 80), (64, 64), (720, 406)])
def test_a_mean_is_where_it_was_in_a_picture_of_any_size(size: tuple[int, int]) -> None:
    truth = blur(spot(size[0] // 4, size[1] * 3 // 4, size), size[1] / 32)
    found = mean_truth(imagined("video", (255 * truth / truth.max()).astype(np.uint8)))
    assert found is not None
    assert found.sum() == pytest.approx(1)
    rows, columns = (np.arange(length) + 0.5 for length in CENTRE_SIZE)
    assert found.sum(axis=1) @ rows == pytest.approx((size[0] // 4 + 0.5) / size[0] * CENTRE_SIZE[0], abs=0.5)
    assert found.sum(axis=0) @ columns == pytest.approx((size[1] * 3 // 4 + 0.5) / size[1] * CENTRE_SIZE[1], abs=0.5)


def test_a_mean_loses_nothing_of_a_narrow_picture() -> None:
    found = mean_truth(imagined("video", spot(7, 7, (1080, 100))))
    assert found is not None
    assert found.sum() == pytest.approx(1)


def test_a_video_that_nobody_looked_at_has_no_mean() -> None:
    nobody = np.zeros((48, 80), np.uint8)
    assert mean_truth(imagined("video", nobody, None, nobody)) is None
    assert mean_truth(imagined("video")) is None


def test_a_centre_bias_is_the_mean_of_videos_not_of_frames() -> None:
    one = mean_truth(imagined("one", spot(0, 0)))
    many = mean_truth(imagined("many", *[spot(5, 5)] * 9))
    found = centre_bias([one, None, many])
    assert (found[0, 0], found[5, 5], found.sum()) == pytest.approx((0.5, 0.5, 1))


def test_a_centre_bias_never_knows_the_video_that_is_left_out(videos: tuple[Video, ...]) -> None:
    means = [mean_truth(video) for video in videos]
    for number in range(len(videos)):
        found = centre_bias(means, without=number)
        others = [each for index, each in enumerate(means) if index != number]
        np.testing.assert_array_equal(found, np.mean(others, axis=0))
        for anything in (None, np.full(CENTRE_SIZE, np.nan), spot(0, 0)):
            changed = [anything if index == number else each for index, each in enumerate(means)]
            np.testing.assert_array_equal(centre_bias(changed, without=number), found)
        # The video that is left out would have changed the result.
        assert np.abs(centre_bias(means) - found).max() > 0


def test_videos_without_a_mean_do_not_shift_which_one_is_left_out() -> None:
    means = [None, spot(0, 1), None, spot(0, 3)]
    np.testing.assert_array_equal(centre_bias(means, without=1), spot(0, 3))
    np.testing.assert_array_equal(centre_bias(means, without=3), spot(0, 1))
    np.testing.assert_array_equal(centre_bias(means, without=2), (spot(0, 1) + spot(0, 3)) / 2)


@pytest.mark.parametrize(("means", "without"), [([], None), ([None, None], None), ([spot(0, 0)], 0), ([None], 0)])
def test_a_centre_bias_of_nothing_is_uniform(means: list[np.ndarray | None], without: int | None) -> None:
    np.testing.assert_array_equal(centre_bias(means, without), np.ones(CENTRE_SIZE))


# Fixations of other videos --------------------------------------------------------------------------------------------


def gallery(count: int, frames: int = 5, height: int = 40) -> list[Imagined]:
    """Videos with one fixated pixel per frame: its row is the video's number, its column the frame's."""
    return [
        imagined(f"video {row}", *(spot(row, column, (height, 30)) for column in range(frames))) for row in range(count)
    ]


def looked_at(places: np.ndarray, height: int = 40) -> np.ndarray:
    """(n, 2): the rows and columns of fixations in a gallery, from fractions of height and width."""
    return (places * (height, 30)).astype(int)


@pytest.mark.parametrize("count", [2, 3, 7, 11, 12, 30])
def test_others_are_of_all_other_videos_in_turn_but_never_of_its_own(count: int) -> None:
    some = gallery(count)
    for number in range(count):
        rows = looked_at(other_fixations(some, number, seed=0))[:, 0]
        assert len(rows) == OTHER_FRAMES
        assert number not in rows
        shares = np.bincount(rows)[np.unique(rows)]
        assert len(shares) == min(count - 1, OTHER_FRAMES)
        assert shares.max() - shares.min() <= 1


def test_others_are_decided_by_the_seed_and_the_videos_name() -> None:
    some = gallery(30)
    first, again, other = (looked_at(other_fixations(some, 4, seed)).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    renamed = [replace(video, name=f"another {video.name}") for video in some]
    assert looked_at(other_fixations(renamed, 4, 0)).tolist() != first


def test_any_frame_of_any_other_video_may_be_drawn() -> None:
    drawn = np.concatenate([looked_at(other_fixations(gallery(4), 1, seed)) for seed in range(40)])
    assert {tuple(each) for each in drawn.tolist()} == {(row, column) for row in (0, 2, 3) for column in range(5)}


def test_of_many_other_videos_any_may_be_drawn() -> None:
    drawn = np.concatenate([looked_at(other_fixations(gallery(15), 14, seed)) for seed in range(20)])
    assert set(drawn[:, 0]) == set(range(14))


def test_a_single_video_has_no_others() -> None:
    assert other_fixations(gallery(1), 0, 0).shape == (0, 2)


def test_others_without_ground_truth_are_none() -> None:
    assert other_fixations([*gallery(1), imagined("unknown", None, None)], 0, 0).shape == (0, 2)
    some = other_fixations([*gallery(1), imagined("unknown", None), gallery(3)[2]], 0, 0)
    assert set(looked_at(some)[:, 0]) == {2}


def test_where_nobody_looked_at_others_there_are_no_places() -> None:
    places = other_fixations([*gallery(1), imagined("nobody", np.zeros((4, 4)))], 0, 0)
    assert places.shape == (0, 2)
    assert not as_fixations(places, (6, 9)).any()


def test_others_of_real_layouts_are_where_other_videos_are_looked_at(anonymous: tuple[Video, ...]) -> None:
    assert len({video.truth(0).fixations.shape for video in anonymous}) > 1
    for number in range(len(anonymous)):
        places = other_fixations(anonymous, number, 0)
        own = {tuple(place) for truth in truths_of(anonymous[number]) for place in parts(truth.fixations)}
        others = {
            tuple(place)
            for index, video in enumerate(anonymous)
            if index != number
            for truth in truths_of(video)
            for place in parts(truth.fixations)
        }
        assert {tuple(place) for place in places.tolist()} <= others
        # A few pixels are fixated in this video as well as in others.
        assert len({tuple(place) for place in places.tolist()} - own) > len(places) / 3


def truths_of(video: Video) -> list[GroundTruth]:
    found = [video.truth(index) for index in range(len(video.names))]
    return [truth for truth in found if truth is not None]


def parts(fixations: np.ndarray) -> list[list[float]]:
    """Fixated pixels as fractions of height and width."""
    return ((np.argwhere(fixations) + 0.5) / fixations.shape).tolist()


sizes = st.tuples(st.integers(1, 2000), st.integers(1, 2000))


@quick
@given(sizes, sizes, st.data())
def test_places_stay_inside_of_a_picture_of_any_size(
    old: tuple[int, int], new: tuple[int, int], data: st.DataObject
) -> None:
    pixels = [(0, 0), (old[0] - 1, old[1] - 1)]
    pixels += data.draw(st.lists(st.tuples(st.integers(0, old[0] - 1), st.integers(0, old[1] - 1)), max_size=5))
    places = (np.array(pixels) + 0.5) / old
    found = as_fixations(places, new)
    assert found.shape == new
    assert found.dtype == bool
    expected = {(int(2 * row + 1) * new[0] // (2 * old[0]), int(2 * column + 1) * new[1] // (2 * old[1]))
                for row, column in pixels}  # fmt: skip
    near = np.abs(np.argwhere(found)[:, None] - np.array(sorted(expected))[None]).max(axis=-1)
    # Where a point lies on the border of two pixels, rounding may choose either.
    assert near.min(axis=0).max() <= 1
    assert near.min(axis=1).max() <= 1


@quick
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(0, 99))
def test_places_at_the_same_size_are_the_same_pixels(size: tuple[int, int], seed: int) -> None:
    fixations = np.random.default_rng(seed).random(size) < 0.05
    np.testing.assert_array_equal(as_fixations(places_of(fixations), size), fixations)
    assert places_of(fixations).tolist() == parts(fixations)


# Halves of the viewers ------------------------------------------------------------------------------------------------


def points(gaze: Gaze) -> list[tuple[float, ...]]:
    return sorted(zip(gaze.frame, gaze.observer, gaze.x, gaze.y, strict=True))


def test_halves_share_no_viewer_and_lose_no_point(videos: tuple[Video, ...]) -> None:
    for video in videos:
        whole, found = read_gaze(video.gaze), halves(video, 0)
        assert found is not None
        first, second = (set(part.observer.tolist()) for part in found)
        assert not first & second
        assert first | second == set(whole.observer.tolist())
        assert abs(len(first) - len(second)) <= 1
        assert sorted(points(found[0]) + points(found[1])) == points(whole)
        assert all((np.diff(part.frame) >= 0).all() for part in found)


def test_halves_are_decided_by_the_seed_and_the_videos_name(videos: tuple[Video, ...]) -> None:
    def first_half(video: Video, seed: int) -> list[int]:
        found = halves(video, seed)
        assert found is not None
        return sorted(set(found[0].observer.tolist()))

    drawn = [first_half(videos[0], seed) for seed in range(6)]
    assert drawn == [first_half(videos[0], seed) for seed in range(6)]
    assert len({tuple(each) for each in drawn}) > 1
    renamed = [replace(videos[0], name=f"another {number}") for number in range(6)]
    assert len({tuple(first_half(video, 0)) for video in renamed}) > 1


def test_halves_of_a_frame_add_up_to_it(videos: tuple[Video, ...]) -> None:
    for index in range(FRAMES):
        found = [truth_of(part.at(index), videos[1].viewing) for part in halves(videos[1], 0)]
        whole = videos[1].truth(index)
        np.testing.assert_array_equal(found[0].fixations | found[1].fixations, whole.fixations)
        np.testing.assert_allclose(found[0].saliency + found[1].saliency, whole.saliency, atol=1e-6)


def test_without_viewers_there_are_no_halves(anonymous: tuple[Video, ...], tmp_path: Path) -> None:
    assert all(halves(video, 0) is None for video in anonymous)
    assert halves(synthetic("gaze", tmp_path / "gaze", 1)[0], 0) is None
    assert halves(synthetic("gaze", tmp_path / "two", 2)[0], 0) is not None


# Scores ---------------------------------------------------------------------------------------------------------------


def scene_of(video: Video, index: int, protocol: str = "dhf1k", others: np.ndarray = NOWHERE) -> Target:
    truth = video.truth(index)
    assert truth is not None
    return Target(truth, others, PROTOCOLS[protocol])


def test_scores_are_the_metrics_of_the_columns(videos: tuple[Video, ...]) -> None:
    others = as_fixations(other_fixations(videos, 0, 0), SIZE)
    scene = scene_of(videos[0], 2, others=others)
    saliency = np.random.default_rng(0).random(SIZE)
    fixations = scene.truth.fixations
    expected = {
        "AUC-J": metrics.auc_judd(saliency, fixations),
        "AUC": metrics.auc_rank(saliency, fixations),
        "AUC-B": metrics.auc_borji(saliency, fixations),
        "sAUC": metrics.auc_shuffled(saliency, fixations, others),
        "CC": metrics.cc(saliency, scene.truth.saliency),
        "SIM": metrics.sim(saliency, scene.truth.saliency),
        "NSS": metrics.nss(saliency, fixations),
        "KL": metrics.kl_div(saliency, scene.truth.saliency),
    }
    assert list(expected) == [metric.name for metric in METRICS]
    assert score(saliency, scene) == expected
    assert [metric.name for metric in METRICS if not metric.higher_is_better] == ["KL"]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_scores_of_another_size_are_those_of_the_resized_map(
    videos: tuple[Video, ...], dtype: type[np.generic]
) -> None:
    scene = scene_of(videos[0], 2)
    small = (255 * np.random.default_rng(0).random((12, 16))).astype(dtype)
    found, expected = score(small, scene), score(resize(small.astype(float), SIZE), scene)
    assert found == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_scores_without_others_or_epsilon(videos: tuple[Video, ...]) -> None:
    half = np.ones(SIZE)
    half[: SIZE[0] // 2] = 0
    assert np.isnan(score(half, scene_of(videos[0], 2))["sAUC"])
    assert np.isfinite(score(half, scene_of(videos[0], 2))["KL"])
    assert score(half, scene_of(videos[0], 2, "published"))["KL"] == np.inf


# From viewers to scores, in closed form -------------------------------------------------------------------------------


class Expected(NamedTuple):
    """The scores (H, W) of a map for a single fixation at each pixel; averaged over a density, the expected scores."""

    nss: np.ndarray
    auc_judd: np.ndarray
    auc_rank: np.ndarray
    auc_borji: np.ndarray
    information_gain: np.ndarray


def expected_scores(saliency: np.ndarray) -> Expected:
    pixels, low, high = saliency.size, saliency.min(), saliency.max()
    ranks = rankdata(saliency).reshape(saliency.shape)
    reached = saliency >= low + (high - low) * np.arange(10, -1, -1)[:, None, None] / 10
    shares = np.concatenate([[0], reached.mean(axis=(1, 2)), [1]])
    hits = np.concatenate([np.zeros((1, *saliency.shape)), reached, np.ones((1, *saliency.shape))])
    return Expected(
        nss=(saliency - saliency.mean()) / saliency.std(ddof=1),
        auc_judd=1 - (pixels - ranks) / (pixels - 1) / 2,
        auc_rank=(ranks - 1) / (pixels - 1),
        auc_borji=np.trapezoid(hits, shares, axis=0),
        information_gain=np.log2(saliency / saliency.sum() * pixels),
    )


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "nss": metrics.nss,
    "auc_judd": metrics.auc_judd,
    "auc_rank": metrics.auc_rank,
    "auc_borji": metrics.auc_borji,
    "information_gain": lambda saliency, fixations: metrics.information_gain(
        saliency, fixations, np.ones(fixations.shape)
    ),
}


def alike(saliency: np.ndarray, count: int) -> np.ndarray:
    return np.broadcast_to(saliency, (count, *saliency.shape))


def one_by_one(video: Video, index: int) -> np.ndarray:
    """(n, H, W) bool: the fixation map of each viewer who looks at a frame, as if there were no other viewers."""
    gaze = read_gaze(video.gaze).at(index)
    alone = [truth_of(gaze.of(np.array([viewer])), video.viewing).fixations for viewer in np.unique(gaze.observer)]
    return np.stack([each for each in alone if each.any()])


def in_groups(video: Video, index: int, size: int) -> list[tuple[int, GroundTruth]]:
    """The ground truth of disjoint groups of viewers, each with the number of its viewers who look at the frame."""
    gaze = read_gaze(video.gaze).at(index)
    groups = [gaze.of(np.arange(first, first + size)) for first in range(1, VIEWERS, size)]
    return [(int(group.counts().sum()), truth_of(group, video.viewing)) for group in groups]


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("index", INDICES)
def test_the_true_density_scores_what_its_closed_form_says(folder: Path, crowd: Video, index: int) -> None:
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    fixations = one_by_one(crowd, index)
    assert len(fixations) > 0.9 * VIEWERS
    assert fixations.sum(axis=(1, 2)).max() == 1
    for name, values in expected_scores(truth)._asdict().items():
        found = SCORES[name](alike(truth, len(fixations)), fixations)
        expected = (truth * values).sum()
        assert abs(found.mean() - expected) < 4 * standard_error(found), name
    # For information gain, the expected score is the relative entropy to the uniform density.
    bits = (truth * np.log2(truth * truth.size)).sum()
    assert (truth * expected_scores(truth).information_gain).sum() == pytest.approx(bits)


@pytest.mark.slow
@pytest.mark.parametrize("index", INDICES)
def test_no_other_density_does(folder: Path, crowd: Video, index: int) -> None:
    """The check can fail: a slightly shifted density and the density of the clip's other shot are far off."""
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    other = density(video_settings(folder)[crowd.name].clip(), INDICES[1 - INDICES.index(index)])
    fixations = one_by_one(crowd, index)
    for wrong in (np.roll(truth, 4, axis=0), np.roll(truth, 4, axis=1), other):
        for name, values in expected_scores(truth)._asdict().items():
            if name != "information_gain":
                found = SCORES[name](alike(wrong, len(fixations)), fixations)
                assert abs(found.mean() - (truth * values).sum()) > 4 * standard_error(found), name


@pytest.mark.parametrize("index", INDICES)
def test_information_is_lost_by_any_other_density(folder: Path, crowd: Video, index: int) -> None:
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    fixations = one_by_one(crowd, index)
    for wrong in (np.roll(truth, 4, axis=1), truth**2, truth**0.5, truth + truth.mean()):
        loss = metrics.information_gain(
            alike(truth, len(fixations)), fixations, alike(wrong / wrong.sum(), len(fixations))
        )
        assert loss.mean() > 4 * standard_error(loss)
        expected = (truth * np.log2(truth * wrong.sum() / wrong)).sum()
        assert abs(loss.mean() - expected) < 4 * standard_error(loss)


@pytest.mark.parametrize("index", INDICES)
def test_the_closed_form_holds_for_what_an_evaluation_scores(folder: Path, crowd: Video, index: int) -> None:
    """All score columns are checked, including shuffled AUC, whose negatives are other videos' fixations."""
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    others = as_fixations(other_fixations(open_dataset("gaze", folder).videos, 0, 0), SIZE)
    few = one_by_one(crowd, index)[:300]
    rows = [score(truth, Target(GroundTruth(each.astype(float), each), others, PROTOCOLS["dhf1k"])) for each in few]
    values = expected_scores(truth)
    low, high = truth.min(), truth.max()
    reached = truth >= low + (high - low) * np.arange(10, -1, -1)[:, None, None] / 10
    hits = np.concatenate([[0], (reached * truth).sum(axis=(1, 2)), [1]])
    alarms = np.concatenate([[0], reached[:, others].mean(axis=1), [1]])
    for column, expected in (
        ("NSS", (truth * values.nss).sum()),
        ("AUC-J", (truth * values.auc_judd).sum()),
        ("AUC-B", (truth * values.auc_borji).sum()),
        ("sAUC", np.trapezoid(hits, alarms)),
    ):
        found = np.array([row[column] for row in rows])
        assert abs(found.mean() - expected) < 4 * standard_error(found), column


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("size", [20, 100])
def test_many_viewers_on_one_map_score_what_their_closed_form_says(
    folder: Path, crowd: Video, index: int, size: int
) -> None:
    """A pixel counts once however many viewers look at it: with n viewers, with probability 1 - (1 - p)^n."""
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    standard = expected_scores(truth).nss
    excess, naive = [], []
    for looking, group in in_groups(crowd, index, size):
        fixated = 1 - (1 - truth) ** looking
        expected = (fixated * standard).sum() / fixated.sum()
        # The expectation of this product is exactly 0; that of the ratio alone would not be.
        count = group.fixations.sum() / looking
        excess.append(count * (metrics.nss(truth, group.fixations) - expected))
        naive.append(count * (metrics.nss(truth, group.fixations) - (truth * standard).sum()))
    assert abs(np.mean(excess)) < 4 * standard_error(np.array(excess))
    if size == 100:  # so many viewers share pixels that the naive formula fails
        assert abs(np.mean(naive)) > 4 * standard_error(np.array(naive))


@pytest.mark.parametrize("index", INDICES)
def test_the_map_of_many_viewers_is_on_average_the_blurred_density(folder: Path, crowd: Video, index: int) -> None:
    """CC is not linear in the map, but CC times the map's standard deviation is."""
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    assert crowd.viewing is not None
    blurred = gaussian_filter(truth, crowd.viewing.sigma, mode="reflect")
    expected = metrics.cc(truth, blurred) * blurred.std()
    found = np.array(
        [
            metrics.cc(truth, group.saliency) * group.saliency.std(dtype=float) / looking
            for looking, group in in_groups(crowd, index, 60)
        ]
    )
    assert abs(found.mean() - expected) < 4 * standard_error(found)
    # The density without the blur does not match.
    assert abs(found.mean() - truth.std()) > 4 * standard_error(found)


@pytest.mark.parametrize("index", INDICES)
def test_metrics_of_maps_come_near_their_best_with_more_viewers(folder: Path, crowd: Video, index: int) -> None:
    truth = density(video_settings(folder)[crowd.name].clip(), index)
    assert crowd.viewing is not None
    blurred = blur(truth.astype(np.float32), crowd.viewing.sigma)
    rows = []
    for size in (12, 120, VIEWERS):
        _, group = in_groups(crowd, index, size)[0]
        rows.append([metric(blurred, group.saliency) for metric in (metrics.cc, metrics.sim, metrics.kl_div)])
    correlations, similarities, divergences = np.transpose(rows)
    assert (np.diff(correlations) > 0).all()
    assert (np.diff(similarities) > 0).all()
    assert (np.diff(divergences) < 0).all()
    assert correlations[-1] > 0.99
    assert similarities[-1] > 0.9
    assert 0 < divergences[-1] < 0.05


@pytest.mark.parametrize("index", INDICES)
def test_between_chance_and_the_ceiling_lies_what_is_learnt_from_others(folder: Path, crowd: Video, index: int) -> None:
    """Half of so many viewers predict the other half well; viewers of other videos predict them less well."""
    scene, parts_of = scene_of(crowd, index), halves(crowd, 0)
    assert parts_of is not None
    first, second = (truth_of(part.at(index), crowd.viewing) for part in parts_of)
    centre = resize(centre_bias([mean_truth(video) for video in open_dataset("gaze", folder).videos], without=0), SIZE)
    assert score(np.zeros(SIZE), scene)["CC"] == 0
    assert score(centre, scene)["CC"] < 0.9
    assert score(first.saliency, Target(second, scene.others, scene.protocol))["CC"] > 0.97
    assert score(second.saliency, Target(first, scene.others, scene.protocol))["CC"] > 0.97
    truth, alone = density(video_settings(folder)[crowd.name].clip(), index), one_by_one(crowd, index)
    assert metrics.information_gain(alike(truth, len(alone)), alone, alike(centre, len(alone))).mean() > 0.5
