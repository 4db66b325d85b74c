"""Verifying data sets: clean sets give no findings, and each planted fault gives exactly the expected ones."""

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tinyhd_lib import BadInput
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.gaze import FIELDS_OF_POINTS
from tinyhd_lib.data.synthetic import mat, synthesise, write_avi
from tinyhd_lib.data.synthetic.scenes import make_video
from tinyhd_lib.data.verify import verify
from tinyhd_lib.data.verify import videos as checks_of_videos
from tinyhd_lib.data.verify.findings import CHECKS, Report
from tinyhd_lib.engine import connected

SIZE, FRAMES, VIEWERS = (48, 64), 6, 4
KINDS = ("dhf1k", "ucf", "hollywood2", "kinetics", "folder", "gaze", "avimos")

CLIP = "synth{:06d}_000000_000010"
FILMS = {
    "dhf1k": ("train/0002", "video/002.AVI"),
    "kinetics": (f"train/air drumming/{CLIP.format(1)}", f"train/air drumming/{CLIP.format(1)}.mp4"),
    "folder": ("all/clip_001", "clip_001.mp4"),
    "gaze": ("all/clip_001", "clip_001.mp4"),
}
"""A video that is a file: its split and name, and where it is."""

DIVING = "training/Diving-Side-001"
SHOT = "training/actioncliptrain00001_{}"
ANNOTATED = {
    "dhf1k": ("train/0002", "video/002.AVI", "annotation/0002", "{:04d}"),
    "ucf": (DIVING, f"{DIVING}/images", DIVING, "Diving-Side_001_{:03d}"),
    "hollywood2": (SHOT.format(1), f"{SHOT.format(1)}/images", SHOT.format(1), "actioncliptrain00001_{:05d}"),
}
"""A video with maps: its split and name, where it is, the folder of its ground truth, and the names of its frames."""

ALWAYS = {
    "kinetics": [
        f"unreadable {split}/abseiling/synthbroken_000000_000010 {split}/abseiling/synthbroken_000000_000010.mp4"
        for split in ("train", "val")
    ]
}
"""What is wrong with a made-up set before anything is planted, by design."""

Plant = Callable[[Path], object]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small set of each kind."""
    folder = tmp_path_factory.mktemp("sets")
    for kind in KINDS:
        list(synthesise(kind, folder / kind, videos=3, frames=FRAMES, size=SIZE, observers=VIEWERS))
    return folder


def told(report: Report) -> list[str]:
    """Findings in short form: check, split/video, file."""
    return sorted(
        f"{finding.check} {finding.split}/{finding.video} {finding.file.relative_to(report.root).as_posix()}"
        for finding in report.findings
    )


def planted(bases: Path, kind: str, root: Path, plant: Plant, **options: Any) -> Dataset:
    shutil.copytree(bases / kind, root)
    plant(root)
    return open_dataset(kind, root, **options)


def everything(*plants: Plant) -> Plant:
    return lambda root: [plant(root) for plant in plants]


def written(file: str, content: bytes) -> Plant:
    return lambda root: (root / file).write_bytes(content)


def garbled(file: str) -> Plant:
    return written(file, b"no such format" * 20)


def cut(file: str, share: float = 0.7) -> Plant:
    def plant(root: Path) -> None:
        content = (root / file).read_bytes()
        (root / file).write_bytes(content[: int(share * len(content))])

    return plant


def removed(*files: str) -> Plant:
    def plant(root: Path) -> None:
        for file in files:
            path = root / file
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return plant


def emptied(folder: str) -> Plant:
    return lambda root: [path.unlink() for path in (root / folder).iterdir()]


def copied(source: str, target: str) -> Plant:
    def plant(root: Path) -> None:
        copy = shutil.copytree if (root / source).is_dir() else shutil.copy
        copy(root / source, root / target)

    return plant


def renamed(source: str, target: str) -> Plant:
    return lambda root: (root / source).rename(root / target)


def drawn(pattern: str, change: Callable[[np.ndarray], np.ndarray], **options: Any) -> Plant:
    """A fault: matching images are changed and rewritten."""

    def plant(root: Path) -> None:
        paths = list(root.glob(pattern))
        assert paths
        for path in paths:
            image = change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
            cv2.imwrite(str(path), image, **options)

    return plant


def doubled(image: np.ndarray) -> np.ndarray:
    """The image at twice its height."""
    return np.repeat(image, 2, axis=0)


def looked_at(file: str, change: Callable[[dict[str, np.ndarray]], dict[str, Any]]) -> Plant:
    """A fault: entries of a file of gaze points are changed."""

    def plant(root: Path) -> None:
        with np.load(root / file) as content:
            entries = dict(content)
        np.savez(root / file, **(entries | change(entries)))

    return plant


def only(chosen: Callable[[dict[str, np.ndarray]], np.ndarray], known: dict[str, np.ndarray]) -> dict[str, Any]:
    """The entries with only the chosen gaze points."""
    return {name: known[name][chosen(known)] for name in FIELDS_OF_POINTS}


def promising(count: int, file: str) -> Plant:
    """A fault: an AVI's header claims this many frames; the file is written if there is none."""

    def plant(root: Path) -> None:
        path = root / file
        if not path.exists():
            write_avi(path, make_video(7, FRAMES, SIZE))
        content = bytearray(path.read_bytes())
        struct.pack_into("<I", content, content.index(b"strh") + 8 + 32, count)
        path.write_bytes(content)

    return plant


