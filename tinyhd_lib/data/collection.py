"""Videos that lie in a folder, at any depth: films, and folders of frames."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from tinyhd_lib.data.video import VIDEO_SUFFIXES, holds_images
from tinyhd_lib.errors import BadInput
from tinyhd_lib.records import RECORD_NAME


class Found(NamedTuple):
    """A video of a collection.

    Attributes:
        path: a file, or a folder of frames.
        name: its path below the collection, without the file's suffix, with slashes.
    """

    path: Path
    name: str


def videos_below(folder: Path, besides: Collection[Path] = ()) -> list[Found]:
    """All videos in a folder and in the folders below, by name.

    Hidden ones are left out, links to folders are not followed, and the results of earlier runs are no videos.

    Args:
        folder: of the collection.
        besides: folders to leave out.

    Raises:
        BadInput: there are none; two have one name, so that their results would mix; a folder holds films and images.
        OSError: a folder cannot be read.
    """
    left_out = {path.resolve() for path in besides}
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder, onerror=_fail):
        here = Path(place)
        if RECORD_NAME in files or here.resolve() in left_out or (here != folder and here.name.startswith(".")):
            folders.clear()
            continue
        films = [here / name for name in sorted(files) if _is_film(name)]
        if holds_images(here):
            if films:
                raise BadInput(f"{here}: holds images and films; move one or the other away")
            folders.clear()
            _add(found, here.relative_to(folder).as_posix(), here)
        for film in films:
            _add(found, film.relative_to(folder).with_suffix("").as_posix(), film)
    if not found:
        raise BadInput(f"{folder}: holds no videos and no images")
    return [Found(found[name], name) for name in sorted(found)]


def _is_film(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def _fail(error: OSError) -> None:
    raise error


def _add(found: dict[str, Path], name: str, path: Path) -> None:
    if name in found:
        raise BadInput(f"{path}: its results would mix with those of {found[name]}; rename one of them")
    found[name] = path
