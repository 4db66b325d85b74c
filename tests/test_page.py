"""The viewer's page in a real browser without a kernel: drawing, playback, and that it needs no network."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, moving_dot, needs_browser
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import Browser, Page

from tinyhd_lib import open_dataset
from tinyhd_lib.cli import main
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import own_bounds, to_grey
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import colours_of, draw, draw_difference, wipe
from tinyhd_lib.viewer import SaliencyViewer, SaliencyViewers
from tinyhd_lib.viewer.page import SCRIPT, framed
from tinyhd_lib.viewer.parts import CHUNK, browser_video, packed_maps
from tinyhd_lib.viewer.state import VIEWS

SCRIPTS = ROOT / "tinyhd_lib/viewer/js"
NODE = shutil.which("npm")
SIZE = (360, 640)
FRAMES = 150

needs_node = pytest.mark.skipif(NODE is None, reason="needs Node.js 20")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def maps() -> dict[str, np.ndarray]:
    """Two sources, each with a moving spot as smooth as a model's maps."""
    rows, columns = np.mgrid[:192, :256]
    ways = {"right": lambda n: (96, 60 + n % 130), "down": lambda n: (40 + n % 100, 150)}
    return {
        name: np.array(
            [
                np.exp(-((rows - way(n)[0]) ** 2 + (columns - way(n)[1]) ** 2) / 900) * (0.2 + n / 500)
                for n in range(FRAMES)
            ],
            np.float32,
        )
        for name, way in ways.items()
    }


