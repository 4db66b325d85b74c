"""The sources of `tinyhd live`: a camera, a network address, a film at its own speed, and a folder of new images."""

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest
from conftest import moving_dot, write_sound
from test_predict import numbered

from tinyhd_lib import BadInput
from tinyhd_lib.data.images import as_jpeg, as_png
from tinyhd_lib.data.video import Frame, read_frames
from tinyhd_lib.live.options import LiveOptions
from tinyhd_lib.live.page import Page
from tinyhd_lib.live.sources import (
    from_address,
    from_camera,
    from_folder,
    open_source,
    paced,
    without_password,
)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a web server that gives the files of a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def meanwhile(function: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=function)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_source_is_recognised_by_its_text(video_file: Path, tmp_path: Path) -> None:
    texts = ["0", "rtsp://camera/low", "HTTPS://example.org/film.mp4", str(tmp_path), str(video_file)]
    names = ["camera 0", "rtsp://camera/low", "https://example.org/film.mp4", tmp_path.name, video_file.name]
    assert [open_source(text).name for text in texts] == names
    assert [open_source(text).live for text in texts] == [True, True, True, False, True]
    assert not open_source(str(video_file), speed=0).live
    assert open_source("rtsp://me:secret@camera:554/low").name == "rtsp://camera:554/low"
    assert without_password("http://camera/x?y=1") == "http://camera/x?y=1"


@pytest.mark.parametrize("values", [{"speed": -1}, {"speed": float("inf")}, {"idle": 0}, {"idle": float("nan")}])
def test_impossible_options_are_refused(values: dict) -> None:
    with pytest.raises(BadInput, match=next(iter(values))):
        LiveOptions(source="0", **values)


# A film at its own speed


