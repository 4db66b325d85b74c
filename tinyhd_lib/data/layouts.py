"""The layout of each kind of data set on disk: one function per layout, from a root folder to its videos, and a table.

Source: the layouts of the data sets as their authors published them, see docs/model.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tinyhd_lib.data.entries import Skipped, Video, count_frames
from tinyhd_lib.data.gaze import read_gaze, read_viewing, size_beside
from tinyhd_lib.data.images import images_in
from tinyhd_lib.data.video import holds_images, is_video
from tinyhd_lib.errors import BadInput


class PublishedSplit(NamedTuple):
    """What a complete copy of a split holds.

    Attributes:
        kind: a name of `tinyhd_lib.data.datasets.KINDS`.
        name: of the split.
        videos: number of videos (shots, for Hollywood-2), None if unknown.
        frames: number of frames of all of them, None if unknown.
        numbers: the numbers of its videos, where a video's number decides its split.
    """

    kind: str
    name: str
    videos: int | None = None
    frames: int | None = None
    numbers: range = range(0)


DHF1K_SPLITS = (
    PublishedSplit("dhf1k", "train", 600, 346_140, range(1, 601)),
    PublishedSplit("dhf1k", "validation", 100, 60_273, range(601, 701)),
    PublishedSplit("dhf1k", "test", 300, 176_192, range(701, 1001)),  # only the benchmark has its ground truth
)

PUBLISHED_SPLITS = (
    *DHF1K_SPLITS,
    PublishedSplit("ucf", "training", 103),  # 21 to 143 frames a video, in several sizes; likewise the next
    PublishedSplit("ucf", "testing", 47),
    PublishedSplit("hollywood2", "testing", 3_558),  # 1,185 of these shots are shorter than a window of 16 frames
)


_DHF1K_TRUTHS = ("annotation", "train", "val", "validation", "test", "")
"""Folders that may hold each video's maps and fixations, and sometimes frames, in a subfolder named by its number."""

_DHF1K_VIDEOS = ("video", "videos", "frames", "")
"""Folders that may hold the videos themselves, or folders of their frames."""


def find_dhf1k(root: Path) -> Iterator[Video | Skipped]:
    """Yield the videos of DHF1K in its published layout or common others: videos or frames, apart or with annotations.

    The number decides the split; the test split has no ground truth. If there are neither videos nor frames, the maps
    are used as frames, since scoring needs none.
    """
    for base in (root, *filter(Path.is_dir, _listed(root))):  # it may have been unpacked into a subfolder
        maps = _numbered(base, _DHF1K_TRUTHS, "maps")
        videos = _dhf1k_videos(base) or list(maps.items())
        if videos:
            break
    counts = count_frames(root, [path for _, path in videos])
    for number, path in sorted(videos, key=lambda video: video[0]):
        split, name, count = dhf1k_split(number), f"{number:04d}", counts[path]
        if isinstance(count, str):
            yield Skipped(path, count, split, name)
        elif not split:
            yield Skipped(path, f"DHF1K's videos are numbered to {DHF1K_SPLITS[-1].numbers[-1]}", split, name)
        else:
            place = maps.get(number, base / "annotation" / name / "maps")
            numbers = [int(each.stem) for each in images_in(path) if each.stem.isdecimal()] if path == place else []
            names = tuple(f"{frame:04d}" for frame in range(1, max(numbers, default=count) + 1))  # some may lack a map
            yield Video(name, split, path, names, _folder(place), _folder(place.with_name("fixation")))


def dhf1k_split(number: int) -> str:
    """Return the split of DHF1K that a video's number belongs to, empty if none."""
    return next((row.name for row in DHF1K_SPLITS if number in row.numbers), "")


def _dhf1k_videos(base: Path) -> list[tuple[int, Path]]:
    """Return the numbers and files of the videos, or folders of frames for numbers without a file."""
    paths = [path for place in _DHF1K_VIDEOS for path in videos_in(base / place)]
    files = [(int(path.stem), path) for path in paths if path.stem.isdecimal()]
    frames = _numbered(base, _DHF1K_TRUTHS, "images")
    frames |= {number: folder for number, folder in _numbered(base, _DHF1K_VIDEOS).items() if holds_images(folder)}
    return files + [(number, frames[number]) for number in frames.keys() - dict(files).keys()]


def _numbered(base: Path, places: Iterable[str], below: str = "") -> dict[int, Path]:
    """Return the folders named by a number, or their subfolder ``below``; of equal numbers, the first place's."""
    numbered = [folder for place in places for folder in _listed(base / place) if folder.name.isdecimal()]
    return {int(folder.name): folder / below for folder in reversed(numbered) if (folder / below).is_dir()}


def find_shots(root: Path) -> Iterator[Video | Skipped]:
    """Yield the videos of UCF-Sports, or the shots of Hollywood-2: folders of images, named like the frames."""
    for split in ("training", "testing"):
        for folder in filter(Path.is_dir, _listed(root / split)):
            images = folder / "images"
            try:
                names = tuple(path.stem for path in images_in(images))
            except BadInput as error:
                yield Skipped(folder, str(error), split, folder.name)
            else:
                yield Video(folder.name, split, images, names, _folder(folder / "maps"), _folder(folder / "fixation"))


