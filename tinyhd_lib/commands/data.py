"""``tinyhd data synthesise`` and ``tinyhd data verify``."""

import argparse
import json
import logging
import sys
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.synthetic import synthesise as write_set
from tinyhd_lib.data.verify import check_set, check_videos
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.records import usable_cores

logger = logging.getLogger(__name__)


def synthesise(options: argparse.Namespace) -> int:
    """``tinyhd data synthesise``: a small made-up data set."""
    videos = write_set(
        options.kind,
        Path(options.dir),
        videos=options.videos,
        frames=options.frames,
        size=_height_and_width(options.size),
        viewers=options.viewers,
        seed=options.seed,
    )
    made = sum(1 for _ in tqdm(videos, desc=options.kind, unit=" videos"))
    logger.info("%d videos -> %s", made, options.dir)
    return 0


def verify(options: argparse.Namespace) -> int:
    """``tinyhd data verify``: a table, and JSON if asked; the exit status is 1 with findings."""
    dataset = open_dataset(options.kind, options.dir, options.split)
    workers = usable_cores() if options.workers is None else options.workers
    with logging_redirect_tqdm():
        checks = tqdm(check_videos(dataset, workers), total=len(dataset.videos), desc="reading", unit=" videos")
        report = check_set(dataset, checks, complete=options.complete)
    sys.stdout.write(report.as_table())
    if options.json:
        write_atomically(Path(options.json), json.dumps(report.to_json(), indent=2).encode())
    return 1 if report.findings else 0


def _height_and_width(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise BadInput(f"size {size!r}: WIDTHxHEIGHT in pixels, such as 640x360")
    return int(height), int(width)
