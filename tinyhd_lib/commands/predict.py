"""``tinyhd predict``: one video, or many."""

import argparse
import logging
from collections import Counter
from pathlib import Path

from av.error import FFmpegError
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.commands.many import check_inference, open_model, run_all
from tinyhd_lib.data.collection import Found, videos_below
from tinyhd_lib.data.video import holds_images, probe
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.files import Job, predict_files
from tinyhd_lib.prediction.many import explained
from tinyhd_lib.prediction.overlay import Style
from tinyhd_lib.runtime import Runtime

logger = logging.getLogger(__name__)


def predict_videos(options: argparse.Namespace) -> int:
    """``tinyhd predict``: of many videos, one that cannot be used does not stop the others."""
    check_inference(options)
    alone = _alone(options.videos)
    jobs = [_single(alone, options)] if alone else _several(options)
    for job in jobs:
        _check_places(job)
    if alone:
        probe(alone)  # a typing mistake is told before a model is loaded
    runtime = open_model(options)
    if alone:
        _predict_one(jobs[0], runtime, options.weights)
    else:
        run_all(jobs, runtime, options)
    return 0


def _predict_one(job: Job, runtime: Runtime, weights: str) -> None:
    logger.info("%s on %s", runtime.spec.label, runtime.name)
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
        raise BadInput(explained(error)) from error
    if not steps:
        logger.info("%s: done already (--force does it anew)", job.video)
        return
    results = [str(job.out)] if job.maps != "none" else []
    logger.info(
        "%d frames -> %s", steps // job.passes, " and ".join([*results, *([str(job.film)] if job.film else [])])
    )


def _alone(videos: list[str]) -> Path | None:
    """The only video, if it is one and no folder of videos."""
    path = Path(videos[0])
    return path if len(videos) == 1 and not _is_collection(path) else None


def _is_collection(path: Path) -> bool:
    return path.is_dir() and not holds_images(path)


def _single(video: Path, options: argparse.Namespace) -> Job:
    if options.overlay and Path(options.overlay).suffix.lower() != ".mp4":
        raise BadInput(f"--overlay {options.overlay}: a film is an .mp4 file")
    if options.json:
        raise BadInput("--json: sums up many videos; of one, run.json beside its maps tells")
    film = Path(options.overlay) if options.overlay else None
    return _job(video, Path(options.out or f"{video.stem}_saliency"), film, options)


def _several(options: argparse.Namespace) -> list[Job]:
    paths = [Path(video) for video in options.videos]
    films = Path(options.overlay) if options.overlay else None
    if films and films.suffix:
        raise BadInput(f"--overlay {films}: with several videos it names a folder of films")
    only = paths[0] if len(paths) == 1 else None
    out = Path(options.out or (f"{only.resolve().name}_saliency" if only else "saliency"))
    results = [place for place in (out, films) if place]
    found: list[Found] = []
    for path in paths:
        if _is_collection(path):
            if any(place.resolve() == path.resolve() for place in results):
                raise BadInput(f"{path}: holds the videos; give another --out or --overlay")
            found += videos_below(path, results)
        else:
            found.append(Found(path, path.name if path.is_dir() else path.stem))
    repeated = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if repeated:
        raise BadInput(
            f"several videos are called {repeated[0]!r}: their results would mix; give the folder that holds them all"
        )
    return [_job(path, out / name, films.joinpath(f"{name}.mp4") if films else None, options) for path, name in found]


def _job(video: Path, out: Path, film: Path | None, options: argparse.Namespace) -> Job:
    if options.maps == "none" and not film:
        raise BadInput("--maps none without --overlay leaves nothing to write")
    return Job(
        video=video,
        out=out,
        film=film,
        maps=options.maps,
        normalise=options.normalise,
        style=Style(options.style, options.alpha, options.colormap, options.floor),
        stride=options.stride,
        batch=options.batch,
        force=options.force,
    )


def _check_places(job: Job) -> None:
    """Refuse results that would be in the way of something, or of the video itself."""
    if job.out.exists() and not job.out.is_dir():
        raise BadInput(f"{job.out}: a file is in the way of the folder for the maps; give another --out")
    if job.film and job.film.is_dir():
        raise BadInput(f"--overlay {job.film}: a folder is in the way of the film")
    if job.video.exists() and any(path and path.exists() and path.samefile(job.video) for path in (job.out, job.film)):
        raise BadInput(f"{job.video}: would be overwritten by its own results; give another --out or --overlay")
