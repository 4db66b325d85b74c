"""Opening a media file, whatever text its metadata holds."""

from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

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
    """The moving pictures of a file, not the cover of a sound recording; None if it has none."""
    streams = container.streams.video
    return next((each for each in streams if not each.disposition & each.disposition.attached_pic), None)
