"""Random access to the frames of a video by their index in `read_frames`, without decoding all that precede."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock

import av
import cv2

from tinyhd_lib.data.images import Upright, read_colours
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.video import Damage, decode, open_video, probe, read_frames, source_files
from tinyhd_lib.errors import BadInput

# Frames further ahead than this are reached by seeking to a key frame; nearer ones by decoding up to them.
_NEAR = 48
# Frames before the wanted one that are kept when they are decoded on the way, for stepping backwards.
_BEHIND = 24


class VideoReader(ExitStack):
    """A video whose frames are read in any order; the latest ones are kept in a bounded cache.

    Use it as a context manager, or `close` it. Frames are sought by their presentation times. If these are missing or
    unreliable, or the video is damaged, frames are counted from the start instead: correct, but slow backwards.

    Args:
        path: a video file or a folder of images.
        frames: number of frames that decode, if known: a video that promises another number is damaged.
        width: maximum width of the pictures; larger ones are scaled down. None for their own.

    Attributes:
        count: number of frames.
        times: time of each frame, in seconds since the first.
        keys: indices of the key frames, as far as they are known.

    Raises:
        BadInput: as `tinyhd_lib.data.video.probe`.
    """

    def __init__(self, path: Path, frames: int | None = None, width: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.rate = probe(path).rate
        self._width = width
        self._most = 128 * 2**20  # bytes that are kept
        self._kept: OrderedDict[int, Image] = OrderedDict()
        self.callback(self._kept.clear)
        self._lock = Lock()
        self._images = source_files(path) if path.is_dir() else []
        marks, self.keys = ({}, []) if self._images else _marks(path)
        if frames not in {None, len(marks)}:
            marks, self.keys = {}, []
        if self._images:
            self.times = [n / float(self.rate) for n in range(len(self._images))]
        else:
            self.times = list(marks.values()) or [frame.time for frame in read_frames(path)]
        self.count = min(frames or len(self.times), len(self.times))
        self._video = None if self._images else self.enter_context(_OpenVideo(path, list(marks)))

    def __getitem__(self, index: int) -> Image:
        """Return a frame, (H, W, 3) uint8 RGB, upright.

        Raises:
            IndexError: there is no such frame.
            BadInput: it does not decode.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path}: frame {index} of {self.count}")
        with self._lock:  # a viewer's threads share one reader
            if index not in self._kept:
                self._fetch(index)
            self._kept.move_to_end(index)
            return self._kept[index]

    def _fetch(self, index: int) -> None:
        if self._video is None:
            self._keep(index, narrowed(read_colours(self._images[index]), self._width))
            return
        passed = self._video.until(index)
        with suppress(av.error.FFmpegError):
            for number, decoded in passed.items():
                self._keep(number, narrowed(self._video.upright(decoded), self._width))
        if index not in self._kept:
            raise BadInput(f"{self.path}: damaged, frame {index} does not decode; fetch or make it anew")

    def _keep(self, index: int, image: Image) -> None:
        self._kept[index] = image
        held = sum(each.nbytes for each in self._kept.values())
        while held > self._most and len(self._kept) > 1:
            held -= self._kept.popitem(last=False)[1].nbytes


class _OpenVideo(ExitStack):
    """An open video with its decoding position.

    Args:
        path: of the video.
        marks: presentation time of each frame, in the video's time base; empty to count frames from the start.
    """

    def __init__(self, path: Path, marks: list[int]) -> None:
        super().__init__()
        self._path, self._marks = path, marks
        self._numbers: dict[int | None, int] = {mark: number for number, mark in enumerate(marks)}
        self.upright = Upright()
        self._open()
        if marks:
            self.upright(next(self._frames))  # its size is used for all frames
            self._next = 1

    def _open(self) -> None:
        self.close()
        self._container, self._stream = self.enter_context(open_video(self._path))
        self._frames = self._decoded()
        self._next = 0

    def until(self, index: int) -> dict[int, av.VideoFrame]:
        """Return the wanted frame, if it decodes, with some of the frames that were decoded on the way to it."""
        sought = bool(self._marks) and not self._next <= index < self._next + _NEAR
        if sought:
            self._container.seek(self._marks[index], stream=self._stream, backward=True)
            self._frames = self._decoded()
        elif index < self._next:
            self._open()
        passed: dict[int, av.VideoFrame] = {}
        for decoded in self._frames:
            number = self._numbers.get(decoded.pts) if self._marks else self._next
            # After a seek, frames that refer to earlier ones decode wrongly until a key frame.
            if number is None or number > index or (sought and not decoded.key_frame):
                self._marks = []  # unreliable: from now on, frames are counted
                self._open()
                return self.until(index)
            self._next, sought = number + 1, False
            if number >= index - _BEHIND:
                passed[number] = decoded
            if number == index:
                break
        return passed

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Yield the frames that decode from the current position on."""
        return decode(self._container, self._stream, Damage(self._path, strict=False))


def _marks(path: Path) -> tuple[dict[int, float], list[int]]:
    """Return the presentation times of a video's packets, in order; empty if they are unreliable.

    Returns:
        seconds since the first frame, by times in the video's time base; and the indices of the key frames.
    """
    with open_video(path) as (container, stream):
        # Not the packets themselves, which together hold the whole video.
        packets = [(p.pts, p.dts, p.is_keyframe, p.is_discard) for p in container.demux(stream) if p.size]
        shown = [pts for pts, _, _, is_discard in packets if not is_discard]
        known = sorted(time for time in shown if time is not None)
        decoded = [dts for _, dts, _, _ in packets if dts is not None]
        # AVI stores no presentation times: FFmpeg guesses them, wrongly where there are B-frames.
        guessed = container.format.name == "avi" and (stream.codec_context.has_b_frames or known != shown)
        if guessed or len(set(known)) < len(shown) or decoded != sorted(decoded) or not stream.time_base:
            return {}, []
        keys = {pts for pts, _, is_key, _ in packets if is_key}
        seconds = {time: float((time - known[0]) * stream.time_base) for time in known}
        return seconds, [number for number, time in enumerate(known) if time in keys]


def narrowed(image: Image, width: int | None) -> Image:
    """Return a picture scaled down to at most this width, keeping its aspect; unchanged if None."""
    if width is None or image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
