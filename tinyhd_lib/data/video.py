"""Reading videos: anything that FFmpeg reads, or a folder of frames."""

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
"""Frames a second of a folder of frames, and of a video that does not say."""

VIDEO_SUFFIXES = frozenset(
    {".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".ogv", ".3gp"}
)
"""Of the files that are taken for videos where a folder is searched; any other that FFmpeg reads can be named."""

# Seconds by which a video may end earlier than it says before it is called damaged.
_LATE_END = 0.5
# Seconds that no picture of a transport stream stands: where its clock jumps further, recordings were joined.
_LONGEST_STILL = 10.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself, before it is decoded.

    Attributes:
        codec: such as ``h264``; ``images`` for a folder of frames.
        rate: mean frames a second, exact.
        frames: how many it promises, None if it does not say.
        frame_bytes: of a decoded RGB frame.
        has_audio: whether there is a sound track.
        pixel_aspect: width of a pixel to its height, where it is shown.
        tone: what a high dynamic range is stored as, ``PQ`` or ``HLG``, which is mapped to the usual range; or None.
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
        image: (H, W, 3) uint8 RGB, turned upright where the video says how.
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
    """Return how many frames a video has by its packets, for its header may count others; had, if it was cut off.

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
    """Return the mean rate; one that is too precise for a video's clock, as phones write it, to the nearest fit."""
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    return rate if max(rate.numerator, rate.denominator) < 2**29 else rate.limit_denominator(1001)


def read_frames(path: str | Path, *, strict: bool = False) -> Iterator[Frame]:
    """Decode a video from start to end, once, one frame at a time.

    Of a damaged video the frames that decode are given, and a warning says how many they are.

    Args:
        path: a video file or a folder of images.
        strict: refuse a damaged video instead, where a frame's number must be right: after the damage it cannot be.

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
        # A file that was cut off ends without an error.
        end = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else _tagged_end(stream)
        promised, cut = _by_table(path, container, stream, damage.packets)
        early = not (promised or _may_jump(container)) and end - time - 1 / float(_rate(stream)) > _LATE_END
        damage.report(count, promised, cut=cut or early)


def _by_table(path: Path, container: InputContainer, stream: VideoStream, packets: int) -> tuple[int, bool]:
    """Return how many frames the table of an AVI or MP4 promises, and whether the file ends before them.

    0 for other files, whose tables do not tell.
    """
    if "mov" in container.format.name:  # its header counts what an edit list leaves out, too
        promised = len(getattr(stream, "index_entries", ())) or stream.frames
        return promised, packets < promised
    if container.format.name != "avi":
        return 0, False
    with path.open("rb") as file:  # frames that show nothing new have no packet, so that these do not tell
        return stream.frames, int.from_bytes(file.read(8)[4:], "little") + 8 > path.stat().st_size


def _may_jump(container: InputContainer) -> bool:
    """Return whether a container's clock may begin anew in the middle, as a transport stream's does."""
    return bool(Flags(container.format.flags) & Flags.ts_discont)


def _timed(container: InputContainer, stream: VideoStream, damage: "Damage") -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield every frame that decodes, with the seconds from the first one to it.

    AVI stores no times of presentation: FFmpeg guesses them, out of order where there are B-frames. But its packets
    have slots in time, and frames are shown in as many. Of joined recordings, the later ones go on where the earlier
    ended.
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
    """What is met on the way through a video: a packet or image that does not decode is passed over, or refused.

    Attributes:
        path: of the video.
        strict: whether to refuse.
        packets: how many were read.
        errors: how many did not decode.
        slots: when packets with something in them are due, in the stream's clock, as far as nobody took them.
    """

    path: Path
    strict: bool
    packets: int = 0
    errors: int = 0
    slots: deque[int] = field(default_factory=partial(deque, maxlen=4096))

    @contextmanager
    def passed_over(self, kind: type[Exception] = av.error.FFmpegError, what: str = "") -> Iterator[None]:
        """End a block at what does not decode, and count that.

        Args:
            kind: of error that says so.
            what: does not decode, if it is not just a part of the video.

        Raises:
            BadInput: it is to be refused.
        """
        try:
            yield
        except kind as error:
            self.errors += 1
            if self.strict:
                what = what or f"{self.path}: damaged, a part of it"
                raise BadInput(f"{what} does not decode; fetch or make it anew") from error

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


def decode(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[av.VideoFrame]:
    """Yield every frame that decodes: a packet that does not is passed over, a stream that breaks off just ends."""
    with damage.passed_over():
        for packet in container.demux(stream):
            damage.packets += packet.size > 0
            if packet.size and packet.dts is not None:
                damage.slots.append(packet.dts)
            with damage.passed_over():
                yield from packet.decode()


def _tagged_end(stream: VideoStream) -> float:
    """Return the length in seconds that Matroska notes as a tag, 0 if there is none."""
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
    """Return whether a file is called like a video; those that begin with a dot are some system's own."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def holds_images(folder: Path) -> bool:
    """Return whether a folder is a video: it holds images."""
    return any(map(is_image, folder.iterdir()))


# From PyAV 19 on, text that is no UTF-8 is replaced by itself; before, only if asked.
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_media(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        av.error.FFmpegError: it is no media file.
        OSError: it cannot be read.
    """
    return av.open(str(path.absolute()), **_LENIENT)  # type: ignore[call-overload, no-any-return, unused-ignore]


def picture_stream(container: InputContainer, name: object) -> VideoStream:
    """Return the moving pictures of a file that are shown by default, not the cover of a sound recording.

    Raises:
        BadInput: there are none; the message has the name.
    """
    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        raise BadInput(f"{name}: no picture in it, only sound")
    return min(streams, key=lambda each: not each.disposition & Disposition.default)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video; what it holds, and its pictures.

    Raises:
        BadInput: it is missing, empty, unreadable, no video, has no picture, or one that cannot be decoded here.
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
