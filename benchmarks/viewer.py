"""What the viewer's reader waits for: a frame that is sought, drawn and encoded."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.records import peak_memory
from tinyhd_lib.viewer.drawing import Scene
from tinyhd_lib.viewer.sources import ArrayMaps
from tinyhd_lib.viewer.state import Settings


def measure_viewer(video: Path, repeats: int) -> dict[str, Any]:
    """Milliseconds until a frame with its map is a JPEG, of frames in any order and of each next one.

    Args:
        video: a video file, whose maps are made up.
        repeats: how many frames are looked at in either way.

    Raises:
        BadInput: it cannot be used.
    """
    rng = np.random.default_rng(0)
    with VideoReader(video) as reader:
        count, shape = reader.count, reader[0].shape
    map_of_all = np.broadcast_to(rng.random(INPUT_SIZE, np.float32), (count, *INPUT_SIZE))
    scene = Scene(video, {"map": ArrayMaps(map_of_all)})
    anywhere = _milliseconds(scene, rng.integers(0, count, repeats).tolist())
    following = _milliseconds(scene, (index % count for index in range(repeats)))
    return {
        "video": {"file": video.name, "frames": count, "size": [shape[1], shape[0]]},
        "seek_p50_ms": round(float(np.median(anywhere)), 1),
        "seek_p95_ms": round(float(np.percentile(anywhere, 95)), 1),
        "next_p50_ms": round(float(np.median(following)), 1),
        "next_p95_ms": round(float(np.percentile(following, 95)), 1),
        "peak_mib": peak_memory(),
    }


def as_table(rows: list[dict[str, Any]]) -> str:
    """The figures as text."""
    lines = [
        f"{'video':<24}{'frames':>8}{'size':>12}{'seek p50 ms':>13}{'p95':>8}{'next p50 ms':>13}{'p95':>8}{'MiB':>6}"
    ]
    for row in rows:
        video = row["video"]
        size = f"{video['size'][0]}x{video['size'][1]}"
        lines.append(
            f"{video['file']:<24}{video['frames']:>8}{size:>12}{row['seek_p50_ms']:>13}{row['seek_p95_ms']:>8}"
            f"{row['next_p50_ms']:>13}{row['next_p95_ms']:>8}{row['peak_mib'] or '-':>6}"
        )
    return "\n".join(lines) + "\n"


def _milliseconds(scene: Scene, indices: Iterable[int]) -> list[float]:
    found = []
    for index in indices:
        begun = time.perf_counter()
        as_jpeg(scene.draw(Settings(frame=index, source="map", other="map")))
        found.append(1e3 * (time.perf_counter() - begun))
    return found
