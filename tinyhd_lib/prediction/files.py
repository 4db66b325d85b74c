"""Predict videos into map files and overlay videos: resumable, with decoding, forward pass and writing in parallel."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from tinyhd_lib.data.transforms import Grey, Image, Map, own_bounds
from tinyhd_lib.data.video import Frame, VideoInfo, probe, source_files
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.engine import Client, run
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import alone_in, fingerprint, is_whole, remove_partials, sha256, write_atomically
from tinyhd_lib.models.spec import INPUT_SIZE, Sampling
from tinyhd_lib.models.weights import locate_weights
from tinyhd_lib.overlap import parallel_map, prefetch
from tinyhd_lib.prediction.inference import saliency_maps, threads_for_frames
from tinyhd_lib.prediction.jobs import MAP_SUFFIXES, Job, encode_map, read_grey
from tinyhd_lib.prediction.options import ModelOptions
from tinyhd_lib.prediction.overlay import draw
from tinyhd_lib.records import RunRecord, check_same, peak_memory, read_record
from tinyhd_lib.runtime import Runtime, open_runtime

Seen = tuple[Frame, Map | None]


def predict_files(job: Job, runtime: Runtime, weights: str) -> Generator[int, None, None]:
    """Run a job and yield the number of steps done after each: one per frame, two with ``normalise="clip"``.

    Map files that an interrupted run of the same job left are kept and not computed again; nothing is yielded if the
    whole job is done already. Files are written atomically.

    Args:
        job: what to do.
        runtime: the model, ready to run.
        weights: the model's name in the run record.

    Raises:
        BadInput: the video cannot be used, another run is at work in the folder, or what lies there is not of this job.
    """
    info = probe(job.video)
    sampling = job.sampling(runtime.spec, runtime.sampling, float(info.rate))
    with alone_in(job.out):
        earlier = None if job.force else read_record(job.out)
        stamp = fingerprint(source_files(job.video))
        # Hashing a long video takes longer than checking that all is done, so an unchanged video is not read again.
        known = earlier.key.get("video") if earlier and earlier.details.get("video_stamp") == stamp else None
        what, key = "predict" if job.names is None else "generate", _key(job, runtime, sampling, known)
        record = RunRecord(what, key, details={"video_stamp": stamp, "overlay": _overlay(job)})
        if not job.force:
            _check_mixing(job, earlier, record)
        if earlier and _is_done(job, earlier):
            if known is None:
                earlier.details["video_stamp"] = stamp
                earlier.write(job.out)
            return
        frames = job.frames()
        frames = chain([next(frames)], frames)  # a video without any fails before anything is written
        remove_partials(job.out)
        for path in _maps_in(job) if job.force else ():  # a resumed run could take them for its own
            path.unlink()
        record.write(job.out)
        # Maps normalised over the whole video depend on all of its frames.
        reuse = earlier is not None and job.maps != "none" and job.normalise != "clip"

        def wanted(index: int) -> bool:
            return not (reuse and is_whole(job.map_path(index)))

        items = saliency_maps(frames, runtime, sampling, batch=job.batch, wanted=wanted)
        for steps, _ in enumerate(_write_results(job, items, info, runtime.to_grey), start=1):
            yield steps
        record.finish(
            job.out,
            video=str(job.video),
            weights=weights,
            model=runtime.spec.label,
            runtime=runtime.name,
            frames=steps // job.passes,
            frames_promised=info.frames,
            tone_mapped=info.tone,
            peak_mib=peak_memory(),
        )


def _key(job: Job, runtime: Runtime, sampling: Sampling, content: str | None) -> dict[str, Any]:
    """Return everything that the content of the map files depends on."""
    return {
        # A hash of the video's content, or of all its images'.
        "video": content or hashlib.sha256("".join(map(sha256, source_files(job.video))).encode()).hexdigest(),
        "weights": runtime.digest,
        "spec": runtime.spec.to_dict(),
        "precision": runtime.precision,
        "maps": job.maps,
        "normalise": job.normalise,
    } | asdict(sampling)


def _overlay(job: Job) -> dict[str, Any] | None:
    """Return everything that the overlay video depends on, None without one."""
    return {"file": str(job.overlay), **asdict(job.drawing)} if job.overlay else None


def _check_mixing(job: Job, earlier: RunRecord | None, record: RunRecord) -> None:
    """Refuse to resume in a folder that holds anything but an earlier run of the same job."""
    if earlier is None and _maps_in(job):
        raise BadInput(f"{job.out}: holds maps of no known run; give another `out`, or `force=True` to replace them")
    check_same(job.out, earlier, record)
    ours = (earlier.details.get("overlay") or {}).get("file") if earlier else None
    if job.overlay and job.overlay.exists() and ours != str(job.overlay):
        raise BadInput(f"{job.overlay}: is there already; give another `overlay`, or `force=True` to replace it")


def _is_done(job: Job, earlier: RunRecord) -> bool:
    """Return whether all requested files exist."""
    is_drawn = not job.overlay or (job.overlay.exists() and earlier.details.get("overlay") == _overlay(job))
    if not (earlier.complete and is_drawn):
        return False
    return job.maps == "none" or all(is_whole(job.map_path(index)) for index in range(earlier.details["frames"]))


def _maps_in(job: Job) -> list[Path]:
    """Return the files in the job's folder that are named like its maps, in any format."""
    files = [path for path in job.out.glob("*") if path.suffix in MAP_SUFFIXES.values()]
    return [path for path in files if (path.stem.isdecimal() if job.names is None else path.stem in job.names)]