@pytest.fixture(scope="module")
def numbered_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with sound whose frames show their number in binary: eight fields, black for 0 and white for 1."""
    path = tmp_path_factory.mktemp("numbered") / "numbered.mkv"
    with av.open(path, "w") as container:
        sound = container.add_stream("flac", rate=48000, layout="mono")
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for index in range(FRAMES):
            image = np.full((*SIZE, 3), 90, np.uint8)
            for bit in range(8):
                image[:60, bit * 80 : (bit + 1) * 80] = 255 * (index >> bit & 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
        for start in range(0, FRAMES * 1600, 4800):
            tone = np.sin(np.arange(start, start + 4800) / 20)
            frame = av.AudioFrame.from_ndarray((8000 * tone).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


@pytest.fixture(scope="module")
def saved(
    numbered_video: Path, maps: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[SaliencyViewer, Path]:
    viewer = SaliencyViewer(numbered_video, maps, floor=0.1)
    return viewer, viewer.save_html(tmp_path_factory.mktemp("page") / "look.html")


@pytest.fixture
def page(browser: Browser, saved: tuple[SaliencyViewer, Path]) -> Iterator[Page]:
    """The saved page with its video open, where any network request fails the test."""
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "blob:")) else errors.append(request.url)
    )
    page.goto(saved[1].as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    page.locator(".tinyhd-viewer").focus()
    yield page
    assert not errors
    page.close()


def _pixels(page: Page) -> np.ndarray:
    """The canvas as RGB."""
    address = page.evaluate("document.querySelector('.tinyhd-sheet canvas').toDataURL()")
    content = np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)


def _number(pixels: np.ndarray) -> int:
    """Read the number of the visible frame from its fields."""
    height, width = pixels.shape[0] // 12, pixels.shape[1] // 8
    return sum(int(pixels[height, bit * width + width // 2].mean() > 128) << bit for bit in range(8))


def _caption(page: Page) -> str:
    return page.locator(".tinyhd-caption").inner_text()


@pytest.fixture(scope="module")
def test_picture(maps: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    image = cv2.resize(rng.integers(0, 256, (45, 80, 3), np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    return image, maps["right"][40], maps["down"][40]


PLAYED = re.compile("frame ([6-9]|[1-9][0-9]+),")
THUMBS_PAINTED = """() => {
  const pixels = (each) => each.getContext("2d").getImageData(0, 0, each.width, each.height).data;
  const isPainted = (each) => pixels(each).some((value, n) => n % 4 < 3 && value > 50);
  return [...document.querySelectorAll(".tinyhd-thumbs canvas")].every(isPainted);
}"""
STILL = """async () => {
  const told = () => [...document.querySelectorAll(".tinyhd-caption")].map((each) => each.textContent).join();
  const before = told();
  await new Promise((done) => setTimeout(done, 300));
  return told() === before && [...document.querySelectorAll("video")].every((each) => each.paused && !each.seeking);
}"""
DRAW = """
async ([script, kind, png, settings, first, second, colours, diverging]) => {
  const { Canvas, Painter, scaled } = await import(`data:text/javascript;base64,${script}`);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const draws = new { WebGL: Painter, canvas: Canvas }[kind](document.createElement("canvas"));
  const shown = ({ levels, ...about }) => scaled({ ...about, levels: bytes(levels), base: 0, peak: [0, 0] }, null);
  draws.draw({ ...settings, image, first: shown(first), second: shown(second),
    colours: bytes(colours), diverging: bytes(diverging) });
  return draws.canvas.toDataURL();
}
"""


@needs_browser
@pytest.mark.parametrize("kind", ["WebGL", "canvas"])
@pytest.mark.parametrize("colormap", ["gray", "inferno"])
@pytest.mark.parametrize("view", [view for view in VIEWS if view != "grid"])  # the grid consists of overlays
def test_the_browser_draws_what_python_draws(
    browser: Browser, test_picture: tuple[np.ndarray, np.ndarray, np.ndarray], view: str, kind: str, colormap: str
) -> None:
    image, first, second = test_picture
    greys = [to_grey(saliency, SIZE, own_bounds(saliency)) for saliency in (first, second)]
    if view == "difference":
        expected = draw_difference(image, *greys, 0.7)
    elif view == "wipe":
        left, right = (draw(image, grey, Drawing("overlay", 0.7, colormap, 0.1)) for grey in greys)
        expected = wipe(left, right, 0.4)
    else:
        style: Any = view
        expected = draw(image, greys[0], Drawing(style, 0.7, colormap, 0.1))

    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    def shown(saliency: np.ndarray) -> dict[str, Any]:
        low, high = own_bounds(saliency)
        levels = ((saliency - low) * np.float32(255 / (high - low))).astype(np.uint8)
        rows, columns = saliency.shape
        return {"rows": rows, "columns": columns, "low": low, "high": high, "levels": encoded(levels.tobytes())}

    settings = {
        "view": view,
        "width": SIZE[1],
        "height": SIZE[0],
        "alpha": 0.7,
        "floor": 0.1,
        "border": 0.4,
        "quick": False,
    }
    png = encoded(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
    tables = [encoded(colours_of(name).tobytes()) for name in (colormap, "PuOr_r")]
    page = browser.new_page()
    script = encoded(SCRIPT.encode())
    address = page.evaluate(DRAW, [script, kind, png, settings, shown(first), shown(second), *tables])
    page.close()
    content = np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8)
    drawn = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)
    assert drawn.shape == expected.shape
    apart = np.abs(drawn - expected).max(axis=2)
    if view == "contours":  # two line-drawing methods agree on positions, not on edges
        lines = np.abs(expected.astype(int) - image).max(axis=2) > 0
        near = cv2.dilate(lines.astype(np.uint8), np.ones((7, 7))) > 0
        assert apart[~near].max() <= 2
        ours = (np.abs(drawn - image).max(axis=2) > 40).astype(np.uint8)
        theirs = (np.abs(expected.astype(int) - image).max(axis=2) > 40).astype(np.uint8)
        assert (cv2.dilate(theirs, np.ones((5, 5)))[ours > 0] > 0).mean() > 0.99
        assert (cv2.dilate(ours, np.ones((5, 5)))[theirs > 0] > 0).mean() > 0.99
        return
    if view == "wipe":  # leave out the line, whose edges OpenCV softens
        apart[:, 253:260] = 0
    if view == "difference":  # leave out the signs, which are drawn on a separate canvas
        for place in (greys[0].astype(int) - greys[1], greys[1].astype(int) - greys[0]):
            row, column = divmod(int(place.argmax()), SIZE[1])
            apart[row - 24 : row + 8, column - 4 : column + 24] = 0
    # Where the colours of inferno change fastest, one grey level is five levels of blue.
    assert (apart > 2).mean() < 0.003
    assert apart.max() <= (2 if colormap == "gray" and view != "difference" else 6)


@needs_browser
def test_every_frame_that_is_sought_is_the_one_that_is_seen(page: Page) -> None:
    page.keyboard.press("1")
    for _ in range(7):
        page.keyboard.press("[")
    jump = page.get_by_label("Go to frame")
    for frame in (0, 77, 149, 63, 64, 65, 3, 128, 127, 16, 15, 148):
        jump.fill(str(frame))
        jump.press("Enter")
        page.wait_for_function(f"document.querySelector('.tinyhd-caption').textContent.startsWith('frame {frame},')")
        assert _number(_pixels(page)) == frame
    page.locator(".tinyhd-viewer").focus()
    for step in range(1, 9):
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(
            f"document.querySelector('.tinyhd-caption').textContent.startsWith('frame {148 - step},')"
        )
        assert _number(_pixels(page)) == 148 - step
    page.evaluate(
        """for (let press = 0; press < 30; press++) document.querySelector(".tinyhd-viewer").dispatchEvent(
            new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }))"""
    )
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 110,')")
    assert _number(_pixels(page)) == 110, "keys may be faster than pictures"


@needs_browser
def test_it_plays_in_time_and_picture_and_map_belong_together(page: Page) -> None:
    for _ in range(7):
        page.keyboard.press("[")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('video').currentTime > 0.7")
    page.keyboard.press("Space")
    page.wait_for_function(STILL)
    frame = int(_caption(page).split(",")[0].split()[1])
    assert 15 <= frame < FRAMES - 1
    assert _number(_pixels(page)) == frame
    page.keyboard.press("3")
    page.wait_for_timeout(500)
    bright = _pixels(page).sum(axis=2)
    column = int(bright.argmax()) % bright.shape[1]
    assert abs(column / bright.shape[1] - (60 + frame % 130 + 0.5) / 256) < 0.02  # the maximum of that frame's map


@needs_browser
def test_it_stops_at_the_end_and_begins_anew(page: Page) -> None:
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 149,')")
    page.keyboard.press("Space")
    page.wait_for_function(
        "parseInt(document.querySelector('.tinyhd-caption').textContent.slice(6)) in {3: 0, 4: 0, 5: 0, 6: 0}"
    )
    page.keyboard.press("Space")


@needs_browser
def test_a_range_is_dragged_and_loops(page: Page) -> None:
    _drag_a_range(page)
    assert page.locator(".tinyhd-range").inner_text() == "frames 30 to 45"
    page.locator(".tinyhd-viewer").focus()
    page.keyboard.press("l")
    page.keyboard.press("Space")
    seen = _frames_seen(page, jumps=3)
    assert {31, 32, 33, 34} & set(seen)
    assert {42, 43, 44, 45} & set(seen)
    assert max(seen) <= 45
    page.keyboard.press("Space")


@needs_browser
def test_a_long_range_goes_on_at_its_beginning_which_was_let_go_of(browser: Browser, tmp_path: Path) -> None:
    """The player keeps only forty chunks of a video in its buffer."""
    frames = 43 * CHUNK
    with VideoWriter(tmp_path / "long.mp4", Fraction(30)) as writer:
        for index in range(frames):
            writer.write(np.full((48, 64, 3), index % 200, np.uint8), index / 30)
    last = 42 * CHUNK + 10
    maps = np.ones((frames, 4, 4), np.float32)
    viewer = SaliencyViewer(tmp_path / "long.mp4", maps, start=5, stop=last, loop=True, strips=[])
    page = browser.new_page()
    page.goto(viewer.save_html(tmp_path / "long.html").as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    jump = page.get_by_label("Go to frame")
    for frame in range(CHUNK, last, CHUNK):
        jump.fill(str(frame))
        jump.press("Enter")
        page.wait_for_function(f"document.querySelector('.tinyhd-caption').textContent.startsWith('frame {frame},')")
    page.locator(".tinyhd-viewer").focus()
    page.keyboard.press("Space")
    page.wait_for_function(
        "(frame => 10 < frame && frame < 60)(parseInt(document.querySelector('.tinyhd-caption').textContent.slice(6)))",
        timeout=10_000,
    )
    page.close()


@needs_browser
def test_a_busy_browser_shows_nothing_beyond_the_range(page: Page) -> None:
    """A busy browser skips frames, including the last one of the range."""
    _drag_a_range(page)
    page.locator(".tinyhd-viewer").focus()
    page.evaluate(
        "setInterval(() => { for (const begun = performance.now(); performance.now() < begun + 150; ); }, 160)"
    )
    page.keyboard.press("l")
    page.keyboard.press("Space")
    assert max(_frames_seen(page, jumps=3)) <= 45
    page.keyboard.press("l")  # without the loop, playback ends where the range does
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 45,')")


def _drag_a_range(page: Page) -> None:
    box = page.get_by_label("Timeline").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 30, steps=5)
    page.mouse.up()


def _frames_seen(page: Page, jumps: int) -> list[int]:
    """Return the frame numbers that the caption shows until playback has jumped back this many times."""
    found: list[int] = page.evaluate(
        """(jumps) => new Promise((resolve) => {
            const caption = document.querySelector(".tinyhd-caption");
            const seen = [parseInt(caption.textContent.split(" ")[1])];
            const watcher = new MutationObserver(() => {
                const frame = parseInt(caption.textContent.split(" ")[1]);
                if (frame < seen.at(-1)) jumps--;
                seen.push(frame);
                if (jumps > 0) return;
                watcher.disconnect();
                resolve(seen);
            });
            watcher.observe(caption, { childList: true, characterData: true, subtree: true });
        })""",
        jumps,
    )
    return found


@needs_browser
def test_notes_are_kept_listed_and_gone_to(page: Page) -> None:
    page.keyboard.press("ArrowUp")
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 16,')")
    page.keyboard.press("n")
    page.keyboard.type("looks at the ball")
    page.keyboard.press("Enter")
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 0,')")
    page.get_by_role("listitem").get_by_role("button", name="16", exact=True).click()
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 16,')")
    page.get_by_label("Drop the note at 16").click()
    assert page.get_by_role("listitem").count() == 0


def _points_at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return the screen position of a point given in fractions of the picture."""
    box = page.locator(".tinyhd-stage").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def _saves(page: Page, press: Callable[[], None], place: Path) -> Path:
    with page.expect_download(timeout=60_000) as download:
        press()
    download.value.save_as(place)
    return place


