"""A bounded queue between two threads, and what happens when it is full."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Policy:
    """What to do with a frame for which there is no room.

    Attributes:
        drops: the oldest frame that waits makes room for it; otherwise the source waits.
        meaning: the same in words.
    """

    drops: bool
    meaning: str


POLICIES = {
    "latest": Policy(drops=True, meaning="the frame that has waited longest is dropped: latency is bounded"),
    "block": Policy(drops=False, meaning="the source waits: no frame is lost"),
}
"""The frame-drop policies by name."""


class Channel(Generic[Item]):
    """A queue of at most ``size`` items from one thread to another.

    Args:
        size: items that may wait.
        drops: see `Policy`.

    Attributes:
        arrived: how many items were accepted.
        dropped: how many of them made room for others.
        error: what ended it, None if nothing went wrong.
    """

    def __init__(self, size: int, *, drops: bool = False) -> None:
        self._size, self._drops = size, drops
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._ended = False
        self.arrived = self.dropped = 0
        self.error: Exception | None = None

    def put(self, item: Item) -> bool:
        """Append an item, by the policy if there is no room; False if the channel has ended."""
        with self._changed:
            if not self._drops:
                self._changed.wait_for(lambda: self._ended or len(self._items) < self._size)
            if self._ended:
                return False
            if len(self._items) == self._size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self.arrived += 1
            self._changed.notify_all()
            return True

    def take(self, timeout: float | None = None) -> Item | None:
        """The oldest item, waited for; None when the channel has ended and is empty.

        Raises:
            TimeoutError: nothing came in ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._ended, timeout):
                raise TimeoutError
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[Item]:
        """The items until the channel ends."""
        while (item := self.take()) is not None:
            yield item

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._items)

    def counts(self) -> tuple[int, int, int]:
        """Items that arrived, that were dropped and that wait, at one moment."""
        with self._changed:
            return self.arrived, self.dropped, len(self._items)

    def finish(self, error: Exception | None = None) -> None:
        """Let nothing more in; what waits can still be taken. The first call decides on the error."""
        with self._changed:
            if not self._ended:
                self._ended, self.error = True, error
                self._changed.notify_all()

    def close(self) -> None:
        """Finish, and forget what waits."""
        with self._changed:
            self.finish()
            self._items.clear()
            self._changed.notify_all()