def _write_results(job: Job, items: Iterator[Seen], info: VideoInfo, grey: Grey) -> Iterator[None]:
    """Write the maps and the overlay video; to normalise over the whole video, all raw maps are computed first."""
    if job.normalise != "clip":
        bounds = (0.0, 1.0) if job.normalise == "none" else None
        yield from _write_items(job, items, info, partial(grey, bounds=bounds))
        return
    with TemporaryFile(dir=job.out) as spool:
        for _, saliency in items:
            assert saliency is not None
            spool.write(saliency.tobytes())
            yield
        spool.flush()
        maps = np.memmap(spool, np.float32, mode="r").reshape(-1, *INPUT_SIZE)
        again = ((frame, maps[frame.index]) for frame in job.frames())
        yield from _write_items(job, again, info, partial(grey, bounds=own_bounds(maps)))


def _write_items(job: Job, items: Iterator[Seen], info: VideoInfo, grey: Grey) -> Iterator[None]:
    """Write the maps and the overlay video."""
    keep = partial(_keep_map, job, grey)
    with VideoWriter(job.overlay, info.rate, job.video, info.pixel_aspect) if job.overlay else nullcontext() as writer:
        # The maps of a forward pass come all at once: while they are written, the next one runs.
        waiting = max(2, min(64, 256 * 2**20 // info.frame_bytes))
        threads = threads_for_frames()
        for frame, levels in parallel_map(keep, prefetch(items, waiting), threads, threads):
            if writer is not None and levels is not None:
                writer.write(draw(frame.image, levels, job.drawing), frame.time)
            yield


def _keep_map(job: Job, grey: Grey, seen: Seen) -> tuple[Frame, Image | None]:
    """Write a frame's map, or read the existing one; return its grey levels too, if the overlay video needs them."""
    frame, saliency = seen
    size = frame.image.shape[:2]
    if job.maps == "none":
        assert saliency is not None
        return frame, grey(saliency, size)
    path = job.map_path(frame.index)
    if saliency is None:
        return frame, read_grey(job.maps, path.read_bytes(), size, grey) if job.overlay else None
    content, levels = encode_map(job.maps, saliency, size, grey)
    write_atomically(path, content)
    return frame, levels


class Predicted(NamedTuple):
    """Report the outcome of one job.

    Attributes:
        job: the job.
        frames: frames of the video, including those of an interrupted run; 0 if it was done before, or refused.
        seconds: duration.
        refused: why the video could not be used; None if it is done.
    """

    job: Job
    frames: int
    seconds: float
    refused: str | None = None


def predict_many(
    jobs: Sequence[Job],
    model: ModelOptions,
    client: "Client | None" = None,
    on_step: Callable[[], object] | None = None,
) -> Iterator[Predicted]:
    """Run jobs, the largest videos first, and yield the outcome of each; a refused video does not stop the others.

    Args:
        jobs: the jobs, with a folder each.
        model: the model to run; every process opens it once.
        client: of a cluster, see `tinyhd_lib.engine.connected`; None to run in this process.
        on_step: called after every step of `predict_files`; only without a client.

    Raises:
        OSError: results can no longer be written at all.
    """
    order = sorted(jobs, key=_size, reverse=True)
    shared = min((job.out.parent for job in order), key=lambda path: len(path.parts), default=None) if client else None
    work = partial(predict_video, model=model, on_step=on_step)
    gpu = model.device.startswith(("cuda", "triton"))
    for number, result, refused in run(work, order, client, shared=shared, gpu=gpu):
        yield Predicted(order[number], 0, 0.0, refused) if result is None else result


def predict_video(job: Job, model: ModelOptions, on_step: Callable[[], object] | None = None) -> Predicted:
    """Run a job; if this process has the same model open already, it is used.

    Raises:
        BadInput: the model or the video cannot be used.
    """
    begun, steps = perf_counter(), 0
    with closing(predict_files(job, opened(model), model.weights)) as running:
        for steps in running:  # noqa: B007
            if on_step:
                on_step()
    return Predicted(job, steps // job.passes, perf_counter() - begun)


def opened(model: ModelOptions) -> Runtime:
    """Return a model ready to run; the last one stays open as long as its file is the same.

    Raises:
        BadInput: it cannot be used.
    """
    return _opened(model, fingerprint([locate_weights(model.weights)]))


@lru_cache(maxsize=1)
def _opened(model: ModelOptions, _file: str) -> Runtime:
    return open_runtime(model.weights, model.device, model.precision)


def _size(job: Job) -> int:
    """Return a video's size in bytes: large videos start first, so that no worker is left with one at the end."""
    with suppress(BadInput, OSError):
        return sum(path.stat().st_size for path in source_files(job.video))
    return 0