def fault(label: str, kind: str, plant: Plant, *expected: str) -> Any:
    return pytest.param(kind, plant, expected, id=f"{kind}: {label}")


def faults_of_films() -> Iterator[Any]:
    for kind, (video, file) in FILMS.items():
        yield fault("a video that does not open", kind, garbled(file), f"unreadable {video} {file}")
        yield fault("a video that was cut off", kind, cut(file), f"unreadable {video} {file}")


def faults_of_truth() -> Iterator[Any]:
    for kind, (video, source, folder, name) in ANNOTATED.items():
        third, ninth = (f"{name.format(number)}.png" for number in (3, 9))
        maps, fixation = f"{folder}/maps", f"{folder}/fixation"
        count = f"count {video} {source}"
        matlab = removed(*([f"{fixation}/maps"] if kind == "dhf1k" else []))
        for what in (maps, fixation):
            file = f"{what}/{third}"
            yield fault(f"{what}: one that cannot be read", kind, garbled(file), f"unreadable {video} {file}")
            yield fault(f"{what}: one that was cut off", kind, cut(file), f"unreadable {video} {file}")
            higher = drawn(file, doubled)
            yield fault(f"{what}: one of another size", kind, higher, f"size {video} {file}")
            all_higher = everything(matlab, drawn(f"{what}/*.png", doubled))
            first = f"{what}/{name.format(1)}.png"
            yield fault(f"{what}: all of another size", kind, all_higher, f"size {video} {first}")
            black = everything(matlab, drawn(file, np.zeros_like))
            yield fault(f"{what}: a black one", kind, black, f"empty {video} {file}")
        lost = removed(f"{maps}/{third}")
        yield fault("a frame without a map", kind, lost, f"pairing {video} {maps}/{third}", count)
        lost = everything(matlab, removed(f"{fixation}/{third}"))
        yield fault("a frame without fixations", kind, lost, f"pairing {video} {fixation}/{third}")
        extra = copied(f"{maps}/{third}", f"{maps}/{ninth}")
        yield fault("a map without a frame", kind, extra, f"pairing {video} {maps}/{ninth}", count)
        extra = copied(f"{fixation}/{third}", f"{fixation}/{ninth}")
        yield fault("fixations without a frame", kind, extra, f"pairing {video} {fixation}/{ninth}")
        yield fault("no folder of maps", kind, removed(maps), f"pairing {video} {maps}")
        yield fault("no folder of fixations", kind, removed(fixation), f"pairing {video} {fixation}")
        yield fault("no ground truth", kind, removed(maps, fixation), f"pairing {video} {source}")


