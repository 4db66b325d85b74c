"""Whether a data set is whole and fits together: everything is read, everything that is wrong is told.

    report = verify(open_dataset("dhf1k", "/data/DHF1K"), workers=8)
    print(report)

To watch it, put what counts between the two halves: ``check_set(dataset, tqdm(check_videos(dataset)))``.
"""

from collections.abc import Iterator

from tinyhd_lib.data.datasets import Dataset
from tinyhd_lib.data.verify.findings import CHECKS, Finding, Report, SplitCounts, VideoCheck
from tinyhd_lib.data.verify.sets import check_set
from tinyhd_lib.data.verify.videos import check_video
from tinyhd_lib.overlap import processes

__all__ = [
    "CHECKS",
    "Finding",
    "Report",
    "SplitCounts",
    "VideoCheck",
    "check_set",
    "check_video",
    "check_videos",
    "verify",
]


def verify(dataset: Dataset, *, complete: bool = False, workers: int = 1) -> Report:
    """Check all of a data set.

    Args:
        dataset: the whole of it, or one split.
        complete: whether it is wrong if there is not exactly what was published.
        workers: processes that read videos.

    Raises:
        BadInput: there are no workers.
    """
    return check_set(dataset, check_videos(dataset, workers), complete=complete)


def check_videos(dataset: Dataset, workers: int = 1) -> Iterator[VideoCheck]:
    """Check every video of a data set, in their order, each as soon as it and those before it are read.

    Raises:
        BadInput: there are no workers.
    """
    with processes(workers) as run_all:
        yield from run_all(check_video, dataset.videos)
