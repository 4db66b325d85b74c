"""Many videos through one model, here or on a cluster; each is done as if it were alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from tinyhd_lib.data.video import source_files
from tinyhd_lib.engine import run
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import fingerprint
from tinyhd_lib.models.weights import locate_weights
from tinyhd_lib.prediction.files import predict_files
from tinyhd_lib.prediction.jobs import Job
from tinyhd_lib.prediction.options import ModelOptions
from tinyhd_lib.runtime import Runtime

if TYPE_CHECKING:
    from distributed import Client


class Predicted(NamedTuple):
    """Tell what became of a video.

    Attributes:
        job: what was to be done.
        frames: of the video, those included that an earlier run had left; 0 if all was done before, or it was refused.
        seconds: that it took.
        refused: why it could not be used; None if it is done.
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
    """Do jobs, the largest videos first, and yield what became of each; one that is refused does not stop the others.

    Args:
        jobs: with a folder each.
        model: that runs; every process opens it once.
        client: of a cluster, see `tinyhd_lib.engine.connected`; None for here.
        on_step: called after every step of `predict_files`; only for here.

    Raises:
        OSError: no more can be written at all.
    """
    order = sorted(jobs, key=_size, reverse=True)
    shared = min((job.out.parent for job in order), key=lambda path: len(path.parts), default=None) if client else None
    work = partial(predict_video, model=model, on_step=on_step)
    gpu = model.device.startswith(("cuda", "triton"))
    for number, result, refused in run(work, order, client, shared=shared, gpu=gpu):
        yield Predicted(order[number], 0, 0.0, refused) if result is None else result


def predict_video(job: Job, model: ModelOptions, on_step: Callable[[], object] | None = None) -> Predicted:
    """Do a job, with the model that this process has open already if it is the same.

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
    return model.open()


def _size(job: Job) -> int:
    """Return the bytes of a video: long ones are begun first, so that none is left over at the end."""
    with suppress(BadInput, OSError):
        return sum(path.stat().st_size for path in source_files(job.video))
    return 0