def faults_of_images() -> Iterator[Any]:
    for kind in ("ucf", "hollywood2"):
        video, source, folder, name = ANNOTATED[kind]
        second, third, fourth = (f"{name.format(number)}.png" for number in (2, 3, 4))
        broken = everything(garbled(f"{source}/{second}"), cut(f"{source}/{fourth}"))
        told_both = [f"unreadable {video} {source}/{each}" for each in (second, fourth)]
        yield fault("two images that cannot be read", kind, broken, *told_both)
        yield fault("no images", kind, emptied(source), f"unreadable {video} {folder}")
        odd = drawn(f"{source}/{third}", doubled)
        yield fault("an image of another size", kind, odd, f"size {video} {source}/{third}")
        gap, count = f"gap {video} {source}", f"count {video} {source}"
        lone = [f"pairing {video} {folder}/{each}/{third}" for each in ("maps", "fixation")]
        yield fault("an image is missing", kind, removed(f"{source}/{third}"), gap, count, *lone)
        nested = everything(removed(f"{source}/{third}"), lambda root, at=f"{source}/{third}": (root / at).mkdir())
        yield fault("a folder that is called like an image", kind, nested, gap, count, *lone)
        whole = removed(*(f"{folder}/{each}/{third}" for each in ("images", "maps", "fixation")))
        yield fault("a frame is missing", kind, whole, gap)


def faults_of_dhf1k() -> Iterator[Any]:
    _, _, folder, _ = ANNOTATED["dhf1k"]
    fixation = f"{folder}/fixation"
    third, ninth = f"{fixation}/maps/0003.mat", f"{fixation}/maps/0009.mat"
    video, file = FILMS["dhf1k"]
    yield fault("a MATLAB file that cannot be read", "dhf1k", garbled(third), f"unreadable {video} {third}")
    yield fault("MATLAB without a frame", "dhf1k", copied(third, ninth), f"pairing {video} {ninth}")
    nobody = np.zeros(SIZE, np.uint8)
    others = written(third, mat(~nobody))
    yield fault("fixations disagree", "dhf1k", others, f"mismatch {video} {fixation}/0003.png")
    higher = written(third, mat(doubled(~nobody)))
    yield fault("MATLAB of another size", "dhf1k", higher, f"size {video} {third}")
    nowhere = everything(written(third, mat(nobody)), drawn(f"{fixation}/0003.png", np.zeros_like))
    yield fault("nobody looks", "dhf1k", nowhere, f"empty {video} {fixation}/0003.png")
    plain = f"{fixation}/0003.png"
    unseen = everything(written(third, mat(nobody)), removed(plain))
    yield fault("nobody looks, MATLAB only", "dhf1k", unseen, f"empty {video} {third}")
    yield fault("MATLAB is enough", "dhf1k", removed(plain))
    yield fault("PNG is enough", "dhf1k", removed(third))
    lost = everything(removed(plain), removed(third))
    yield fault("neither is there", "dhf1k", lost, f"pairing {video} {plain}")
    yield fault("no folder of its own", "dhf1k", removed(folder), f"pairing {video} {file}")
    yield fault("a header that promises fewer frames", "dhf1k", promising(5, file))
    yield fault("half the slots are empty", "dhf1k", promising(12, file))
    dense = everything(drawn(plain, lambda seen: np.full_like(seen, 9)), removed(third))
    yield fault("blurred fixations", "dhf1k", dense, f"dense {video} {plain}")
    gone = (f"gap {video} {file}", f"pairing {video} {folder}")
    yield fault("a video is missing", "dhf1k", removed(file), *gone)
    last = "pairing train/0003 annotation/0003"
    yield fault("the last video is missing", "dhf1k", removed("video/003.AVI"), last)
    unknown = copied("video/003.AVI", "video/1003.AVI")
    yield fault("a number too high", "dhf1k", unknown, "pairing /1003 video/1003.AVI")
    twice = copied("video/001.AVI", "video/003.AVI")
    yield fault("a video twice", "dhf1k", twice, "duplicate train/0003 video/003.AVI")
    shared = copied("video/001.AVI", "video/601.AVI")
    yield fault("a video in two splits", "dhf1k", shared, "leakage validation/0601 video/601.AVI")


