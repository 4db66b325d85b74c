"""Clips of videos for training: any sixteen frames, at the model's input size, with their ground truth.

A video is decoded once into arrays on disk, which are memory-mapped (`stored`), or anew for every clip if the data set
is too large for that (`decoded`).
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import source_files
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import digest_of, fingerprint, write_array
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE

_CLIPS = Cache("clips", version=1)
"""Raise the version whenever stored arrays would change."""


@dataclass(frozen=True)
class Clip:
    """Sixteen frames of a video.

    Attributes:
        video: its position in a list of videos.
        start: index of the first frame; frames before the video's first frame repeat that one.
        step: frames from one to the next; negative runs backwards.
        flip: whether it is mirrored horizontally.
    """

    video: int
    start: int
    step: int = 1
    flip: bool = False

    def indices(self, frames: int) -> list[int]:
        """Return the indices of its frames, in a video of ``frames`` frames."""
        return [min(max(self.start + self.step * k, 0), frames - 1) for k in range(CLIP_FRAMES)]


@dataclass(frozen=True)
class Source:
    """The frames of one video, or of a part of it, at the model's size, with their ground truth.

    Attributes:
        video: of a data set.
        view: how frames are cropped, a name of `VIEWS`.
        digest: changes whenever the frames change.
        count: number of frames.
        first: index in the video of its first frame.
        folder: of its arrays in the cache; None if it is decoded anew, from its start, for every clip.
    """

    video: Video
    view: str
    digest: str
    count: int
    first: int = 0
    folder: Path | None = None

    @property
    def labelled(self) -> bool:
        """Return whether the video has ground truth."""
        return self.video.has_truth

    def frames(self, indices: Sequence[int]) -> Image:
        """Return (n, 192, 256, 3) uint8 RGB.

        Raises:
            BadInput: the video is damaged.
        """
        numbers = [self.first + index for index in indices]
        if self.folder:
            return np.load(self.folder / "frames.npy", mmap_mode="r")[numbers]
        last = max(numbers)
        passed = islice(self.video.frames(), last + 1)
        found = {frame.index: seen(frame.image, self.view) for frame in passed if frame.index in numbers}
        if last not in found:
            raise BadInput(f"{self.video.source}: ends before frame {last}, of {self.count} that it promises")
        return np.stack([found[number] for number in numbers])

    def truth(self, indices: Sequence[int]) -> Map:
        """Return saliency maps (n, 192, 256) float32, densities up to a factor; zero for frames without any."""
        numbers = [self.first + index for index in indices]
        if self.folder and self.labelled:
            return np.load(self.folder / "truth.npy", mmap_mode="r")[numbers].astype(np.float32)
        return np.stack([_density(self.video, number, self.view) for number in numbers])


def decoded(video: Video, view: str = "whole") -> Source:
    """Return a video as a source that is decoded anew for every clip, in a view of `VIEWS`."""
    return Source(video, view, _digest(video, view), len(video.names))


def stored(video: Video, view: str = "whole") -> Source:
    """Decode a video into the cache folder, unless it is there already.

    Args:
        video: of a data set.
        view: how frames are cropped, a name of `VIEWS`.

    Raises:
        BadInput: it is damaged.
        OSError: it cannot be written (no space).
    """
    digest = _digest(video, view)
    path = _CLIPS.file(f"{digest}/video.json", partial(_store, video, view))
    return Source(video, view, digest, json.loads(path.read_bytes())["frames"], folder=path.parent)


def _store(video: Video, view: str, path: Path) -> None:
    """Write a video's arrays, and after them the record in the same folder."""
    count = write_array(path.with_name("frames.npy"), (seen(frame.image, view) for frame in video.frames()))
    if video.has_truth:
        truth = (_density(video, index, view).astype(np.float16) for index in range(min(count, len(video.names))))
        count = write_array(path.with_name("truth.npy"), truth)
    path.write_bytes(json.dumps({"source": video.source.name, "frames": count}).encode())


def stored_bytes(videos: Iterable[Video]) -> int:
    """Return how many bytes `stored` takes for these videos: per pixel three, and two more for the ground truth."""
    pixels = INPUT_SIZE[0] * INPUT_SIZE[1]
    return sum(len(video.names) * pixels * (5 if video.has_truth else 3) for video in videos)


