"""A video's files, each read once and reduced to what can be compared: a film's worth of pixels is never held."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import cv2

from tinyhd_lib import files
from tinyhd_lib.data.images import decode_image
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.verify.findings import Fault, unreadable
from tinyhd_lib.data.video import source_files
from tinyhd_lib.errors import BadInput

Size = tuple[int, int]
"""(height, width)."""


class Picture(NamedTuple):
    """What is kept of an image file: its size, whether all of it is 0, and the SHA-256 of its pixels."""

    file: Path
    size: Size
    blank: bool
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
    faults: tuple[Fault, ...]


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
    faults: tuple[Fault, ...]


def read_frames_of(video: Video) -> Frames:
    """All frames of a video, decoded."""
    return _read_images(video) if video.source.is_dir() else _read_film(video)


def read_pictures(folder: Path | None, suffix: str, reader: Callable[[Path], Image]) -> Pictures:
    """All files of a folder that end like this; none if there is no such folder.

    Args:
        folder: where they are.
        suffix: such as ``.png``.
        reader: gives the pixels of a file, or raises BadInput or OSError.
    """
    paths = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
    return _look({path.stem: path for path in paths if path.suffix == suffix}, reader)


def _read_film(video: Video) -> Frames:
    try:
        content = files.sha256(video.source)
        sizes = [frame.image.shape[:2] for frame in video.frames()]
    except (BadInput, OSError) as error:
        return Frames({}, None, None, (unreadable(video.source, error),))
    return Frames({video.source: sizes[0]}, len(sizes), content, ())


def _read_images(video: Video) -> Frames:
    """One by one: `Video.frames` refuses the first that is damaged or of another size, and does not look further."""
    images = _look({path.name: path for path in source_files(video.source)}, _read_colours)
    sizes = {picture.file: picture.size for picture in images.read.values()}
    if images.faults:
        return Frames(sizes, None, None, images.faults)
    content = "".join(picture.digest for picture in images.read.values())
    return Frames(sizes, len(sizes), sha256(content.encode()).hexdigest(), ())


def _read_colours(path: Path) -> Image:
    """(H, W, 3) as `Video.frames` decodes it: turned, where the image says so."""
    image = decode_image(path, cv2.IMREAD_COLOR)
    if image is None:
        raise BadInput(f"{path}: not an image that can be read")
    return image


def _look(paths: dict[str, Path], reader: Callable[[Path], Image]) -> Pictures:
    read, faults = {}, []
    for name, path in paths.items():
        try:
            image = reader(path)
        except (BadInput, OSError) as error:
            faults.append(unreadable(path, error))
        else:
            digest = sha256(image.tobytes()).hexdigest()
            read[name] = Picture(path, image.shape[:2], not image.any(), digest)
    return Pictures(paths, read, tuple(faults))
