"""What waits between two threads: a bounded queue that drops its oldest or lets its source wait, and that can end."""

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


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
