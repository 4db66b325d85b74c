"""Many videos through one model: several at once in a process, and any number of processes on one list."""

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Lock
from time import perf_counter
from typing import Any, NamedTuple

from av.error import FFmpegError
from filelock import FileLock, SoftFileLock, Timeout

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import source_files
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.files import predict_files
from tinyhd_lib.prediction.jobs import Job
from tinyhd_lib.records import hardware, peak_memory, versions
from tinyhd_lib.runtime import Runtime


class SharedRuntime:
    """Run a model for several threads as if each had it alone; see `Runtime`.

    One pass runs at a time. What other threads have asked for meanwhile goes into the next one together, as far as that
    stays a batch that the runtime likes: the last windows of several videos fill one batch.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.name, self.spec, self.digest = runtime.name, runtime.spec, runtime.digest
        self.precision, self.batch, self.sampling = runtime.precision, runtime.batch, runtime.sampling
        self._runtime = runtime
        self._waiting: deque[tuple[Sequence[Map] | Map, Future[Map]]] = deque()
        self._turn = Lock()

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """Return the maps of clips, see `Runtime`."""
        outputs: Future[Map] = Future()
        self._waiting.append((clips, outputs))
        with self._turn:  # whoever has it works for all that wait
            while not outputs.done():
                self._serve()
        return outputs.result()

    def _serve(self) -> None:
        group = [self._waiting.popleft()]
        size = len(group[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= self.batch:
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        try:
            maps = self._runtime([clip for clips, _ in group for clip in clips])
        except BaseException as error:  # noqa: BLE001 - raised in the threads that asked
            for _, outputs in group:
                outputs.set_exception(error)
            return
        for clips, outputs in group:
            outputs.set_result(maps[: len(clips)])
            maps = maps[len(clips) :]


MOST_DECODERS = 32

_PATIENCE = 1.0  # seconds; how soon a video is taken over from a process that died
_ENDS_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Outcome(NamedTuple):
    """Tell what became of a video.

    Attributes:
        job: what was to be done.
        frames: of the video, those included that an earlier run had left; 0 if all was done before, or by another
            process.
        seconds: that it took.
        refused: why it could not be used; None if it is done.
    """

    job: Job
    frames: int
    seconds: float
    refused: str | None

    @property
    def done(self) -> bool:
        """Return whether it was this process that finished it."""
        return self.frames > 0 and self.refused is None


def predict_many(
    jobs: Sequence[Job],
    runtime: Runtime,
    weights: str,
    decoders: int = 1,
    on_step: Callable[[], object] = lambda: None,
) -> Iterator[Outcome]:
    """Do jobs, the largest videos first, and yield what became of each; one that is refused does not stop the others.

    Any number of processes may do the same jobs at the same time, also on several machines that share the folder of
    results: who begins a video locks it, until its process ends. What others are at work on is looked after last, and
    taken over where they died. So when this ends, all jobs are done, whoever did them.

    Args:
        jobs: with a folder each.
        runtime: the model, ready to run.
        weights: what the records call it.
        decoders: videos at once, a thread each, with one pass of the model for all of them at a time.
        on_step: called after every step of `predict_files`, in any thread.

    Raises:
        BadInput: the number of decoders is none.
        OSError: no more can be written at all.
    """
    check_decoders(decoders)
    shared, stopped = SharedRuntime(runtime), Event()

    def work(job: Job, patience: float) -> Outcome | None:
        begun, steps, refused = perf_counter(), 0, None
        try:
            with _locked(job.out, patience), closing(predict_files(job, shared, weights)) as running:
                for steps in running:  # noqa: B007
                    on_step()
                    if stopped.is_set():
                        break
        except Timeout:  # another process has it
            return None
        except BadInput as error:
            refused = str(error)
        except (OSError, FFmpegError) as error:
            refused = _explained(error)
        return Outcome(job, steps // job.passes, perf_counter() - begun, refused)

    todo, patience = sorted(jobs, key=_size, reverse=True), 0.0
    with ThreadPoolExecutor(decoders) as pool:
        try:
            while todo:
                running = {pool.submit(work, job, patience): job for job in todo}
                todo, patience = [], _PATIENCE
                for future in as_completed(running):
                    outcome = future.result()
                    if outcome:
                        yield outcome
                    else:
                        todo.append(running[future])
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def check_decoders(decoders: int) -> None:
    """Refuse a number of videos at once that is none, or more than a machine's memory is likely to hold."""
    if not 1 <= decoders <= MOST_DECODERS:
        raise BadInput(f"`decoders={decoders}`: 1 to {MOST_DECODERS} videos at once")


def summarise(outcomes: Sequence[Outcome], runtime: Runtime, seconds: float) -> dict[str, Any]:
    """Sum up what became of videos, JSON-ready.

    Args:
        outcomes: of `predict_many`.
        runtime: that computed them.
        seconds: that it took.
    """
    frames = sum(outcome.frames for outcome in outcomes)
    done = [outcome.job for outcome in outcomes if outcome.done]
    files = [path for job in done for path in (*job.out.iterdir(), *([job.overlay] if job.overlay else []))]
    return {
        "hardware": hardware(),
        "versions": versions(),
        "model": runtime.spec.label,
        "runtime": runtime.name,
        "seconds": round(seconds, 3),
        "frames": frames,
        "frames_per_second": round(frames / seconds, 2),
        "bytes": sum(path.stat().st_size for path in files),
        "peak_mib": peak_memory(),
        "videos": [
            {"video": str(job.video), "out": str(job.out), "frames": count, "seconds": round(took, 3), "refused": why}
            for job, count, took, why in outcomes
        ],
    }


@contextmanager
def _locked(out: Path, patience: float) -> Iterator[None]:
    """Keep other processes off a folder of results.

    Raises:
        BadInput: the file system knows no locks.
        Timeout: another process has it.
    """
    path = out.with_name(f".{out.name}.lock")
    with FileLock(path, timeout=patience) as lock:
        try:
            if isinstance(lock, SoftFileLock):  # what FileLock becomes without locks; it would outlive its process
                raise BadInput(f"{out.parent}: this file system knows no locks; give an `out` on another")
            yield
        finally:
            with suppress(OSError):  # Windows keeps what is open, and clears it away itself
                path.unlink(missing_ok=True)


def _explained(error: OSError | FFmpegError) -> str:
    """Say why a video's results could not be written, and what to do; raise what would refuse all others too."""
    told = f"{error.strerror or error}; what was finished is kept, the same command goes on from there"
    if error.errno in _ENDS_ALL:
        raise OSError(error.errno, told, error.filename) from error
    return f"{error.filename}: {told}" if error.filename else told


def _size(job: Job) -> int:
    """Return the bytes of a video: long ones are begun first, so that none is left over at the end."""
    try:
        return sum(path.stat().st_size for path in source_files(job.video))
    except (BadInput, OSError):
        return 0
