"""What the viewer's reader waits for: a frame that is sought, drawn and encoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import Benchmark, Report
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.records import peak_memory

if TYPE_CHECKING:
    from tinyhd_lib.viewer import SaliencyViewer


@dataclass(frozen=True, kw_only=True)
class Viewer(Benchmark):
    """Measure how long the viewer takes to show a frame, of frames in any order and of each next one.

    Attributes:
        video: a video file; its maps are made up.
        repeats: how many frames are looked at in either way.
    """

    video: Path
    repeats: int = 200

    def measure(self) -> Report:
        """Return ``viewer``, one row."""
        from tinyhd_lib.viewer import SaliencyViewer

        rng = np.random.default_rng(0)
        with VideoReader(self.video) as reader:
            count, (height, width, _) = reader.count, reader[0].shape
        maps = np.broadcast_to(rng.random(INPUT_SIZE, np.float32), (count, *INPUT_SIZE))
        viewer = SaliencyViewer(self.video, maps)
        anywhere = _milliseconds(viewer, rng.integers(0, count, self.repeats).tolist())
        following = _milliseconds(viewer, (index % count for index in range(self.repeats)))
        return {
            "viewer": [
                {
                    "video": {"file": self.video.name, "frames": count, "size": [width, height]},
                    "seek_p50_ms": round(float(np.median(anywhere)), 1),
                    "seek_p95_ms": round(float(np.percentile(anywhere, 95)), 1),
                    "next_p50_ms": round(float(np.median(following)), 1),
                    "next_p95_ms": round(float(np.percentile(following, 95)), 1),
                    "peak_mib": peak_memory(),
                }
            ]
        }


def _milliseconds(viewer: "SaliencyViewer", indices: Iterable[int]) -> list[float]:
    found = []
    for index in indices:
        begun = perf_counter()
        viewer.frame = index
        found.append(1e3 * (perf_counter() - begun))
    return found