def movie_of(kind: str, name: str) -> str:
    """Return the movie clip that a video is a shot of, for Hollywood-2; else, or if its name tells none, the name."""
    return name.rpartition("_")[0] or name if kind == "hollywood2" else name


def find_kinetics(root: Path) -> Iterator[Video | Skipped]:
    """Yield the videos of Kinetics-400: splits train, val, train_256 and the like, with or without class folders."""
    for folder in _listed(root):
        if re.fullmatch(r"(train|val)(_\d+)?", folder.name):
            yield from find_folder(folder, folder.name)


def find_gaze(root: Path) -> Iterator[Video | Skipped]:
    """Yield videos with gaze points in an .npz of the same name beside them; every folder is a split."""
    folders = [root, *(folder for folder in _listed(root) if folder.is_dir() and videos_in(folder))]
    for points in (points for folder in folders for points in sorted(folder.glob("*.npz"))):
        folder, name = points.parent, points.stem
        split = "all" if folder == root else folder.name
        sources = [path for path in videos_in(folder) if path.stem == name]
        if len(sources) != 1:
            yield Skipped(points, f"{len(sources)} videos of its name are beside it, one is needed", split, name)
            continue
        try:
            gaze = read_gaze(points)
        except BadInput as error:
            yield Skipped(points, str(error), split, name)
            continue
        viewing = read_viewing(folder, name, gaze.size[1])
        yield Video(name, split, sources[0], tuple(map(str, range(gaze.frames))), gaze=points, viewing=viewing)


def find_avimos(root: Path) -> Iterator[Video | Skipped]:
    """Yield the videos of AViMoS (AIM 2024) and of NTIRE 2026's set, with each video's gaze points in a JSON file.

    Videos without points belong to the split test, whose points the benchmark keeps.
    """
    found = sorted(root.glob("Fixations*/**/fixations.json"))
    points = {(_part_of_avimos(path.relative_to(root)) or "test", path.parent.name): path for path in found}
    for each in find_folder(root / "Videos"):
        place = Path(each.name)
        split = _part_of_avimos(place.parent) or ("train" if ("train", place.name) in points else "test")
        gaze = points.pop((split, place.name), None)
        if isinstance(each, Skipped) or gaze is None:
            yield each._replace(split=split) if isinstance(each, Skipped) else replace(each, split=split)
            continue
        try:
            viewing = read_viewing(root, each.name, size_beside(gaze)[1])
        except BadInput as error:
            yield Skipped(gaze, f"its pictures tell the size of the video, but {error}", split, each.name)
        else:
            yield replace(each, split=split, gaze=gaze, viewing=viewing)
    for (split, name), path in points.items():
        yield Skipped(path, f"there is no video {name} in Videos", split, name)


def _part_of_avimos(path: Path) -> str:
    """Return the split that a path below the root names, empty if it names none."""
    return next((part for part in ("train", "test") for place in path.parts if place.lower().endswith(part)), "")


def find_folder(folder: Path, split: str = "all") -> Iterator[Video | Skipped]:
    """Yield the videos of any folder, named by their path relative to it."""
    paths = [path for below in (folder, *sorted(filter(Path.is_dir, folder.rglob("*")))) for path in videos_in(below)]
    for path, count in count_frames(folder, paths).items():
        name = path.relative_to(folder).with_suffix("").as_posix()
        if isinstance(count, str):  # the reason why it has none
            yield Skipped(path, count, split, name)
        else:
            yield Video(name, split, path, tuple(map(str, range(count))))


def videos_in(folder: Path) -> list[Path]:
    """Return the files that are named like videos; names that begin with a dot belong to the system."""
    # A broken link counts as a video, too: one that cannot be opened.
    return [path for path in _listed(folder) if is_video(path) and not path.is_dir()]


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _folder(path: Path) -> Path | None:
    return path if path.is_dir() else None


class Kind(NamedTuple):
    """A kind of data set.

    Attributes:
        name: its name on the command line.
        find: yields the videos below a root folder, and the files that had to be skipped.
        evaluated: the split that is scored by default, None for all.
        fitted: the split that a centre bias is learnt from, None if there is none.
        layout: a phrase that describes the contents of a root folder.
    """

    name: str
    find: Callable[[Path], Iterable[Video | Skipped]]
    evaluated: str | None
    fitted: str | None
    layout: str


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("dhf1k", find_dhf1k, "validation", "train", "video/001.AVI and annotation/0001/{maps,fixation}/0001.png"),
        Kind("ucf", find_shots, "testing", "training", "{training,testing}/<video>/{images,maps,fixation}/*.png"),
        Kind("hollywood2", find_shots, "testing", "training", "{training,testing}/<shot>/{images,maps,fixation}/*.png"),
        Kind("kinetics", find_kinetics, None, None, "{train,val}[_256]/<class>/<clip>"),
        Kind("folder", find_folder, None, None, "videos, in folders of any depth"),
        Kind("avimos", find_avimos, "test", "train", "Videos/<video>.mp4, Fixations*/**/<video>/fixations.json"),
        Kind("gaze", find_gaze, None, None, "[<split>/]<video>.mp4 and .npz with frame, viewer, x, y of every point"),
    )
}
