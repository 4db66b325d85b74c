"""Maps as the authors of DHF1K take them, to score those of the test split, whose fixations only they have.

Source: "Results submission" in the README of the data set's repository, github.com/wenguanwang/DHF1K.
"""

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from tinyhd_lib.data.layouts import Video
from tinyhd_lib.files import partial_path


def pack_maps(out: Path, videos: Sequence[Video]) -> Path:
    """Put the maps of a data set into one archive, as METHOD/VIDEO/FRAME.png, and return its path.

    Args:
        out: called like the method, with a folder of PNG for each video; the archive goes beside it.
        videos: all that were predicted.

    Raises:
        OSError: a map is not there, or the archive cannot be written.
    """
    place = out.with_name(f"{out.name}.zip")
    partial = partial_path(place)
    with ZipFile(partial, "w") as archive:  # PNG is compressed already
        for video in videos:
            for name in video.names:
                archive.write(out / video.name / f"{name}.png", f"{out.name}/{video.name}/{name}.png")
    return partial.replace(place)
