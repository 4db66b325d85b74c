"""Ways to let work overlap in time, in threads or processes; all keep the order and pass errors on."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from tinyhd_lib.errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")

MapFunction = Callable[..., Iterator[Any]]
"""Calls a function with every item, as ``map`` does."""

_END: Any = object()


def prefetch(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Draw items in a thread of their own, up to ``depth`` ahead of the consumer; left early, it closes a generator."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = deque(pool.submit(next, items, _END) for _ in range(depth))
        try:
            while (item := pending.popleft().result()) is not _END:
                pending.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
            if isinstance(items, Generator):
                items.close()


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, depth: int
) -> Iterator[Result]:
    """Yield what ``map`` gives, over a few threads, with at most ``depth`` results waiting."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            if isinstance(items, Generator):
                items.close()


@contextmanager
def processes(workers: int) -> Iterator[MapFunction]:
    """Give a ``map`` over some processes, each of one thread; over this process, if one is enough.

    After an error or an interruption they end at once: what they write must be atomic.

    Raises:
        BadInput: there are no workers, or one of them was killed.
    """
    if workers < 1:
        raise BadInput(f"`workers={workers}`: at least 1")
    if workers == 1:
        yield map
        return
    # Started anew rather than forked: a copy of a process that runs threads, as decoders do, can hang.
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin_worker)
    try:
        yield pool.map
    except BaseException as error:
        for child in set(active_children()) - others:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise BadInput(
                "a process was ended from outside, perhaps for want of memory; what was finished is kept, and alone "
                "(`workers=1`, or `jobs=1` of notebooks) it needs the least"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def keep_freed_memory() -> None:
    """Let arrays of some megabytes come and go without the system's help.

    The GNU C library gives every one back to the system, page by page, until it has once seen a larger one go; from
    then on it keeps what is freed. Arithmetic on whole maps is up to twice as fast for it. Elsewhere nothing changes.
    """
    import numpy as np

    np.empty(2**24, np.uint8)


def _begin_worker() -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    # The libraries ask once, when they are first imported.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    import cv2

    cv2.setNumThreads(1)
    keep_freed_memory()


def _end_with_parent() -> None:
    """End when the parent does: one that was killed cannot stop its workers, who would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