@needs_browser
def test_regions_are_drawn_moved_and_counted(page: Page, maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    for (left, top), (right, bottom) in (((0, 0), (0.5, 1)), ((0.2, 0.2), (0.4, 0.5))):
        page.locator(".tinyhd-viewer").focus()
        page.keyboard.press("r")
        page.mouse.move(*_points_at(page, left + 0.001, top + 0.001))
        page.mouse.down()
        page.mouse.move(*_points_at(page, right, bottom - 0.001), steps=3)
        page.mouse.up()
    table = page.locator(".tinyhd-regions table")
    table.get_by_role("row").nth(4).wait_for(timeout=30_000)  # a heading, and two regions times two maps
    page.screenshot(path=ROOT / "out/browser/page_regions.png", full_page=True)
    place = _saves(page, page.get_by_text("every frame as CSV").click, tmp_path / "shares.csv")
    shares = pd.read_csv(place)
    assert list(shares["frame"]) == list(range(FRAMES))
    for name, saliency in maps.items():
        expected = saliency[:, :, :128].sum(axis=(1, 2)) / saliency.sum(axis=(1, 2))
        np.testing.assert_allclose(shares[f"region 1, {name}"], expected, atol=0.003)
    rows = pd.read_csv(_saves(page, page.get_by_text("table as CSV").click, tmp_path / "table.csv"))
    assert rows["area_percent"].tolist() == pytest.approx([50, 50, 6, 6], abs=0.5)
    # The second region is selected: it is dragged, then it moves with key frames.
    page.mouse.move(*_points_at(page, 0.3, 0.35))
    page.mouse.down()
    page.mouse.move(*_points_at(page, 0.6, 0.35), steps=3)
    page.mouse.up()
    page.get_by_label("region 2 moves").check()
    page.locator(".tinyhd-viewer").focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 149,')")
    page.keyboard.press("Shift+ArrowRight")
    assert page.get_by_title("Go to this key frame").all_inner_texts() == ["0", "149"]
    page.get_by_label("Name of region 2").fill("ball")
    page.get_by_label("Name of region 2").press("Enter")
    assert page.get_by_label("Name of ball").count() == 1
    page.get_by_label("Drop ball").click()
    assert page.locator(".tinyhd-regions li").count() == 1


@needs_browser
def test_a_grid_shows_all_maps_and_how_they_agree(page: Page, maps: dict[str, np.ndarray]) -> None:
    page.keyboard.press("7")
    cells = page.locator(".tinyhd-table td")
    page.wait_for_function("document.querySelectorAll('.tinyhd-table td')[1]?.textContent")
    expected = np.corrcoef(maps["right"][0].ravel(), maps["down"][0].ravel())[0, 1]
    assert float(cells.nth(1).inner_text()) == pytest.approx(expected, abs=0.01)
    shown = page.locator(".tinyhd-sheet canvas").nth(1)
    assert shown.evaluate("canvas => canvas.width / canvas.height") == pytest.approx(2 * 16 / 9, rel=0.02)
    page.screenshot(path=ROOT / "out/browser/page_grid.png")


@needs_browser
def test_several_traces_are_drawn_on_lanes_of_their_own(page: Page) -> None:
    page.get_by_label("Settings").click()
    before = page.locator(".tinyhd-timeline canvas").bounding_box()
    for name in ("map spread", "cuts", "motion"):
        page.get_by_label(name, exact=True).check()
    page.wait_for_timeout(300)
    after = page.locator(".tinyhd-timeline canvas").bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] > 2 * before["height"]
    page.mouse.move(after["x"] + 300, after["y"] + 20)
    told = page.locator(".tinyhd-tip").inner_text()
    assert all(name in told for name in ("map change", "map spread", "cuts", "motion"))
    page.screenshot(path=ROOT / "out/browser/page_traces.png")
    page.wait_for_function(THUMBS_PAINTED)
    thumb = page.locator(".tinyhd-thumbs button").first
    frame = int(thumb.inner_text().split(" at ")[1])
    thumb.click()
    page.wait_for_function(f"document.querySelector('.tinyhd-caption').textContent.startsWith('frame {frame},')")


