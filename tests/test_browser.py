"""The viewer in a real JupyterLab and a real browser: keys and clicks, and what is seen afterwards."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import cv2
import nbformat
import numpy as np
import pytest
from conftest import ROOT, needs_browser
from playwright.sync_api import Browser, ConsoleMessage, Page

from tinyhd_lib.data.video import read_frames
from tinyhd_lib.notebooks.files import copy_notebooks
from tinyhd_lib.viewer.page import framed

SCREENSHOTS = ROOT / "out" / "browser"
TOKEN = "tests"
READY = "document.querySelector('video.tinyhd-video').readyState >= 2"
COUNT_MESSAGES = """
() => {
  window.sent = 0;
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (...words) { window.sent++; return send.apply(this, words); };
}
"""
# Milliseconds for starting the kernel, two conversions and two predictions on a busy machine.
SLOW = 120_000

pytestmark = [
    pytest.mark.slow,
    needs_browser,
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab server in a folder of its own with our notebooks: its address and the folder."""
    folder = tmp_path_factory.mktemp("lab")
    copy_notebooks(folder / "notebooks")
    notebook = folder / "notebooks/05_visualization.ipynb"
    text = notebook.read_text()
    assert "DECODERS: bool = True" in text
    content = nbformat.reads(text.replace("DECODERS: bool = True", "DECODERS: bool = False"), 4)
    (shown,) = (number for number, cell in enumerate(content.cells) if cell.source.endswith("\nviewer"))
    # The cells below save pictures and videos without the browser, which is tested with the other notebooks.
    content.cells[shown + 1 :] = [nbformat.v4.new_code_cell("viewer.settings")]
    nbformat.write(content, notebook)
    _choose(folder, "apputils-extension/notification", fetchNews="false", checkForUpdates=False)
    _choose(folder, "notebook-extension/tracker", windowingMode="none")  # cells outside the viewport stay in the page
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "IPYTHONDIR": str(folder / "ipython")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
    command += ["--LabApp.extension_manager=readonly"]  # the other one asks the package index, even when it should end
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=log, cwd=folder)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(lambda: _read(f"{address}/api?token={TOKEN}"), 120, "JupyterLab does not start")
            yield address, folder
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _choose(folder: Path, plugin: str, **settings: object) -> None:
    place = folder / f"settings/@jupyterlab/{plugin}.jupyterlab-settings"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(settings))


def _read(address: str) -> bytes:
    """Return what a server answers; nothing if there is none."""
    try:
        with urlopen(address) as answer:
            return answer.read()
    except URLError:
        return b""


def _wait(holds: Callable[[], Any], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)


class Reader:
    """A user of the viewer on an open page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.viewer = page.locator(".tinyhd-viewer").first
        self.image = self.viewer.locator(".tinyhd-stage")
        self.errors: list[str] = []
        self.asked = 0

    def pixels(self) -> np.ndarray:
        content = np.frombuffer(self.image.screenshot(), np.uint8)
        return cv2.imdecode(content, cv2.IMREAD_COLOR).astype(int)

    def caption(self) -> str:
        return self.viewer.locator(".tinyhd-caption").inner_text()

    def status(self) -> str:
        return self.viewer.locator(".tinyhd-status").inner_text()

    def frame(self) -> int:
        found = re.match(r"frame (\d+)", self.caption())
        assert found, self.caption()
        return int(found[1])

    def stays(self) -> bool:
        """Return whether the frame stays the same for half a second."""
        before = self.frame()
        self.page.wait_for_timeout(500)
        return self.frame() == before

    def sees(self, words: str) -> None:
        """Wait until the caption, which is written after the picture is drawn, contains these words, and no excuse."""
        _wait(
            lambda: words in self.caption() and "no map of this frame" not in self.caption(),
            60,
            f"{words!r} is not in {self.caption()!r}",
        )

    def press(self, key: str) -> None:
        self.viewer.focus()
        self.page.keyboard.press(key)

    def point(self, x: float, y: float) -> None:
        """Move the mouse to a point in fractions of the picture's width and height."""
        box = self.image.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def looks(self, like: Callable[[np.ndarray], Any], otherwise: str) -> None:
        """Wait until the picture is like this."""
        _wait(lambda: like(self.pixels()), 20, otherwise)

    def to_the_beginning(self) -> None:
        self.viewer.get_by_label("Timeline").click(position={"x": 20, "y": 50})
        _wait(lambda: self.frame() < 20, 60, "the timeline does not go there")

    def runs(self, code: str) -> None:
        """Run a line in a new last cell of the notebook."""
        self.page.locator(".jp-CodeCell").last.click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("b")
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Control+Enter")

    def settle(self) -> None:
        """Wait until the kernel has answered everything that it was told before."""
        self.asked += 1
        self.runs(f"print('answer', {self.asked})")
        self.page.get_by_text(f"answer {self.asked}", exact=True).wait_for(timeout=20_000)
        self.viewer.scroll_into_view_if_needed()