def test_a_film_is_played_by_its_times() -> None:
    now = [100.0]

    class Waits(Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0
            return False

    times = []
    pictures = ((frame.image, frame.time) for frame in numbered(50))
    for frame in paced(pictures, Waits(), 2.0, lambda: now[0]):
        times.append((frame.index, round(now[0] - 100, 6)))
        if frame.index == 10:
            now[0] += 0.3  # a slow consumer: frames that are late by then come immediately
    assert times[:11] == [(index, index / 50) for index in range(11)]
    assert all(late == 0.5 for _, late in times[11:26])
    assert times[26:] == [(index, index / 50) for index in range(26, 50)]


def test_a_film_that_waits_can_be_closed(video_file: Path) -> None:
    source = open_source(str(video_file), speed=1e-3)
    frames = iter(source)
    next(frames)
    with meanwhile(source.close):
        assert list(frames) == []


# A folder that fills


def test_a_folder_that_fills_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    images = [np.full((24, 32, 3), level, np.uint8) for level in range(0, 120, 10)]

    def write() -> None:
        for number, image in enumerate(images):
            content = as_png(image)
            with (tmp_path / f"{number}.png").open("wb") as file:  # in two parts, as a camera might
                file.write(content[:40])
                file.flush()
                time.sleep(0.03)
                file.write(content[40:])
        (tmp_path / "notes.txt").write_text("no image")

    with meanwhile(write):
        frames = list(paced(from_folder(tmp_path, 1.0, Event(), poll=0.02), Event(), speed=math.inf))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == list(range(0, 120, 10))
    assert [frame.index for frame in frames] == list(range(12))


@pytest.mark.slow
def test_of_a_folder_what_is_late_or_damaged_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (2, 10, 9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((24, 32, 3), number, np.uint8))
    (tmp_path / "3.png").write_bytes(b"no image")
    pictures = from_folder(tmp_path, 0.3, Event(), poll=0.02)
    found = [next(pictures) for _ in range(3)]
    cv2.imwrite(str(tmp_path / "4.png"), np.zeros((24, 32, 3), np.uint8))
    assert list(pictures) == []
    assert [int(image[0, 0, 0]) for image, _ in found] == [2, 9, 10]
    assert "3.png: this image does not decode" in caplog.text


def test_images_of_another_size_and_lost_folders_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((24, 32, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((24, 30, 3), np.uint8))
    with pytest.raises(BadInput, match="30x24, but the images before it are 32x24"):
        list(from_folder(tmp_path, 1, Event(), poll=0.02))
    with pytest.raises(BadInput, match="cannot be read"):
        list(from_folder(tmp_path / "gone", 1, Event(), poll=0.02))


def test_a_folder_that_nobody_fills_can_be_closed(tmp_path: Path) -> None:
    source = open_source(str(tmp_path))
    with meanwhile(lambda: (time.sleep(0.2), source.close())):
        assert list(source) == []


# A network address


@pytest.mark.slow
def test_a_film_by_http_is_the_same_as_from_the_disk(video_file: Path) -> None:
    with serving(video_file.parent) as address:
        begun = time.monotonic()
        frames = list(open_source(f"{address}/{video_file.name}"))
    assert time.monotonic() - begun > frames[-1].time  # at its own speed, however fast the network
    for frame, expected in zip(frames, read_frames(video_file), strict=True):
        assert (frame.index, frame.time) == (expected.index, pytest.approx(expected.time, abs=1e-3))
        np.testing.assert_array_equal(frame.image, expected.image)


def test_what_an_address_does_not_have_is_refused_in_one_line(tmp_path: Path) -> None:
    write_sound(tmp_path / "sound.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    with serving(tmp_path) as address:
        for name, reason in (("none.mp4", "404"), ("sound.mp4", "only sound"), ("text.mp4", "cannot be opened")):
            with pytest.raises(BadInput, match=reason) as caught:
                list(from_address(f"{address}/{name}", Event()))
            assert "\n" not in str(caught.value)
            assert name in str(caught.value)
    with pytest.raises(BadInput, match="cannot be opened"):
        list(from_address(address, Event()))  # the server has stopped


def test_a_film_by_http_that_breaks_off_is_refused(video_file: Path) -> None:
    """The server sends all headers, but only half of the body, as if it was stopped."""

    class Half(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            content = video_file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Half)
    server.daemon_threads = False
    with meanwhile(lambda: server.serve_forever(poll_interval=0.05)):
        try:
            with pytest.raises(BadInput, match=r"broke off after \d+ frames"):
                list(from_address(f"http://127.0.0.1:{server.server_port}/film.mp4", Event()))
        finally:
            server.shutdown()
            server.server_close()


@pytest.mark.slow
def test_a_live_address_that_breaks_off_is_asked_again_and_at_last_given_up(caplog: pytest.LogCaptureFixture) -> None:
    images = [as_jpeg(image) for image in moving_dot(30)]
    pages = [Page("0")]
    address = pages[0].url

    def feed(page: Page) -> None:
        with page:
            while not page.watched:
                time.sleep(0.01)
            for index, image in enumerate(images):
                page.show(image, index / 25)
                time.sleep(0.02)
            time.sleep(0.5)

    def twice() -> None:
        feed(pages[0])
        feed(Page(address.rpartition(":")[2].strip("/")))

    frames: list[Frame] = []
    with meanwhile(twice), pytest.raises(BadInput, match=r"broke off after \d+ frames"):
        frames.extend(paced(from_address(f"{address}video", Event(), pause=0.1), Event()))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) > len(images)  # some frames came after the interruption
    assert all(earlier.time <= later.time for earlier, later in pairwise(frames))
    assert "trying again" in caplog.text


@pytest.mark.slow
def test_an_address_that_falls_silent_times_out() -> None:
    with Page("0") as page:
        with meanwhile(lambda: [page.show(as_jpeg(image), index / 25) for index, image in enumerate(moving_dot(1))]):
            begun = time.monotonic()
            # Either the picture or the timeout may come first.
            with pytest.raises(BadInput, match=r"cannot be opened|broke off after 1 frames"):
                list(from_address(f"{page.url}video", Event(), timeouts=(0.5, 0.5), pause=0.1))
        assert time.monotonic() - begun < 10


# A camera


class Sees:
    """Stands in for cv2.VideoCapture; only camera 0 opens."""

    def __init__(self, index: int, frames: int = 5) -> None:
        self.index, self.left, self.released = index, frames, False
        Sees.last = self

    def isOpened(self) -> bool:  # noqa: N802
        return self.index == 0

    def set(self, *_: object) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, np.full((24, 32, 3), (0, 0, 255), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_camera_is_read_released_and_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Sees)
    source = open_source("0")
    frames = iter(source)
    first = next(frames)
    assert (first.index, first.time) == (0, pytest.approx(0, abs=1))
    assert first.image[0, 0].tolist() == [255, 0, 0]
    source.close()
    assert list(frames) == []
    assert Sees.last.released
    with pytest.raises(BadInput, match="camera 0: gives no more pictures, after 5"):
        list(from_camera(0, Event()))
    assert Sees.last.released
    with pytest.raises(BadInput, match="camera 7: cannot be opened"):
        list(from_camera(7, Event()))
    assert Sees.last.released


def test_no_such_film(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        open_source(str(tmp_path / "film.mp4"))
    shutil.copy(__file__, tmp_path / "film.mp4")
    with pytest.raises(BadInput, match="not a video"):
        open_source(str(tmp_path / "film.mp4"))
