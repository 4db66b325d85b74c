"""``tinyhd generate``: the maps of a whole data set, under the names that were published with it."""

import argparse
import logging
from pathlib import Path

from tinyhd_lib.commands.many import check_inference, open_model, run_all
from tinyhd_lib.data.datasets import check_names, find_kind, open_dataset
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.prediction.files import Job

logger = logging.getLogger(__name__)


def generate(options: argparse.Namespace) -> int:
    """``tinyhd generate``: every video of a split; one that cannot be used does not stop the others."""
    check_inference(options)
    split = options.split or find_kind(options.kind).evaluated
    dataset = open_dataset(options.kind, options.dir, None if split == "all" else split)
    check_names(dataset.videos)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    runtime = open_model(options)
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
