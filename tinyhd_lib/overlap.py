"""Overlap work in time with threads; all functions keep the order and propagate errors.

`Waiting` is a bounded queue between threads that drops its oldest item or blocks its source, and can be ended.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

_END: Any = object()


def prefetch(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """Yield items drawn in another thread, up to ``depth`` ahead; if left early, a generator of items is closed."""
    with _threads(1, items) as pool:
        pending = deque(pool.submit(next, items, _END) for _ in range(depth))
        while (item := pending.popleft().result()) is not _END:
            pending.append(pool.submit(next, items, _END))
            yield item


def parallel_map(function: Callable[[Item], Made], items: Iterable[Item], workers: int, depth: int) -> Iterator[Made]:
    """Yield the results of ``map``, computed in some threads, with at most ``depth`` results pending."""
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
    """Yield a thread pool for items; at the end, pending work is cancelled, and a generator of items closed.

    If the caller's generator is garbage-collected, that may happen in one of the pool's own threads. Such a thread can
    neither wait for itself nor close the items, which it may be iterating over; they are then collected as well.
    """
    own: set[int] = set()
    pool = ThreadPoolExecutor(workers, initializer=lambda: own.add(get_ident()))
    try:
        yield pool
    finally:
        from_outside = get_ident() not in own
        pool.shutdown(wait=from_outside, cancel_futures=True)
        if from_outside and isinstance(items, Generator):
            items.close()


class Waiting(Generic[Item]):
    """A bounded queue between threads; iterating over it removes items, the oldest first.

    Args:
        size: its capacity.
        drops: whether a full queue drops its oldest item for a new one; else `put` blocks.

    Attributes:
        arrived: number of items put.
        dropped: number of items dropped.
        ended: whether it takes no more items.
    """

    def __init__(self, size: int, *, drops: bool = False) -> None:
        self._size, self._drops = size, drops
        self._items: deque[Item] = deque(maxlen=size)
        self._changed = Condition()
        self.arrived = self.dropped = 0
        self.ended = False

    def __len__(self) -> int:
        """Return the number of items in the queue."""
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in the queue and those still to come, until the queue ends and is empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self.ended)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def put(self, item: Item) -> bool:
        """Append an item; return False if the queue has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._drops or self.ended or len(self._items) < self._size)
            if self.ended:
                return False
            self.dropped += len(self._items) == self._size
            self._items.append(item)  # drops the oldest if the queue is full
            self.arrived += 1
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """End the queue: no more items can be put, but those in it can still be taken."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()


def keep_freed_memory() -> None:
    """Let the process reuse freed arrays of some megabytes instead of returning them to the system.

    The GNU C library returns each to the system until it has once freed a larger one; from then on it keeps freed
    memory, which makes arithmetic on whole maps up to twice as fast. With other libraries nothing changes.
    """
    import numpy as np

    np.empty(2**24, np.uint8)
