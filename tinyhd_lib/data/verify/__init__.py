"""Whether a data set is whole and fits together: everything is read, everything that is wrong is told.

    report = verify(open_dataset("dhf1k", "/data/DHF1K"))
    print(report)

To watch it, put what counts between the two halves: ``check_set(dataset, tqdm(check_videos(dataset)))``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinyhd_lib.data.datasets import Dataset
from tinyhd_lib.data.verify.findings import Report, VideoCheck
from tinyhd_lib.data.verify.sets import check_set
from tinyhd_lib.data.verify.videos import check_video
from tinyhd_lib.engine import results

if TYPE_CHECKING:
    from distributed import Client


def verify(dataset: Dataset, *, complete: bool = False) -> Report:
    """Check all of a data set.

    Args:
        dataset: the whole of it, or one split.
        complete: whether it is wrong if there is not exactly what was published.
    """
    return check_set(dataset, check_videos(dataset), complete=complete)


def check_videos(dataset: Dataset, client: "Client | None" = None) -> Iterator[VideoCheck]:
    """Check every video of a data set, in their order, each as soon as it and those before it are read.

    Args:
        dataset: to be checked.
        client: of a cluster, see `tinyhd_lib.engine.connected`; None for here.
    """
    return results(check_video, dataset.videos, client)
