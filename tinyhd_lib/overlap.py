"""Ways to let work overlap in time, in threads; all keep the order and pass errors on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

_END: Any = object()


def prefetch(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Draw items in a thread of their own, up to ``depth`` ahead of the consumer; left early, it closes a generator."""
    with _threads(1, items) as pool:
        pending = deque(pool.submit(next, items, _END) for _ in range(depth))
        while (item := pending.popleft().result()) is not _END:
            pending.append(pool.submit(next, items, _END))
            yield item


def parallel_map(function: Callable[[Item], Made], items: Iterable[Item], workers: int, depth: int) -> Iterator[Made]:
    """Yield what ``map`` gives, over a few threads, with at most ``depth`` results waiting."""
    with _threads(workers, items) as pool:
        pending: deque[Future[Made]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def _threads(workers: int, items: Iterable[Any]) -> Iterator[ThreadPoolExecutor]:
    """Give threads to work on items; however that ends, what they have not begun is dropped, and a generator closed."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            if isinstance(items, Generator):
                items.close()


def keep_freed_memory() -> None:
    """Let arrays of some megabytes come and go without the system's help.

    The GNU C library gives every one back to the system, page by page, until it has once seen a larger one go; from
    then on it keeps what is freed. Arithmetic on whole maps is up to twice as fast for it. Elsewhere nothing changes.
    """
    import numpy as np

    np.empty(2**24, np.uint8)
