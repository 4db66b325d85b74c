"""Data sets behind one interface: videos with names, frames and ground truth.

A kind of data set is a row of `KINDS` in `tinyhd_lib.data.layouts`: kinds differ only in how their videos are found.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tinyhd_lib.data.entries import Skipped, Video
from tinyhd_lib.data.gaze import read_gaze
from tinyhd_lib.data.layouts import KINDS, Kind
from tinyhd_lib.data.video import holds_images, is_video
from tinyhd_lib.errors import BadInput, entry_of
from tinyhd_lib.records import RECORD_NAME

DHF1K_SIGMA = 12.7 / 640
"""Standard deviation of the Gaussian (30 pixels in all) that DHF1K's maps are made with, as a fraction of the width."""


@dataclass(frozen=True)
class Dataset:
    """The videos of a data set, or of one of its splits.

    Attributes:
        kind: its row in `KINDS`.
        root: its folder.
        split: the split that it is limited to, None for all.
        videos: in the order of their names.
        skipped: files that look like part of it and cannot be used.
    """

    kind: Kind
    root: Path
    split: str | None
    videos: tuple[Video, ...]
    skipped: tuple[Skipped, ...]

    def of_split(self, split: str | None) -> "Dataset":
        """Return the data set limited to one split; itself for None or ``all``.

        Raises:
            BadInput: it has no such split.
        """
        if split in {None, "all"}:
            return self
        videos = tuple(video for video in self.videos if video.split == split)
        if not videos:
            raise BadInput(f"{self.root}: no split {split!r}; there are {', '.join(self.splits) or 'none'}")
        return replace(self, split=split, videos=videos)

    @property
    def splits(self) -> dict[str, int]:
        """Return how many videos each split has."""
        return dict(Counter(video.split for video in self.videos))


def open_dataset(
    kind: str, root: str | Path | None = None, split: str | None = None, *, sigma_degrees: float | str | None = None
) -> Dataset:
    """Find the videos of a data set in its folder.

    Args:
        kind: a name of `KINDS`.
        root: its folder; the environment variable ``TINYHD_<KIND>`` if None.
        split: one of its splits; None or ``all`` for all.
        sigma_degrees: standard deviation of the Gaussian that turns gaze points into saliency maps: degrees, or text
            such as ``1.5deg``, ``20px`` or ``dhf1k`` (12.7 pixels of 640, as in that data set's own maps); 1 degree if
            None. Only for gaze points.

    Raises:
        BadInput: there is no such kind, folder or split, or no video of that kind in the folder.
    """
    row = find_kind(kind)
    folder = find_root(row, root)
    videos: dict[tuple[str, str], Video] = {}
    skipped: list[Skipped] = []
    for each in row.find(folder):
        if isinstance(each, Skipped):
            skipped.append(each)
        elif (each.split, each.name) in videos:
            why = f"another one is called {each.name}; rename it"
            skipped.append(Skipped(each.source, why, each.split, each.name))
        else:
            videos[each.split, each.name] = each if sigma_degrees is None else _with_sigma(each, sigma_degrees)
    if not videos:
        why = f"; skipped {skipped[0].path.name}: {skipped[0].reason}" if skipped else ""
        raise BadInput(f"{folder}: no {kind} data set; that has {row.layout}{why}")
    return Dataset(row, folder, None, tuple(videos.values()), tuple(skipped)).of_split(split)


def check_names(names: Iterable[str], remedy: str) -> None:
    """Refuse videos of the same name, which would share a folder of maps.

    Raises:
        BadInput: two are the same; the message ends with the remedy.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadInput(f"several videos are called {repeated[0]!r}: their results would mix; {remedy}")


def find_kind(name: str) -> Kind:
    """Return the row of a kind.

    Raises:
        BadInput: there is none of that name.
    """
    return entry_of(KINDS, name, f"kind {name!r}")


def find_root(kind: Kind, root: str | Path | None) -> Path:
    """Return a data set's folder; if None is given, that of the environment variable ``TINYHD_<KIND>``.

    Raises:
        BadInput: neither is set, or the folder does not exist.
    """
    variable = f"TINYHD_{kind.name.upper()}"
    given = root or os.environ.get(variable)
    if not given:
        raise BadInput(f"{kind.name}: where is it? name its folder, or set {variable}")
    folder = Path(given)
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; a {kind.name} data set has {kind.layout}")
    return folder


def _with_sigma(video: Video, sigma: float | str) -> Video:
    if video.viewing is None or video.gaze is None:
        raise BadInput(f"{video.name}: its saliency maps are files; a sigma is for gaze points only")
    text = f"{DHF1K_SIGMA * read_gaze(video.gaze).size[1]}px" if sigma == "dhf1k" else str(sigma)
    found = re.fullmatch(r"(\d*\.?\d+)(px|deg)?", text)
    degrees = float(found[1]) / (video.viewing.pixels_per_degree if found[2] == "px" else 1) if found else 0
    if not 0.5 / video.viewing.pixels_per_degree <= degrees <= 180:
        raise BadInput(f"sigma {sigma}: degrees (1.5deg, up to 180), pixels (20px) or dhf1k; half a pixel at least")
    return replace(video, viewing=replace(video.viewing, sigma_degrees=degrees))


def videos_below(folder: Path, besides: Collection[Path] = ()) -> dict[str, Path]:
    """Return all videos in a folder and in the folders below: files, and folders of frames, by name.

    A name is the path relative to the folder, with slashes, without a file's suffix. Hidden videos and the results of
    earlier runs are left out, links to folders are not followed.

    Args:
        folder: of the collection.
        besides: folders to leave out.

    Raises:
        BadInput: there are none; two share a name, so that their results would mix; a folder holds videos and images.
        OSError: a folder cannot be read.
    """
    left_out = {path.resolve() for path in besides}
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder, onerror=_fail):
        here = Path(place)
        if RECORD_NAME in files or here.resolve() in left_out or (here != folder and here.name.startswith(".")):
            folders.clear()
            continue
        videos = [here / name for name in sorted(files) if is_video(here / name)]
        if holds_images(here):
            if videos:
                raise BadInput(f"{here}: holds images and videos; move one or the other away")
            folders.clear()
            videos = [here]
        for video in videos:
            name = (video if video == here else video.with_suffix("")).relative_to(folder).as_posix()
            if name in found:
                raise BadInput(f"{video}: its results would mix with those of {found[name]}; rename one of them")
            found[name] = video
    if not found:
        raise BadInput(f"{folder}: holds no videos and no images")
    return dict(sorted(found.items()))


def _fail(error: OSError) -> None:
    raise error
