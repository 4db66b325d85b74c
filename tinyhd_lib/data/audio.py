"""The sound track of a film: taken over from another video, packet by packet, as the pictures arrive."""

import logging
from pathlib import Path
from typing import Any

import av

from tinyhd_lib.data.media import open_media, picture_stream

logger = logging.getLogger(__name__)

# What an mp4 holds and every browser plays; any other codec is encoded anew as AAC.
_COPIED_CODECS = frozenset({"aac", "mp3", "mp3float"})
_AAC_RATE = 48000


class AudioTrack:
    """The first sound track of ``source``, muxed into ``film`` in step with the pictures.

    Sound that cannot be read or written is left out: the pictures matter more.

    Args:
        source: a video with a sound track.
        film: the open output container.
    """

    def __init__(self, source: Path, film: Any) -> None:
        self._source = open_media(source)
        self._film = film
        heard, seen = self._source.streams.audio[0], picture_stream(self._source)
        self._copied = heard.codec_context.name in _COPIED_CODECS
        if self._copied:
            self._stream = film.add_stream_from_template(heard)
        else:
            self._stream = film.add_stream("aac", rate=_AAC_RATE)
            # Some formats do not say where their channels belong.
            self._stream.layout = "mono" if heard.codec_context.channels == 1 else "stereo"
        # Times in a film count from its first picture.
        self._offset = float((seen.start_time or 0) * (seen.time_base or 1)) if seen else 0.0
        self._last = float("-inf")
        self._packets = self._source.demux(heard)
        self._next = self._advance()

    def mux_until(self, time: float) -> None:
        """Mux all sound that starts up to ``time`` seconds after the first picture."""
        while self._next is not None and float(self._next.pts * self._next.time_base) - self._offset <= time:
            try:
                self._mux(self._next)
            except av.error.FFmpegError as error:
                logger.warning("the sound could not be taken over whole (%s)", error.strerror)
                self._next = None
                return
            self._next = self._advance()

    def finish(self) -> None:
        """Write what an encoder still holds."""
        if not self._copied and self._stream.codec_context.is_open:
            self._film.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _advance(self) -> Any:
        """The next packet whose time goes on; joined recordings begin anew in the middle."""
        try:
            for packet in self._packets:
                if packet.pts is not None and packet.pts > self._last:
                    self._last = packet.pts
                    return packet
        except av.error.FFmpegError:  # the sound of a damaged video ends where its reading does
            pass
        return None

    def _mux(self, packet: Any) -> None:
        shift = round(self._offset / packet.time_base)
        if packet.pts < shift:
            return
        if self._copied:
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._stream
            self._film.mux(packet)
            return
        for frame in packet.decode():
            frame.pts -= round(self._offset / frame.time_base)
            self._film.mux(self._stream.encode(frame))


def open_sound(source: Path, film: Any) -> AudioTrack | None:
    """The sound track of ``source`` for ``film``, None if it cannot be taken over."""
    try:
        return AudioTrack(source, film)
    except (av.error.FFmpegError, ValueError) as error:
        logger.warning("%s: its sound cannot be taken over (%s)", source, error)
        return None
