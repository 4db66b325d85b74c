"""Write videos: H.264 in mp4, which every browser plays, with the sound of another video."""

import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
from av.container import InputContainer

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.video import open_media, picture_stream, probe
from tinyhd_lib.files import appears_whole

logger = logging.getLogger(__name__)

# FFmpeg's numbers for the colour space of OpenCV's RGB conversion; without them, players assume BT.709 for HD videos.
_SMPTE_170M, _LIMITED_RANGE = 6, 1
_LEAST_TICKS = 10_000  # a second
# Audio codecs that an mp4 can hold and every browser plays; any other is re-encoded as AAC.
_COPIED_CODECS = frozenset({"aac", "mp3", "mp3float"})


@dataclass
class VideoWriter(ExitStack):
    """A video that every browser plays: H.264, yuv420p, index in front; written atomically.

    Use it as a context manager; if an error ends the block, or no frame was written, no file is left.

    Args:
        path: of the .mp4 file.
        rate: frames per second, exact.
        sound_of: a video whose sound track is copied, if it has one.
        sound_from: seconds of that video's sound to skip at its beginning.
        pixel_aspect: a pixel's width over its height, as displayed.
        fragment: frames per fragment, each of which can be played alone after the head; None for a plain mp4.
    """

    path: Path
    rate: Fraction
    sound_of: Path | None = None
    pixel_aspect: Fraction = Fraction(1)
    fragment: int | None = field(default=None, kw_only=True)
    sound_from: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__init__()
        # Frames keep their own times, rounded to a tick; at a constant rate, exactly.
        self._ticks = self.rate.numerator * -(-_LEAST_TICKS // self.rate.numerator)
        self._last_tick = -1
        self._container: Any = None
        self._sound: AudioTrack | None = None

    def write(self, image: Image, time: float) -> None:
        """Append a frame, (H, W, 3) uint8 RGB, shown ``time`` seconds after the first."""
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._container is None:
            self._start(*image.shape[:2])
        tick = max(round(time * self._ticks), self._last_tick + 1)
        planes: Image = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = tick, self._stream.codec_context.time_base
        if self._sound:
            self._sound.mux_until(time)
        self._container.mux(self._stream.encode(frame))
        self._last_tick = tick

    def _start(self, height: int, width: int) -> None:
        flags, coding = "+faststart", {"preset": "superfast", "tune": "zerolatency", "crf": "20"}
        if self.fragment:
            flags, frames = "+frag_keyframe+empty_moov+default_base_moof", str(self.fragment)
            coding |= {"crf": "23", "g": frames, "keyint_min": frames, "sc_threshold": "0"}
        place = self.enter_context(appears_whole(self.path.absolute()))
        self._container = self.enter_context(av.open(str(place), "w", format="mp4", options={"movflags": flags}))
        self._stream = self._container.add_stream("libx264", rate=self.rate, options=coding)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.time_base, context.sample_aspect_ratio = Fraction(1, self._ticks), self.pixel_aspect
        context.colorspace, context.color_range = _SMPTE_170M, _LIMITED_RANGE
        if self.sound_of is not None and probe(self.sound_of).has_audio:
            try:
                source = self.enter_context(open_media(self.sound_of))
                self._sound = AudioTrack(source, self._container, fragmented=bool(self.fragment), start=self.sound_from)
            except (av.error.FFmpegError, ValueError) as error:
                logger.warning("%s: its sound cannot be taken over (%s)", self.sound_of, error)
        self.push(self._finish)

    def _finish(self, error: type[BaseException] | None, *_: object) -> None:
        """Flush the encoders and write the rest of the sound, unless an error ended the block."""
        if error is None:
            self._container.mux(self._stream.encode(None))
            if self._sound:
                self._sound.mux_until(float(Fraction(self._last_tick, self._ticks) + 1 / self.rate))
                self._sound.finish()


class AudioTrack:
    """The first sound track of ``source``, muxed into ``container`` in step with the pictures.

    Sound that cannot be read or written is left out, since the pictures matter more.

    Args:
        source: an open video with a sound track.
        container: the open output container.
        fragmented: whether the container consists of fragments.
        start: seconds after the source's first picture at which the sound starts.
    """

    def __init__(self, source: InputContainer, container: Any, *, fragmented: bool, start: float = 0.0) -> None:
        self._container = container
        heard, seen = source.streams.audio[0], picture_stream(source, source.name)
        self._fragmented = fragmented
        # Browsers that play MP3 in a plain mp4 may not play it in fragments.
        self._copied = heard.codec_context.name in ({"aac"} if fragmented else _COPIED_CODECS)
        if self._copied:
            self._stream = container.add_stream_from_template(heard)
        else:
            self._stream = container.add_stream("aac", rate=48000)
            # Some formats do not state a channel layout.
            self._stream.layout = "mono" if heard.codec_context.channels == 1 else "stereo"
        # Times in a video count from its first picture.
        self._offset = start + float((seen.start_time or 0) * (seen.time_base or 1))
        self._packets = _going_on(source, heard)
        self._next = next(self._packets, None)

    def mux_until(self, time: float) -> None:
        """Mux all sound that starts up to ``time`` seconds after the first picture."""
        try:
            while self._next is not None and float(self._next.pts * self._next.time_base) - self._offset <= time:
                self._mux(self._next)
                self._next = next(self._packets, None)
        except av.error.FFmpegError as error:
            logger.warning("the sound could not be taken over whole (%s)", error.strerror)
            self._next = None

    def finish(self) -> None:
        """Flush the sound's encoder."""
        if not self._copied and self._stream.codec_context.is_open:
            self._container.mux(self._stream.encode(None))

    def _mux(self, packet: Any) -> None:
        shift = round(self._offset / packet.time_base)
        if packet.pts < shift:
            return
        if self._copied:
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._stream
            self._container.mux(packet)
            return
        for frame in packet.decode():
            frame.pts -= round(self._offset / frame.time_base)
            # Fragments cannot start before 0: the encoder's priming packets would shift all pictures.
            self._container.mux([p for p in self._stream.encode(frame) if p.pts >= 0 or not self._fragmented])


def _going_on(source: InputContainer, heard: Any) -> Iterator[Any]:
    """Yield the packets of a sound track with increasing times: in joined recordings, times restart in the middle."""
    last = -math.inf
    with suppress(av.error.FFmpegError):  # the sound of a damaged video ends where its reading does
        for packet in source.demux(heard):
            if packet.pts is not None and packet.pts > last:
                last = packet.pts
                yield packet
