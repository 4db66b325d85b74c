"""Check one video and its ground truth."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyhd_lib import files
from tinyhd_lib.data.entries import PICTURE_SUFFIXES, Video
from tinyhd_lib.data.gaze import Gaze, read_fixations, read_gaze
from tinyhd_lib.data.images import read_colours, read_grey
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.verify.findings import Finding, VideoCheck, gaps, last_number, spoken
from tinyhd_lib.data.video import Frame, source_files
from tinyhd_lib.errors import BadInput


class Seen(NamedTuple):
    """The facts about a file that are kept.

    Attributes:
        file: its path.
        size: of the picture, WIDTHxHEIGHT; empty if it cannot be read.
        share: fraction of the pixels that are not 0.
        digest: SHA-256 of its pixels.
        fault: why it cannot be read; None if it can.
    """

    file: Path
    size: str = ""
    share: float = float("nan")
    digest: str = ""
    fault: Finding | None = None


ByFrame = dict[str, Seen]
"""Facts about files, by the names of the frames that they belong to."""


def _look(file: Path, reader: Callable[[Path], Image]) -> Seen:
    """Return the facts about an image file, given a reader that returns its pixels or raises BadInput."""
    try:
        image = reader(file)
    except BadInput as error:
        return Seen(file, fault=Finding.unreadable(file, str(error)))
    return Seen(file, _size(image.shape), float((image != 0).mean()), sha256(image.tobytes()).hexdigest())


def _read_video(file: Path, frames: Iterator[Frame]) -> tuple[list[Seen], int | None, str | None]:
    """Return the facts about a video file, its number of frames, and a hash of its content.

    The latter two are None if it is damaged.
    """
    try:
        sizes = [_size(frame.image.shape) for frame in frames]
    except BadInput as error:
        return [Seen(file, fault=Finding.unreadable(file, str(error)))], None, None
    return [Seen(file, sizes[0])], len(sizes), files.sha256(file)


def _read_images(folder: Path) -> tuple[list[Seen], int | None, str | None]:
    """Return the same for a folder of images, read one by one: `read_frames` stops at the first faulty one."""
    images = [_look(path, read_colours) for path in source_files(folder)]
    if any(image.fault for image in images):
        return images, None, None
    return images, len(images), sha256("".join(image.digest for image in images).encode()).hexdigest()


# A few points at the edge may be measured just outside of it; if there are more, the unit or the video is wrong.
_MOST_OUTSIDE = 0.01
_MOST_FIXATED = 0.05
_FEW = 5
# Eyes blink and look away, and trackers lose them: with few observers, a frame without a point is no fault. If a larger
# share of the frames has none, the points are hardly of this video, or count its frames in another unit.
_MOST_UNSEEN = 0.5


def check_video(video: Video) -> VideoCheck:
    """Read a whole video with its ground truth, and return what is wrong.

    Faults are reported, not raised, and do not keep the rest from being read. Videos and results can be pickled, so
    that this can be mapped over processes.
    """
    source = video.source
    frames, decoded, content = _read_images(source) if source.is_dir() else _read_video(source, video.frames())
    if video.gaze is None:
        annotated, faults = _check_maps(video, frames, decoded)
    else:
        annotated, faults = _check_gaze(video, video.gaze, frames, decoded)
    found = (each._replace(split=video.split, video=video.name) for each in chain(_faults(frames), faults))
    return VideoCheck(decoded or len(video.names), annotated, content, tuple(found))


def _faults(seen: Iterable[Seen]) -> Iterator[Finding]:
    return (each.fault for each in seen if each.fault)


def _check_maps(video: Video, frames: list[Seen], decoded: int | None) -> tuple[int, Iterator[Finding]]:
    """Return the number of frames with ground truth in files, and what is wrong with it."""
    maps = _pictures(video, video.maps, PICTURE_SUFFIXES, read_grey)
    plain = _pictures(video, video.fixations, PICTURE_SUFFIXES, read_fixations)
    matlab = _pictures(video, video.fixations and video.fixations / "maps", (".mat",), read_fixations)
    fixations = matlab | plain  # as `Video.truth_files` chooses: a MATLAB file only where there is no PNG
    marked = [*plain.values(), *matlab.values()]
    annotated = maps.keys() & fixations.keys() & set(video.names)
    return len(annotated), chain(
        _faults([*maps.values(), *marked]),
        _check_frames(video, decoded, None if video.maps is None else len(maps)),
        _check_pairs(video, maps, plain, matlab),
        _check_sizes({"frames": frames, "saliency maps": maps.values(), "fixation maps": marked}),
        _check_shares(maps.values(), "the saliency map is black", most=1.0),
        _check_shares(fixations.values(), "there is no fixation", most=_MOST_FIXATED),
        _check_match(plain, matlab),
    )


def _pictures(video: Video, folder: Path | None, suffixes: Collection[str], reader: Callable[[Path], Image]) -> ByFrame:
    """Return the facts about a folder's files with these suffixes, by frame; numbers may lack leading zeros."""
    width = len(video.names[0]) if video.names[0].isdecimal() else 0
    paths = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
    chosen = [path for path in paths if path.suffix in suffixes and path.name[0] != "."]
    return {path.stem.zfill(width): _look(path, reader) for path in chosen}


