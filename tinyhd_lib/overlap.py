"""Two ways to let work overlap in time; both keep the order, bound what is in flight and pass errors on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

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
    """``map`` over a few threads, with at most ``depth`` results waiting."""
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
