"""Reading videos: anything that FFmpeg reads, or a folder of frames."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from tinyhd_lib.data.images import decode_image, is_image, number_order
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.errors import BadInput

logger = logging.getLogger(__name__)

DEFAULT_RATE = Fraction(25)
"""Frames a second of a folder of frames, and of a video that does not say."""

VIDEO_SUFFIXES = frozenset(
    {".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".ogv", ".3gp"}
)
"""Of the files that are taken for videos where a folder is searched; any other that FFmpeg reads can be named."""

TICKS_PER_FRAME = 4
"""A written video's clock ticks four times a frame: exact for a constant rate, and near enough for a variable one."""

# Seconds by which a video may end earlier than it says before it is called damaged.
_LATE_END = 0.5


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself, before it is decoded.

    Attributes:
        codec: such as ``h264``; ``images`` for a folder of frames.
        rate: mean frames a second, exact.
        frames: how many it promises, None if it does not say.
        frame_bytes: of a decoded RGB frame.
        has_audio: whether there is a sound track.
    """

    codec: str
    rate: Fraction
    frames: int | None
    frame_bytes: int
    has_audio: bool


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        index: counted from 0 among the frames that decode.
        time: seconds since the first frame.
        image: (H, W, 3) uint8 RGB, turned upright where the video says how.
    """

    index: int
    time: float
    image: Image


def probe(path: Path) -> VideoInfo:
    """Open a video without decoding it.

    Raises:
        BadInput: it is missing, empty, unreadable, no video, or has no picture.
    """
    if path.is_dir():
        images = _images(path)
        height, width = next(read_frames(path)).image.shape[:2]
        return VideoInfo("images", DEFAULT_RATE, len(images), height * width * 3, has_audio=False)
    with _open(path) as container:
        stream = _picture_stream(container, path)
        context = stream.codec_context
        return VideoInfo(
            codec=context.name,
            rate=_rate(stream),
            frames=stream.frames or None,
            frame_bytes=max(1, context.width * context.height * 3),
            has_audio=bool(container.streams.audio),
        )


def count_frames_in(path: Path) -> int:
    """Return how many frames a video promises; counted without decoding them, if it does not say.

    Raises:
        BadInput: as `probe`.
    """
    if path.is_dir():
        return len(_images(path))
    with _open(path) as container:
        stream = _picture_stream(container, path)
        return stream.frames or sum(packet.size > 0 for packet in container.demux(stream))


def source_files(path: Path) -> list[Path]:
    """Return the file of a video, or the images of a folder of frames, in order."""
    return _images(path) if path.is_dir() else [path]


def _rate(stream: VideoStream) -> Fraction:
    """Return the mean rate; one that is too precise for a video's clock, as phones write it, to the nearest fit."""
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    fits = max(rate.numerator, rate.denominator) * TICKS_PER_FRAME < 2**31
    return rate if fits else rate.limit_denominator(1001)


def read_frames(path: Path, *, strict: bool = False) -> Iterator[Frame]:
    """Decode a video from start to end, once, one frame at a time.

    Of a damaged video the frames that decode are given, and a warning says how many they are.

    Args:
        path: a video file or a folder of images.
        strict: refuse a damaged video instead, where a frame's number must be right: after the damage it cannot be.

    Raises:
        BadInput: as `probe`; or no frame decodes; or the images of a folder differ in size; or it is damaged.
    """
    damage = _Damage(path, strict)
    return _read_folder(path, damage) if path.is_dir() else _read_video(path, damage)


def _read_video(path: Path, damage: "_Damage") -> Iterator[Frame]:
    with _open(path) as container:
        stream = _picture_stream(container, path)
        stream.thread_type = "AUTO"
        period = 1 / float(_rate(stream))
        # AVI stores no presentation times: FFmpeg guesses them, out of order where there are B-frames.
        timed = container.format.name != "avi"
        count, start, size = 0, 0.0, (0, 0)
        for decoded in _decode(container, stream, damage):
            if not count:
                start, size = decoded.time or 0.0, (decoded.width, decoded.height)
            time = decoded.time - start if timed and decoded.time is not None else count * period
            # Some streams change their size half-way: the first frame decides.
            yield Frame(count, time, upright(decoded, size))
            count += 1
        # A file that was cut off ends without an error: fewer packets than its header promises, or far too early.
        end = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else _tagged_end(stream)
        cut = damage.packets < stream.frames or (not stream.frames and end - count * period > _LATE_END)
        damage.report(count, stream.frames, cut=cut)


