"""Data sets: found in their folders, named as published, paired with their ground truth, and cached."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SHARED, needs_shared

from tinyhd_lib import BadInput
from tinyhd_lib.data import entries
from tinyhd_lib.data.datasets import KINDS, open_dataset
from tinyhd_lib.data.gaze import Viewing, blur, read_arrays, read_fixations, read_gaze
from tinyhd_lib.data.verify import verify
from tinyhd_lib.data.verify.videos import check_video
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.prediction.jobs import dataset_jobs
from tinyhd_lib.prediction.options import PredictOptions

MadeUp = Callable[[str], Path]


@pytest.mark.parametrize(
    ("kind", "splits", "video", "first_names"),
    [
        ("dhf1k", {"train": 3, "validation": 3, "test": 3}, "0601", ("0001", "0002")),
        ("ucf", {"training": 3, "testing": 3}, None, None),
        ("hollywood2", {"training": 6, "testing": 6}, "actioncliptest00001_1", ("actioncliptest00001_00001",)),
        ("kinetics", {"train": 3, "val": 3}, None, ("0", "1")),
        ("folder", {"all": 3}, "clip_000", ("0", "1")),
        ("gaze", {"all": 3}, None, ("0", "1")),
        ("avimos", {"train": 3, "test": 3}, "000", ("0", "1")),
    ],
)
def test_every_kind_is_found_and_named_as_published(
    made_up: MadeUp, kind: str, splits: dict[str, int], video: str | None, first_names: tuple[str, ...] | None
) -> None:
    dataset = open_dataset(kind, made_up(kind))
    assert dataset.splits == splits
    found = next(each for each in dataset.videos if video in (None, each.name))
    if first_names:
        assert found.names[: len(first_names)] == first_names
    assert len(list(found.frames())) == len(found.names)


def test_hollywoods_numbering_goes_on_across_shots(made_up: MadeUp) -> None:
    shots = {video.name: video for video in open_dataset("hollywood2", made_up("hollywood2")).videos}
    first, second = shots["actioncliptest00001_1"], shots["actioncliptest00001_2"]
    assert int(second.names[0][-5:]) == int(first.names[-1][-5:]) + 1
    assert len(second.names) < 16, "a shot shorter than a window belongs to the set"


@pytest.mark.parametrize("kind", ["dhf1k", "ucf", "hollywood2", "gaze", "avimos"])
def test_ground_truth_is_a_map_and_fixations_of_the_frames_size(made_up: MadeUp, kind: str) -> None:
    video = next(video for video in open_dataset(kind, made_up(kind)).videos if video.has_truth)
    frame = next(video.frames())
    truth = video.truth(0)
    assert truth is not None
    assert truth.saliency.shape == truth.fixations.shape == frame.image.shape[:2]
    assert truth.fixations.dtype == bool
    assert truth.fixations.any()
    peak = np.unravel_index(truth.saliency.argmax(), truth.saliency.shape)
    assert np.hypot(*(np.argwhere(truth.fixations) - peak).T).min() < 10


def test_fixations_come_from_the_mat_file_where_there_is_no_png(made_up: MadeUp, tmp_path: Path) -> None:
    root = tmp_path / "dhf1k"
    shutil.copytree(made_up("dhf1k"), root)
    video = open_dataset("dhf1k", root, "validation").videos[0]
    before = video.truth(3)
    (root / "annotation/0601/fixation/0004.png").unlink()
    after = video.truth(3)
    assert before is not None
    assert after is not None
    assert (before.fixations == after.fixations).all()
    (root / "annotation/0601/fixation/maps/0004.mat").unlink()
    assert video.truth(3) is None


def test_the_test_split_of_dhf1k_is_blind(made_up: MadeUp) -> None:
    assert not any(video.has_truth for video in open_dataset("dhf1k", made_up("dhf1k"), "test").videos)


def test_the_root_may_come_from_the_environment(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="set TINYHD_GAZE"):
        open_dataset("gaze")
    monkeypatch.setenv("TINYHD_GAZE", str(made_up("gaze")))
    assert len(open_dataset("gaze").videos) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_root_of_another_kind_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no data set")
    with pytest.raises(BadInput, match=f"no {kind} data set; that has ") as refused:
        open_dataset(kind, tmp_path)
    assert "\n" not in str(refused.value)


def test_unknown_kinds_splits_and_roots_are_refused(made_up: MadeUp, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="dhf1k\\?"):
        open_dataset("dhf1", tmp_path)
    with pytest.raises(BadInput, match="no split 'val'; there are train, validation, test"):
        open_dataset("dhf1k", made_up("dhf1k"), "val")
    with pytest.raises(BadInput, match="no such folder"):
        open_dataset("ucf", tmp_path / "absent")


def test_what_cannot_be_used_is_skipped_and_listed(made_up: MadeUp, tmp_path: Path) -> None:
    dataset = open_dataset("kinetics", made_up("kinetics"))
    assert [each.path.name.startswith("synthbroken") for each in dataset.skipped] == [True, True]
    root = tmp_path / "videos"
    shutil.copytree(made_up("folder"), root)
    shutil.copy(root / "clip_000.mp4", root / "clip_000.mkv")
    (root / "._clip_000.mp4").write_bytes(b"some system's own")
    (root / "clip_001.mp4").write_bytes(b"")
    dataset = open_dataset("folder", root)
    assert [video.name for video in dataset.videos] == ["clip_000", "clip_002"]
    assert {each.path.name: each.reason.rpartition(": ")[2] for each in dataset.skipped} == {
        "clip_000.mp4": "another one is called clip_000; rename it",
        "clip_001.mp4": "the file is empty",
    }


def test_frames_are_counted_once_a_file(made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "videos"
    shutil.copytree(made_up("folder"), root)
    counted = []
    count = entries.count_frames_in
    monkeypatch.setattr(entries, "count_frames_in", lambda path: counted.append(path.name) or count(path))
    first = open_dataset("folder", root)
    assert sorted(counted) == ["clip_000.mp4", "clip_001.mp4", "clip_002.mp4"]
    assert open_dataset("folder", root) == first
    assert len(counted) == 3
    shutil.copy(root / "clip_000.mp4", root / "clip_001.mp4")
    (root / "clip_003.mp4").write_bytes((root / "clip_000.mp4").read_bytes())
    assert len(open_dataset("folder", root).videos) == 4
    assert sorted(counted[3:]) == ["clip_001.mp4", "clip_003.mp4"]
    (remembered,) = (path for path in (tmp_path / "cache/datasets").rglob("*") if path.is_file() and not path.suffix)
    assert set(json.loads(remembered.read_bytes())) == {f"clip_00{n}.mp4" for n in range(4)}
    remembered.write_text("damaged")
    assert len(open_dataset("folder", root).videos) == 4


def write_gaze(root: Path, **changes: object) -> Path:
    """Write a video of two frames and three gaze points of two viewers."""
    root.mkdir(exist_ok=True)
    shown = np.zeros((40, 60, 3), np.uint8)
    (root / "v").mkdir(exist_ok=True)
    cv2.imwrite(str(root / "v" / "0.png"), shown)
    points = {"frame": [1, 0, 1], "viewer": [2, 1, 1], "x": [10.4, 20.5, 59.6], "y": [5.0, 3.0, 7.0]}
    fields = {**points, "frames": 2, "width": 60, "height": 40, **changes}
    np.savez(root / "v.npz", **{name: value for name, value in fields.items() if value is not None})
    return root / "v.npz"


def test_points_fall_on_the_nearest_pixel_and_those_outside_are_left_out(tmp_path: Path) -> None:
    gaze = read_gaze(write_gaze(tmp_path))
    assert gaze.frame.tolist() == [0, 1, 1]
    assert np.argwhere(gaze.at(0).counts()).tolist() == [[3, 20]]
    assert np.argwhere(gaze.at(1).counts()).tolist() == [[5, 10]], "x = 59.6 is nearest to column 60, which is outside"
    assert gaze.of(np.array([2])).counts().sum() == 1


def test_a_point_spreads_as_a_gaussian_of_the_stated_width() -> None:
    counts = np.zeros((201, 301), np.float32)
    counts[100, 150] = 2
    viewing = Viewing(pixels_per_degree=15.0, assumed=False, sigma_degrees=0.8)
    assert str(viewing) == "sigma 0.8 degrees = 12.0 pixels"
    spread = blur(counts, viewing.sigma)
    assert spread.sum() == pytest.approx(2, abs=1e-4)
    across = np.arange(301) - 150
    assert np.sqrt((spread.sum(0) * across**2).sum() / spread.sum()) == pytest.approx(12, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"viewer": None}, "has no viewer"),
        ({"x": [1.0]}, "are as many numbers each"),
        ({"x": np.array([None] * 3)}, "not an .npz that can be read"),
    ],
)
def test_a_file_that_holds_no_gaze_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_gaze(write_gaze(tmp_path, **changes))


def test_gaze_without_its_video_is_skipped(made_up: MadeUp, tmp_path: Path) -> None:
    root = tmp_path / "gaze"
    shutil.copytree(made_up("gaze"), root)
    next(root.glob("*.mp4")).unlink()
    dataset = open_dataset("gaze", root)
    assert len(dataset.videos) == 2
    assert "0 videos of its name are beside it" in dataset.skipped[0].reason


def test_gaze_in_folders_has_a_split_in_each(made_up: MadeUp, tmp_path: Path) -> None:
    for place, names in {"train": ["clip_000", "clip_001"], "validation": ["clip_002"], ".": ["clip_000"]}.items():
        for path in (path for name in names for path in made_up("gaze").glob(f"{name}.*")):
            (tmp_path / place).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / place)
    (tmp_path / "photographs").mkdir()
    write_gaze(tmp_path / "photographs")
    shutil.copy(made_up("gaze") / "GAZE.json", tmp_path / "train")
    dataset = open_dataset("gaze", tmp_path)
    assert dataset.splits == {"all": 1, "train": 2, "validation": 1}
    assert not dataset.skipped, "a folder without videos is no split"
    train, rest = open_dataset("gaze", tmp_path, "train").videos[0], open_dataset("gaze", tmp_path, "all").videos[0]
    assert not train.viewing.assumed, "each folder's own GAZE.json counts"
    assert rest.viewing.assumed
    with pytest.raises(BadInput, match="no split 'test'; there are all, train, validation"):
        open_dataset("gaze", tmp_path, "test")


def _unpadded(folder: Path) -> None:
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(f"{int(path.stem)}.png"))


def _to_jpeg(folder: Path) -> None:
    for path in list(folder.rglob("maps/*.png")):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        path.unlink()


def _as_frames(root: Path, place: str) -> None:
    """Replace each video by a folder of its frames."""
    (root / "video").rename(root / "whole")
    for path in sorted((root / "whole").iterdir()):
        folder = root / place.format(int(path.stem))
        folder.mkdir(parents=True, exist_ok=True)
        for frame in read_frames(path):
            cv2.imwrite(str(folder / f"{frame.index + 1:04d}.png"), frame.image[..., ::-1])
    shutil.rmtree(root / "whole")


def _by_split(root: Path) -> None:
    _as_frames(root, "annotation/{:04d}/images")
    for folder in (root / "annotation").iterdir():
        number = int(folder.name)
        split = root / ("train" if number < 601 else "val" if number < 701 else "test")
        split.mkdir(exist_ok=True)
        folder.rename(split / folder.name)


def _without_zeros(root: Path) -> None:
    for folder in list((root / "annotation").iterdir()):
        folder.rename(folder.with_name(str(int(folder.name))))


def _below(root: Path) -> None:
    (root / "DHF1K").mkdir()
    for folder in ("video", "annotation"):
        (root / folder).rename(root / "DHF1K" / folder)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "frames beside the maps": lambda root: _as_frames(root, "annotation/{:04d}/images"),
    "frames in folders of videos": lambda root: _as_frames(root, "video/{:04d}"),
    "folders of splits": _by_split,
    "a folder of its name around it": _below,
    "annotations alone": lambda root: shutil.rmtree(root / "video"),
    "folders without leading zeros": _without_zeros,
    "files without leading zeros": lambda root: _unpadded(root / "annotation"),
    "maps as JPEG": lambda root: _to_jpeg(root / "annotation"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dhf1k_is_found_as_others_store_it(layout: str, made_up: MadeUp, tmp_path: Path) -> None:
    """Videos and splits are the same, and, where the layout has them, frames, maps and fixations, too."""
    published = {video.name: video for video in open_dataset("dhf1k", made_up("dhf1k")).videos}
    root = tmp_path / "copy"
    shutil.copytree(made_up("dhf1k"), root)
    LAYOUTS[layout](root)
    found = {video.name: video for video in open_dataset("dhf1k", root).videos}
    known = {name for name, video in published.items() if video.has_truth or layout != "annotations alone"}
    assert set(found) >= known
    for name in known:
        one, other = published[name], found[name]
        assert (one.split, one.names, one.has_truth) == (other.split, other.names, other.has_truth)
        truths = one.truth(3), other.truth(3)
        assert (truths[0] is None) == (truths[1] is None)
        if truths[0] is not None and truths[1] is not None:
            np.testing.assert_array_equal(truths[0].fixations, truths[1].fixations)
            apart = 12 if layout == "maps as JPEG" else 0
            assert np.abs(truths[0].saliency - truths[1].saliency).max() <= apart
        checked = check_video(other)
        assert checked.annotated == (len(one.names) if one.has_truth else 0)
        assert not [finding for finding in checked.findings if finding.check in {"pairing", "count"}]
        if layout == "annotations alone":
            with pytest.raises(BadInput, match=f"only the ground truth of {name} is there; its frames are needed, too"):
                dataset_jobs([other], tmp_path / "out", PredictOptions())
        else:
            frame, same = (next(iter(video.frames())).image.astype(int) for video in (one, other))
            assert np.abs(frame - same).max() == 0


def test_without_frames_the_numbers_of_the_maps_count(made_up: MadeUp, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(made_up("dhf1k"), root)
    shutil.rmtree(root / "video")
    for folder, suffix in (("maps", "png"), ("fixation", "png")):
        (root / "annotation/0601" / folder / f"0005.{suffix}").unlink()
    whole = {video.name: video for video in open_dataset("dhf1k", made_up("dhf1k")).videos}["0601"]
    video = {video.name: video for video in open_dataset("dhf1k", root).videos}["0601"]
    assert video.names == whole.names
    assert video.truth(4) is None
    np.testing.assert_array_equal(video.truth(5).fixations, whole.truth(5).fixations)


def test_a_broken_video_of_dhf1k_is_not_taken_for_annotations_alone(made_up: MadeUp, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(made_up("dhf1k"), root)
    (root / "video/601.AVI").write_bytes(b"RIFF")
    dataset = open_dataset("dhf1k", root)
    assert "0601" not in {video.name for video in dataset.videos}
    assert any(each.path.name == "601.AVI" for each in dataset.skipped)


def test_sigma_is_for_gaze_points_only(made_up: MadeUp) -> None:
    wide = open_dataset("gaze", made_up("gaze"), sigma_degrees=2).videos[0]
    assert wide.viewing is not None
    assert wide.viewing.sigma == 2 * wide.viewing.pixels_per_degree
    for sigma in (0, "0px", "0.01px", "-1deg", "200", "wide", "3 px", "1..2"):
        with pytest.raises(BadInput, match=r"pixels \(20px\) or dhf1k; half a pixel at least"):
            open_dataset("gaze", made_up("gaze"), sigma_degrees=sigma)
    with pytest.raises(BadInput, match="for gaze points only"):
        open_dataset("dhf1k", made_up("dhf1k"), sigma_degrees=1)


@pytest.mark.parametrize(
    ("sigma", "pixels"), [("1deg", 5.0), ("1.5", 7.5), ("20px", 20.0), (".5px", 0.5), ("dhf1k", 12.7 * 160 / 640)]
)
def test_a_sigma_can_be_said_in_any_unit(made_up: MadeUp, sigma: str, pixels: float) -> None:
    viewing = open_dataset("gaze", made_up("gaze"), sigma_degrees=sigma).videos[0].viewing
    assert viewing is not None
    assert viewing.pixels_per_degree == 5  # 160 pixels are 32 degrees wide
    assert viewing.sigma == pytest.approx(pixels)
    assert f"{viewing.sigma:.1f} pixels" in str(viewing)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
@pytest.mark.parametrize("kind", ["mat", "npz"])
def test_no_damage_to_an_archive_is_more_than_one_line(made_up: MadeUp, tmp_path: Path, kind: str, damage: str) -> None:
    source = {"mat": "dhf1k/annotation/0601/fixation/maps/0001.mat", "npz": None}[kind]
    whole = (made_up("dhf1k").parent / source if source else next(made_up("gaze").glob("*.npz"))).read_bytes()
    read = {"mat": read_fixations, "npz": read_arrays}[kind]
    path = tmp_path / f"damaged.{kind}"
    accepted = tried = 0
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        tried += 1
        flipped = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        path.write_bytes({"flip": flipped, "cut": whole[:place], "empty": b"", "text": b"no archive"}[damage])
        with suppress(BadInput):
            read(path)
            accepted += 1
    assert accepted < tried


@needs_shared
@pytest.mark.slow
def test_the_real_gaze_is_read() -> None:
    stated = json.loads((SHARED / "gaze/GAZE.json").read_bytes())
    for video in open_dataset("gaze", SHARED / "gaze").videos:
        gaze = read_gaze(video.gaze)
        assert len(gaze.frame) == stated[video.name]["gaze_points"]
        assert len(np.unique(gaze.observer)) == stated[video.name]["viewers"]
        assert len(video.names) == stated[video.name]["frames"] == len(list(video.frames()))


@pytest.mark.parametrize("size", [(108, 192), (40, 31), (9, 200)])
@pytest.mark.parametrize("points", [0, 1, 7, 500])
def test_few_points_are_blurred_as_many_are(size: tuple[int, int], points: int) -> None:
    rng = np.random.default_rng(points)
    counts = np.zeros(size, np.float32)
    np.add.at(counts, (rng.integers(0, size[0], points), rng.integers(0, size[1], points)), 1)
    expected = cv2.GaussianBlur(counts, (0, 0), 6.5, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(blur(counts, 6.5), expected, rtol=1e-5, atol=1e-6)


def test_avimos_has_the_points_of_every_frame(made_up: MadeUp) -> None:
    root = made_up("avimos")
    video = open_dataset("avimos", root, "train").videos[0]
    folder = root / "FixationsTrain/Train" / video.name
    points = json.loads((folder / "fixations.json").read_bytes())
    truth = video.truth(3)
    assert truth is not None
    assert set(map(tuple, np.argwhere(truth.fixations))) == {(y, x) for x, y in points[3]}
    assert np.array_equal(truth.fixations, read_fixations(folder / "fixations/00003.png"))
    assert video.viewing is not None
    assert video.viewing.assumed


def test_videos_of_avimos_without_points_are_of_the_test(made_up: MadeUp, tmp_path: Path) -> None:
    root = shutil.copytree(made_up("avimos"), tmp_path / "set")
    shutil.rmtree(root / "FixationsTest")
    dataset = open_dataset("avimos", root)
    assert dataset.splits == {"train": 3, "test": 3}
    assert not any(video.has_truth for video in dataset.of_split("test").videos)


def test_points_of_avimos_without_a_video_are_skipped(made_up: MadeUp, tmp_path: Path) -> None:
    root = shutil.copytree(made_up("avimos"), tmp_path / "set")
    (root / "Videos/001.mp4").unlink()
    dataset = open_dataset("avimos", root)
    assert dataset.splits == {"train": 2, "test": 3}
    points = root / "FixationsTrain/Train/001/fixations.json"
    assert dataset.skipped == (entries.Skipped(points, "there is no video 001 in Videos", "train", "001"),)


@pytest.mark.parametrize("content", ["{}", "7", "[[1, 2, 3, 4]]", '[[["a", "b"]]]', '[{"x": 1, "y": 2}]', "[", "[]"])
def test_other_json_than_points_of_frames_is_refused(made_up: MadeUp, tmp_path: Path, content: str) -> None:
    root = shutil.copytree(made_up("avimos"), tmp_path / "set")
    video = open_dataset("avimos", root, "train").videos[0]
    assert video.gaze is not None
    video.gaze.write_text(content)
    with pytest.raises(BadInput, match=r"fixations\.json: not a list with the points \[x, y\] of every frame"):
        video.truth(0)


def test_videos_of_avimos_whose_pictures_are_missing_are_skipped(made_up: MadeUp, tmp_path: Path) -> None:
    root = shutil.copytree(made_up("avimos"), tmp_path / "set")
    shutil.rmtree(root / "FixationsTrain/Train/001/fixations")
    dataset = open_dataset("avimos", root)
    assert dataset.splits == {"train": 2, "test": 3}
    (skipped,) = dataset.skipped
    assert skipped.reason.startswith("its pictures tell the size of the video, but ")


def test_equal_names_in_both_parts_of_avimos_keep_their_own_points(made_up: MadeUp, tmp_path: Path) -> None:
    root = shutil.copytree(made_up("avimos"), tmp_path / "FixationsTrain")
    for part, number, split in (("Train", "000", "train"), ("Test", "003", "test")):
        (root / "Videos" / part).mkdir()
        (root / f"Videos/{number}.mp4").rename(root / f"Videos/{part}/7.mp4")
        (root / f"Fixations{part}/{part}/{number}").rename(root / f"Fixations{part}/{part}/7")
        (video,) = (each for each in open_dataset("avimos", root, split).videos if each.name == f"{part}/7")
        assert video.gaze == root / f"Fixations{part}/{part}/7/fixations.json"


def test_damaged_and_short_points_of_avimos_are_findings(made_up: MadeUp, tmp_path: Path) -> None:
    root = shutil.copytree(made_up("avimos"), tmp_path / "set")
    damaged, short = (root / f"FixationsTrain/Train/{number}/fixations.json" for number in ("000", "001"))
    damaged.write_text("{}")
    short.write_text(json.dumps(json.loads(short.read_bytes())[:5]))
    told = [(each.check, each.message) for each in verify(open_dataset("avimos", root)).findings]
    assert any(check == "count" and "5 annotated" in message for check, message in told)
    assert any(check == "unreadable" and "fetch it anew" in message for check, message in told)
