"""Overlapped work keeps its order, its limits and its errors."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from tinyhd_lib.overlap import parallel_map, prefetch


def counted(drawn: list[int], count: int = 50, *, fail_at: int = -1) -> Iterator[int]:
    for index in range(count):
        if index == fail_at:
            raise OSError("planted")
        drawn.append(index)
        yield index


def test_prefetch_keeps_order_and_does_not_run_away() -> None:
    drawn: list[int] = []
    for item in prefetch(counted(drawn), depth=3):
        time.sleep(0.001)
        assert len(drawn) <= item + 1 + 3
    assert drawn == list(range(50))


def test_parallel_map_keeps_order_and_does_not_run_away() -> None:
    drawn: list[int] = []
    for index, result in enumerate(parallel_map(lambda item: item**2, counted(drawn), workers=3, depth=4)):
        assert result == index**2
        assert len(drawn) <= index + 4


def test_errors_arrive_in_their_place() -> None:
    seen = []
    items = parallel_map(seen.append, prefetch(counted([], fail_at=7), depth=2), workers=1, depth=1)
    with pytest.raises(OSError, match="planted"):
        list(items)
    assert seen == list(range(7))


def test_both_can_be_left_early() -> None:
    drawn: list[int] = []
    source = parallel_map(str, prefetch(counted(drawn, 10**9), depth=2), workers=2, depth=2)
    assert next(source) == "0"
    source.close()
    assert len(drawn) < 20


def test_a_generator_that_is_left_early_is_closed() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(threading.current_thread().name)

    items = parallel_map(str, prefetch(source(), depth=2), workers=2, depth=2)
    next(items)
    items.close()
    assert len(closed) == 1


def test_a_thread_that_clears_its_own_reader_away_does_not_wait_for_itself() -> None:
    forgotten, cleared = threading.Event(), threading.Event()

    def work(item: int) -> int:
        if item:
            assert forgotten.wait(60)
            gc.collect()
            cleared.set()
        return item

    items = parallel_map(work, prefetch(counted([]), depth=1), workers=1, depth=2)
    assert next(items) == 0
    holder: list[object] = [items]
    holder.append(holder)  # a reference cycle, which only the garbage collector frees
    del items, holder
    forgotten.set()
    assert cleared.wait(60)  # an exception during cleanup is a warning, which fails the test
