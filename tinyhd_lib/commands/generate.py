"""``tinyhd generate``: the maps of a whole data set, under the names that were published with it."""

import argparse
import logging
import os
from pathlib import Path

import cv2

from tinyhd_lib.commands.many import run_all
from tinyhd_lib.data.datasets import check_names, find_kind, open_dataset
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.predict import check_batch, check_stride
from tinyhd_lib.predict_files import Job
from tinyhd_lib.predict_many import check_decoders
from tinyhd_lib.runs import torchrun_rank
from tinyhd_lib.runtime import open_runtime

logger = logging.getLogger(__name__)


def generate(options: argparse.Namespace) -> int:
    """``tinyhd generate``: every video of a split; one that cannot be used does not stop the others."""
    check_batch(options.batch)
    check_stride(options.stride)
    check_decoders(options.decoders)
    split = options.split or find_kind(options.kind).evaluated
    dataset = open_dataset(options.kind, options.dir, None if split == "all" else split)
    check_names(dataset.videos)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    cv2.setNumThreads(1)  # decoding, forward pass and writing have threads of their own
    torchrun_rank(os.environ)  # to each process its GPU
    runtime = open_runtime(options.weights, options.device, options.precision)
    run_all([_job(video, options) for video in dataset.videos], runtime, options)
    return 0


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
