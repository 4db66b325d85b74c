"""What is wrong with one video and with what is known of where people looked in it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyhd_lib import files
from tinyhd_lib.data.gaze import Gaze, read_fixations, read_gaze
from tinyhd_lib.data.images import read_colours, read_grey
from tinyhd_lib.data.layouts import PICTURE_SUFFIXES, Video
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.verify.findings import Finding, VideoCheck, unreadable
from tinyhd_lib.data.verify.sets import gaps, last_number, spoken
from tinyhd_lib.data.video import source_files
from tinyhd_lib.errors import BadInput

Size = tuple[int, int]
"""(height, width)."""


class Picture(NamedTuple):
    """What is kept of an image file: its size, how much of it is not 0, and the SHA-256 of its pixels."""

    file: Path
    size: Size
    share: float
    digest: str


class Pictures(NamedTuple):
    """The image files of one folder.

    Attributes:
        files: by name, without suffix.
        read: those that can be read, by name.
        faults: of those that cannot.
    """

    files: dict[str, Path]
    read: dict[str, Picture]
    faults: tuple[Finding, ...]

    @property
    def sizes(self) -> dict[Path, Size]:
        """Return the size of each that can be read."""
        return {picture.file: picture.size for picture in self.read.values()}


class Frames(NamedTuple):
    """The frames of a video.

    Attributes:
        sizes: of what each file shows.
        decoded: how many there are, None if the video is damaged.
        content: the same for two videos if they show the same, None if the video is damaged.
        faults: of files that cannot be read.
    """

    sizes: dict[Path, Size]
    decoded: int | None
    content: str | None
    faults: tuple[Finding, ...]


def _pictures(folder: Path | None, suffixes: Collection[str], reader: Callable[[Path], Image], width: int) -> Pictures:
    """Return all files of a folder that end like these; none if there is no such folder.

    Args:
        folder: where they are.
        suffixes: such as ``.png``.
        reader: gives the pixels of a file, or raises BadInput or OSError.
        width: that names are filled up to with zeros.
    """
    paths = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
    chosen = [path for path in paths if path.suffix in suffixes and path.name[0] != "."]
    return _look({path.stem.zfill(width): path for path in chosen}, reader)


def _read_video(video: Video) -> Frames:
    try:
        content = files.sha256(video.source)
        sizes = [frame.image.shape[:2] for frame in video.frames()]
    except (BadInput, OSError) as error:
        return Frames({}, None, None, (unreadable(video.source, error),))
    return Frames({video.source: sizes[0]}, len(sizes), content, ())


def _read_images(video: Video) -> Frames:
    """Read images one by one: `Video.frames` refuses the first that is damaged or of another size, and stops there."""
    images = _look({path.name: path for path in source_files(video.source)}, read_colours)
    if images.faults:
        return Frames(images.sizes, None, None, images.faults)
    content = "".join(picture.digest for picture in images.read.values())
    return Frames(images.sizes, len(images.read), sha256(content.encode()).hexdigest(), ())


def _look(paths: dict[str, Path], reader: Callable[[Path], Image]) -> Pictures:
    read, faults = {}, []
    for name, path in paths.items():
        try:
            image = reader(path)
        except (BadInput, OSError) as error:
            faults.append(unreadable(path, error))
        else:
            digest = sha256(image.tobytes()).hexdigest()
            read[name] = Picture(path, image.shape[:2], float((image != 0).mean()), digest)
    return Pictures(paths, read, tuple(faults))


# Points at the very edge may be measured a little outside of it; more of them are in another unit, or of another video.
_MOST_OUTSIDE = 0.01
_MOST_FIXATED = 0.05
_FEW = 20
# Eyes blink, jump and look away, and trackers lose them: where observers are few, a frame without a point is no fault.
# If more frames than these have none, the points are hardly of this video, or count its frames in another unit.
_MOST_UNSEEN = 0.5


def check_video(video: Video) -> VideoCheck:
    """Read all of a video and of its ground truth.

    What is wrong is told and not raised, and never keeps the rest from being read. Videos and results can be pickled,
    so that this can be mapped over processes.
    """
    frames = _read_images(video) if video.source.is_dir() else _read_video(video)
    annotated, faults = _check_maps(video, frames) if video.gaze is None else _check_gaze(video, video.gaze, frames)
    found = (each._replace(split=video.split, video=video.name) for each in chain(frames.faults, faults))
    return VideoCheck(frames.decoded or len(video.names), annotated, frames.content, tuple(found))


def _check_maps(video: Video, frames: Frames) -> tuple[int, Iterator[Finding]]:
    """Return how many frames have ground truth in files, and what is wrong with it."""
    width = len(video.names[0]) if video.names[0].isdecimal() else 0
    maps = _pictures(video.maps, PICTURE_SUFFIXES, read_grey, width)
    plain = _pictures(video.fixations, PICTURE_SUFFIXES, read_fixations, width)
    matlab = _pictures(video.fixations and video.fixations / "maps", (".mat",), read_fixations, width)
    # As `Video.truth_files` chooses: a MATLAB file only where there is no PNG.
    fixations = matlab.read | plain.read
    annotated = maps.files.keys() & (matlab.files | plain.files) & set(video.names)
    groups = {"frames": frames.sizes, "saliency maps": maps.sizes, "fixation maps": plain.sizes | matlab.sizes}
    return len(annotated), chain(
        *(pictures.faults for pictures in (maps, plain, matlab)),
        _check_count(video, frames, None if video.maps is None else len(maps.files)),
        _check_numbers(video),
        _check_pairs(video, maps, plain, matlab),
        _check_sizes(groups),
        _check_shares(maps.read.values(), "the saliency map is black", most=1.0),
        _check_shares(fixations.values(), "there is no fixation", most=_MOST_FIXATED),
        _check_match(plain, matlab),
    )


def _check_gaze(video: Video, file: Path, frames: Frames) -> tuple[int, Iterator[Finding]]:
    """Return how many frames have gaze points, and what is wrong with these."""
    gaze = read_gaze(file)
    count = frames.decoded or gaze.frames
    shown = (gaze.frame >= 0) & (gaze.frame < count)
    seen = len(np.unique(gaze.frame[shown]))
    return seen, chain(
        _check_count(video, frames, None),
        _check_sizes({"frames": frames.sizes, "files of gaze points": {file: gaze.size}}),
        _check_times(file, int((~shown).sum()), seen, count),
        _check_places(file, gaze),
    )


def _check_count(video: Video, frames: Frames, maps: int | None) -> Iterator[Finding]:
    """Compare counts; a damaged video is told already: of it, only what it promises is compared with its maps."""
    counts = {"decoded": frames.decoded, "promised": len(video.names), "maps": maps}
    known = {what: count for what, count in counts.items() if count is not None}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{count} {what}" for what, count in known.items())
        yield Finding("count", video.source, f"frames: {told}; fetch the video and its ground truth anew")


def _check_numbers(video: Video) -> Iterator[Finding]:
    numbers = map(last_number, video.names)
    for missing in gaps(number for number in numbers if number is not None):
        yield Finding("gap", video.source, f"no frame {spoken(missing)}; fetch what is missing")


def _check_pairs(video: Video, maps: Pictures, plain: Pictures, matlab: Pictures) -> Iterator[Finding]:
    """Frames without ground truth and the reverse; whether a video may have none at all, its data set tells."""
    known = video.maps or video.fixations
    if known is None:
        return
    for folder, there in (("maps", maps.files), ("fixation", plain.files | matlab.files)):
        place = known.with_name(folder)
        missing = [place / f"{name}.png" for name in video.names if name not in there] if place.is_dir() else [place]
        for file in missing:
            yield Finding("pairing", file, "not there, though the video is; fetch or make it anew")
    names = set(video.names)
    for name, file in chain.from_iterable(pictures.files.items() for pictures in (maps, plain, matlab)):
        if name not in names:
            yield Finding("pairing", file, "there is no such frame; fetch the video anew, or remove this file")


def _check_sizes(groups: dict[str, dict[Path, Size]]) -> Iterator[Finding]:
    """Tell one fault for all files of a group: a wrong size is rarely one file's. The first group is right."""
    right = next((Counter(sizes.values()).most_common(1)[0][0] for sizes in groups.values() if sizes), None)
    for what, sizes in groups.items():
        wrong = {file: size for file, size in sizes.items() if size != right}
        if wrong and right:
            file, size = next(iter(wrong.items()))
            told = f"{_spoken_size(size)} in a video of {_spoken_size(right)}"
            yield Finding("size", file, f"{told}, {len(wrong)} of {len(sizes)} {what}; fetch or make anew")


