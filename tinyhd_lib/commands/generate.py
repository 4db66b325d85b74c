"""``tinyhd generate``: the maps of a whole data set, under the names that were published with it."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.data.datasets import check_names, find_kind, open_dataset
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.errors import BadInput
from tinyhd_lib.predict import check_batch, check_stride
from tinyhd_lib.predict_files import Job, predict_files
from tinyhd_lib.runs import torchrun_rank
from tinyhd_lib.runtime import Runtime, open_runtime

logger = logging.getLogger(__name__)


def generate(options: argparse.Namespace) -> int:
    """``tinyhd generate``: every video of a split; one that cannot be used does not stop the others."""
    check_batch(options.batch)
    check_stride(options.stride)
    split = options.split or find_kind(options.kind).evaluated
    dataset = open_dataset(options.kind, options.dir, None if split == "all" else split)
    check_names(dataset.videos)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    rank, ranks = torchrun_rank(os.environ)
    mine = share_of(dataset.videos, rank, ranks)
    cv2.setNumThreads(1)  # decoding, forward pass and writing have threads of their own
    runtime = open_runtime(options.weights, options.device, options.precision)
    where = f" (rank {rank} of {ranks})" if ranks > 1 else ""
    logger.info("%s on %s: %d videos%s", runtime.spec.label, runtime.name, len(mine), where)
    refused = _write_all(mine, runtime, options, rank)
    if refused:
        raise BadInput(f"{len(refused)} of {len(mine)} videos could not be used; the others are done")
    logger.info("%d videos -> %s%s", len(mine), options.out, where)
    return 0


def _write_all(videos: Sequence[Video], runtime: Runtime, options: argparse.Namespace, rank: int) -> list[Video]:
    """Write the maps of all videos; returns those that cannot be used."""
    refused = []
    total = sum(len(video.names) for video in videos)
    with tqdm(total=total, unit=" frames", smoothing=0.02, position=rank) as progress, logging_redirect_tqdm():
        for video in videos:
            progress.set_description(video.name)
            done = progress.n
            try:
                for _ in predict_files(_job(video, options), runtime, options.weights):
                    progress.update()
            except BadInput as error:
                logger.warning("tinyhd: %s", error)
                refused.append(video)
            progress.update(done + len(video.names) - progress.n)
    return refused


def _job(video: Video, options: argparse.Namespace) -> Job:
    return Job(
        video=video.source,
        out=Path(options.out) / video.name,
        maps=options.maps,
        stride=options.stride,
        batch=options.batch,
        force=options.force,
        names=video.names,
    )


def share_of(videos: Sequence[Video], rank: int, ranks: int) -> list[Video]:
    """One process's videos: dealt out from the longest to the shortest, so that all have about as many frames."""
    return sorted(videos, key=lambda video: (-len(video.names), video.name))[rank::ranks]
