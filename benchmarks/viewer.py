"""Latency of the viewer in JupyterLab, in a real browser: frames shown in time, and seeking."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from benchmarks.lab import chromium, opened, resident, run_cell, tab_memory
from benchmarks.report import Benchmark, Report
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import INPUT_SIZE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tinyhd_lib.viewer.sources import MapSource

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
_COUNT = """
() => {
  window.sent = 0;
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (...words) {
    window.sent++;
    return send.apply(this, words);
  };
}
"""
_LISTEN = """
() => {
  const viewer = document.querySelector(".tinyhd-viewer");
  const timeline = viewer.querySelector('[aria-label="Timeline"]');
  window.sought = new Promise((done) => {
    let begun = Infinity;
    timeline.addEventListener("pointerdown", () => (begun = performance.now()), { capture: true, once: true });
    const watching = new MutationObserver(() => {
      if (begun === Infinity) return;
      watching.disconnect();
      requestAnimationFrame(() => done(performance.now() - begun));
    });
    watching.observe(viewer, { attributes: true, attributeFilter: ["data-frame"] });
  });
}
"""
_PAINTED = "document.querySelector('.tinyhd-viewer')?.dataset.frame !== undefined"
_PLAYABLE = "document.querySelector('.tinyhd-viewer video').readyState >= 2"
_MAKING = 1_800_000  # milliseconds that the browser's copy of a long video may take
_AFTER_A_CLICK = 700  # milliseconds after which the next part is fetched, and a second click is no double click


@dataclass(frozen=True, kw_only=True)
class Viewer(Benchmark):
    """Measure in JupyterLab, without a graphics card, the share of a video's frames that is shown, and how fast.

    Attributes:
        video: video files; their maps are synthetic.
        minutes: length of one more, synthetic video of 1920x1080 pixels; 0 for none.
        width: of the picture.
        seconds: of a video to play, at most, at every speed.
        repeats: number of frames to seek, near and far each.
    """

    video: tuple[Path, ...] = ()
    minutes: float = 0.0
    width: int = 640
    seconds: float = 600.0
    repeats: int = 40

    def measure(self) -> Report:
        """Return ``viewer``, one row per video.

        Raises:
            BadInput: Chromium is not installed, or JupyterLab does not start; or there is no video.
        """
        if not self.video and not self.minutes:
            raise BadInput("name a video, `video=(...)`, or say how long one is to be made up, `minutes=10`")
        with TemporaryDirectory() as name, chromium() as browser:
            folder = Path(name).resolve()
            videos = [path.resolve() for path in self.video]
            if self.minutes:
                videos.append(write_long(folder / "made-up.mp4", round(60 * self.minutes)))
            return {"viewer": [self._of_one(browser, video, folder) for video in videos]}

    def _of_one(self, browser: "Browser", video: Path, folder: Path) -> dict[str, Any]:
        with VideoReader(video) as reader:
            count, rate, (height, width, _) = reader.count, float(reader.rate), reader[0].shape
        place = folder / video.stem
        place.mkdir()
        imported = (
            "import os",
            "from benchmarks.viewer import wandering",
            "from tinyhd_lib.viewer import SaliencyViewer",
        )
        cells = [
            "\n".join([*imported, "os.getpid()"]),
            f"SaliencyViewer({str(video)!r}, wandering({count}), width={self.width})",
        ]
        row: dict[str, Any] = {"video": video.name, "size": f"{width}x{height}", "frames": count}
        with opened(browser, cells, place, self.width + 160) as page:
            run_cell(page, 0)
            kernel = int(page.locator(".jp-OutputArea-executeResult pre").inner_text(timeout=120_000))
            run_cell(page, 1)
            begun = page.evaluate("performance.now()")
            page.wait_for_function(_PAINTED)
            row["on_screen_s"] = round((page.evaluate("performance.now()") - begun) / 1000, 2)
            page.wait_for_function(_PLAYABLE, timeout=_MAKING)
            before = tab_memory(browser, page)
            page.evaluate(_COUNT)
            page.set_default_timeout(0)
            length = min(self.seconds, count / rate - 0.5)
            for speed in (1, 2):
                row |= _played(page, speed, length, rate)
            row |= _sought(page, self.repeats)
            after = tab_memory(browser, page)
            row["kernel_mib"] = round(resident(kernel, "VmHWM"), 1)
        return row | {
            f"{name}_mib_{when}": each[name] for name in before for when, each in (("before", before), ("after", after))
        }


def _played(page: "Page", speed: int, length: float, rate: float) -> dict[str, float]:
    """Play the video, and count shown frames, and messages to the kernel."""
    before = page.evaluate("window.sent")
    shown, passed, presented = page.evaluate(_PLAY, [speed, length])
    return {
        f"presented_at_{speed}": round(min(presented / rate, 1.0), 3),
        f"shown_at_{speed}": round(shown / passed, 3),
        f"pace_at_{speed}": round(passed / (length * rate), 3),
        f"messages_a_second_at_{speed}": round((page.evaluate("window.sent") - before) * speed / length, 2),
    }


def _sought(page: "Page", repeats: int) -> dict[str, float]:
    """Click the timeline at random, and each time again a pixel beside, where video and maps are loaded already."""
    box = page.get_by_label("Timeline").bounding_box()
    assert box is not None
    far: list[float] = []
    near: list[float] = []
    for part in np.random.default_rng(0).uniform(0.05, 0.95, repeats):
        for shift, taken in ((0, far), (1, near)):
            page.evaluate(_LISTEN)
            page.mouse.click(box["x"] + round(part * box["width"]) + shift, box["y"] + box["height"] - 12)
            taken.append(page.evaluate("window.sought"))
            page.wait_for_timeout(_AFTER_A_CLICK)
    return {
        f"{name}_p{part}_ms": round(float(np.percentile(taken, part)), 1)
        for name, taken in (("near", near), ("far", far))
        for part in (50, 95)
    }


def wandering(count: int) -> "MapSource":
    """Return maps (192, 256) of a moving spot, each computed on request."""
    from tinyhd_lib.viewer.sources import MapSource

    rows, columns = np.mgrid[: INPUT_SIZE[0], : INPUT_SIZE[1]]

    def spot(n: int) -> Image:
        return np.exp(
            -((rows - 96 - 60 * np.sin(n / 17)) ** 2 + (columns - 128 - 90 * np.cos(n / 23)) ** 2) / 900
        ).astype(np.float32)

    return MapSource(count, spot)


def write_long(path: Path, seconds: int, rate: int = 30, turn: int = 10) -> Path:
    """Write a 1920x1080 video of moving waves: ``turn`` seconds of them, repeated up to ``seconds``."""
    rows, columns = np.mgrid[:1080, :1920].astype(np.float32)
    with VideoWriter(path.with_suffix(".turn.mp4"), Fraction(rate)) as writer:
        for index in range(rate * turn):
            phase = 2 * np.pi * index / rate / turn
            waves = [
                np.sin(columns / (90 + 40 * n) + (n + 2) * phase) + np.cos(rows / (60 + 30 * n) - 3 * phase)
                for n in range(3)
            ]
            writer.write(np.stack([(127 + 60 * wave).astype(np.uint8) for wave in waves], axis=2), index / rate)
    with av.open(str(path.with_suffix(".turn.mp4"))) as source, av.open(str(path), "w") as long:
        stream = long.add_stream_from_template(source.streams.video[0])
        packets: list[Any] = [packet for packet in source.demux(video=0) if packet.size]
        length = round(turn / packets[0].time_base)
        for n in range(max(1, seconds // turn)):
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.pts, again.dts = packet.pts + n * length, packet.dts + n * length
                again.time_base, again.stream, again.is_keyframe = packet.time_base, stream, packet.is_keyframe
                long.mux(again)
    return path