def _check_shares(pictures: Iterable[Picture], told: str, most: float) -> Iterator[Finding]:
    """Tell of pictures that are black, as is told of these, and of those of which more than a part is not."""
    for picture in pictures:
        if not picture.share:
            yield Finding("empty", picture.file, f"{told}; fetch or make it anew, or leave this frame out")
        elif picture.share > most:
            dense = f"{picture.share:.0%} of the pixels are fixations: blurred, or saved as JPEG"
            yield Finding("dense", picture.file, f"{dense}; give the points themselves, as PNG")


def _check_match(plain: Pictures, matlab: Pictures) -> Iterator[Finding]:
    for name, picture in plain.read.items():
        other = matlab.read.get(name, picture)
        if other.size == picture.size and other.digest != picture.digest:
            yield Finding("mismatch", picture.file, f"not the same fixations as in {other.file.name}; fetch both anew")


def _check_times(file: Path, surplus: int, seen: int, frames: int) -> Iterator[Finding]:
    """Tell of points at no frame, and of too many frames without points."""
    if surplus:
        told = f"{surplus} points are not at frames 0 to {frames - 1}, which is all that the video has"
        yield Finding("pairing", file, f"{told}; fetch both anew, or remove the points")
    if frames - seen > _MOST_UNSEEN * frames:
        yield Finding("empty", file, f"{frames - seen} of {frames} frames have no point; fetch or make it anew")


def _check_places(file: Path, gaze: Gaze) -> Iterator[Finding]:
    known = np.isfinite(gaze.x) & np.isfinite(gaze.y)  # where it is not, eyes were shut
    if known.sum() > _FEW and max(np.ptp(gaze.x[known]), np.ptp(gaze.y[known])) <= 1:
        yield Finding("outside", file, "all points are within one pixel; give x and y in pixels, not in parts of it")
    outside = known & ~gaze.inside()
    if outside.sum() > _MOST_OUTSIDE * len(outside):
        told = f"{outside.mean():.1%} of the points are outside of {_spoken_size(gaze.size)}"
        yield Finding("outside", file, f"{told}; give x and y in pixels of the video, from its top left")


def _spoken_size(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