def _check_gaze(video: Video, file: Path, frames: list[Seen], decoded: int | None) -> tuple[int, Iterator[Finding]]:
    """Return the number of frames with gaze points, and what is wrong with these."""
    try:
        gaze = read_gaze(file)
    except BadInput as error:
        return 0, iter([Finding.unreadable(file, str(error))])
    count = decoded or gaze.frames
    shown = (gaze.frame >= 0) & (gaze.frame < count)
    seen = len(np.unique(gaze.frame[shown]))
    return seen, chain(
        _check_frames(video, decoded, gaze.frames),
        _check_sizes({"frames": frames, "files of gaze points": [Seen(file, _size(gaze.size))]}),
        _check_points(file, gaze, int((~shown).sum()), seen, count),
    )


def _check_frames(video: Video, decoded: int | None, annotated: int | None) -> Iterator[Finding]:
    """Yield differences between numbers of frames, and gaps in the frames' numbers.

    A damaged video is reported already: of it, only the promised number is compared with its maps.
    """
    counts = {"decoded": decoded, "promised": len(video.names), "annotated": annotated}
    known = {what: count for what, count in counts.items() if count is not None}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{count} {what}" for what, count in known.items())
        yield Finding("count", video.source, f"frames: {told}; fetch the video and its ground truth anew")
    numbers = map(last_number, video.names)
    for missing in gaps(number for number in numbers if number is not None):
        yield Finding("gap", video.source, f"no frame {spoken(missing)}; fetch what is missing")


def _check_pairs(video: Video, maps: ByFrame, plain: ByFrame, matlab: ByFrame) -> Iterator[Finding]:
    """Yield frames without ground truth, and ground truth without frames; a video without any is the set's matter."""
    known = video.maps or video.fixations
    if known is None:
        return
    for folder, there in (("maps", maps), ("fixation", plain | matlab)):
        place = known.with_name(folder)
        missing = [place / f"{name}.png" for name in video.names if name not in there] if place.is_dir() else [place]
        for file in missing:
            yield Finding("pairing", file, "not there, though the video is; fetch or make it anew")
    names = set(video.names)
    for name, seen in chain(maps.items(), plain.items(), matlab.items()):
        if name not in names:
            yield Finding("pairing", seen.file, "there is no such frame; fetch the video anew, or remove this file")


def _check_sizes(groups: dict[str, Iterable[Seen]]) -> Iterator[Finding]:
    """Yield one finding per group of files, since a wrong size is rarely a single file's. The first group is right."""
    known = {what: [each for each in seen if each.size] for what, seen in groups.items()}
    right = next((Counter(each.size for each in seen).most_common(1)[0][0] for seen in known.values() if seen), None)
    for what, seen in known.items():
        wrong = [each for each in seen if each.size != right]
        if wrong:
            told = f"{wrong[0].size} in a video of {right}, {len(wrong)} of {len(seen)} {what}"
            yield Finding("size", wrong[0].file, f"{told}; fetch or make anew")


def _check_shares(pictures: Iterable[Seen], told: str, most: float) -> Iterator[Finding]:
    """Yield pictures that are black, with the message ``told``, and pictures with too many non-zero pixels."""
    for picture in pictures:
        if not picture.share:
            yield Finding("empty", picture.file, f"{told}; fetch or make it anew, or leave this frame out")
        elif picture.share > most:
            dense = f"{picture.share:.0%} of the pixels are fixations: blurred, or saved as JPEG"
            yield Finding("dense", picture.file, f"{dense}; give the points themselves, as PNG")


def _check_match(plain: ByFrame, matlab: ByFrame) -> Iterator[Finding]:
    for name, picture in plain.items():
        other = matlab.get(name, picture)
        if other.size == picture.size and other.digest != picture.digest:
            yield Finding("mismatch", picture.file, f"not the same fixations as in {other.file.name}; fetch both anew")


def _check_points(file: Path, gaze: Gaze, surplus: int, seen: int, frames: int) -> Iterator[Finding]:
    """Yield findings about points at no frame or outside of the picture, and too many frames without points."""
    if surplus:
        told = f"{surplus} points are not at frames 0 to {frames - 1}, which is all that the video has"
        yield Finding("pairing", file, f"{told}; fetch both anew, or remove the points")
    if frames - seen > _MOST_UNSEEN * frames:
        yield Finding("empty", file, f"{frames - seen} of {frames} frames have no point; fetch or make it anew")
    known = np.isfinite(gaze.x) & np.isfinite(gaze.y)  # not finite while the eyes were closed
    if known.sum() > _FEW and max(np.ptp(gaze.x[known]), np.ptp(gaze.y[known])) <= 1:
        yield Finding("outside", file, "all points are within one pixel; give x and y in pixels, not in parts of it")
    outside = known & ~gaze.inside()
    if outside.sum() > _MOST_OUTSIDE * len(outside):
        told = f"{outside.mean():.1%} of the points are outside of {_size(gaze.size)}"
        yield Finding("outside", file, f"{told}; give x and y in pixels of the video, from its top left")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
