"""A video as a browser plays it from any frame on: H.264 in fragments, made once and kept in the cache.

Every video takes this way, those that a browser would play as they are too: its frames are then the ones that the
model saw, upright, at their own times, and small enough to be sent to a notebook while it plays.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.reader import VideoReader, narrowed
from tinyhd_lib.data.video import read_frames, source_files
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.files import digest_of, fingerprint

CHUNK = 64
"""Frames of a part, of the video and of everything else."""

_FRAGMENT = 16  # frames between two that can be sought
_WIDEST = 1280
_CACHE = Cache("videos", version=3, most_bytes=4 * 2**30)


class BrowserVideo(NamedTuple):
    """A fragmented mp4 and where its parts lie.

    Attributes:
        path: of the file.
        starts: where the head begins that describes all chunks, where each of them does, and where the last one ends.
    """

    path: Path
    starts: list[int]

    def part(self, chunk: int) -> bytes:
        """Return the bytes of a chunk of frames; -1 for the head.

        Raises:
            IndexError: there is no such chunk.
        """
        start, end = self.starts[chunk + 1], self.starts[chunk + 2]
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


def browser_video(reader: VideoReader, width: int, told: Callable[[int, int], None]) -> BrowserVideo:
    """Return a video for browsers, with its sound; made if it is not in the cache.

    Args:
        reader: of the video.
        width: of its pictures, at most.
        told: called with the number of frames that are done, and that of all.
    """

    def write(path: Path) -> None:
        with VideoWriter(path, reader.rate, reader.path, fragment=_FRAGMENT) as writer:
            for frame in islice(read_frames(reader.path), reader.count):
                writer.write(narrowed(frame.image, width), reader.times[frame.index])
                told(frame.index + 1, reader.count)

    width = min(width, _WIDEST)
    key = digest_of(fingerprint(source_files(reader.path)), str(width), str(reader.count))
    return _parsed(_CACHE.file(key, write))


def _parsed(path: Path) -> BrowserVideo:
    """Find the chunks of a fragmented mp4: boxes of a length and a name of four bytes each."""
    starts, at = [], 0
    with path.open("rb") as file:
        while box := file.read(8):
            if box[4:] in {b"moof", b"mfra"}:  # fragments, and what follows the last of them
                starts.append(at)
            at += int.from_bytes(box[:4])
            file.seek(at)
    return BrowserVideo(path, [0, *starts[: -1 : CHUNK // _FRAGMENT], starts[-1]])