@needs_browser
def test_the_browser_saves_pictures_films_and_notes(page: Page, tmp_path: Path) -> None:
    page.keyboard.press("s")
    page.get_by_label("Go to frame").fill("77")
    page.get_by_label("Go to frame").press("Enter")
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 77,')")
    page.locator(".tinyhd-viewer").focus()
    for _ in range(7):
        page.keyboard.press("[")
    page.wait_for_timeout(500)
    image = cv2.imread(str(_saves(page, lambda: page.keyboard.press("s"), tmp_path / "frame.png")))
    assert _number(image.astype(int)) == 77
    page.keyboard.press("n")
    page.keyboard.type("a ball, and a face")
    page.keyboard.press("Enter")
    notes = _saves(page, page.get_by_text("notes as CSV").click, tmp_path / "notes.csv")
    assert notes.read_text() == 'frame,seconds,note\n77,2.567,"a ball, and a face"\n'
    page.get_by_label("Settings").click()
    film = Image.open(_saves(page, page.get_by_role("button", name="WebP").click, tmp_path / "film.webp"))
    assert film.size == (480, 270)
    assert film.n_frames == 50  # every third frame of five seconds at 30 frames per second
    for number in (0, 20, 49):
        film.seek(number)
        assert _number(np.asarray(film.convert("RGB")).astype(int)) == 3 * number