def upright(decoded: av.VideoFrame, size: tuple[int, int]) -> Image:
    """Return a decoded frame as (H, W, 3) uint8 RGB, brought to (width, height) and then turned as the video says."""
    image: Image = decoded.to_ndarray(format="rgb24", width=size[0], height=size[1])
    turns = round(decoded.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


@dataclass
class _Damage:
    """What is met on the way through a video: a packet or image that does not decode is passed over, or refused.

    Attributes:
        path: of the video.
        strict: whether to refuse.
        packets: how many were read.
        errors: how many did not decode.
    """

    path: Path
    strict: bool
    packets: int = 0
    errors: int = 0

    def meet(self, what: str) -> None:
        """Count something that does not decode.

        Raises:
            BadInput: it is to be refused.
        """
        self.errors += 1
        if self.strict:
            raise BadInput(f"{what} does not decode; fetch or make it anew")

    def report(self, count: int, promised: int, *, cut: bool = False) -> None:
        """Say at the end how many frames were kept.

        Raises:
            BadInput: there are none, or a part is to be refused.
        """
        if not count:
            raise BadInput(f"{self.path}: damaged, none of its frames can be decoded")
        if not (self.errors or cut):
            return
        whole = f"{count} of its {promised}" if promised else f"only {count}"
        if self.strict:
            raise BadInput(f"{self.path}: damaged, {whole} frames can be decoded; fetch or make it anew")
        logger.warning("%s: damaged, %s frames can be decoded and were kept", self.path, whole)


def _decode(container: InputContainer, stream: VideoStream, damage: _Damage) -> Iterator[av.VideoFrame]:
    """Yield every frame that decodes: a packet that does not is passed over, a stream that breaks off just ends."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            damage.meet(f"{damage.path}: damaged, a part of it")
            return
        if packet is None:
            return
        damage.packets += packet.size > 0
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            damage.meet(f"{damage.path}: damaged, a part of it")


def _tagged_end(stream: VideoStream) -> float:
    """Return the length in seconds that Matroska notes as a tag, 0 if there is none."""
    found = re.match(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3]) if found else 0.0


def _read_folder(folder: Path, damage: _Damage) -> Iterator[Frame]:
    paths = _images(folder)
    shape, count = None, 0
    for path in paths:
        image = decode_image(path, cv2.IMREAD_COLOR)
        if image is None:
            damage.meet(f"{path}: this image")
            continue
        if shape not in (None, image.shape):
            raise BadInput(
                f"{path}: {image.shape[1]}x{image.shape[0]}, but the images before it are {shape[1]}x{shape[0]}"
            )
        shape = image.shape
        yield Frame(count, count / float(DEFAULT_RATE), cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        count += 1
    damage.report(count, len(paths))


def holds_images(folder: Path) -> bool:
    """Return whether a folder is a video: it holds images."""
    return any(is_image(path) and not path.name.startswith(".") for path in folder.iterdir())


def _images(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of their numbers."""
    try:
        images = [path for path in folder.iterdir() if is_image(path) and path.is_file()]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror})") from error
    if not images:
        raise BadInput(f"{folder}: no images in this folder, and no video is a folder")
    return sorted(images, key=number_order)


# From PyAV 19 on, text that is no UTF-8 is replaced by itself; before, only if asked.
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_media(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        av.error.FFmpegError: it is no media file.
        OSError: it cannot be read.
    """
    return av.open(str(path.absolute()), **_LENIENT)  # type: ignore[call-overload, no-any-return, unused-ignore]


def picture_stream(container: InputContainer) -> VideoStream | None:
    """Return the moving pictures of a file, not the cover of a sound recording; None if it has none."""
    streams = container.streams.video
    return next((each for each in streams if not each.disposition & each.disposition.attached_pic), None)


def _open(path: Path) -> InputContainer:
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    if path.is_file() and not path.stat().st_size:
        raise BadInput(f"{path}: the file is empty")
    try:
        return open_media(path)
    except (av.error.FFmpegError, OSError) as error:
        raise BadInput(f"{path}: not a video that can be read ({error.strerror})") from error


def _picture_stream(container: InputContainer, path: Path) -> VideoStream:
    stream = picture_stream(container)
    if stream is None:
        raise BadInput(f"{path}: no picture in it, only sound")
    return stream
