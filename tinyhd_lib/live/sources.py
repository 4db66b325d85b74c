"""Where frames come from while they happen: a camera, a network address, a film at its own speed, a folder that fills.

What follows an address or a camera keeps as little as it can in front of the first frame that it gives.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import av
import cv2

from tinyhd_lib.data.media import decode_image, is_image, number_order, picture_stream
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.video import DEFAULT_RATE, Frame, probe, read_frames, upright
from tinyhd_lib.errors import BadInput

logger = logging.getLogger(__name__)

TIMEOUTS = (10.0, 5.0)
"""Seconds that an address may take to answer, and to go on."""

_ADDRESS = re.compile(r"(rtsps?|https?)://", re.IGNORECASE)
_ATTEMPTS = 5
_PAUSE = 1.0
_POLL = 0.1
_PATIENCE = 1.0

Clock = Callable[[], float]


class _State(NamedTuple):
    """What of a file changes while it is written: its size, and when it was."""

    size: int
    changed: float


@dataclass(frozen=True)
class Source:
    """Frames as they come; to be gone through once, in a thread that may wait.

    Attributes:
        name: what to call it; no password is in it.
        live: it does not wait for who takes its frames.
    """

    name: str
    live: bool
    _frames: Callable[[Event], Iterator[Frame]]
    _closed: Event = field(default_factory=Event)

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            BadInput: the source cannot be opened, or broke off.
        """
        return self._frames(self._closed)

    def close(self) -> None:
        """Let the frames end; from any thread. A read that hangs does so within its timeout."""
        self._closed.set()


@dataclass(frozen=True)
class Settings:
    """How a source that could be read at any speed is read.

    Args:
        speed: of a film, 1 for its own; 0 for as fast as it can be read.
        idle: seconds without a new image after which a folder is taken to be full; None for never.

    Raises:
        BadInput: a value is none of these.
    """

    speed: float = 1.0
    idle: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.speed < math.inf:
            raise BadInput(f"speed {self.speed}: 1 is a film's own, 2 twice that, 0 as fast as it can be read")
        if self.idle is not None and not 0 < self.idle < math.inf:
            raise BadInput(f"idle {self.idle}: more than 0 seconds without a new image")


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes:
        meaning: what names one.
        fits: whether a text does.
        open: makes the source of it.
    """

    meaning: str
    fits: Callable[[str], bool]
    open: Callable[[str, Settings], Source]


def open_source(text: str, settings: Settings | None = None) -> Source:
    """The source that a text names, by the first kind of `KINDS` that it fits.

    Raises:
        BadInput: there is no such file, or it is no video. Cameras and addresses are first tried when frames are asked
            for.
    """
    kind = next(kind for kind in KINDS if kind.fits(text))
    return kind.open(text, settings or Settings())


def _camera(text: str, _settings: Settings) -> Source:
    return Source(f"camera {int(text)}", live=True, _frames=lambda closed: from_camera(int(text), closed))


def _address(text: str, _settings: Settings) -> Source:
    return Source(without_password(text), live=True, _frames=lambda closed: from_address(text, closed))


def _folder(text: str, settings: Settings) -> Source:
    folder = Path(text)
    return Source(folder.name, live=False, _frames=lambda closed: from_folder(folder, settings.idle, closed))


def _film(text: str, settings: Settings) -> Source:
    path = Path(text)
    probe(path)
    speed = settings.speed or math.inf
    return Source(path.name, settings.speed > 0, lambda closed: paced(read_frames(path), speed, closed))


KINDS = (
    Kind("a number: a camera, 0 the first", str.isdecimal, _camera),
    Kind("an rtsp, rtsps, http or https address", lambda text: bool(_ADDRESS.match(text)), _address),
    Kind("a folder: its images, also those to come", lambda text: Path(text).is_dir(), _folder),
    Kind("a film, played at its own speed", lambda _text: True, _film),
)
"""How a text is recognised, in this order."""


def without_password(address: str) -> str:
    """An address without user and password, to be shown.

    >>> without_password("rtsp://me:secret@door:554/low")
    'rtsp://door:554/low'
    """
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def paced(frames: Iterable[Frame], speed: float, closed: Event, clock: Clock = time.monotonic) -> Iterator[Frame]:
    """Frames no sooner than their times come; late ones at once."""
    begun = None
    for frame in frames:
        begun = clock() if begun is None else begun
        if closed.wait(max(0.0, begun + frame.time / speed - clock())):
            return
        yield frame


def from_camera(index: int, closed: Event, clock: Clock = time.monotonic) -> Iterator[Frame]:
    """What a camera of this machine sees.

    Raises:
        BadInput: it cannot be opened, or gives no more pictures.
    """
    capture = cv2.VideoCapture(index)
    try:
        if not capture.isOpened():
            raise BadInput(f"camera {index}: cannot be opened; is it there, and does nobody else use it?")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        count, begun = 0, clock()
        while not closed.is_set():
            there, image = capture.read()
            if not there:
                raise BadInput(f"camera {index}: gives no more pictures, after {count}; is it still connected?")
            begun = begun if count else clock()
            yield Frame(count, clock() - begun, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            count += 1
    finally:
        capture.release()


def from_address(
    address: str, closed: Event, timeouts: tuple[float, float] = TIMEOUTS, pause: float = _PAUSE
) -> Iterator[Frame]:
    """What an address sends: a film at its own speed, or what is live, as it comes.

    A live stream that breaks off is asked for again, five times, ``pause`` seconds apart; where that helps, counting
    goes on. Its end is the end.

    Raises:
        BadInput: it cannot be opened; it broke off for good.
    """
    name, count, failures, begun = without_password(address), 0, 0, 0.0
    while not closed.is_set():
        finite = False
        try:
            for image, due in _received(address, name, timeouts):
                finite = due is not None
                begun = begun if count else time.monotonic()
                if closed.wait(max(0.0, begun + due - time.monotonic()) if due else 0):
                    return
                yield Frame(count, time.monotonic() - begun if due is None else due, image)
                count, failures = count + 1, 0
        except (av.error.FFmpegError, OSError) as error:
            reason = error.strerror or error
            failures += 1
            if not count:
                raise BadInput(f"{name}: cannot be opened ({reason})") from error
            if finite or failures > _ATTEMPTS:
                raise BadInput(f"{name}: broke off after {count} frames ({reason})") from error
            logger.warning("%s: broke off after %d frames (%s), trying again", name, count, reason)
        else:
            return
        closed.wait(pause)


def _received(address: str, name: str, timeouts: tuple[float, float]) -> Iterator[tuple[Image, float | None]]:
    """Decoded pictures, each with its time in seconds if they are a film's; what does not decode is passed over."""
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if address.lower().startswith("rtsp") else {}
    with av.open(address, timeout=timeouts, options=options) as container:
        stream = picture_stream(container)
        if stream is None:
            raise BadInput(f"{name}: no picture in it, only sound")
        stream.thread_type = "SLICE"  # threads that share out frames would each keep one back
        start, size = None, (0, 0)
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError:
                continue
            for picture in pictures:
                seconds = picture.time or 0.0
                if start is None:
                    start, size = seconds, (picture.width, picture.height)
                yield upright(picture, size), None if container.duration is None else seconds - start