def faults_of_folders() -> Iterator[Any]:
    """UCF-Sports, Hollywood-2, Kinetics and plain folders: duplicates, and gaps in the numbering."""
    again, elsewhere = "training/Walk-Again-001", "testing/Walk-Again-001"
    video = f"{again} {again}/images"
    yield fault("a video twice", "ucf", copied(DIVING, again), f"duplicate {video}")
    smaller = drawn(f"{again}/images/*.png", lambda image: image, params=[cv2.IMWRITE_PNG_COMPRESSION, 9])
    yield fault("twice, but in other files", "ucf", everything(copied(DIVING, again), smaller), f"duplicate {video}")
    shared = f"leakage {elsewhere} {elsewhere}/images"
    yield fault("a video in two splits", "ucf", copied(DIVING, elsewhere), shared)
    same = DIVING.replace("training", "testing")
    yield fault("video and name in two splits", "ucf", copied(DIVING, same), f"leakage {same} {same}/images")
    called = renamed("testing/Run-Side-001", same)
    yield fault("a name in two splits", "ucf", called, f"leakage {same} {same}/images")

    again = "training/actioncliptrain00009_1"
    yield fault("a shot twice", "hollywood2", copied(SHOT.format(1), again), f"duplicate {again} {again}/images")
    shots = [SHOT.format(number).replace("training", "testing") for number in (3, 4)]
    parts = [renamed(f"testing/actioncliptest00001_{number}", shot) for number, shot in enumerate(shots, start=1)]
    film = f"leakage {shots[0]} {shots[0]}/images"
    yield fault("a film in two splits", "hollywood2", everything(*parts), film)
    start = removed(
        *(f"{SHOT.format(2)}/{each}/actioncliptrain00001_00005.png" for each in ("images", "maps", "fixation"))
    )
    yield fault("a shot starts late", "hollywood2", start, f"gap {SHOT.format(2)} {SHOT.format(2)}/images")

    first, second = f"abseiling/{CLIP.format(0)}", f"air drumming/{CLIP.format(1)}"
    third = f"abseiling/{CLIP.format(3)}"
    twice = copied(f"train/{first}.mp4", f"train/{second}.mp4")
    yield fault("a clip twice", "kinetics", twice, f"duplicate train/{second} train/{second}.mp4")
    shared = copied(f"train/{first}.mp4", f"val/{third}.mp4")
    yield fault("a clip in two splits", "kinetics", shared, f"leakage val/{third} val/{third}.mp4")
    called = renamed(f"val/{third}.mp4", f"val/{first}.mp4")
    yield fault("a name in two splits", "kinetics", called, f"leakage val/{first} val/{first}.mp4")
    twice = copied("clip_000.mp4", "clip_009.mp4")
    yield fault("a video twice", "folder", twice, "duplicate all/clip_009 clip_009.mp4")
    for kind, file in (("folder", "more.avi"), ("kinetics", "train/more.avi")):
        video = f"{'all' if kind == 'folder' else 'train'}/more"
        yield fault("a header that promises fewer frames", kind, promising(5, file))


