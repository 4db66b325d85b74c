"""Opening a media file, whatever text its metadata holds."""

from pathlib import Path

import av
from av.container import InputContainer

# From PyAV 19 on, text that is no UTF-8 is replaced by itself; before, only if asked.
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_media(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        av.error.FFmpegError: it is no media file.
        OSError: it cannot be read.
    """
    return av.open(str(path.absolute()), **_LENIENT)  # type: ignore[call-overload, no-any-return, unused-ignore]