def without(source: Source, exclude: Iterable[str]) -> list[Source]:
    """Return the parts of a video that remain without the excluded ones.

    Args:
        source: the video.
        exclude: names of videos, or ``name:first-last`` for a range of frames of one.

    Raises:
        BadInput: an entry is neither.
    """
    kept = np.ones(source.count, bool)
    for entry in exclude:
        if entry.partition(":")[0] == source.video.name:
            kept[_span(entry)] = False
    runs = np.flatnonzero(np.diff(kept, prepend=False, append=False)).reshape(-1, 2).tolist()
    return [
        replace(source, digest=f"{source.digest}-{first}-{end}", first=source.first + first, count=end - first)
        for first, end in runs
    ]


def _span(entry: str) -> slice:
    """Return the frames that an entry excludes; all of them, if it only names the video."""
    found = re.fullmatch(r"[^:]+(?::(\d+)-(\d+))?", entry)
    if not found or (found[1] and int(found[1]) > int(found[2])):
        raise BadInput(f"exclude {entry!r}: a video's name, or name:first-last")
    return slice(int(found[1]), int(found[2]) + 1) if found[1] else slice(None)


def clip_frames(source: Source, clip: Clip) -> Image:
    """Return the frames of a clip, (16, 192, 256, 3) uint8 RGB, mirrored if it is flipped."""
    return _facing(source.frames(clip.indices(source.count)), clip)


def clip_truth(source: Source, clip: Clip, wanted: slice = slice(None)) -> Map:
    """Return the saliency maps of the wanted ones of a clip's frames, (n, 192, 256) float32, mirrored likewise."""
    return _facing(source.truth(clip.indices(source.count)[wanted]), clip)


def _facing(images: Image, clip: Clip) -> Image:
    return np.stack([cv2.flip(image, 1) for image in images]) if clip.flip else images


def clip_reach(step: int) -> int:
    """Return the distance in frames between a clip's first and last frame."""
    return (CLIP_FRAMES - 1) * abs(step)


def clip_starts(count: int, step: int, every: int = 1) -> range:
    """Return the starts of clips that lie within a video of ``count`` frames; a single one if it is too short."""
    reach = clip_reach(step)
    if count <= reach:
        first = count - 1 if step < 0 else min(count - CLIP_FRAMES, 0)
        return range(first, first + 1)
    return range(reach, count, every) if step < 0 else range(0, count - reach, every)


def resized(images: Image, size: tuple[int, int]) -> Image:
    """Return pictures (n, h, w) or (n, h, w, C) of any type resized to (n, H, W[, C]), averaged where they shrink."""
    height, width = images.shape[1:3]
    if (height, width) == size:
        return images
    how = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, size[::-1], interpolation=how) for image in images])


VIEWS: dict[str, tuple[int, int]] = {"whole": INPUT_SIZE, "published": (200, 355)}
"""The size (H, W) that a frame is resized to, ignoring its aspect, before the central 192x256 are cropped: the whole
frame, as for prediction; or the crop on which the published code validates."""


def seen(image: Image, view: str) -> Image:
    """Return a frame (H, W, 3) resized and cropped to a view, (192, 256, 3) uint8."""
    small = cv2.resize(image.astype(np.float32), VIEWS[view][::-1], interpolation=cv2.INTER_LINEAR)
    return np.rint(_middle(small)).astype(np.uint8)


def _density(video: Video, index: int, view: str) -> Map:
    """Return the saliency map of a frame in a view, scaled to a maximum of 1; zero without ground truth."""
    truth = video.truth(index) if index < len(video.names) else None
    if truth is None:
        return np.zeros(INPUT_SIZE, np.float32)
    small = _middle(cv2.resize(truth.saliency, VIEWS[view][::-1], interpolation=cv2.INTER_AREA))
    return small / max(float(small.max()), 1e-12)


def _middle(image: Image) -> Image:
    top, left = ((given - seen) // 2 for given, seen in zip(image.shape[:2], INPUT_SIZE, strict=True))
    return image[top : top + INPUT_SIZE[0], left : left + INPUT_SIZE[1]]


def _digest(video: Video, view: str) -> str:
    parts = [str(_CLIPS.version), view, fingerprint(source_files(video.source)), repr(video.viewing)]
    parts += [fingerprint(sorted(folder.iterdir())) if folder else "" for folder in (video.maps, video.fixations)]
    parts.append(fingerprint([video.gaze]) if video.gaze else "")
    return digest_of(*parts)
