"""What the viewer's reader waits for, in a real browser: frames that are shown in time, and one that is sought."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.report import Benchmark, Report
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import INPUT_SIZE

_PLAY = """
async ([speed, seconds]) => {
  const viewer = document.querySelector(".tinyhd-viewer");
  const select = viewer.querySelector('select[aria-label="speed"]');
  select.value = String(speed);
  select.dispatchEvent(new Event("change"));
  const shown = new Set();
  const read = () => shown.add(Number(viewer.dataset.frame));
  const video = viewer.querySelector("video");
  const now = () => new Promise((done) => video.requestVideoFrameCallback((_now, about) => done(about)));
  const key = (name) => viewer.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
  key("Home");
  await new Promise((done) => setTimeout(done, 1500));
  const watching = new MutationObserver(read);
  watching.observe(viewer, { attributes: true, attributeFilter: ["data-frame"] });
  key(" ");
  const first = await now();
  await new Promise((done) => setTimeout(done, (1000 * seconds) / speed));
  const last = await now();
  key(" ");
  watching.disconnect();
  const presented = (last.presentedFrames - first.presentedFrames) / (last.mediaTime - first.mediaTime);
  return [shown.size, Math.max(...shown) - Math.min(...shown) + 1, presented];
}
"""
_SEEK = """
async (frame) => {
  const viewer = document.querySelector(".tinyhd-viewer");
  const caption = viewer.querySelector(".tinyhd-caption");
  const jump = viewer.querySelector('input[type="number"]');
  const changed = new Promise((done) => {
    const watching = new MutationObserver(() => {
      if (parseInt(caption.textContent.slice(6)) !== frame) return;
      watching.disconnect();
      requestAnimationFrame(() => done(performance.now()));
    });
    watching.observe(caption, { childList: true, characterData: true, subtree: true });
  });
  const begun = performance.now();
  jump.value = String(frame);
  jump.dispatchEvent(new Event("change"));
  return (await changed) - begun;
}
"""


@dataclass(frozen=True, kw_only=True)
class Viewer(Benchmark):
    """Measure in Chromium, without a graphics card, which part of a video's frames the viewer shows, and how fast.

    Attributes:
        video: a video file; its maps are made up.
        width: of the picture.
        seconds: of the video that are played, at every speed.
        repeats: how many frames are sought.
    """

    video: Path
    width: int = 640
    seconds: float = 10.0
    repeats: int = 40

    def measure(self) -> Report:
        """Return ``viewer``, one row.

        Raises:
            BadInput: Chromium or playwright is not installed.
        """
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if chromium is None:
            raise BadInput("the viewer is measured in Chromium, which is not there; install it")
        from playwright.sync_api import sync_playwright

        from tinyhd_lib.viewer import SaliencyViewer

        with VideoReader(self.video) as reader:
            count, rate, (height, width, _) = reader.count, float(reader.rate), reader[0].shape
        viewer = SaliencyViewer(self.video, _maps(count), width=self.width)
        length = min(self.seconds, count / rate - 0.5)
        rng = np.random.default_rng(0)
        row: dict[str, Any] = {"video": {"file": self.video.name, "frames": count, "size": [width, height]}}
        with TemporaryDirectory() as folder, sync_playwright() as playwright:
            place = viewer.save_html(Path(folder).resolve() / "page.html")
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
            )
            row["page_mib"] = round(place.stat().st_size / 2**20, 1)
            page = browser.new_page(viewport={"width": self.width + 20, "height": 900})
            page.goto(place.as_uri())
            page.wait_for_function("document.querySelector('video').readyState >= 2")
            for speed in (1, 2):
                shown, passed, presented = page.evaluate(_PLAY, [speed, length])
                row[f"presented_at_{speed}"] = round(min(presented / rate, 1.0), 3)
                row[f"shown_at_{speed}"] = round(shown / passed, 3)
                row[f"pace_at_{speed}"] = round(passed / (length * rate), 3)
            seeks = [page.evaluate(_SEEK, frame) for frame in _anywhere(rng, count, self.repeats)]
            browser.close()
        row["seek_p50_ms"], row["seek_p95_ms"] = (round(float(np.percentile(seeks, part)), 1) for part in (50, 95))
        return {"viewer": [row]}


def _maps(count: int) -> np.ndarray:
    """Return maps (count, 192, 256) of a spot that wanders."""
    rows, columns = np.mgrid[: INPUT_SIZE[0], : INPUT_SIZE[1]]
    places = ((96 + 60 * np.sin(n / 17), 128 + 90 * np.cos(n / 23)) for n in range(count))
    spots = [np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 900).astype(np.float16) for y, x in places]
    return np.array(spots)


def _anywhere(rng: np.random.Generator, count: int, repeats: int) -> list[int]:
    """Return frames, each another one than that before."""
    chosen = rng.integers(0, count, 2 * repeats).tolist()
    return [frame for frame, before in zip(chosen, [0, *chosen], strict=False) if frame != before][:repeats]
