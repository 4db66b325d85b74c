"""Many videos through one model: several at once in a process, and any number of processes on one list."""

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from time import perf_counter
from typing import NamedTuple

from av.error import FFmpegError
from filelock import FileLock, Timeout

from tinyhd_lib.data.video import source_files
from tinyhd_lib.errors import BadInput
from tinyhd_lib.predict_files import Job, predict_files
from tinyhd_lib.runtime import Runtime
from tinyhd_lib.runtime.shared import SharedRuntime

MOST_DECODERS = 32

_CLAIMS = ".tinyhd-claims"
_PATIENCE = 1.0  # seconds; how soon a video is taken over from a process that died
_ENDS_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Outcome(NamedTuple):
    """What became of a video.

    Attributes:
        job: what was to be done.
        frames: that were done now; 0 if it was done before, or by another process.
        seconds: that it took.
        refused: why it could not be used; None if it is done.
    """

    job: Job
    frames: int
    seconds: float
    refused: str | None


def predict_many(jobs: Sequence[Job], runtime: Runtime, weights: str, decoders: int) -> Iterator[Outcome | None]:
    """Do jobs, the largest videos first; a video that cannot be used does not stop the others.

    Any number of processes may do the same jobs at the same time, also on several machines that share the folder of
    results: who begins a video claims it, by a lock that ends with its process. What others are at work on is looked
    after last, and taken over where they died. So when this ends, all jobs are done, whoever did them.

    Args:
        jobs: with a folder each.
        runtime: the model, ready to run.
        weights: what the records call it.
        decoders: videos at once, a thread each, with one pass of the model for all of them at a time.

    Yields:
        None after every step of `predict_files`, and an outcome for every job.

    Raises:
        BadInput: the number of decoders is none; the folder of results knows no locks.
        OSError: no more can be written at all.
    """
    check_decoders(decoders)
    todo = deque((job, 0.0) for job in sorted(jobs, key=_size, reverse=True))
    shared = SharedRuntime(runtime) if decoders > 1 else runtime
    events: SimpleQueue[Outcome | Future[None] | None] = SimpleQueue()
    stopped = Event()

    def work() -> None:
        while not stopped.is_set() and todo:
            try:
                job, patience = todo.popleft()
            except IndexError:  # another thread was quicker
                return
            with _claim(job.out, patience) as ours:
                if not ours:
                    todo.append((job, _PATIENCE))
                    continue
                outcome = _attempt(job, shared, weights, lambda: events.put(None), stopped)
                if not stopped.is_set():
                    with suppress(OSError):  # Windows keeps what is open, and clears it away itself
                        # Who waits for it on will find the video done; two that both have it do not matter any more.
                        _claim_of(job.out).unlink(missing_ok=True)
            events.put(outcome)

    with ThreadPoolExecutor(decoders) as pool:
        try:
            for _ in range(decoders):
                pool.submit(work).add_done_callback(events.put)
            alive = decoders
            while alive:
                event = events.get()
                if isinstance(event, Future):
                    event.result()
                    alive -= 1
                else:
                    yield event
        finally:
            stopped.set()


def check_decoders(decoders: int) -> None:
    """Refuse a number of videos at once that is none, or more than a machine's memory is likely to hold."""
    if not 1 <= decoders <= MOST_DECODERS:
        raise BadInput(f"decoders {decoders}: 1 to {MOST_DECODERS} videos at once")


def explained(error: OSError | FFmpegError) -> str:
    """Why a video's results could not be written, and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; what was finished is kept, the same command goes on from there"


def _attempt(job: Job, runtime: Runtime, weights: str, step: Callable[[], None], stopped: Event) -> Outcome:
    begun, steps, refused = perf_counter(), 0, None
    try:
        with closing(predict_files(job, runtime, weights)) as done:
            for steps in done:  # noqa: B007
                step()
                if stopped.is_set():
                    break
    except BadInput as error:
        refused = str(error)
    except (OSError, FFmpegError) as error:
        if error.errno in _ENDS_ALL:
            raise
        refused = explained(error)
    return Outcome(job, steps // job.passes, perf_counter() - begun, refused)


@contextmanager
def _claim(out: Path, patience: float) -> Iterator[bool]:
    """Keep other processes off a folder of results, or see that one of them has it."""
    path = _claim_of(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=patience)
    try:
        lock.acquire()
    except (Timeout, FileNotFoundError):  # another has it, or cleared it away just now
        yield False
        return
    except NotImplementedError as error:
        raise BadInput(f"{out.parent}: this file system knows no locks; give an --out on another") from error
    try:
        yield True
    finally:
        lock.release()
        with suppress(OSError):  # others still have theirs there
            path.parent.rmdir()


def _claim_of(out: Path) -> Path:
    return out.parent / _CLAIMS / f"{out.name}.lock"


def _size(job: Job) -> int:
    """The bytes of a video: long ones are begun first, so that none is left over at the end."""
    try:
        return sum(path.stat().st_size for path in source_files(job.video))
    except (BadInput, OSError):
        return 0
