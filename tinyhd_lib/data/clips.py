"""Clips out of videos, as training wants them: any sixteen frames, at the model's size, with where people looked.

A video is decoded once into arrays on disk, which are mapped into memory (`stored`), or anew for every clip where a
data set is too large for that (`decoded`).
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
"""Its version changes whenever stored arrays would."""


@dataclass(frozen=True)
class Clip:
    """Sixteen frames of a video.

    Attributes:
        video: its place in a list of videos.
        start: index of the first frame; frames before the video's first one repeat that.
        step: frames from one to the next; negative runs backwards.
        flip: left and right exchanged.
    """

    video: int
    start: int
    step: int = 1
    flip: bool = False

    def indices(self, frames: int) -> list[int]:
        """Return which frames of a video of that many they are."""
        return [min(max(self.start + self.step * k, 0), frames - 1) for k in range(CLIP_FRAMES)]


@dataclass(frozen=True)
class Source:
    """The frames of one video, or of a part of it, at the model's size, with their ground truth.

    Attributes:
        video: where it comes from.
        view: how it is looked at, a name of `VIEWS`.
        digest: changes when the frames do.
        count: how many frames there are.
        first: which frame of the video is the first.
        folder: of its arrays in the cache; None where it is decoded anew, from its start, for every clip.
    """

    video: Video
    view: str
    digest: str
    count: int
    first: int = 0
    folder: Path | None = None

    @property
    def labelled(self) -> bool:
        """Return whether anything is known of where people looked."""
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
        """Return (n, 192, 256) float32, a density up to a factor; zero where nothing is known."""
        numbers = [self.first + index for index in indices]
        if self.folder and self.labelled:
            return np.load(self.folder / "truth.npy", mmap_mode="r")[numbers].astype(np.float32)
        return np.stack([_density(self.video, number, self.view) for number in numbers])


def decoded(video: Video, view: str = "whole") -> Source:
    """Leave a video as it is, to be looked at in a way of `VIEWS`."""
    return Source(video, view, _digest(video, view), len(video.names))


def stored(video: Video, view: str = "whole") -> Source:
    """Decode a video into the cache folder, unless it is there already.

    Args:
        video: of a data set.
        view: how it is looked at, a name of `VIEWS`.

    Raises:
        BadInput: it is damaged.
        OSError: it cannot be written (no space).
    """
    digest = _digest(video, view)
    path = _CLIPS.file(f"{digest}/video.json", partial(_store, video, view))
    return Source(video, view, digest, json.loads(path.read_bytes())["frames"], folder=path.parent)


def _store(video: Video, view: str, path: Path) -> None:
    """Write a video's arrays, and when they are there the record, beside which they lie."""
    count = write_array(path.with_name("frames.npy"), (seen(frame.image, view) for frame in video.frames()))
    if video.has_truth:
        truth = (_density(video, index, view).astype(np.float16) for index in range(min(count, len(video.names))))
        count = write_array(path.with_name("truth.npy"), truth)
    path.write_bytes(json.dumps({"source": video.source.name, "frames": count}).encode())


def stored_bytes(videos: Iterable[Video]) -> int:
    """Return how much disk `stored` takes for these videos: a byte a colour, two for the ground truth."""
    pixels = INPUT_SIZE[0] * INPUT_SIZE[1]
    return sum(len(video.names) * pixels * (5 if video.has_truth else 3) for video in videos)


def without(source: Source, exclude: Iterable[str]) -> list[Source]:
    """Return what is left of a video when parts of it are left out.

    Args:
        source: the video.
        exclude: names of videos, or ``name:first-last`` for some frames of one.

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
    """Return the frames that an entry leaves out; all of them, if it only names the video."""
    found = re.fullmatch(r"[^:]+(?::(\d+)-(\d+))?", entry)
    if not found or (found[1] and int(found[1]) > int(found[2])):
        raise BadInput(f"exclude {entry!r}: a video's name, or name:first-last")
    return slice(int(found[1]), int(found[2]) + 1) if found[1] else slice(None)


def clip_frames(source: Source, clip: Clip) -> Image:
    """Return (16, 192, 256, 3) uint8 RGB of a clip, flipped if it says so."""
    return _facing(source.frames(clip.indices(source.count)), clip)


def clip_truth(source: Source, clip: Clip, wanted: slice = slice(None)) -> Map:
    """Return (n, 192, 256) float32: where people looked in the wanted ones of its sixteen frames, likewise."""
    return _facing(source.truth(clip.indices(source.count)[wanted]), clip)


def _facing(images: Image, clip: Clip) -> Image:
    return np.stack([cv2.flip(image, 1) for image in images]) if clip.flip else images


def clip_reach(step: int) -> int:
    """Return how many frames a clip's last one is from its first one."""
    return (CLIP_FRAMES - 1) * abs(step)


def clip_starts(count: int, step: int, every: int = 1) -> range:
    """Return where clips may begin so that all frames are in the video; one place if that is shorter than a clip."""
    reach = clip_reach(step)
    if count <= reach:
        first = count - 1 if step < 0 else min(count - CLIP_FRAMES, 0)
        return range(first, first + 1)
    return range(reach, count, every) if step < 0 else range(0, count - reach, every)


def resized(images: Image, size: tuple[int, int]) -> Image:
    """Pictures (n, h, w) or (n, h, w, C) of any type at another size (n, H, W[, C]), averaged where they shrink."""
    height, width = images.shape[1:3]
    if (height, width) == size:
        return images
    how = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, size[::-1], interpolation=how) for image in images])


VIEWS: dict[str, tuple[int, int]] = {"whole": INPUT_SIZE, "published": (200, 355)}
"""The size (H, W) that a frame is squashed to, aspect ignored, before its middle 192x256 are seen: all of it, as when a
model predicts; or the crop on which the published code validates."""


def seen(image: Image, view: str) -> Image:
    """Return what is seen of a frame (H, W, 3), in whole grey levels."""
    small = cv2.resize(image.astype(np.float32), VIEWS[view][::-1], interpolation=cv2.INTER_LINEAR)
    return np.rint(_middle(small)).astype(np.uint8)


def _density(video: Video, index: int, view: str) -> Map:
    """Return where people looked in what is seen, stretched to a maximum of 1; zero where that is not known."""
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
