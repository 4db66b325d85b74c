"""Make the jobs of a prediction into files, one per video, from paths or a data set.

Also encode saliency maps as files, read them back as grey levels, and pack them for a benchmark.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np

from tinyhd_lib.data.datasets import check_names, videos_below
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.images import encode_grey
from tinyhd_lib.data.transforms import Grey, Image, Map, to_grey
from tinyhd_lib.data.video import Frame, holds_images, read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import appears_whole
from tinyhd_lib.prediction.options import Drawing, PredictOptions

MAP_SUFFIXES = {"png": ".png", "png16": ".png", "npz": ".npz"}
"""Suffixes of map formats: ``png`` as published, ``png16`` of 65,536 levels, ``npz`` the model's raw float32 map."""


@dataclass(frozen=True)
class Job(PredictOptions):
    """Describe one video that is to be predicted into files, with the options of `PredictOptions`.

    Args:
        video: a video file or a folder of frames.
        out: the folder of the map files and of ``run.json``.
        overlay: the overlay video, None for none.
        drawing: how it is drawn.
        names: the frames' names in a data set. A video with names must decode completely: after damage, frames could
            not be matched with names. None for numbers from 0, as in the published quick start.

    Raises:
        BadInput: nothing would be written, a result would overwrite something, or an option is invalid.
    """

    video: Path
    out: Path
    overlay: Path | None = None
    drawing: Drawing = field(default_factory=Drawing)
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse results that would overwrite something, or the video itself."""
        super().__post_init__()
        if self.maps == "none" and not self.overlay:
            raise BadInput('`maps="none"` without `overlay` leaves nothing to write')
        if self.out.exists() and not self.out.is_dir():
            raise BadInput(f"{self.out}: a file is in the way of the folder for the maps; give another `out`")
        if self.overlay and self.overlay.suffix.lower() != ".mp4":
            raise BadInput(f'`overlay="{self.overlay}"`: an overlay video is an .mp4 file')
        if self.overlay and self.overlay.is_dir():
            raise BadInput(f'`overlay="{self.overlay}"`: a folder is in the way of the overlay video')
        places = [place for place in (self.out, self.overlay) if place and place.exists()]
        if self.video.exists() and any(place.samefile(self.video) for place in places):
            raise BadInput(f"{self.video}: would be overwritten by its own results; give another `out` or `overlay`")

    def map_path(self, index: int) -> Path:
        """Return the file of a frame's map."""
        name = index if self.names is None else self.names[index]
        return self.out / f"{name}{MAP_SUFFIXES[self.maps]}"

    def frames(self) -> Iterator[Frame]:
        """Yield the video's frames.

        Raises:
            BadInput: the video cannot be used; with names, also if it is damaged, or the number of frames differs from
                theirs.
        """
        count = 0
        for count, frame in enumerate(read_frames(self.video, strict=self.names is not None), start=1):
            if self.names is not None and count > len(self.names):
                raise BadInput(f"{self.video}: has more than the {len(self.names)} frames that were promised")
            yield frame
        if self.names is not None and count < len(self.names):
            raise BadInput(f"{self.video}: has {count} frames, but {len(self.names)} were promised")

    @property
    def passes(self) -> int:
        """Return the number of passes over the frames: two if maps are normalised over the whole video, else one."""
        return 2 if self.normalise == "clip" else 1


def is_collection(path: Path) -> bool:
    """Tell whether a path is a folder of videos, rather than a video or its frames."""
    return path.is_dir() and not holds_images(path)


def jobs_of(
    videos: Sequence[Path], out: Path | None, overlay: Path | None, options: PredictOptions, drawing: Drawing
) -> list[Job]:
    """Return the jobs of one video, or of several with a folder each.

    Args:
        videos: videos, and folders of videos at any depth.
        out: the folder of a single video (by default ``VIDEO_saliency``), or where the folders of several go (by
            default ``FOLDER_saliency`` or ``saliency``).
        overlay: the overlay video of a single video, a folder of overlay videos for several, None for none.
        options: of each.
        drawing: of the overlay videos.

    Raises:
        BadInput: results would mix, or see `Job` and `videos_below`.
    """
    only = videos[0] if len(videos) == 1 else None
    common = {"drawing": drawing, **vars(options)}
    if only and not is_collection(only):
        return [Job(only, out or Path(f"{only.stem}_saliency"), overlay, **common)]
    if overlay and overlay.suffix:
        raise BadInput(f'`overlay="{overlay}"`: with several videos it names a folder of overlay videos')
    out = out or Path(f"{only.resolve().name}_saliency" if only else "saliency")
    places = [place for place in (out, overlay) if place]
    found: list[tuple[str, Path]] = []
    for path in videos:
        if not is_collection(path):
            found.append((path.name if path.is_dir() else path.stem, path))
        elif any(place.resolve() == path.resolve() for place in places):
            raise BadInput(f"{path}: holds the videos; give another `out` or `overlay`")
        else:
            found += videos_below(path, places).items()
    check_names((name for name, _ in found), "give the folder that holds them all")
    return [Job(path, out / name, overlay and overlay / f"{name}.mp4", **common) for name, path in found]


def dataset_jobs(videos: Iterable[Video], out: Path, options: PredictOptions) -> list[Job]:
    """Return the jobs of a data set's videos, a folder each, under the names that were published with it."""
    return [Job(video.pictures, out / video.name, names=video.names, **vars(options)) for video in videos]


def encode_map(maps: str, saliency: Map, size: tuple[int, ...], grey: Grey = to_grey) -> tuple[bytes, Image]:
    """Return the content of a map's file, and its 8-bit grey levels (H, W).

    Args:
        maps: a name of `MAP_SUFFIXES`.
        saliency: the raw map.
        size: (H, W) of the video.
        grey: makes its grey levels, as `to_grey` does.
    """
    if maps == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, saliency=saliency)
        return buffer.getvalue(), grey(saliency, size)
    levels = grey(saliency, size, levels=np.uint16 if maps == "png16" else np.uint8)
    return encode_grey(levels), _as_8_bit(levels)


def read_grey(maps: str, content: bytes, size: tuple[int, ...], grey: Grey = to_grey) -> Image:
    """Return the 8-bit grey levels (H, W) of a map's file, the same as when it was written.

    Args:
        maps: a name of `MAP_SUFFIXES`.
        content: of the file.
        size: (H, W) of the video.
        grey: makes its grey levels, as `to_grey` does.
    """
    if maps == "npz":
        return grey(np.load(io.BytesIO(content), allow_pickle=False)["saliency"], size)
    return _as_8_bit(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))


def _as_8_bit(levels: Any) -> Image:
    return levels if levels.dtype == np.uint8 else (levels >> 8).astype(np.uint8)


def pack_maps(out: Path, videos: Sequence[Video]) -> Path:
    """Put the maps of a data set into one archive, as METHOD/VIDEO/FRAME.png, and return its path.

    Source: "Results submission" in the README of DHF1K's repository, github.com/wenguanwang/DHF1K; its authors alone
    have the fixations of the test split.

    Args:
        out: called like the method, with a folder of PNG for each video; the archive goes beside it.
        videos: all that were predicted.

    Raises:
        OSError: a map is not there, or the archive cannot be written.
    """
    place = out.resolve().with_name(f"{out.resolve().name}.zip")  # of ".", too
    with appears_whole(place) as partial, ZipFile(partial, "w") as archive:  # PNG is compressed already
        for video in videos:
            for name in video.names:
                archive.write(out / video.name / f"{name}.png", f"{place.stem}/{video.name}/{name}.png")
    return place
