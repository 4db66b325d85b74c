"""Ways to let work overlap in time, in threads; all keep the order and pass errors on.

What waits between two threads does so in a bounded queue, which drops its oldest or lets its source wait, and can end.
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
    """Give threads to work on items; however that ends, what they have not begun is dropped, and a generator closed.

    What nobody holds any more is cleared away by whichever thread comes across it. One of these cannot wait for itself,
    and may be in the midst of the generator, which is then nobody's either.
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
    """Items that wait until somebody goes through them, which takes them out, the oldest first.

    Args:
        size: how many may wait.
        drops: whether the oldest makes room for a new one when it is full; else who puts it waits.

    Attributes:
        arrived: how many items came.
        dropped: how many of them made room for others.
        ended: whether no more are let in.
    """

    def __init__(self, size: int, *, drops: bool = False) -> None:
        self._size, self._drops = size, drops
        self._items: deque[Item] = deque(maxlen=size)
        self._changed = Condition()
        self.arrived = self.dropped = 0
        self.ended = False

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        """Yield what waits and what comes, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self.ended)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def put(self, item: Item) -> bool:
        """Append an item; False if no more are let in."""
        with self._changed:
            self._changed.wait_for(lambda: self._drops or self.ended or len(self._items) < self._size)
            if self.ended:
                return False
            self.dropped += len(self._items) == self._size
            self._items.append(item)  # in the place of the oldest, if there is no other
            self.arrived += 1
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """Let no more in; what waits can still be taken."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()


def keep_freed_memory() -> None:
    """Let arrays of some megabytes come and go without the system's help.

    The GNU C library gives every one back to the system, page by page, until it has once seen a larger one go; from
    then on it keeps what is freed. Arithmetic on whole maps is up to twice as fast for it. Elsewhere nothing changes.
    """
    import numpy as np

    np.empty(2**24, np.uint8)
