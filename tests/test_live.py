"""The command ``tinyhd live``: its results, its page, how it ends, and one-line messages for unusable input."""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import moving_dot

from tinyhd_lib.cli import main
from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.live import session
from tinyhd_lib.live.page import Page
from tinyhd_lib.live.sources import Pictures, Source
from tinyhd_lib.live.stream import as_table
from tinyhd_lib.prediction.inference import predict
from tinyhd_lib.prediction.jobs import encode_map
from tinyhd_lib.records import read_record

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()


def test_a_film_is_seen_written_and_summed_up(
    video_file: Path, weights_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, film, figures = tmp_path / "maps", tmp_path / "seen.mp4", tmp_path / "live.json"
    places = ["--out", str(out), "--overlay", str(film), "--json", str(figures)]
    options = ["--weights", str(weights_file), "--device", "cpu", "--speed", "0"]
    assert main(["live", str(video_file), *options, *places]) == 0
    assert len(list(out.glob("*.png"))) == 40
    for frame, _, saliency in predict(video_file, weights_file, device="cpu"):
        content, _ = encode_map("png", saliency, (72, 96))
        assert (out / f"{frame}.png").read_bytes() == content
    shown = list(read_frames(film))
    assert len(shown) == 40
    assert shown[30].time - shown[0].time == pytest.approx(1.0, abs=0.02)
    report = json.loads(figures.read_text())
    key, summary, rows = report["key"], report["details"]["summary"], report["details"]["rows"]
    assert (key["source"], key["model"], key["drop"], key["every"]) == ("dot.mp4", "M r8 D2", "block", 16)
    assert summary["maps"] == summary["frames"] == 40
    assert summary["dropped"] == 0
    for name in ("maps", "frames", "dropped"):
        assert sum(row[name] for row in rows) == summary[name]
    assert as_table([report]).to_string(header=False) in capsys.readouterr().out
    record = read_record(out)
    assert record is not None
    assert (record.what, record.complete, record.key) == ("live", True, key)


def test_it_stops_after_some_seconds_and_draws_nothing_that_nobody_wants(
    video_file: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(session, "draw")
    begun = time.monotonic()
    options = ["--weights", str(weights_file), "--device", "cpu", "--speed", "0.01", "--stride", "1"]
    assert main(["live", str(video_file), *options, "--seconds", "0.5", "--serve", "0"]) == 0
    assert 0.5 < time.monotonic() - begun < 60  # the whole video would take 130 s


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_normal_end(
    number: signal.Signals, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def endless(closed: threading.Event) -> Pictures:
        for index in count():
            if closed.wait(0.01):
                return
            if index == 40:
                os.kill(os.getpid(), number)
            yield np.full((24, 32, 3), index % 256, np.uint8), index / 100

    monkeypatch.setattr(session, "open_source", lambda *_: Source("endless", endless, live=True))
    usual = signal.getsignal(number)
    film = tmp_path / "film.mp4"
    assert main(["live", "0", "--weights", str(weights_file), "--device", "cpu", "--overlay", str(film)]) == 0
    assert "endless" in capsys.readouterr().out
    assert len(list(read_frames(film))) >= 16
    assert signal.getsignal(number) is usual


def test_what_was_seen_before_a_source_broke_off_is_kept(
    weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def breaks(_closed: threading.Event) -> Pictures:
        yield from ((image, index / 25) for index, image in enumerate(moving_dot(5)))
        raise OSError(5, "unplugged")

    monkeypatch.setattr(session, "open_source", lambda *_: Source("camera 0", breaks, live=True))
    film = tmp_path / "film.mp4"
    assert main(["live", "0", "--weights", str(weights_file), "--device", "cpu", "--overlay", str(film)]) == 2
    captured = capsys.readouterr()
    assert captured.err.strip().splitlines()[-1].startswith("tinyhd: the source failed (OSError)")
    assert "unplugged" in captured.err
    assert len(list(read_frames(film))) == 5
    assert "camera 0" in captured.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{missing}"], "no such file"),
        (["http://127.0.0.1:9/film.mp4"], "cannot be opened"),
        (["{video}", "--speed", "-1"], "a video's own"),
        (["{video}", "--idle", "0"], "more than 0 seconds"),
        (["{video}", "--seconds", "0"], "more than 0"),
        (["{video}", "--stride", "17"], "1 to 16 frames"),
        (["{video}", "--queue", "0"], "--queue 0: at least 1 frame"),
        (["{video}", "--every", "0"], "--every 0: at least 1 frame"),
        (["{video}", "--overlay", "film.avi"], "an overlay video is an .mp4 file"),
        (["{video}", "--overlay", "{video}"], "is there already"),
        (["{video}", "--out", "{folder}"], "not an empty folder"),
        (["{video}", "--serve", "home"], "a port, such as 8000"),
        (["{video}", "--serve", "99999"], "a port, such as 8000"),
        (["{video}", "--serve", "203.0.113.1:0"], "cannot be served"),
        (["{video}", "--alpha", "7"], "opacity"),
        (["{video}", "--weights", "mine.pth"], "no such weights file"),
    ],
)
def test_bad_input_is_one_line_status_2_and_nothing_written(
    arguments: list[str], reason: str, video_file: Path, weights_file: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/1.png").write_text("mine")
    places = {"missing": tmp_path / "missing.mp4", "video": video_file, "folder": tmp_path / "folder"}
    before = sorted(tmp_path.rglob("*"))
    usual = ["--weights", str(weights_file), "--json", str(tmp_path / "live.json")]
    assert main(["live", *usual, "--device", "cpu", *(each.format(**places) for each in arguments)]) == 2
    captured = capsys.readouterr().err
    assert "Traceback" not in captured
    assert reason in captured.strip().splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


# The page


def ask(url: str, host: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_page_shows_pictures_and_the_line_to_who_asks_for_this_machine() -> None:
    images = list(moving_dot(6))
    with Page("0") as page:
        page.line = "25 frames/s"
        assert b'<img src="/video"' in ask(page.url)[1]
        assert ask(f"{page.url}line") == (200, b"25 frames/s")
        assert ask(f"{page.url}other")[0] == 404
        assert ask(page.url, host="evil.example:8000")[0] == 403
        assert not page.watched
        port = page.url.rpartition(":")[2]
        with urllib.request.urlopen(f"http://localhost:{port}video", timeout=10) as film:
            assert film.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=tinyhd-frame"
            while not page.watched:
                time.sleep(0.01)
            for index, image in enumerate(images):
                page.show(as_jpeg(image), index / 25)
            for image in images:
                assert film.readline() == b"--tinyhd-frame\r\n"
                assert film.readline() == b"Content-Type: image/jpeg\r\n"
                length = int(film.readline().removeprefix(b"Content-Length: "))
                assert film.readline() == b"\r\n"
                seen = cv2.imdecode(np.frombuffer(film.read(length), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
                assert np.abs(seen.astype(int) - image).mean() < 20
                assert film.readline() == b"\r\n"


def test_a_slow_viewer_misses_pictures_and_holds_nobody_up() -> None:
    jpeg = as_jpeg(np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8))
    with Page("0") as page, urllib.request.urlopen(f"{page.url}video", timeout=10) as film:
        while not page.watched:
            time.sleep(0.01)
        begun = time.monotonic()
        for index in range(500):
            page.show(jpeg, index / 1e6)
        assert time.monotonic() - begun < 5
        assert [len(each) for each in page._waiting] == [32]
        film.read(100)
    assert not page.watched


def test_a_port_that_is_taken_is_refused(video_file: Path, weights_file: Path, capsys) -> None:
    with Page("0") as page:
        port = page.url.rpartition(":")[2].strip("/")
        options = ["--weights", str(weights_file), "--device", "cpu"]
        assert main(["live", str(video_file), "--serve", port, *options]) == 2
    assert f"{port}: cannot be served" in capsys.readouterr().err
