"""Made-up data sets: the layouts on disk are exact, viewers follow the closed form, and the bytes are reproducible."""

import io
import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import video_settings
from scipy.io import loadmat
from scipy.stats import chi2

from tinyhd_lib import BadInput
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.gaze import Gaze, gaze_file, read_gaze
from tinyhd_lib.data.synthetic import WRITERS, VideoSettings, synthesise
from tinyhd_lib.data.synthetic.observers import components, density, simulate_observers
from tinyhd_lib.data.synthetic.scenes import GazeModel, SyntheticVideo, make_video, render
from tinyhd_lib.data.video import probe, read_frames

VIEWERS = 4000
# How far a mean may be from its expectation, in standard errors: exceeded by chance about once in 150,000 times.
SIGMAS = 4.5


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a default set of every kind."""
    folder = tmp_path_factory.mktemp("synthetic")
    for kind in WRITERS:
        for _ in synthesise(kind, folder / kind):
            pass
    return folder


@pytest.fixture(scope="module")
def clip() -> SyntheticVideo:
    """Moving objects, then a pop-out display, with a cut between them."""
    return make_video(3, (10, 10), (72, 128))


@pytest.fixture(scope="module")
def gaze(clip: SyntheticVideo) -> Gaze:
    return simulate_observers(clip, VIEWERS, seed=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tiny(kind: str, folder: Path, seed: int = 0) -> dict[str, bytes]:
    for _ in synthesise(kind, folder, videos=2, frames=5, size=(32, 48), observers=3, seed=seed):
        pass
    return contents(folder)


def grey(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def pixels(gaze: Gaze, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of all gaze points in a frame, with repeats."""
    here = gaze.frame == index
    return np.rint(gaze.y[here]).astype(int), np.rint(gaze.x[here]).astype(int)


def tracks(gaze: Gaze, clip: SyntheticVideo) -> np.ndarray:
    """(viewers, frames, 2): gaze points, NaN where a viewer looks outside the frame."""
    found = np.full((VIEWERS, clip.frames, 2), np.nan)
    found[gaze.observer - 1, gaze.frame] = np.stack([gaze.x, gaze.y], axis=-1)
    return found


