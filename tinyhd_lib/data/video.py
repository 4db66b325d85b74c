"""Read videos: anything that FFmpeg reads, or a folder of frames."""

import logging
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition
from av.video.stream import VideoStream

from tinyhd_lib.data.images import TONES, Upright, check_shape, images_in, is_image, read_colours
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.errors import BadInput, refusing

logger = logging.getLogger(__name__)

DEFAULT_RATE = Fraction(25)
"""Frame rate of a folder of frames, and of a video that does not state its own."""

VIDEO_SUFFIXES = frozenset(
    {".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".ogv", ".3gp"}
)
"""Suffixes by which videos are found in folders; any other file that FFmpeg reads can be named."""

# Seconds by which a video may end before its stated end without being called damaged.
_LATE_END = 0.5
# Longest time in seconds that a picture of a transport stream lasts: a larger jump joins two recordings.
_LONGEST_STILL = 10.0


@dataclass(frozen=True)
class VideoInfo:
    """The header of a video, known before it is decoded.

    Attributes:
        codec: such as ``h264``; ``images`` for a folder of frames.
        rate: mean frames per second, exact.
        frames: stated number of frames, None if not stated.
        frame_bytes: size of a decoded RGB frame.
        has_audio: whether there is a sound track.
        pixel_aspect: a pixel's width over its height, as displayed.
        tone: transfer curve of an HDR video, ``PQ`` or ``HLG``, which is tone-mapped; None for others.
    """

    codec: str
    rate: Fraction
    frames: int | None
    frame_bytes: int
    has_audio: bool
    pixel_aspect: Fraction = Fraction(1)
    tone: str | None = None


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        index: counted from 0 among the frames that decode.
        time: seconds since the first frame.
        image: (H, W, 3) uint8 RGB, rotated upright as the video's metadata say.
    """

    index: int
    time: float
    image: Image


def probe(path: str | Path) -> VideoInfo:
    """Open a video without decoding it.

    Raises:
        BadInput: it is missing, empty, unreadable, no video, or has no picture.
    """
    path = Path(path)
    if path.is_dir():
        first = next(read_frames(path)).image
        return VideoInfo("images", DEFAULT_RATE, len(images_in(path)), first.nbytes, has_audio=False)
    with open_video(path) as (container, stream):
        context = stream.codec_context
        return VideoInfo(
            codec=context.name,
            rate=_rate(stream),
            frames=stream.frames or None,
            frame_bytes=max(1, context.width * context.height * 3),
            has_audio=bool(container.streams.audio),
            pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
            tone=TONES.get(context.color_trc),
        )


def count_frames_in(path: Path) -> int:
    """Return the number of frames by a video's packets, since headers may be wrong; if it is truncated, as promised.

    Raises:
        BadInput: as `probe`.
    """
    if path.is_dir():
        return len(images_in(path))
    with open_video(path) as (container, stream):
        packets = [packet.is_discard for packet in container.demux(stream) if packet.size]
        promised, cut = _by_table(path, container, stream, len(packets))
        return promised if cut else packets.count(False)


def source_files(path: Path) -> list[Path]:
    """Return the file of a video, or the images of a folder of frames, in order."""
    return images_in(path) if path.is_dir() else [path]


def _rate(stream: VideoStream) -> Fraction:
    """Return the mean rate; rates too precise for a video's time base, as phones write them, are rounded."""
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    return rate if max(rate.numerator, rate.denominator) < 2**29 else rate.limit_denominator(1001)


def read_frames(path: str | Path, *, strict: bool = False) -> Iterator[Frame]:
    """Decode a video from start to end, once, one frame at a time.

    Of a damaged video, the frames that decode are yielded, and a warning says how many they are.

    Args:
        path: a video file or a folder of images.
        strict: refuse a damaged video instead, for callers that need correct indices: after the damage they are not.

    Raises:
        BadInput: as `probe`; or no frame decodes; or the images of a folder differ in size; or it is damaged.
    """
    path = Path(path)
    damage = Damage(path, strict)
    return _read_folder(path, damage) if path.is_dir() else _read_video(path, damage)


def _read_video(path: Path, damage: "Damage") -> Iterator[Frame]:
    with open_video(path) as (container, stream):
        upright, count, time = Upright(), 0, 0.0
        for decoded, time in _timed(container, stream, damage):
            with damage.passed_over():
                yield Frame(count, time, upright(decoded))
                count += 1
        # A truncated file ends without an error.
        end = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else _tagged_end(stream)
        promised, cut = _by_table(path, container, stream, damage.packets)
        early = not (promised or _may_jump(container)) and end - time - 1 / float(_rate(stream)) > _LATE_END
        damage.report(count, promised, cut=cut or early)


def _by_table(path: Path, container: InputContainer, stream: VideoStream, packets: int) -> tuple[int, bool]:
    """Return how many frames the index of an AVI or MP4 promises, and whether the file ends before them.

    0 for other files, which have no such index.
    """
    if "mov" in container.format.name:  # its header also counts frames that an edit list leaves out
        promised = len(getattr(stream, "index_entries", ())) or stream.frames
        return promised, packets < promised
    if container.format.name != "avi":
        return 0, False
    with path.open("rb") as file:  # repeated frames have no packet, so packets cannot be counted
        return stream.frames, int.from_bytes(file.read(8)[4:], "little") + 8 > path.stat().st_size


def _may_jump(container: InputContainer) -> bool:
    """Return whether a container's clock may restart in the middle, as a transport stream's does."""
    return bool(Flags(container.format.flags) & Flags.ts_discont)


def _timed(container: InputContainer, stream: VideoStream, damage: "Damage") -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield every frame that decodes, with its time in seconds since the first one.

    AVI stores no presentation times: FFmpeg guesses them, out of order if there are B-frames. But its packets have time
    slots, and frames are shown in these, in order. Joined recordings are timed one after the other.
    """
    period, base = 1 / float(_rate(stream)), float(stream.time_base or 1)
    in_slots, joined = container.format.name == "avi", _may_jump(container)
    start, time = None, -period
    for decoded in decode(container, stream, damage):
        given = (damage.slots.popleft() * base if damage.slots else None) if in_slots else decoded.time
        start = given or 0.0 if start is None else start
        step = period if given is None else given - start - time
        if step <= 0 or (joined and step > _LONGEST_STILL):
            start, step = start + step - period, period
        time = max(time + step, 0.0)
        yield decoded, time


@dataclass
class Damage:
    """The damage found while reading a video: a packet or image that does not decode is skipped, or refused.

    Attributes:
        path: of the video.
        strict: whether to refuse.
        packets: number of packets read.
        errors: number of packets or images that did not decode.
        slots: time slots of non-empty packets, in the stream's time base, that no frame has taken yet.
    """

    path: Path
    strict: bool
    packets: int = 0
    errors: int = 0
    slots: deque[int] = field(default_factory=partial(deque, maxlen=4096))

    @contextmanager
    def passed_over(self, kind: type[Exception] = av.error.FFmpegError, what: str = "") -> Iterator[None]:
        """Leave a block at a decoding error, and count it.

        Args:
            kind: the type of that error.
            what: subject of the message, if it is not just a part of the video.

        Raises:
            BadInput: there was an error, and damage is refused.
        """
        try:
            yield
        except kind as error:
            self.errors += 1
            if self.strict:
                what = what or f"{self.path}: damaged, a part of it"
                raise BadInput(f"{what} does not decode; fetch or make it anew") from error

    def report(self, count: int, promised: int, *, cut: bool = False) -> None:
        """Log at the end how many frames of a damaged video were kept.

        Raises:
            BadInput: there are none, or damage is refused.
        """
        if not count:
            raise BadInput(f"{self.path}: damaged, none of its frames can be decoded")
        if not (self.errors or cut):
            return
        whole = f"{count} of its {promised}" if promised else f"only {count}"
        if self.strict:
            raise BadInput(f"{self.path}: damaged, {whole} frames can be decoded; fetch or make it anew")
        logger.warning("%s: damaged, %s frames can be decoded and were kept", self.path, whole)


def decode(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[av.VideoFrame]:
    """Yield every frame that decodes: bad packets are skipped, and a stream that breaks off just ends."""
    with damage.passed_over():
        for packet in container.demux(stream):
            damage.packets += packet.size > 0
            if packet.size and packet.dts is not None:
                damage.slots.append(packet.dts)
            with damage.passed_over():
                yield from packet.decode()


def _tagged_end(stream: VideoStream) -> float:
    """Return the duration in seconds that Matroska stores as a tag, 0 if there is none."""
    found = re.match(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3]) if found else 0.0


def _read_folder(folder: Path, damage: Damage) -> Iterator[Frame]:
    paths = images_in(folder)
    shape, count = None, 0
    for path in paths:
        image = None
        with damage.passed_over(BadInput, f"{path}: this image"):
            image = read_colours(path)
        if image is not None:
            shape = check_shape(path, image, shape)
            yield Frame(count, count / float(DEFAULT_RATE), image)
            count += 1
    damage.report(count, len(paths))


def is_video(path: Path) -> bool:
    """Return whether a file is named like a video; names that begin with a dot belong to the system."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def holds_images(folder: Path) -> bool:
    """Return whether a folder is a video: it holds images."""
    return any(map(is_image, folder.iterdir()))


# From PyAV 19 on, metadata that are not UTF-8 are replaced by default; before, only on request.
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_media(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        av.error.FFmpegError: it is no media file.
        OSError: it cannot be read.
    """
    return av.open(str(path.absolute()), **_LENIENT)  # type: ignore[call-overload, no-any-return, unused-ignore]


def picture_stream(container: InputContainer, name: object) -> VideoStream:
    """Return a file's default video stream, ignoring the cover picture of a sound recording.

    Raises:
        BadInput: there is none; the message has the name.
    """
    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        raise BadInput(f"{name}: no picture in it, only sound")
    return min(streams, key=lambda each: not each.disposition & Disposition.default)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video; yield its container and its video stream.

    Raises:
        BadInput: it is missing, empty, unreadable, no video, has no picture, or its codec is not supported here.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    if not path.is_file():
        raise BadInput(f"{path}: neither a file nor a folder")
    if not path.stat().st_size:
        raise BadInput(f"{path}: the file is empty")
    with refusing(f"{path}: not a video that can be read", av.error.FFmpegError, OSError):
        container = open_media(path)
    with container:
        stream = picture_stream(container, path)
        if stream.codec_context is None or not stream.codec_context.width:
            raise BadInput(f"{path}: its pictures cannot be decoded here; convert it, to H.264 for example")
        stream.thread_type = "AUTO"
        yield container, stream