@pytest.fixture(scope="module")
def reader(lab: tuple[str, Path], browser: Browser) -> Iterator[Reader]:
    """A user who has opened notebook 05 and run all of it."""
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    reader = Reader(page)
    page.on("pageerror", lambda error: reader.errors.append(str(error)))
    page.on("console", lambda message: _note(message, reader.errors))
    page.goto(f"{lab[0]}/lab/tree/notebooks/05_visualization.ipynb?token={TOKEN}", timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    try:
        reader.image.wait_for(timeout=SLOW)
        # The last cell has finished, so the kernel is free to answer.
        page.locator(".jp-OutputArea-output", has_text="Settings(").wait_for(timeout=SLOW)
        reader.viewer.scroll_into_view_if_needed()
        _wait(lambda: page.evaluate(READY), 60, "the video does not come")
    finally:
        page.screenshot(path=SCREENSHOTS / "opened.png")
    yield reader
    assert not reader.errors  # errors of the page and of its console


def test_keys_choose_views_that_differ(reader: Reader) -> None:
    cells = reader.page.locator(".jp-CodeCell").count()
    seen = {}
    for key, view in enumerate(("overlay", "side-by-side", "map", "contours"), start=1):
        reader.press(str(key))
        reader.sees(f"{view}: workbench-s-r4")
        seen[view] = reader.pixels()
        reader.page.screenshot(path=SCREENSHOTS / f"{view}.png")
    assert seen["side-by-side"].shape != seen["overlay"].shape  # its aspect ratio is twice as wide
    assert np.abs(seen["map"] - seen["overlay"]).mean() > 10
    assert np.abs(seen["contours"] - seen["overlay"]).max() > 40
    # JupyterLab, which has commands on these keys too, has not changed the notebook.
    assert reader.page.locator(".jp-CodeCell").count() == cells


def test_without_opacity_the_frame_itself_is_seen(reader: Reader) -> None:
    reader.press("1")
    reader.sees("overlay")
    laid_over = reader.pixels()
    for _ in range(10):
        reader.press("[")
    reader.looks(lambda now: np.abs(now - laid_over).max() > 40, "the map stays")
    for _ in range(7):
        reader.press("]")
    reader.looks(lambda now: np.abs(now - laid_over).max() <= 1, "the map does not come back")


def test_keys_and_buttons_go_through_the_film(reader: Reader) -> None:
    cells = reader.page.locator(".jp-CodeCell").count()
    reader.press("ArrowUp")
    reader.sees("frame 16,")
    before = reader.frame()
    reader.press("ArrowRight")
    reader.sees(f"frame {before + 1},")
    reader.press("ArrowDown")
    reader.sees(f"frame {before - 15},")
    reader.page.get_by_label("16 frames on (↑)").first.click()
    reader.sees(f"frame {before + 1},")
    reader.press("x")  # not a key of the viewer; JupyterLab would cut the cell
    reader.press("ArrowRight")
    reader.sees(f"frame {before + 2},")
    assert reader.page.locator(".jp-CodeCell").count() == cells


def test_control_and_s_save_the_notebook(reader: Reader, lab: tuple[str, Path]) -> None:
    notebook = lab[1] / "notebooks/05_visualization.ipynb"
    before = notebook.stat().st_mtime_ns
    reader.press("ArrowRight")
    reader.press("Control+s")
    _wait(lambda: notebook.stat().st_mtime_ns > before, 20, "the notebook is not saved")
    reader.settle()
    assert "wrote" not in reader.status()  # only the key s alone writes a file


def test_pointing_reads_the_map(reader: Reader) -> None:
    reader.press("1")
    reader.sees("overlay")
    reader.point(0.25, 0.5)
    reading = reader.page.get_by_text(re.compile(r"x \d+, y \d+: .* percentile"))
    reading.wait_for(timeout=10_000)
    found = re.match(r"x (\d+), y (\d+): (\S+), percentile ([\d.]+)", reading.inner_text())
    assert found
    assert abs(int(found[1]) - 160) <= 2
    assert abs(int(found[2]) - 180) <= 2
    assert 0 < float(found[3]) < 1
    assert 0 <= float(found[4]) <= 100


def test_the_timeline_goes_where_it_is_pressed_and_is_dragged_along(reader: Reader) -> None:
    reader.to_the_beginning()
    box = reader.viewer.get_by_label("Timeline").bounding_box()
    assert box is not None
    mouse = reader.page.mouse
    mouse.move(box["x"] + 20, box["y"] + 90)  # on the axis
    mouse.down()
    for step in range(1, 11):
        mouse.move(box["x"] + 20 + 40 * step, box["y"] + 90)
    mouse.up()
    _wait(lambda: reader.frame() > 40, 60, "the axis does not drag the film along")
    reader.to_the_beginning()  # a click at the same place a second time


def test_the_kernel_and_the_browser_tell_each_other(reader: Reader) -> None:
    reader.runs("viewer.frame, viewer.alpha, viewer.view = 99, 0.3, 'map'")
    reader.sees("frame 99, 3.96 s; map")
    reader.press("1")
    reader.press("ArrowRight")
    reader.sees("frame 100,")
    reader.runs("print('now', viewer.frame, viewer.view, viewer.alpha)")
    reader.page.get_by_text("now 100 overlay 0.3").wait_for(timeout=20_000)
    reader.runs("viewer.alpha = 0.7")
    reader.settle()


def test_two_models_are_held_against_each_other(reader: Reader) -> None:
    reader.press("5")
    reader.sees("left workbench-s-r4, right workbench-m-r4")
    reader.settle()
    middle = reader.pixels()
    reader.point(0.9, 0.5)
    reader.page.mouse.down()
    reader.page.mouse.up()
    reader.looks(lambda now: np.abs(now - middle).max() > 40, "the border stays")
    reader.page.screenshot(path=SCREENSHOTS / "wipe.png")
    reader.press("6")
    reader.sees("workbench-s-r4 more (orange, +) or less (purple, -) than workbench-m-r4")
    reader.page.screenshot(path=SCREENSHOTS / "difference.png")


def test_the_film_plays_and_stops(reader: Reader) -> None:
    reader.press("1")
    reader.sees("overlay")
    reader.to_the_beginning()
    before = reader.frame()
    reader.press("Space")
    _wait(lambda: reader.frame() > before + 3, 60, "the film does not play")
    reader.press("Space")
    _wait(reader.stays, 20, "the film does not stop")
    assert reader.frame() < 143


def test_frame_and_state_are_exported(reader: Reader, lab: tuple[str, Path]) -> None:
    out = lab[1] / "notebooks/runs/05_visualization"
    reader.press("s")
    _wait(lambda: re.search(r"wrote .*pursuit_\d+\.png", reader.status()), 20, "no frame is written")
    (saved,) = out.glob("pursuit_*.png")
    assert cv2.imread(str(saved)).shape == (360, 640, 3)
    reader.viewer.get_by_label("Settings").click()
    reader.viewer.get_by_role("button", name="JSON").click()
    _wait(lambda: "pursuit_view.json" in reader.status(), 20, "no state is written")
    settings = json.loads((out / "pursuit_view.json").read_bytes())["settings"]
    assert settings["frame"] == reader.frame()
    assert settings["view"] == "overlay"
    reader.viewer.get_by_role("button", name="HTML").click()
    _wait(lambda: "pursuit.html" in reader.status(), 60, "no page is written")
    reader.viewer.get_by_role("button", name="mp4").click()
    _wait(lambda: "pursuit_overlay.mp4" in reader.status(), 60, "no video is written")
    assert len(list(read_frames(out / "pursuit_overlay.mp4"))) == 144


def test_regions_are_drawn_and_the_kernel_has_them(reader: Reader) -> None:
    reader.press("1")
    reader.runs("viewer.frame = 41")
    reader.sees("frame 41,")
    for corners in (((0.77, 0.5), (0.99, 0.97)), ((0.36, 0.4), (0.53, 0.8))):
        reader.viewer.focus()
        reader.page.keyboard.press("r")
        reader.point(*corners[0])
        reader.page.mouse.down()
        reader.point(*corners[1])
        reader.page.mouse.up()
    for before, name in (("region 1", "face"), ("region 2", "ball")):
        field = reader.viewer.get_by_label(f"Name of {before}", exact=True)
        field.click(click_count=3)
        reader.page.keyboard.type(name)
        reader.page.keyboard.press("Enter")
    table = reader.viewer.locator(".tinyhd-regions table")
    _wait(lambda: table.get_by_role("cell", name="ball", exact=True).count() == 2, 60, "no table")
    reader.settle()
    reader.viewer.screenshot(path=SCREENSHOTS / "regions.png")
    rows = [row.split("\t") for row in table.inner_text().splitlines() if row.startswith(("face", "ball"))]
    assert [row[0] for row in rows] == ["face", "face", "ball", "ball"]
    assert all(0 < float(row[3].rstrip(" %")) < 100 for row in rows)
    reader.runs("print('here', [region['name'] for region in viewer.regions])")
    reader.page.get_by_text("here ['face', 'ball']").wait_for(timeout=20_000)
    reader.runs("viewer.regions = []")
    _wait(lambda: reader.viewer.locator(".tinyhd-regions li").count() == 0, 20, "the regions stay")
    reader.viewer.scroll_into_view_if_needed()


def test_it_takes_the_theme_of_jupyterlab(reader: Reader) -> None:
    background = "getComputedStyle(document.querySelector('.tinyhd-viewer')).backgroundColor"
    before = reader.page.evaluate(background)
    for theme in ("JupyterLab Dark", "JupyterLab Dark High Contrast", "JupyterLab Light"):
        reader.page.get_by_role("menuitem", name="Settings", exact=True).click()
        reader.page.get_by_text("Theme", exact=True).first.hover()
        reader.page.get_by_role("menuitem", name=theme, exact=True).click()
        dark = "Dark" in theme
        _wait(lambda dark=dark: (reader.page.evaluate(background) != before) == dark, 20, theme)
        reader.viewer.scroll_into_view_if_needed()
        reader.page.screenshot(path=SCREENSHOTS / f"{theme.split(' ', 1)[1].replace(' ', '_').lower()}.png")


def test_the_keys_are_listed(reader: Reader) -> None:
    row = reader.page.get_by_text("save the frame as a PNG").first
    assert not row.is_visible()
    reader.press("?")
    row.wait_for(timeout=10_000)
    reader.page.screenshot(path=SCREENSHOTS / "viewer.png")
    reader.press("?")


def test_several_viewers_share_a_cell_and_go_through_time_together(reader: Reader) -> None:
    viewers = reader.page.locator(".tinyhd-viewer")
    before = viewers.count()
    reader.runs(
        "from tinyhd_lib.viewer import SaliencyViewers; "
        "SaliencyViewers([SaliencyViewer(video, models), SaliencyViewer(video, models, view='map')])"
    )
    _wait(lambda: viewers.count() == before + 2, 60, "the viewers do not come")
    last = viewers.nth(before + 1)
    last.scroll_into_view_if_needed()
    _wait(lambda: last.get_attribute("data-frame"), 60, "the second viewer shows nothing")
    last.get_by_label("Go to frame").fill("33")
    last.get_by_label("Go to frame").press("Enter")
    both = [viewers.nth(before + n).locator(".tinyhd-caption") for n in (0, 1)]
    _wait(lambda: all("frame 33," in each.inner_text() for each in both), 60, "they are not together")
    reader.page.screenshot(path=SCREENSHOTS / "several.png")
    reader.viewer.scroll_into_view_if_needed()


def test_little_is_said_while_it_plays_and_a_dead_kernel_leaves_it_playing(
    reader: Reader, lab: tuple[str, Path]
) -> None:
    reader.press("1")
    reader.press("l")
    reader.page.evaluate(COUNT_MESSAGES)
    reader.press("Space")
    reader.page.wait_for_timeout(3000)
    assert reader.page.evaluate("window.sent") <= 2 * 3
    reader.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    reader.page.get_by_text("Shut Down Kernel", exact=True).click()
    _wait(lambda: _read(f"{lab[0]}/api/kernels?token={TOKEN}") == b"[]", 20, "the kernel stays")
    seen: set[int] = set()
    _wait(lambda: seen.add(reader.frame()) or len(seen) > 5, 20, "it stops playing")
    reader.press("s")
    _wait(lambda: "the kernel does not answer" in reader.status(), 20, "nothing is said of the kernel")
    reader.page.screenshot(path=SCREENSHOTS / "silent.png")


def test_a_notebook_that_is_not_trusted_says_so(lab: tuple[str, Path], browser: Browser) -> None:
    cell = nbformat.v4.new_code_cell("1", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": framed("<p>look</p>", "a video")})]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), lab[1] / "executed.ipynb")
    page = browser.new_page()
    page.goto(f"{lab[0]}/doc/tree/executed.ipynb?token={TOKEN}", timeout=60_000)
    page.get_by_text("Trust this notebook to see the viewer").wait_for(timeout=60_000)
    page.screenshot(path=SCREENSHOTS / "distrusted.png")
    page.close()


def _note(message: ConsoleMessage, errors: list[str]) -> None:
    if message.type == "error":
        errors.append(message.text)