@needs_browser
def test_a_film_that_is_made_can_be_cancelled(page: Page) -> None:
    page.get_by_label("Settings").click()
    page.get_by_role("button", name="WebP").click()
    page.get_by_role("button", name="cancel").click()
    page.get_by_text("making the WebP: cancelled").wait_for(timeout=10_000)
    assert not page.get_by_role("button", name="cancel").is_visible()


@needs_browser
def test_gaze_is_seen_of_one_observer_or_of_all(browser: Browser, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    video = open_dataset("gaze", tiny("gaze")).videos[0]
    maps = np.full((len(video.names), 8, 8), 0.5, np.float32)
    viewer = SaliencyViewer(video, maps, points=True, alpha=0.0, frame=10)
    page = browser.new_page(viewport={"width": 900, "height": 1100})
    page.goto(viewer.save_html(tmp_path / "gaze.html").as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    marks = "(canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((x, n) => \
n % 4 == 3 && x > 0).length)(document.querySelectorAll('.tinyhd-sheet canvas')[2])"
    page.wait_for_function(f"{marks} > 0")
    everybody = page.evaluate(marks)
    page.get_by_label("Settings").click()
    page.get_by_label("trail").select_option("all")
    page.wait_for_function(f"{marks} > {everybody}")
    whole = page.evaluate(marks)
    page.get_by_label("observer", exact=True).select_option(str(viewer.meta["observers"][0]))
    page.wait_for_function(f"0 < {marks} && {marks} < {whole}")
    page.screenshot(path=ROOT / "out/browser/page_gaze.png")
    page.close()


@pytest.fixture(scope="module")
def pair(numbered_video: Path, maps: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two videos: a wide one of five seconds and an upright one of three."""
    folder = tmp_path_factory.mktemp("pair")
    with VideoWriter(folder / "upright.mp4", Fraction(25)) as writer:
        for index in range(75):
            image = np.full((320, 180, 3), 60, np.uint8)
            image[4 * index : 4 * index + 20, 60:120] = (240, 200, 40)
            writer.write(image, index / 25)
    viewers = [SaliencyViewer(numbered_video, maps), SaliencyViewer(folder / "upright.mp4", maps["down"][:75])]
    return SaliencyViewers(viewers, out=folder).save_html()


@pytest.fixture
def pair_page(browser: Browser, pair: Path) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1300, "height": 1100})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(pair.as_uri())
    page.wait_for_function("[...document.querySelectorAll('video')].filter(each => each.readyState >= 2).length == 2")
    yield page
    assert not errors
    page.close()


def _times(page: Page) -> list[float]:
    return [float(text.split(",")[1].split()[0]) for text in page.locator(".tinyhd-caption").all_inner_texts()]


@needs_browser
def test_viewers_of_a_page_go_through_time_together(pair: Path, pair_page: Page) -> None:
    assert pair.name == "numbered_upright.html"
    assert pair_page.get_by_role("heading").all_inner_texts() == ["numbered", "upright"]
    pair_page.locator(".tinyhd-viewer").nth(1).focus()
    pair_page.keyboard.press("ArrowUp")
    pair_page.wait_for_function(
        "[...document.querySelectorAll('.tinyhd-caption')].map(each => parseInt(each.textContent.slice(6))).join() \
== '19,16'"
    )
    pair_page.keyboard.press("Space")
    pair_page.wait_for_function("document.querySelector('video').currentTime > 1.1")
    pair_page.keyboard.press("Space")
    pair_page.wait_for_function(STILL)
    times = _times(pair_page)
    assert times[0] == pytest.approx(times[1], abs=1 / 25)
    assert times[0] > 1


@needs_browser
def test_a_shorter_video_waits_at_its_end_for_the_others(pair_page: Page) -> None:
    pair_page.locator(".tinyhd-viewer").nth(0).focus()
    pair_page.get_by_label("Go to frame").first.fill("80")
    pair_page.keyboard.press("Enter")
    pair_page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 80,')")
    pair_page.get_by_label("Play (space)").first.click()
    pair_page.wait_for_function(
        "parseInt(document.querySelector('.tinyhd-caption').textContent.slice(6)) > 125", timeout=10_000
    )
    assert _times(pair_page)[1] == pytest.approx(74 / 25, abs=0.01)
    pair_page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 149,')")
    assert pair_page.get_by_label("Play (space)").count() == 2  # both have stopped


@needs_browser
@pytest.mark.parametrize(("width", "columns"), [(420, 1), (1300, 2), (2200, 2)])
def test_viewers_of_a_page_lie_beside_or_below_each_other(pair_page: Page, width: int, columns: int) -> None:
    pair_page.set_viewport_size({"width": width, "height": 1100})
    pair_page.wait_for_timeout(400)
    pair_page.screenshot(path=ROOT / f"out/browser/pair_{width}.png", full_page=True)
    boxes = [each.bounding_box() for each in pair_page.locator(".tinyhd-viewer").all()]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[1]["x"] > boxes[0]["x"]) == (columns == 2)
    assert (boxes[1]["y"] > boxes[0]["y"]) == (columns == 1)
    assert pair_page.evaluate("document.documentElement.scrollWidth") <= width
    pair_page.wait_for_function(THUMBS_PAINTED)


@needs_browser
def test_the_command_line_shows_several_videos(
    browser: Browser, pair: Path, numbered_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [str(numbered_video), str(pair.parent / "upright.mp4")]
    for name, count in (("numbered", FRAMES), ("upright", 75)):
        (tmp_path / "maps" / name).mkdir(parents=True)
        for index in range(0, count, 25):
            cv2.imwrite(str(tmp_path / f"maps/{name}/{index:04d}.png"), np.full((8, 8), index, np.uint8))
    place = tmp_path / "look.html"
    words = ["view", *videos, "--maps", str(tmp_path / "maps"), "--html", str(place)]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(place)
    page = browser.new_page()
    page.goto(place.as_uri())
    page.wait_for_function("[...document.querySelectorAll('video')].filter(each => each.readyState >= 2).length == 2")
    assert page.get_by_role("heading").all_inner_texts() == ["numbered", "upright"]
    page.close()
    shutil.rmtree(tmp_path / "maps/upright")
    assert main(words) == 2
    assert f"maps/upright: no folder with the maps of {videos[1]}; tinyhd predict makes one" in capsys.readouterr().err
    assert main(["view"]) == 2
    assert "name a video: tinyhd view VIDEO" in capsys.readouterr().err


@needs_browser
def test_the_command_line_shows_where_people_looked(
    browser: Browser, tiny: Callable[[str], Path], weights_file: Path, tmp_path: Path
) -> None:
    root, place = tiny("gaze"), tmp_path / "look.html"
    video = open_dataset("gaze", root).videos[0].source
    assert main(["view", str(video), "--gaze", str(root), "--weights", str(weights_file), "--html", str(place)]) == 0
    page = browser.new_page()
    page.goto(place.as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    page.get_by_label("Settings").click()
    assert page.get_by_label("trail").count() == 1
    page.close()


def test_a_page_never_takes_a_videos_place(
    numbered_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "film.mp4"
    shutil.copy(numbered_video, video)
    assert main(["view", str(video), "--html", str(video)]) == 2
    assert f"--html {video}: a page is an .html file" in capsys.readouterr().err
    assert video.read_bytes() == numbered_video.read_bytes()


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (900, "dark"), (2200, "light")])
def test_nothing_overflows_in_any_width_or_theme(page: Page, width: int, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1000})
    page.get_by_label("Settings").click()
    page.wait_for_timeout(300)
    (ROOT / "out/browser").mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ROOT / f"out/browser/page_{width}_{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    style = "getComputedStyle(document.querySelector('.tinyhd-viewer'))"
    colours = [page.evaluate(f"{style}.{name}") for name in ("color", "backgroundColor")]
    assert colours[0] != colours[1]


@needs_browser
def test_a_page_within_a_page_is_a_viewer_too(browser: Browser, saved: tuple[SaliencyViewer, Path]) -> None:
    page = browser.new_page()
    page.set_content(framed(saved[1].read_text("utf-8"), "numbered"))
    frame = page.frame_locator("iframe")
    frame.get_by_label("Play (space)").click()
    frame.locator(".tinyhd-caption", has_text=PLAYED).wait_for(timeout=10_000)
    page.close()


@needs_browser
def test_a_refused_full_screen_is_told(browser: Browser, saved: tuple[SaliencyViewer, Path]) -> None:
    page = browser.new_page()
    element = framed(saved[1].read_text("utf-8"), "numbered")
    page.set_content(element.replace(" allowfullscreen", " allow=\"fullscreen 'none'\"", 1))
    frame = page.frame_locator("iframe")
    frame.get_by_label("Full screen").click()
    frame.get_by_text("no full screen").wait_for(timeout=10_000)
    page.screenshot(path=ROOT / "out/browser/page_no_full_screen.png")
    page.close()


@needs_browser
def test_a_refused_video_is_told(browser: Browser, saved: tuple[SaliencyViewer, Path], tmp_path: Path) -> None:
    policy = """<meta http-equiv="Content-Security-Policy" content="media-src 'none'">"""
    place = tmp_path / "refused.html"
    place.write_text(saved[1].read_text("utf-8").replace("<title>", f"{policy}<title>", 1), encoding="utf-8")
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    page.goto(place.as_uri())
    page.get_by_text("security policy refuses the video").wait_for(timeout=10_000)
    page.wait_for_function("document.querySelector('.tinyhd-caption').textContent.startsWith('frame 0,')")
    page.screenshot(path=ROOT / "out/browser/page_no_video.png")
    page.close()


@needs_browser
def test_after_full_screen_the_page_is_at_the_viewer(page: Page) -> None:
    """The page was scrolled during full screen, as a notebook does."""
    page.evaluate("document.body.style.padding = '3000px 0'")
    page.locator(".tinyhd-stage").scroll_into_view_if_needed()
    page.locator(".tinyhd-viewer").focus()
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement")
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement && scrollY > 2000")
    page.wait_for_timeout(500)
    box = page.locator(".tinyhd-stage").bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 1000


def test_words_are_left_of_a_page_whose_element_is_taken_out() -> None:
    assert re.sub("<[^>]*>", "", framed("<p>look</p>", "numbered")).startswith("Trust this notebook to see the viewer")


@needs_browser
def test_an_executed_notebook_as_html_holds_a_working_viewer(
    browser: Browser, numbered_video: Path, tmp_path: Path
) -> None:
    from nbconvert import HTMLExporter  # it takes a while to import

    source = f"""import numpy as np
from tinyhd_lib.viewer import SaliencyViewer, SaliencyViewers
SaliencyViewer({str(numbered_video)!r}, np.random.default_rng(0).random(({FRAMES}, 24, 32)))"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, kernel_name="python3", store_widget_state=False).execute()
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}  # and no widget, since its kernel has ended
    place = tmp_path / "notebook.html"
    place.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 1100})
    page.goto(place.as_uri())
    frame = page.frame_locator("iframe")
    frame.get_by_label("Play (space)").click()
    frame.locator(".tinyhd-caption", has_text=PLAYED).wait_for(timeout=10_000)
    page.close()