@pytest.mark.parametrize("kind", WRITERS)
def test_a_seed_decides_every_byte(kind: str, tmp_path: Path) -> None:
    first, again, other = (tiny(kind, tmp_path / name, seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert first == again
    assert first.keys() == other.keys()
    same = {name for name in first if first[name] == other[name]}
    assert same <= {name for name in first if "broken" in name or name == "GAZE.json"}


@pytest.mark.parametrize("kind", WRITERS)
def test_each_video_is_announced_and_remembered(kind: str, sets: Path, tmp_path: Path) -> None:
    found = list(synthesise(kind, tmp_path / "set", videos=1, frames=2, size=(32, 32)))
    assert all(path.exists() for path in found)
    names = list(video_settings(tmp_path / "set"))
    assert len(names) == len(found)
    assert all(
        path.with_suffix("").as_posix().endswith(name.lstrip("0")) for path, name in zip(found, names, strict=True)
    )
    assert "made up" in json.loads((sets / kind / "synthetic.json").read_text())["synthetic"]


def test_dhf1k_has_the_files_of_the_real_one(sets: Path) -> None:
    numbers = [split + number for split in (0, 600, 700) for number in (1, 2, 3)]
    expected = {"synthetic.json"} | {f"video/{number:03d}.AVI" for number in numbers}
    for number in numbers[:6]:
        for pattern in ("maps/{:04d}.png", "fixation/{:04d}.png", "fixation/maps/{:04d}.mat"):
            expected |= {f"annotation/{number:04d}/{pattern.format(frame)}" for frame in range(1, 25)}
    assert contents(sets / "dhf1k").keys() == expected
    assert probe(sets / "dhf1k/video/001.AVI").codec == "mpeg4"


def test_ucf_has_the_files_of_the_real_one(sets: Path) -> None:
    expected = {"synthetic.json"}
    for video, frames in {
        "training/Diving-Side-001": 24,
        "training/Golf-Swing-Back-001": 24,
        "training/Kicking-Front-001": 11,
        "testing/Lifting-001": 24,
        "testing/Riding-Horse-001": 24,
        "testing/Run-Side-001": 11,
    }.items():
        name = video.split("/")[1].replace("-001", "_001")
        for part in ("images", "maps", "fixation"):
            expected |= {f"{video}/{part}/{name}_{frame:03d}.png" for frame in range(1, frames + 1)}
    assert contents(sets / "ucf").keys() == expected
    assert len({recipe.size for recipe in video_settings(sets / "ucf").values()}) == 3


def test_hollywood2_goes_on_counting_after_a_cut(sets: Path) -> None:
    expected = {"synthetic.json"}
    for split, name in (("training", "actioncliptrain"), ("testing", "actioncliptest")):
        for video in (f"{name}0000{number}" for number in (1, 2, 3)):
            for shot, frames in ((1, range(1, 17)), (2, range(17, 25))):
                for part in ("images", "maps", "fixation"):
                    expected |= {f"{split}/{video}_{shot}/{part}/{video}_{frame:05d}.png" for frame in frames}
    assert contents(sets / "hollywood2").keys() == expected


def test_kinetics_has_clips_by_class_and_some_that_are_broken(sets: Path) -> None:
    found = list((sets / "kinetics").glob("*/*/*.mp4"))
    counts = Counter((path.parts[-3], path.parts[-2]) for path in found)
    classes = {"abseiling": 2, "air drumming": 1, "archery": 1}
    assert counts == {(split, name): count for split in ("train", "val") for name, count in classes.items()}
    broken = [path for path in found if "broken" in path.name]
    assert len(broken) == 2
    for path in broken:
        with pytest.raises(BadInput, match="not a video"):
            probe(path)


def test_gaze_is_handed_round_as_the_real_one(sets: Path) -> None:
    described = json.loads((sets / "gaze/GAZE.json").read_text())
    names = [f"clip_00{number}" for number in range(3)]
    assert list(described) == names
    expected = {"synthetic.json", "GAZE.json"} | {f"{name}.{suffix}" for name in names for suffix in ("mp4", "npz")}
    assert contents(sets / "gaze").keys() == expected
    for name in names:
        points, recipe = np.load(sets / "gaze" / f"{name}.npz"), video_settings(sets / "gaze")[name]
        kinds = {key: points[key].dtype.name for key in ("frame", "viewer", "x", "y")}
        assert kinds == {"frame": "int16", "viewer": "int8", "x": "float16", "y": "float16"}
        assert described[name] == {
            "width": 160, "height": 96, "frames": 24, "fps": 25.0, "viewers": 12, "gaze_points": len(points["x"]),
            "pixels_per_degree": 5.0,
        }  # fmt: skip
        facts = {key: points[key].item() for key in ("width", "height", "frames", "fps")}
        assert facts.items() <= described[name].items()
        assert (np.diff(points["viewer"].astype(int) * 24 + points["frame"]) > 0).all()
        found, expected = read_gaze(sets / "gaze" / f"{name}.npz"), recipe.gaze()
        np.testing.assert_array_equal(found.observer, expected.observer)
        np.testing.assert_allclose(found.x, expected.x, atol=0.13)
        np.testing.assert_allclose(found.y, expected.y, atol=0.13)


def test_points_of_large_videos_keep_their_pixel() -> None:
    places = np.array([3001.4, 2047.6]), np.array([1777.3, 2159.4])
    points = np.load(
        io.BytesIO(gaze_file(Gaze(np.arange(2), np.ones(2, int), *places, (2160, 3840), 2), 25.0, np.float32))
    )
    np.testing.assert_allclose([points["x"], points["y"]], places, rtol=0, atol=1e-3)


def test_points_at_the_edge_stay_in_the_frame() -> None:
    """Half precision has steps of 1/8 pixel here: 159.49 would become 159.5, which rounds to the pixel 160."""
    edge = np.array([159.49, -0.49]), np.array([95.49, -0.49])
    points = np.load(io.BytesIO(gaze_file(Gaze(np.arange(2), np.ones(2, int), *edge, (96, 160), 2), 25.0)))
    np.testing.assert_array_equal(np.rint(points["x"].astype(float)), [159, 0])
    np.testing.assert_array_equal(np.rint(points["y"].astype(float)), [95, 0])


@pytest.mark.parametrize("kind", WRITERS)
def test_the_data_set_that_is_read_is_the_one_that_was_made(kind: str, sets: Path) -> None:
    videos = open_dataset(kind, sets / kind).videos
    assert {video.name for video in videos} == video_settings(sets / kind).keys()
    for video in videos:
        assert len(video.names) == video_settings(sets / kind)[video.name].clip().frames


def test_wider_types_where_counts_need_them(tmp_path: Path) -> None:
    list(synthesise("gaze", tmp_path / "set", videos=1, frames=1, size=(32, 32), observers=200))
    viewer = np.load(tmp_path / "set/clip_000.npz")["viewer"]
    assert viewer.dtype == np.int16
    assert viewer.max() > 150


def test_every_video_decodes_to_the_frames_of_its_clip(sets: Path) -> None:
    films = [path for path in sets.rglob("*") if path.suffix in {".mp4", ".AVI"} and "broken" not in path.name]
    assert len(films) == 9 + 6 + 3 + 3 + 6
    for path in films:
        root = sets / path.relative_to(sets).parts[0]
        name = {"dhf1k": path.stem.zfill(4), "kinetics": f"{path.parent.name}/{path.stem}"}.get(root.name, path.stem)
        expected = video_settings(root)[name].clip()
        frames = [frame.image for frame in read_frames(path)]
        assert len(frames) == expected.frames == 24
        for index in (0, 20):
            # Video coding halves the resolution of colours, and is slightly lossy.
            assert np.abs(frames[index].mean(-1) - render(expected, index).mean(-1)).mean() < 5


@pytest.mark.parametrize(("kind", "first"), [("ucf", 1), ("hollywood2", 17)])
def test_pictures_are_the_frames_of_the_clip(kind: str, first: int, sets: Path) -> None:
    name = {"ucf": "Diving-Side-001", "hollywood2": "actioncliptrain00002_2"}[kind]
    paths = sorted((sets / kind / "training" / name / "images").iterdir())
    expected = video_settings(sets / kind)[name].clip()
    assert len(paths) == expected.frames
    assert int(paths[0].stem.split("_")[-1]) == first
    for index, path in enumerate(paths):
        np.testing.assert_array_equal(grey(path)[..., ::-1], render(expected, index))


def test_the_shots_of_a_video_are_seen_by_others() -> None:
    """Otherwise, viewers would have the same delays and errors in every shot."""
    made = VideoSettings(0, (8, 8), (32, 32), 1, 0)
    assert made._replace(shot=1).clip().shots == made.clip().shots[1:]
    assert made._replace(shot=1).clip().frames == 8


def test_viewers_of_two_shots_have_seeds_of_their_own(sets: Path) -> None:
    known = video_settings(sets / "hollywood2")
    assert len({recipe.observers_seed for recipe in known.values()}) == len(known) == 12
    assert len({recipe.seed for recipe in known.values()}) == 6


def test_fixations_agree_wherever_they_are_stored(sets: Path) -> None:
    annotation, recipe = sets / "dhf1k/annotation/0602", video_settings(sets / "dhf1k")["0602"]
    points = recipe.gaze()
    for index in range(24):
        expected = np.zeros(recipe.size, np.uint8)
        expected[pixels(points, index)] = 1
        assert 6 <= expected.sum() <= 12
        name = f"{index + 1:04d}"
        np.testing.assert_array_equal(grey(annotation / "fixation" / f"{name}.png"), 255 * expected)
        stored = loadmat(annotation / "fixation/maps" / f"{name}.mat")["I"]
        assert stored.dtype == np.uint8
        np.testing.assert_array_equal(stored, expected)
        saliency = grey(annotation / "maps" / f"{name}.png")
        assert saliency.dtype == np.uint8
        assert saliency.max() == 255
        assert saliency[expected > 0].min() > 60


def test_a_density_is_a_probability(clip: SyntheticVideo) -> None:
    for index in range(clip.frames):
        assert density(clip, index).shape == clip.size
        assert density(clip, index).min() > 0
        assert density(clip, index).sum() == pytest.approx(1, abs=1e-12)
    weights, centres, deviations = components(clip, 0)
    assert weights.sum() == pytest.approx(1)
    rows, columns = np.mgrid[: clip.size[0], : clip.size[1]]
    parts = [
        weight * np.exp(-(((columns - x) / a) ** 2 + ((rows - y) / b) ** 2) / 2) / (a * b)
        for weight, (x, y), (a, b) in zip(weights, centres, deviations, strict=True)
    ]
    # If a Gaussian is wide enough, its value at a pixel's centre is close to its mean over the pixel.
    np.testing.assert_allclose(density(clip, 0), sum(parts) / np.sum(parts), rtol=0.03, atol=2e-6)


def test_a_clip_ends(clip: SyntheticVideo) -> None:
    for index in (-1, clip.frames):
        with pytest.raises(IndexError, match="of a clip of 20 frames"):
            density(clip, index)


@pytest.mark.parametrize("index", [0, 1, 7, 9, 10, 19])
def test_viewers_follow_the_density(index: int, clip: SyntheticVideo, gaze: Gaze) -> None:
    """Viewers are independent within a frame, so counts in tiles of 8x8 pixels follow a chi-square distribution."""
    counts, seen = np.zeros(clip.size), pixels(gaze, index)
    np.add.at(counts, seen, 1)
    tiles = (clip.size[0] // 8, 8, clip.size[1] // 8, 8)
    found = counts.reshape(tiles).sum((1, 3)).ravel()
    expected = len(seen[0]) * density(clip, index).reshape(tiles).sum((1, 3)).ravel()
    rare = expected < 8
    found, expected = (np.append(each[~rare], each[rare].sum()) for each in (found, expected))
    assert len(found) > 30
    assert chi2.sf(((found - expected) ** 2 / expected).sum(), len(found) - 1) > 1e-4


@pytest.mark.parametrize("metric", ["log density", "NSS"])
@pytest.mark.parametrize("index", [0, 9, 10, 19])
def test_a_metric_has_its_expected_value(metric: str, index: int, clip: SyntheticVideo, gaze: Gaze) -> None:
    truth = density(clip, index)
    score = np.log(truth) if metric == "log density" else (truth - truth.mean()) / truth.std(ddof=1)
    expected = (truth * score).sum()
    deviation = np.sqrt((truth * score**2).sum() - expected**2)
    scores = score[pixels(gaze, index)]
    assert abs(scores.mean() - expected) < SIGMAS * deviation / np.sqrt(len(scores))


def test_as_many_viewers_are_lost_as_look_past_the_frame(gaze: Gaze) -> None:
    made = make_video(3, (10, 10), (72, 128))
    shots = tuple(replace(shot, things=()) for shot in made.shots)
    clip = replace(made, shots=shots, habits=GazeModel(centre_weight=1.0, centre_spread=(0.5, 0.5)))
    inside = 0.6826894921370859**2
    counts = np.bincount(simulate_observers(clip, VIEWERS, 1).frame)
    assert abs(counts / VIEWERS - inside).max() < SIGMAS * np.sqrt(inside * (1 - inside) / VIEWERS)
    assert np.bincount(gaze.frame).min() > 0.9 * VIEWERS


def test_viewers_hold_on_to_what_moves_and_let_go_at_a_cut(clip: SyntheticVideo, gaze: Gaze) -> None:
    seen = tracks(gaze, clip)
    steps = [np.diff([components(clip, index)[1] for index in (at, at + 1)], axis=0)[0] for at in range(9)]
    assert min(np.hypot(*step[:-1].T).max() for step in steps) > 0.5
    for at, step in enumerate(steps):
        moved = seen[:, at + 1] - seen[:, at]
        held = np.isclose(moved[:, None], step[None], atol=1e-9).all(-1).any(-1)
        # A fixation lasts 0.3 s, or 7.5 frames; all fixations begin with the clip, so none ends early.
        assert held[~np.isnan(moved[:, 0])].mean() > 0.75
    both = ~np.isnan(seen[:, 8:11]).any((1, 2))
    before, last, after = seen[both, 8:11].transpose(1, 2, 0)
    for axis in (0, 1):
        assert np.corrcoef(before[axis], last[axis])[0, 1] > 0.7
        assert abs(np.corrcoef(last[axis], after[axis])[0, 1]) < SIGMAS / np.sqrt(both.sum())


def test_viewers_are_independent_of_each_other(clip: SyntheticVideo, gaze: Gaze) -> None:
    seen = tracks(gaze, clip)[:, 5]
    pairs = np.concatenate([seen[:-1], seen[1:]], axis=1)
    pairs = pairs[~np.isnan(pairs).any(1)]
    assert abs(np.corrcoef(pairs.T)[:2, 2:]).max() < SIGMAS / np.sqrt(len(pairs))


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(50)])
def test_a_fixation_lasts_300_milliseconds(rate: Fraction) -> None:
    clip = replace(VideoSettings(0, (1, 200), (72, 128), VIEWERS, 0, shot=1).clip(), rate=rate)
    seen = tracks(simulate_observers(clip, VIEWERS, seed=0), clip)[:, 100:]
    moved = seen[:, 1:] != seen[:, :-1]
    whole = ~np.isnan(seen).any(-1)
    assert float(1 / rate) / moved[whole[:, 1:] & whole[:, :-1]].mean() == pytest.approx(0.3, rel=0.05)


def test_gaze_is_in_order_and_the_same_every_time(clip: SyntheticVideo, gaze: Gaze) -> None:
    assert (np.diff(gaze.frame * (VIEWERS + 1) + gaze.observer) > 0).all()
    assert (gaze.observer.min(), gaze.observer.max()) == (1, VIEWERS)
    again, other = (simulate_observers(clip, VIEWERS, seed) for seed in (3, 4))
    np.testing.assert_array_equal(gaze.x, again.x)
    assert len(other.x) != len(gaze.x) or (other.x != gaze.x).all()


def test_one_item_of_a_pop_out_is_unlike_the_others(clip: SyntheticVideo) -> None:
    things = clip.shots[1].things
    looks = Counter((thing.shape, thing.colour) for thing in things)
    assert sorted(looks.values()) == [1, len(things) - 1]
    odd = max(things, key=lambda thing: thing.weight)
    assert looks[odd.shape, odd.colour] == 1
    assert odd.weight > 0.5


def test_things_stay_in_the_picture_and_stand_out_of_it() -> None:
    for seed in range(20):
        clip = make_video(seed, (60,), (32, 64))
        for index in range(clip.frames):
            places = components(clip, index)[1]
            assert (places > 0).all()
            assert (places < (63, 31)).all()
    size = (96, 160)
    clip = make_video(1, 30, size)
    image, (x, y) = render(clip, 0).astype(int), components(clip, 0)[1][1]
    around = image[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6]
    assert np.ptp(around, -1).mean() > 2 * np.median(np.ptp(image, -1))
    assert image.shape == (*size, 3)
    assert (render(clip, 0) != render(clip, 1)).any()


def test_short_videos_have_no_cut(tmp_path: Path) -> None:
    for kind in WRITERS:
        list(synthesise(kind, tmp_path / kind, videos=1, frames=1, size=(32, 34), observers=1))
        assert all(len(recipe.frames) == 1 for recipe in video_settings(tmp_path / kind).values())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kind": "coco"}, r"kind 'coco'.*choose from dhf1k, ucf"),
        ({"videos": 0}, "videos 0: .*1 or more"),
        ({"frames": 0}, "frames 0: .*1 or more"),
        ({"observers": -1}, "observers -1: .*1 or more"),
        ({"seed": -1}, "seed -1: .*0 or more"),
        ({"size": (96, 161)}, "size 96x161 .*even"),
        ({"size": (16, 160)}, "size 16x160 .*32 or more"),
        ({"videos": 101}, "videos 101: .*at most 100"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(arguments: dict, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        synthesise(**{"kind": "dhf1k", "folder": tmp_path / "set", **arguments})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/mine.txt").write_text("mine")
    for taken in (tmp_path / "set", tmp_path / "set/mine.txt"):
        with pytest.raises(BadInput, match="nothing is overwritten"):
            synthesise("folder", taken)
    assert contents(tmp_path) == {"set/mine.txt": b"mine"}


def test_an_empty_folder_is_filled_and_remains_of_a_killed_run_go(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / ".set.tinyhd-part").mkdir()
    (tmp_path / ".set.tinyhd-part/left.mp4").touch()
    assert tiny("folder", tmp_path / "set").keys() == {"clip_000.mp4", "clip_001.mp4", "synthetic.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_run_that_stops_half_way_leaves_nothing(tmp_path: Path) -> None:
    videos = synthesise("folder", tmp_path / "set", frames=2, size=(32, 32))
    assert next(videos) == tmp_path / "set/clip_000.mp4"
    assert not (tmp_path / "set").exists()
    videos.close()
    assert not list(tmp_path.iterdir())


def test_clips_are_only_known_of_made_up_sets(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"synthetic\.json"):
        video_settings(tmp_path)