def from_folder(folder: Path, idle: float | None, closed: Event, poll: float = _POLL) -> Iterator[Frame]:
    """The images of a folder in the order of their numbers, those to come as well.

    An image is taken when it has not changed from one look to the next. One that does not decode is waited for; a
    second after its last change it is passed over with a warning. One whose number is lower than that of an image that
    was given already is never taken.

    Raises:
        BadInput: the folder cannot be read; an image differs from the first in size.
    """
    last: list[str] = []
    before: dict[Path, _State] = {}
    count, shape, quiet_since = 0, None, time.monotonic()
    while True:
        found = _new_images(folder, last)
        for path in _settled(found, before):
            image = decode_image(path, cv2.IMREAD_COLOR)
            if image is None and time.time() - found[path].changed < _PATIENCE:
                break
            last = number_order(path)
            if image is None:
                logger.warning("%s: this image does not decode and is passed over", path)
                continue
            if shape not in (None, image.shape):
                raise BadInput(
                    f"{path}: {image.shape[1]}x{image.shape[0]}, but the images before it are {shape[1]}x{shape[0]}"
                )
            shape = image.shape
            yield Frame(count, count / float(DEFAULT_RATE), cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            count += 1
            if closed.is_set():
                return
        before = found
        quiet_since = time.monotonic() if found else quiet_since
        if (idle is not None and time.monotonic() - quiet_since > idle) or closed.wait(poll):
            return


def _settled(found: dict[Path, _State], before: dict[Path, _State]) -> list[Path]:
    """The images in front of the first that is still being written."""
    changed = (place for place, (path, state) in enumerate(found.items()) if before.get(path) != state)
    return list(found)[: next(changed, None)]


def _new_images(folder: Path, last: list[str]) -> dict[Path, _State]:
    """The images after the last one, in order, each with its size and time of change."""
    try:
        paths = [path for path in folder.iterdir() if is_image(path) and number_order(path) > last]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror})") from error
    found = {}
    for path in sorted(paths, key=number_order):
        with suppress(FileNotFoundError):
            state = path.stat()
            found[path] = _State(state.st_size, state.st_mtime)
    return found