def test_a_browser_video_can_be_sought_by_chunks_and_holds_every_frame(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, image in enumerate(islice(moving_dot(CHUNK + 20), CHUNK + 20)):
        cv2.imwrite(str(folder / f"{index:03}.png"), image[..., ::-1])
    told: list[tuple[int, int]] = []
    made = browser_video(VideoReader(folder), 64, lambda *done: told.append(done))
    assert told == [(done, CHUNK + 20) for done in range(1, CHUNK + 21)]
    head = made.part(-1)
    for chunk, frames in ((0, CHUNK), (1, 20)):
        (tmp_path / "chunk.mp4").write_bytes(head + made.part(chunk))
        assert len(list(read_frames(tmp_path / "chunk.mp4"))) == frames
    whole = list(read_frames(made.path))
    assert [frame.image.shape for frame in whole[:1]] == [(48, 64, 3)]
    assert (
        np.abs(
            whole[70].image.astype(int)
            - cv2.resize(list(moving_dot(CHUNK + 20))[70], (64, 48), interpolation=cv2.INTER_AREA)
        ).mean()
        < 12
    )


def test_a_range_is_exported_with_its_sound(numbered_video: Path, maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    viewer = SaliencyViewer(numbered_video, maps, start=60, stop=119, out=tmp_path)
    with av.open(str(viewer.save_video())) as film:
        assert film.streams.video[0].frames == 60
        sound = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert len(sound) / 48000 == pytest.approx(2, abs=0.1)
    loud = np.abs(np.fft.rfft(sound[4800:72000]))
    assert loud.argmax() * 48000 / 67200 == pytest.approx(48000 / (2 * np.pi * 20), rel=0.01)  # the original tone


def test_the_pictures_keep_their_times_beside_sound(numbered_video: Path) -> None:
    made = browser_video(VideoReader(numbered_video), 640, lambda *_done: None)
    with av.open(str(made.path), format="mp4") as container:
        times = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None]
        assert container.streams.audio
    np.testing.assert_allclose(times, np.arange(FRAMES) / 30, atol=6e-4)  # Matroska stores milliseconds


def test_maps_are_packed_small_and_without_loss(maps: dict[str, np.ndarray]) -> None:
    part = packed_maps([*maps["right"][:63], None])
    assert len(part) < 64 * 10_000
    assert np.isnan(np.frombuffer(part[6 : 6 + 64 * 20], "<f4").reshape(64, 5)[63]).all()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the script's source, with the installed tools that build and check it."""
    source = tmp_path_factory.mktemp("viewer") / "js"
    shutil.copytree(SCRIPTS, source, ignore=shutil.ignore_patterns("node_modules"))
    _npm(source, "ci", "--ignore-scripts")
    return source


def _npm(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [str(NODE), *words], cwd=folder, capture_output=True, text=True, env=os.environ | {"CI": "1"}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_node
def test_the_script_is_current_typed_and_tested(installed: Path) -> None:
    """The committed script equals a build of its source: change js/src, and run npm run build in js."""
    _npm(installed, "run", "check")
    _npm(installed, "test")
    _npm(installed, "run", "build")
    assert (installed.parent / "static/viewer.js").read_text("utf-8") == SCRIPT


@needs_node
@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_by_all_rules_of_axe(page: Page, installed: Path, scheme: Any) -> None:
    """Names, roles, lists, landmarks and contrast are checked with all panels open."""
    page.emulate_media(color_scheme=scheme)
    page.get_by_label("Settings").click()
    for key in ("7", "n", "o", "k", "Enter", "r"):
        page.keyboard.press(key)
    page.mouse.move(*_points_at(page, 0.1, 0.1))
    page.mouse.down()
    page.mouse.move(*_points_at(page, 0.4, 0.8), steps=3)
    page.mouse.up()
    page.locator(".tinyhd-regions table").get_by_role("row").nth(2).wait_for(timeout=30_000)
    page.keyboard.press("?")
    page.screenshot(path=ROOT / f"out/browser/everything_{scheme}.png", full_page=True)
    page.evaluate((installed / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 25
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []


def test_a_state_of_another_version_is_refused(saved: tuple[SaliencyViewer, Path], tmp_path: Path) -> None:
    place = saved[0].save_state(tmp_path / "view.json")
    table = json.loads(place.read_bytes())
    assert table["version"] == 3
