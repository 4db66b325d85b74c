"""``tinyhd predict``."""

import argparse
import logging
from collections import Counter
from pathlib import Path

import cv2
from av.error import FFmpegError
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.data.video import probe
from tinyhd_lib.errors import BadInput
from tinyhd_lib.overlay import Style
from tinyhd_lib.predict import check_batch, check_stride
from tinyhd_lib.predict_files import Job, predict_files
from tinyhd_lib.runtime import Runtime, open_runtime

logger = logging.getLogger(__name__)


def predict_videos(options: argparse.Namespace) -> int:
    """``tinyhd predict``: every video in turn; one that cannot be used does not stop the others."""
    jobs = _jobs(options)
    cv2.setNumThreads(1)  # decoding, forward pass and writing have threads of their own; more only get in their way
    if len(jobs) == 1:
        probe(jobs[0].video)  # a typing mistake is told before a model is loaded
    runtime = open_runtime(options.weights, options.device, options.precision)
    logger.info("%s on %s", runtime.spec.label, runtime.name)
    refused = []
    for job in jobs:
        try:
            _predict_one(job, runtime, options.weights)
        except BadInput as error:
            if len(jobs) == 1:
                raise
            logger.warning("tinyhd: %s", error)
            refused.append(job.video)
    if refused:
        raise BadInput(f"{len(refused)} of {len(jobs)} videos could not be used; the others are done")
    return 0


def _predict_one(job: Job, runtime: Runtime, weights: str) -> None:
    frames, steps = probe(job.video).frames, 0
    total = frames * job.passes if frames else None
    try:
        with (
            tqdm(total=total, desc=job.video.name, unit=" frames", smoothing=0.05) as progress,
            logging_redirect_tqdm(),
        ):
            for steps in predict_files(job, runtime, weights):  # noqa: B007
                progress.update()
    except (OSError, FFmpegError) as error:
        where = f"{error.filename}: " if error.filename else ""
        raise BadInput(
            f"{where}{error.strerror}; what was finished is kept, the same command goes on from there"
        ) from error
    if not steps:
        logger.info("%s: done already (--force does it anew)", job.video)
        return
    results = [str(job.out)] if job.maps != "none" else []
    logger.info(
        "%d frames -> %s", steps // job.passes, " and ".join([*results, *([str(job.film)] if job.film else [])])
    )


def _jobs(options: argparse.Namespace) -> list[Job]:
    check_batch(options.batch)
    check_stride(options.stride)
    if options.maps == "none" and not options.overlay:
        raise BadInput("--maps none without --overlay leaves nothing to write")
    style = Style(options.style, options.alpha, options.colormap, options.floor)
    videos = [Path(video) for video in options.videos]
    film = Path(options.overlay) if options.overlay else None
    if len(videos) == 1:
        folders = [Path(options.out or f"{videos[0].stem}_saliency")]
        films = [film]
        if film and film.suffix.lower() != ".mp4":
            raise BadInput(f"--overlay {film}: a film is an .mp4 file")
    else:
        repeated = [name for name, count in Counter(video.stem for video in videos).items() if count > 1]
        if repeated:
            raise BadInput(f"several videos are called {repeated[0]!r}: their results would mix; run them one by one")
        if film and film.suffix:
            raise BadInput(f"--overlay {film}: with several videos it names a folder of films")
        folders = [Path(options.out or "saliency") / video.stem for video in videos]
        films = [film / f"{video.stem}.mp4" if film else None for video in videos]
    for video, folder, place in zip(videos, folders, films, strict=True):
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder}: a file is in the way of the folder for the maps; give another --out")
        if place and place.is_dir():
            raise BadInput(f"--overlay {place}: a folder is in the way of the film")
        if video.exists() and any(path and path.exists() and path.samefile(video) for path in (folder, place)):
            raise BadInput(f"{video}: would be overwritten by its own results; give another --out or --overlay")
    return [
        Job(
            video=video,
            out=folder,
            film=place,
            maps=options.maps,
            normalise=options.normalise,
            style=style,
            stride=options.stride,
            batch=options.batch,
            force=options.force,
        )
        for video, folder, place in zip(videos, folders, films, strict=True)
    ]
