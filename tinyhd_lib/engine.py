"""Run a function on many jobs: in this process, one after the other, or on the workers of a Dask cluster."""

import errno
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import yaml

from tinyhd_lib import __version__
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.records import usable_cores

if TYPE_CHECKING:
    import distributed

logger = logging.getLogger(__name__)

_PATIENCE = 10  # seconds to wait for a scheduler's answer
_SHARES = "LOCAL_WORLD_SIZE"  # as torchrun sets it, respected by `usable_cores`
_KEPT = "finished results are kept, run the same command again to resume"
_ENDS_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

Client: TypeAlias = "distributed.Client"
"""A client of a Dask cluster, see `connected`; None stands for this process."""

Function = Callable[[Any], Any]
"""Returns the result of a job."""


class Outcome(NamedTuple):
    """The outcome of a job.

    Attributes:
        number: of the job in the sequence, from 0.
        result: what the function returned, None if the job failed.
        refused: one line that says why it failed; None if it succeeded.
    """

    number: int
    result: Any
    refused: str | None = None


def run(
    function: Function,
    jobs: Sequence[Any],
    client: "Client | None" = None,
    *,
    shared: Path | None = None,
    gpu: bool = False,
) -> Iterator[Outcome]:
    """Call a function with every job, and yield the outcomes as they arrive; a failed job does not stop the others.

    On a cluster, a job that fails with anything but bad input, or whose worker dies, is retried up to three times on
    any free worker: so it must write files atomically, and should be able to resume. If the iteration is left early,
    jobs that have not started are cancelled.

    Args:
        function: called with each job; both must be picklable if there is a client.
        jobs: started in their order.
        client: of the cluster, see `connected`; None for this process.
        shared: a folder that every worker must see, besides the current one.
        gpu: whether each job needs a worker's resource ``GPU``, so that a GPU runs one job at a time.

    Raises:
        BadInput: the connection to the cluster was lost.
        OSError: the disk is full or read-only.
    """
    if client is None:
        for number, job in enumerate(jobs):
            try:
                yield Outcome(number, function(job))
            except Exception as error:  # noqa: BLE001 - an error in one job does not concern the others
                yield Outcome(number, None, _reason(error))
        return
    from concurrent.futures import CancelledError

    from distributed import as_completed

    if shared:
        shared.mkdir(parents=True, exist_ok=True)
    work = partial(_on_worker, function, version=__version__, places=[Path.cwd(), *([shared] if shared else [])])
    how: dict[str, Any] = {"pure": False, "retries": 3, "resources": {"GPU": 1} if gpu else None}
    futures = {client.submit(work, job, **how): number for number, job in enumerate(jobs)}
    try:
        for future in as_completed(list(futures), loop=client.loop):
            failure = future.exception()
            result, refused = (None, _reason(failure)) if failure else future.result()
            yield Outcome(futures.pop(future), result, refused)
    except CancelledError as error:
        raise BadInput(f"the cluster's scheduler went away; {_KEPT}") from error
    finally:
        client.cancel(list(futures))


def results(function: Function, jobs: Sequence[Any], client: "Client | None" = None) -> Iterator[Any]:
    """Yield the results of all jobs, in their order.

    Raises:
        BadInput: a job failed.
    """
    found, awaited = dict[int, Any](), 0
    for number, result, refused in run(function, jobs, client):
        if refused is not None:
            raise BadInput(refused)
        found[number] = result
        while awaited in found:
            yield found.pop(awaited)
            awaited += 1