def faults_of_gaze() -> Iterator[Any]:
    video, film = FILMS["gaze"]
    file = "clip_001.npz"
    yield fault("points that cannot be read", "gaze", garbled(file), f"unreadable {video} {file}")
    for frames in (FRAMES - 1, FRAMES + 1):
        other = looked_at(file, lambda _, frames=frames: {"frames": frames})
        yield fault(f"{frames} frames are promised", "gaze", other, f"count {video} {film}")
    for frame in (-1, FRAMES):
        beyond = looked_at(file, lambda known, frame=frame: {"frame": np.append(known["frame"][:-1], frame)})
        yield fault(f"points at frame {frame}", "gaze", beyond, f"pairing {video} {file}")
    wide = looked_at(file, lambda known: {"width": known["width"] + 10})
    yield fault("of another size", "gaze", wide, f"size {video} {file}")
    for unseen, expected in (
        (FRAMES // 2, []),
        (FRAMES // 2 + 1, [f"empty {video} {file}"]),
        (FRAMES, [f"empty {video} {file}"]),
    ):
        rare = looked_at(file, partial(only, lambda known, unseen=unseen: known["frame"] >= unseen))
        yield fault(f"{unseen} of {FRAMES} frames unseen", "gaze", rare, *expected)
    shut = looked_at(file, lambda known: {"x": np.append(known["x"][:-1], np.nan)})
    yield fault("eyes that were shut", "gaze", shut)
    parts = looked_at(file, lambda known: {"x": known["x"] / SIZE[1], "y": known["y"] / SIZE[0]})
    yield fault("parts of the width and height", "gaze", parts, f"outside {video} {file}")
    for value in (-5, SIZE[1]):
        astray = looked_at(file, lambda known, value=value: {"x": np.append(known["x"][:-1], value)})
        yield fault(f"a point at x = {value}", "gaze", astray, f"outside {video} {file}")
    hardly = looked_at(
        file, lambda known: {name: np.append(known[name], [known[name][0]] * 100) for name in FIELDS_OF_POINTS}
    )
    hardly = everything(hardly, looked_at(file, lambda known: {"y": np.append(known["y"][:-1], SIZE[0])}))
    yield fault("one point of a hundred astray", "gaze", hardly)
    yield fault("no points", "gaze", removed(file), f"pairing {video} {film}")
    yield fault("no video", "gaze", removed(film), f"pairing {video} {file}")
    twice = everything(copied("clip_000.mp4", "clip_009.mp4"), copied("clip_000.npz", "clip_009.npz"))
    yield fault("a video twice", "gaze", twice, "duplicate all/clip_009 clip_009.mp4")


def faults_together() -> Iterator[Any]:
    """A broken file hides no other fault, neither in the same video nor elsewhere."""
    video, file, folder, _ = ANNOTATED["dhf1k"]
    plant = everything(
        cut(file),
        garbled(f"{folder}/maps/0001.png"),
        garbled(f"{folder}/maps/0004.png"),
        removed(f"{folder}/maps/0006.png"),
        garbled("video/601.AVI"),
        removed("annotation/0602"),
        copied("video/001.AVI", "video/603.AVI"),
    )
    expected = [f"unreadable {video} {each}" for each in (file, f"{folder}/maps/0001.png", f"{folder}/maps/0004.png")]
    expected += [f"count {video} {file}", f"pairing {video} {folder}/maps/0006.png"]
    expected += ["unreadable validation/0601 video/601.AVI", "pairing validation/0602 video/602.AVI"]
    yield fault("much at once", "dhf1k", plant, *expected, "leakage validation/0603 video/603.AVI")


FAULTS = [
    *faults_of_films(),
    *faults_of_truth(),
    *faults_of_images(),
    *faults_of_dhf1k(),
    *faults_of_folders(),
    *faults_of_gaze(),
    *faults_together(),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_set_has_no_findings(bases: Path, kind: str) -> None:
    assert told(verify(open_dataset(kind, bases / kind))) == sorted(ALWAYS.get(kind, []))


@pytest.mark.parametrize(("kind", "plant", "expected"), FAULTS)
def test_a_fault_gives_its_findings_and_no_others(
    bases: Path, tmp_path: Path, kind: str, plant: Plant, expected: tuple[str, ...]
) -> None:
    report = verify(planted(bases, kind, tmp_path / kind, plant))
    assert told(report) == sorted([*ALWAYS.get(kind, []), *expected])
    for finding in report.findings:
        assert "; " in finding.message, "no remedy"
        assert "\n" not in finding.message
        assert str(tmp_path) not in finding.message, "the file is named beside it"


def test_every_check_is_planted() -> None:
    found = {line.split()[0] for each in FAULTS for line in each.values[2]}
    assert found | {"incomplete"} == set(CHECKS)


@pytest.mark.parametrize(
    ("kind", "split", "expected"),
    [
        ("dhf1k", None, ["test", "train", "validation"]),
        ("dhf1k", "validation", ["validation"]),
        ("ucf", None, ["testing", "training"]),
        ("hollywood2", None, ["testing"]),
        ("gaze", None, []),
    ],
)
def test_what_is_not_complete_is_told_if_asked(bases: Path, kind: str, split: str | None, expected: list[str]) -> None:
    dataset = open_dataset(kind, bases / kind, split)
    assert told(verify(dataset, complete=True)) == [f"incomplete {each}/ ." for each in expected]


def test_a_published_split_that_is_not_there_is_not_complete(bases: Path, tmp_path: Path) -> None:
    dataset = planted(bases, "ucf", tmp_path / "ucf", removed("testing"))
    report = verify(dataset, complete=True)
    assert [(row.split, row.videos, row.published_videos) for row in report.counts] == [
        ("training", 3, 103),
        ("testing", 0, 47),
    ]
    assert told(report) == ["incomplete testing/ .", "incomplete training/ ."]


def test_of_one_split_nothing_else_is_told(bases: Path, tmp_path: Path) -> None:
    plant = everything(garbled("video/001.AVI"), removed("video/602.AVI"), garbled("video/603.AVI"))
    plant = everything(plant, removed("video/702.AVI"))
    report = verify(planted(bases, "dhf1k", tmp_path / "dhf1k", plant, split="validation"))
    assert told(report) == [
        "gap validation/0602 video/602.AVI",
        "pairing validation/0602 annotation/0602",
        "unreadable validation/0603 video/603.AVI",
    ]
    assert [row.split for row in report.counts] == ["validation"]


def test_the_report_counts(bases: Path, tmp_path: Path) -> None:
    plant = everything(removed("annotation/0001/maps/0001.png"), cut("video/002.AVI"), removed("annotation/0601"))
    report = verify(planted(bases, "dhf1k", tmp_path / "dhf1k", plant))
    assert [(row.split, row.videos, row.frames, row.annotated) for row in report.counts] == [
        ("train", 3, 18, 17),
        ("validation", 3, 18, 12),
        ("test", 3, 18, 0),
    ]
    assert report.counts[0].published_frames == 346_140


def test_the_report_is_json_and_a_table(bases: Path, tmp_path: Path) -> None:
    extra = [copied("annotation/0001/maps/0001.png", f"annotation/0001/maps/1{number:03d}.png") for number in range(15)]
    report = verify(planted(bases, "dhf1k", tmp_path / "dhf1k", everything(*extra, garbled("video/703.AVI"))))
    content = json.loads(json.dumps(report.to_json()))
    assert content["kind"] == "dhf1k"
    assert content["splits"][0]["published_videos"] == 600
    assert content["findings"][0]["file"] == "video/703.AVI"
    assert len(content["findings"]) == 17
    lines = str(report).splitlines()
    assert lines[1].split() == ["train", "3", "600", "18", "346,140", "18"]
    assert f"unreadable (1): {CHECKS['unreadable']}" in lines
    start = lines.index(f"pairing (15): {CHECKS['pairing']}")
    assert lines[start + 1].startswith("  annotation/0001/maps/1000.png: there is no such frame; ")
    assert lines[start + 11 : start + 13] == ["  and 5 more", ""]
    assert lines[-1] == "findings: 17"


def test_a_table_of_nothing(bases: Path) -> None:
    lines = str(verify(open_dataset("folder", bases / "folder"))).splitlines()
    assert lines[1].split() == ["all", "3", "-", "18", "-", "0"]
    assert lines[-1] == "findings: none"


@pytest.mark.slow
def test_other_processes_find_the_same(bases: Path, tmp_path: Path) -> None:
    dataset = planted(bases, "ucf", tmp_path / "ucf", garbled(f"{DIVING}/images/Diving-Side_001_002.png"))
    with connected(2) as client:
        assert verify(dataset, client) == verify(dataset)


def test_progress_is_shown_video_by_video(bases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = open_dataset("hollywood2", bases / "hollywood2")
    assert verify(dataset).findings == ()
    count = len(dataset.videos)
    assert f"{count}/{count}" in capsys.readouterr().err


def test_an_error_of_ours_is_no_finding(bases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> np.ndarray:
        raise ZeroDivisionError(path)

    monkeypatch.setattr(checks_of_videos, "read_grey", fail)
    with pytest.raises(BadInput, match=r"ZeroDivisionError: .* \(a fault of TinyHD Workbench: please report it\)"):
        verify(open_dataset("ucf", bases / "ucf"))
