"""Videos in, map files and films out: resumable, and with decoding, forward pass and writing overlapping in time."""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tinyhd_lib.data.transforms import Image, Map, to_grey
from tinyhd_lib.data.video import Frame, VideoWriter, probe, read_frames
from tinyhd_lib.data.windows import published_stride
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import partial_path, remove_partials, sha256, write_atomically
from tinyhd_lib.maps import MAP_FORMATS, Bounds, own_bounds
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.overlap import parallel_map, prefetch
from tinyhd_lib.overlay import Style, draw
from tinyhd_lib.predict import saliency_maps
from tinyhd_lib.runs import RunRecord, differences, hardware, peak_memory, read_record, versions
from tinyhd_lib.runtime import Runtime

logger = logging.getLogger(__name__)

NORMALISATIONS: dict[str, Bounds | None] = {"frame": None, "clip": None, "none": (0.0, 1.0)}
"""What becomes black and white: each frame's extremes (published), the whole video's, or 0 and 1."""

_WRITERS = 2


@dataclass(frozen=True)
class Job:
    """One video to be predicted into files.

    Args:
        video: a video file or a folder of frames.
        out: the folder of the map files and of ``run.json``.
        film: the overlay film, None for none.
        maps: a name of `MAP_FORMATS`, or ``none``.
        normalise: a name of `NORMALISATIONS`.
        style: how the film is drawn.
        stride: frames from one window to the next, None as published.
        batch: windows a forward pass, None for what the runtime likes best.
        force: redo what is there already.
    """

    video: Path
    out: Path
    film: Path | None = None
    maps: str = "png"
    normalise: str = "frame"
    style: Style = field(default_factory=Style)
    stride: int | None = None
    batch: int | None = None
    force: bool = False

    def map_path(self, index: int) -> Path:
        """The file of a frame's map, named as published: ``<frame from 0>.png``."""
        return self.out / f"{index}{MAP_FORMATS[self.maps].suffix}"


@dataclass(frozen=True)
class Weights:
    """Which weights a run record names."""

    name: str
    path: Path


def predict_files(job: Job, runtime: Runtime, weights: Weights) -> Iterator[int]:
    """Do a job, giving the number of frames done after each frame.

    Map files that an interrupted run of the same job left are kept and not computed again; nothing is given if the
    whole job is done already. Files appear whole or not at all.

    Raises:
        BadInput: the video cannot be used, or the folder holds the results of another run.
    """
    info = probe(job.video)
    stride = job.stride or published_stride(runtime.spec)
    key = {
        "video": _fingerprint(job.video),
        "weights": sha256(weights.path),
        "spec": runtime.spec.to_dict(),
        "maps": job.maps,
        "normalise": job.normalise,
        "stride": stride,
    }
    film = {"file": str(job.film), **asdict(job.style)} if job.film else None
    record = _resumable(job, key)
    if record and record.complete and record.film == film and (not job.film or job.film.exists()):
        return
    # Maps stretched over the whole video depend on all of it.
    can_reuse = record is not None and job.maps != "none" and job.normalise != "clip"
    record = RunRecord(key, film)
    started, begun, done = datetime.now(UTC), time.perf_counter(), 0
    frames = _peek(read_frames(job.video))
    job.out.mkdir(parents=True, exist_ok=True)
    remove_partials(job.out)
    record.write(job.out)

    def wanted(index: int) -> bool:
        return not (can_reuse and job.map_path(index).exists())

    def keep(item: tuple[Frame, Map | None]) -> tuple[Frame, Image | None]:
        return item[0], _keep_map(job, bounds, *item)

    bounds = NORMALISATIONS[job.normalise]
    items = saliency_maps(frames, runtime, stride=job.stride, batch=job.batch, wanted=wanted)
    if job.normalise == "clip":
        spool = partial_path(job.out / "maps")
        bounds = _spool(items, spool)
        items = _replay(job.video, spool)
    if job.film:
        job.film.parent.mkdir(parents=True, exist_ok=True)
    # The maps of a forward pass come all at once: while they are written, the next one runs.
    burst = stride * (job.batch or runtime.batch)
    sound = job.video if info.has_audio else None
    with VideoWriter(job.film, info.rate, sound) if job.film else nullcontext() as writer:
        for frame, grey in parallel_map(keep, prefetch(items, burst), _WRITERS, _WRITERS):
            if writer is not None and grey is not None:
                writer.write(draw(frame.image, grey, job.style), frame.time)
            done += 1
            yield done
    remove_partials(job.out)
    seconds = time.perf_counter() - begun
    record.details = {
        "video": str(job.video),
        "weights": {"name": weights.name, "file": weights.path.name},
        "model": runtime.spec.label,
        "runtime": runtime.name,
        "frames": done,
        "frames_promised": info.frames,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "frames_per_second": round(done / seconds, 2),
        "peak_mib": peak_memory(),
        "versions": versions(),
        "hardware": hardware(),
    }
    record.complete = True
    record.write(job.out)


def _resumable(job: Job, key: dict[str, Any]) -> RunRecord | None:
    """The record of an earlier run of the same job, None if everything is to be done."""
    if job.force:
        return None
    record = read_record(job.out)
    if record is None:
        if job.maps != "none" and job.map_path(0).exists():
            raise BadInput(f"{job.out}: holds maps of no known run; give another --out, or --force to overwrite them")
        return None
    if record.key != key:
        raise BadInput(
            f"{job.out}: holds the results of another run ({differences(record, key)}); "
            "give another --out, or --force to overwrite them"
        )
    return record


def _keep_map(job: Job, bounds: Bounds | None, frame: Frame, saliency: Map | None) -> Image | None:
    """Write a frame's map, or read it where it is there already; its grey levels, if a film wants them."""
    size = frame.image.shape[0], frame.image.shape[1]
    if job.maps == "none":
        assert saliency is not None
        return to_grey(saliency, size, bounds or own_bounds(saliency))
    if saliency is None:
        return MAP_FORMATS[job.maps].grey(job.map_path(frame.index).read_bytes(), size, bounds) if job.film else None
    content, grey = MAP_FORMATS[job.maps].encode(saliency, size, bounds or own_bounds(saliency))
    write_atomically(job.map_path(frame.index), content)
    return grey


def _spool(items: Iterator[tuple[Frame, Map | None]], spool: Path) -> Bounds:
    """Put all raw maps into a temporary file; the extremes of the whole video."""
    low, high = np.inf, -np.inf
    with spool.open("wb") as file:
        for _, saliency in items:
            assert saliency is not None
            low, high = min(low, float(saliency.min())), max(high, float(saliency.max()))
            file.write(np.ascontiguousarray(saliency).tobytes())
    return low, high


def _replay(video: Path, spool: Path) -> Iterator[tuple[Frame, Map | None]]:
    """The frames, decoded again, with their spooled maps."""
    maps = np.memmap(spool, np.float32, mode="r").reshape(-1, *INPUT_SIZE)
    for frame in read_frames(video):
        yield frame, maps[frame.index]


def _peek(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames, after the first has been decoded: a video without any fails before anything is written."""
    first = next(frames)

    def rest() -> Iterator[Frame]:
        yield first
        yield from frames

    return rest()


def _fingerprint(video: Path) -> str:
    """A hash of the video's content; of names and sizes for a folder."""
    if video.is_file():
        return sha256(video)
    listing = sorted(f"{path.name} {path.stat().st_size}" for path in video.iterdir())
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()
