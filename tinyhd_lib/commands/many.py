"""What ``tinyhd predict`` and ``tinyhd generate`` do with many videos: the progress, and what it came to."""

import argparse
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.prediction.files import Job
from tinyhd_lib.prediction.inference import check_batch, check_stride
from tinyhd_lib.prediction.many import Outcome, check_decoders, predict_many
from tinyhd_lib.records import hardware, peak_memory, torchrun_rank, versions
from tinyhd_lib.runtime import Runtime, open_runtime

logger = logging.getLogger(__name__)


def check_inference(options: argparse.Namespace) -> None:
    """Refuse the numbers of a command that runs a model over videos, before anything is opened.

    Raises:
        BadInput: one of them makes no sense.
    """
    check_batch(options.batch)
    check_stride(options.stride)
    check_decoders(options.decoders)


def open_model(options: argparse.Namespace) -> Runtime:
    """The model that the options name, made ready; each process of torchrun has its own GPU from here on.

    Raises:
        BadInput: see `open_runtime`.
    """
    cv2.setNumThreads(1)  # decoding, forward pass and writing have threads of their own; more only get in their way
    torchrun_rank(os.environ)
    return open_runtime(options.weights, options.device, options.precision)


def run_all(jobs: Sequence[Job], runtime: Runtime, options: argparse.Namespace) -> None:
    """Do all jobs with the options of the command, and tell of what was refused.

    Raises:
        BadInput: some of the videos could not be used, the others are done; or several processes are to do all anew.
    """
    rank, ranks = torchrun_rank(os.environ)
    if options.force and ranks > 1:
        raise BadInput("--force: every process would do all videos anew; remove the results instead")
    if options.json:
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    where = f" (rank {rank} of {ranks})" if ranks > 1 else ""
    logger.info("%s on %s: %d videos%s", runtime.spec.label, runtime.name, len(jobs), where)
    outcomes: list[Outcome] = []
    with (
        tqdm(desc=f"0/{len(jobs)} videos", unit=" frames", smoothing=0.02, position=rank) as progress,
        logging_redirect_tqdm(),
        _summed_up(options, runtime, outcomes, rank, ranks),
    ):
        for outcome in predict_many(jobs, runtime, options.weights, options.decoders):
            if outcome is None:
                progress.update()
                continue
            outcomes.append(outcome)
            progress.set_description(f"{len(outcomes)}/{len(jobs)} videos")
            if outcome.refused:
                logger.warning("tinyhd: %s", outcome.refused)
    done = sum(outcome.done for outcome in outcomes)
    refused = sum(outcome.refused is not None for outcome in outcomes)
    logger.info("%d videos done%s, %d were done already", done, where, len(jobs) - done - refused)
    if refused:
        raise BadInput(f"{refused} of {len(jobs)} videos could not be used; the others are done")


@contextmanager
def _summed_up(
    options: argparse.Namespace, runtime: Runtime, outcomes: list[Outcome], rank: int, ranks: int
) -> Iterator[None]:
    """Write what ``--json`` asks for, also of what was broken off."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        if options.json:
            seconds = time.perf_counter() - begun
            path = Path(options.json)
            own = path.with_name(f"{path.stem}-{rank}{path.suffix}") if ranks > 1 else path
            summary = _summary(outcomes, runtime, seconds) | {
                "decoders": options.decoders,
                "rank": rank,
                "ranks": ranks,
            }
            write_atomically(own, json.dumps(summary, indent=2).encode())


def _summary(outcomes: list[Outcome], runtime: Runtime, seconds: float) -> dict[str, Any]:
    frames = sum(outcome.frames for outcome in outcomes)
    return {
        "hardware": hardware(),
        "versions": versions(),
        "model": runtime.spec.label,
        "runtime": runtime.name,
        "seconds": round(seconds, 3),
        "frames": frames,
        "frames_per_second": round(frames / seconds, 2),
        "bytes": sum(_bytes(outcome.job) for outcome in outcomes if outcome.done),
        "peak_mib": peak_memory(),
        "videos": [
            {
                "video": str(outcome.job.video),
                "out": str(outcome.job.out),
                "frames": outcome.frames,
                "seconds": round(outcome.seconds, 3),
                "refused": outcome.refused,
            }
            for outcome in outcomes
        ],
    }


def _bytes(job: Job) -> int:
    """Of a video's results."""
    files = [*job.out.iterdir(), *([job.film] if job.film else [])]
    return sum(path.stat().st_size for path in files)
