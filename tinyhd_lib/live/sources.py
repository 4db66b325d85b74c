"""Live sources of frames: a camera, a network address, a video at its own speed, a folder that images are added to.

For cameras and addresses, buffers are kept as small as possible, so that the first frame is a recent one.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit, urlunsplit

import av
import cv2

from tinyhd_lib.data.images import Upright, check_shape, decode_image, is_image, number_order
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.video import DEFAULT_RATE, Frame, picture_stream, probe, read_frames
from tinyhd_lib.errors import BadInput, refusing

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"(rtsps?|https?)://", re.IGNORECASE)
_ATTEMPTS = 5
_PATIENCE = 1.0

Clock = Callable[[], float]
Pictures = Iterator[tuple[Image, float | None]]
"""Pictures (H, W, 3) uint8 RGB, each with its time in seconds since the first; None for its time of arrival."""


@dataclass(frozen=True)
class Source:
    """Frames as they arrive; iterate over it once, in a thread that may block.

    Attributes:
        name: for display, without a password.
        live: whether frames arrive at their own pace, without waiting for the consumer.
        speed: playback speed of frames that have times, 1 for real time.
    """

    name: str
    _pictures: Callable[[Event], Pictures]
    live: bool
    speed: float = 1.0
    _closed: Event = field(default_factory=Event)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            BadInput: the source cannot be opened, or broke off.
        """
        return paced(self._pictures(self._closed), self._closed, self.speed)

    def close(self) -> None:
        """End the frames, from any thread. A read that hangs ends at its timeout."""
        self._closed.set()


def open_source(text: str, speed: float = 1.0, idle: float | None = None) -> Source:
    """Return the source that a text names: a camera by its number, an address, a folder of images, or a video.

    Args:
        text: the name of the source.
        speed: of a video, 1 for its own; 0 for as fast as it can be read.
        idle: seconds without a new image after which a folder ends; None for never.

    Raises:
        BadInput: there is no such file, or it is no video. Cameras and addresses are only opened on iteration.

    Examples:
        >>> open_source("rtsp://me:secret@door:554/low").name
        'rtsp://door:554/low'
    """
    path = Path(text)
    if text.isdecimal():
        return Source(f"camera {int(text)}", partial(from_camera, int(text)), live=True)
    if _ADDRESS.match(text):
        return Source(without_password(text), partial(from_address, text), live=True)
    if path.is_dir():
        return Source(path.name, partial(from_folder, path, idle), live=False, speed=math.inf)
    probe(path)
    frames = ((frame.image, frame.time) for frame in read_frames(path))
    return Source(path.name, lambda _closed: frames, live=speed > 0, speed=speed or math.inf)


def without_password(address: str) -> str:
    """Return an address without user and password, to be shown."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def paced(pictures: Pictures, closed: Event, speed: float = 1.0, clock: Clock = time.monotonic) -> Iterator[Frame]:
    """Yield pictures as frames, none before its time and late ones at once, until the source is closed."""
    begun = None
    for index, (image, due) in enumerate(pictures):
        begun = clock() if begun is None else begun
        if closed.wait(max(0.0, begun + (due or 0.0) / speed - clock())):
            return
        yield Frame(index, clock() - begun if due is None else due, image)


def from_camera(index: int, _closed: Event) -> Pictures:
    """Yield the pictures of a camera of this machine.

    Raises:
        BadInput: it cannot be opened, or gives no more pictures.
    """
    capture = cv2.VideoCapture(index)
    try:
        if not capture.isOpened():
            raise BadInput(f"camera {index}: cannot be opened; is it there, and does nobody else use it?")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        for seen in count():
            there, image = capture.read()
            if not there:
                raise BadInput(f"camera {index}: gives no more pictures, after {seen}; is it still connected?")
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), None
    finally:
        capture.release()


def from_address(
    address: str, closed: Event, timeouts: tuple[float, float] = (10.0, 5.0), pause: float = 1.0
) -> Pictures:
    """Yield the pictures that an address sends: a video at its own speed, or a live stream as it arrives.

    ``timeouts`` are the seconds that it may take to answer, and to send the next data. A live stream that breaks off is
    opened again up to five times, ``pause`` seconds apart.

    Raises:
        BadInput: it cannot be opened, or it broke off for good.
    """
    name, seen, failures = without_password(address), 0, 0
    while not closed.is_set():
        finite = False
        try:
            for image, due in _received(address, name, timeouts):
                yield image, due
                finite, seen, failures = due is not None, seen + 1, 0
        except (av.error.FFmpegError, OSError) as error:
            reason = error.strerror or error
            failures += 1
            if not seen:
                raise BadInput(f"{name}: cannot be opened ({reason})") from error
            if finite or failures > _ATTEMPTS:
                raise BadInput(f"{name}: broke off after {seen} frames ({reason})") from error
            logger.warning("%s: broke off after %d frames (%s), trying again", name, seen, reason)
        else:
            return
        closed.wait(pause)


def _received(address: str, name: str, timeouts: tuple[float, float]) -> Pictures:
    """Yield decoded pictures, each with its time in seconds if they are a video's; damaged packets are skipped."""
    upright = Upright()
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if address.lower().startswith("rtsp") else {}
    with av.open(address, timeout=timeouts, options=options) as container:
        stream = picture_stream(container, name)
        stream.thread_type = "SLICE"  # frame threading would delay the stream by a frame for each thread
        start = None
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError:
                continue
            for picture in pictures:
                seconds = picture.time or 0.0
                start = seconds if start is None else start
                yield upright(picture), None if container.duration is None else seconds - start


def from_folder(folder: Path, idle: float | None, closed: Event, poll: float = 0.1) -> Pictures:
    """Yield the images of a folder in the order of their numbers, including those still to come.

    An image is read when it has not changed for ``poll`` seconds. If it does not decode, it is tried again until a
    second after its last change, then skipped with a warning. An image whose number is lower than that of one already
    yielded is never read.

    Raises:
        BadInput: the folder cannot be read; an image differs from the first in size.
    """
    last: list[str] = []
    times, shape, quiet_since = count(), None, time.monotonic()
    while not (idle is not None and time.monotonic() - quiet_since > idle):
        fresh = _images_after(folder, last)
        quiet_since = time.monotonic() if fresh else quiet_since
        for path, age in takewhile(lambda each: each[1] > poll, fresh.items()):
            image = decode_image(path, cv2.IMREAD_COLOR)
            if image is None and age < _PATIENCE:
                break
            last = number_order(path)
            if image is None:
                logger.warning("%s: this image does not decode and is passed over", path)
                continue
            shape = check_shape(path, image, shape)
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), next(times) / float(DEFAULT_RATE)
        if closed.wait(poll):
            return


def _images_after(folder: Path, last: list[str]) -> dict[Path, float]:
    """Return the images after the last one, in order, with the seconds since each was changed."""
    with refusing(f"{folder}: cannot be read", OSError):
        paths = sorted((path for path in folder.iterdir() if is_image(path)), key=number_order)
        with suppress(FileNotFoundError):  # an image was removed meanwhile: look again
            return {path: time.time() - path.stat().st_mtime for path in paths if number_order(path) > last}
    return {}
