"""Entries of a data set: videos with their ground truth, and files that had to be skipped."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.gaze import GroundTruth, Viewing, read_fixations, read_gaze, truth_of
from tinyhd_lib.data.images import read_grey
from tinyhd_lib.data.video import Frame, count_frames_in, read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import digest_of, fingerprint
from tinyhd_lib.overlap import parallel_map


class Skipped(NamedTuple):
    """A file that looks like part of a data set and cannot be used.

    Attributes:
        path: of the file, or of the folder of a video.
        reason: why, in one line.
        split: the split that it would belong to, empty if none.
        name: the name that the video would have.
    """

    path: Path
    reason: str
    split: str
    name: str


@dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        name: as published, which also names its folder of maps.
        split: the part of the data set that it belongs to.
        source: a video file or a folder of images; the folder of its maps if its frames are missing.
        names: of its frames, as published, which also name the files of ground truth and predictions.
        maps: folder of the saliency maps, None without.
        fixations: folder of the fixation maps, None without.
        gaze: file of the gaze points, None without.
        viewing: how gaze points become maps, None without.
    """

    name: str
    split: str
    source: Path
    names: tuple[str, ...]
    maps: Path | None = None
    fixations: Path | None = None
    gaze: Path | None = None
    viewing: Viewing | None = None

    @property
    def pictures(self) -> Path:
        """Return the video file or the folder of images.

        Raises:
            BadInput: there is only ground truth.
        """
        if self.source == self.maps:
            raise BadInput(f"{self.source}: only the ground truth of {self.name} is there; its frames are needed, too")
        return self.source

    def frames(self) -> Iterator[Frame]:
        """Yield its decoded frames.

        Raises:
            BadInput: they are missing, or damaged: the numbers of frames after the damage would be uncertain.
        """
        return read_frames(self.pictures, strict=True)

    def as_json(self) -> dict[str, Any]:
        """Return a JSON table of the video, for `from_json`."""
        return json.loads(json.dumps(asdict(self), default=lambda path: str(path.resolve())))

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Self:
        """Return the video of a table that `as_json` made."""
        paths = {name: Path(table[name]) for name in ("source", "maps", "fixations", "gaze") if table[name]}
        viewing = table["viewing"] and Viewing(**table["viewing"])
        return cls(**{**table, **paths, "names": tuple(table["names"]), "viewing": viewing})

    @property
    def has_truth(self) -> bool:
        """Return whether it has ground truth."""
        return self.gaze is not None or (self.maps is not None and self.fixations is not None)

    def truth(self, index: int) -> GroundTruth | None:
        """Return the ground truth of a frame, None if it has none.

        Raises:
            BadInput: one of its files cannot be read, or its saliency map and its fixation map differ in size.
        """
        if self.gaze is not None:
            return truth_of(read_gaze(self.gaze).at(index), self.viewing)
        files = self.truth_files(index)
        if files is None:
            return None
        saliency, fixations = read_grey(files[0]).astype(np.float32), read_fixations(files[1])
        if saliency.shape != fixations.shape:
            raise BadInput(f"{files[0]}: {saliency.shape}, but its fixations {files[1]} are {fixations.shape}")
        return GroundTruth(saliency, fixations)

    def truth_files(self, index: int) -> tuple[Path, Path] | None:
        """Return the files of a frame's saliency map and fixation map, None if one of them is missing."""
        if self.maps is None or self.fixations is None:
            return None
        saliency = _first_of(self.maps, self.names[index], _PICTURES)
        fixations = _first_of(self.fixations, self.names[index], (*_PICTURES, "maps/{}.mat"))
        return (saliency, fixations) if saliency and fixations else None


PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Suffixes of maps and fixations; as published, they are PNG."""


_PICTURES = tuple(f"{{}}{suffix}" for suffix in PICTURE_SUFFIXES)


def _first_of(folder: Path, name: str, patterns: Sequence[str]) -> Path | None:
    """Return the first existing file of a frame, its name with or without leading zeros; None if there is none."""
    names = (name, str(int(name))) if name.isdecimal() else (name,)
    places = (folder / pattern.format(each) for pattern in patterns for each in names)
    return next((place for place in places if place.exists()), None)


_COUNTS = Cache("datasets")
_READERS = 8


def count_frames(root: Path, videos: Iterable[Path]) -> dict[Path, int | str]:
    """Return the number of frames of each video, or why it cannot be opened.

    Counts are cached, each with a key of the video's size and modification time.

    Args:
        root: the data set's folder.
        videos: files and folders of images below it.
    """
    place = digest_of(str(root.resolve()))
    known = json.loads(_COUNTS.read(place) or b"{}")
    names = {path: path.relative_to(root).as_posix() for path in videos}
    keys = {path: fingerprint([path]) if path.exists() else "" for path in names}
    asked = [path for path, name in names.items() if known.get(name, [None])[0] != keys[path]]
    if asked:
        answers = parallel_map(_count, asked, _READERS, 2 * _READERS)
        known |= {names[path]: (keys[path], answer) for path, answer in zip(asked, answers, strict=True)}
        _COUNTS.write(place, json.dumps(known).encode())
    return {path: known[name][1] for path, name in names.items()}


def _count(video: Path) -> int | str:
    try:
        return count_frames_in(video)
    except BadInput as error:
        return str(error)