@contextmanager
def connected(workers: int | None, cluster: "str | Client | None" = None) -> "Iterator[Client | None]":
    """Yield the client of a cluster, and shut down anything started for it at the end; None for a single process.

    Args:
        workers: number of processes on this machine, each with its share of the cores; None for one per core where Dask
            is installed.
        cluster: instead of these: a scheduler's address (``tcp://host:8786``), a YAML file with ``module``, ``class``
            and ``kwargs`` of any Dask cluster, or a client, which stays open.

    Raises:
        BadInput: there are no workers, Dask is not installed, no scheduler answers at the address, or the file does not
            describe a cluster.
    """
    workers = (usable_cores() if find_spec("distributed") else 1) if workers is None else workers
    if workers < 1:
        raise BadInput(f"`workers={workers}`: at least 1")
    if cluster is None and workers == 1:
        yield None
        return
    if not find_spec("distributed"):
        raise BadInput("workers need Dask, which is not installed; pip install -e '.[cluster]' from the checkout")
    import distributed

    if isinstance(cluster, distributed.Client):
        yield cluster
        return
    with ExitStack() as closing:
        ended = refusing("a worker did not start: it was ended from outside, perhaps for want of memory", RuntimeError)
        silent = refusing(f"`cluster={cluster}`: no Dask scheduler answers there", OSError, ValueError)
        with _undisturbed(), ended, silent:
            place = closing.enter_context(_local_cluster(workers) if cluster is None else _described_cluster(cluster))
            address = getattr(place, "scheduler_address", cluster)
            client = closing.enter_context(distributed.Client(address, timeout=_PATIENCE, set_as_default=False))
        if find_spec("bokeh"):
            logger.info("watch it at %s", client.dashboard_link)
        try:
            yield client
        finally:
            with _undisturbed():
                closing.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Block SIGINT, which Dask cannot handle during start and shutdown; processes started meanwhile ignore it, too."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, it would unblock SIGINT in its thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _described_cluster(text: str) -> Any:
    """Return an address as it is, or start the cluster that a YAML file describes, in the format of `dask-ctl`.

    Raises:
        BadInput: the file does not describe a cluster that can be started here.
    """
    if not text.endswith((".yaml", ".yml")):
        return nullcontext(text)
    wrong = f"{text}: module, class and kwargs of a Dask cluster that is installed here are needed"
    faults = ValueError, LookupError, TypeError, AttributeError, ImportError, RuntimeError, yaml.YAMLError
    with refusing(wrong, *faults):
        told = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
        return resolve_name(f"{told['module']}:{told['class']}")(**told.get("kwargs", {}))


def _local_cluster(workers: int) -> Any:
    import dask
    from distributed import LocalCluster

    threads = str(max(1, usable_cores() // workers))
    # Workers are faster if they keep freed memory, which the GNU C library only does in its main arena, not in those of
    # other threads, such as a worker's. It and NumPy read their environment on start, before a cluster's `env` applies,
    # hence pre-spawn-environ. Workers are no daemons, since they may have child processes (kernels, loaders).
    environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    environment |= {"OPENCV_FOR_THREADS_NUM": "1", _SHARES: str(workers), "TQDM_DISABLE": "1", "MALLOC_ARENA_MAX": "1"}
    with dask.config.set({"distributed.nanny.pre-spawn-environ": environment, "distributed.worker.daemon": False}):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            resources={"GPU": 1},
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # errors of jobs are returned; a lost connection would log a traceback
        )


def _on_worker(function: Function, job: Any, *, version: str, places: Sequence[Path]) -> tuple[Any, str | None]:
    """Return the result of a job, and why it was refused; other errors are raised, so that the job is retried."""
    from distributed import get_worker

    worker = get_worker()
    if version != __version__:
        return None, f"the worker {worker.address} has tinyhd {__version__}, here it is {version}; install the same"
    for place in places:
        if not place.is_dir():
            return None, f"the worker {worker.address} does not see {place}; give a folder that all workers see"
    os.chdir(places[0])  # relative paths mean the same everywhere
    if isinstance(worker.name, int) and _SHARES in os.environ:
        _keep_to_share(worker.name)
    try:
        return function(job), None
    except BadInput as error:
        return None, str(error)


def _keep_to_share(number: int) -> None:
    """Bind one of several workers on this machine to its share of the cores, and set the number of its GPU."""
    os.environ["LOCAL_RANK"] = str(number)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        share = max(1, len(cores) // int(os.environ.pop(_SHARES)))
        os.sched_setaffinity(0, [cores[(number * share + each) % len(cores)] for each in range(share)])


def _reason(error: Any) -> str:
    """Return in one line why a job failed, and what to do; raise errors that would end all other jobs, too."""
    if isinstance(error, BadInput):
        return str(error)
    if hasattr(error, "strerror"):  # the system's errors, and FFmpeg's
        if error.errno in _ENDS_ALL:
            raise OSError(error.errno, f"{error.strerror}; {_KEPT}", error.filename) from error
        return f"{error.filename or type(error).__name__}: {error.strerror or error}; {_KEPT}"
    if type(error).__name__ == "KilledWorker":
        return f"the processes that tried it were ended from outside, perhaps for want of memory; {_KEPT}"
    logger.debug("", exc_info=error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{what} (a fault of TinyHD Workbench: please report it); {_KEPT}"
