"""Saliency of what is happening now: frames come when they like, maps follow with a bounded latency."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from threading import Thread
from typing import NamedTuple, Self

from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import Frame
from tinyhd_lib.errors import BadInput
from tinyhd_lib.live.channel import POLICIES, Channel
from tinyhd_lib.live.passes import Arrival, Computed, make_plan, passes
from tinyhd_lib.live.statistics import Counts, Latency, Statistics, summarise
from tinyhd_lib.runtime import Runtime


class LivePrediction(NamedTuple):
    """The saliency of one frame of a stream.

    Attributes:
        frame: its index in the source, from 0; frames that were dropped count.
        time: seconds since the first frame, as the source has it.
        map: (192, 256) float32 in (0, 1), as the model gives it.
        latency: how long after the frame's arrival this was handed over.
        image: the frame, (H, W, 3) uint8 RGB.
    """

    frame: int
    time: float
    map: Map
    latency: Latency
    image: Image


class Stream:
    """Maps of frames while they arrive; a context manager, and within it an iterator of `LivePrediction`.

    One thread takes frames from the source into a bounded queue; another keeps the 16 newest and runs the model. All
    memory is bounded. Leaving the block stops both threads and releases the source.

    An M model answers in chunks of ``stride`` frames. An S model answers for the newest of every ``stride`` frames, or
    whenever it is free. Where frames were dropped, the window holds the 16 newest of those that were kept: time runs
    faster in it than the model was trained on.

    Args:
        source: frames, as `open_source` or any iterator gives them. If it has a method ``close``, that is called to
            end it, from another thread.
        runtime: the model, ready to run.
        drop: a name of `POLICIES`. With ``block``, the maps are those of `predict` for the same stride: all of them
            for M, those of every ``stride``-th frame and of the last one for S.
        stride: M: frames from one pass to the next, 1 to 16 (None: 16). S: 1 or more (None: as often as the machine
            can follow; with ``block`` every frame).
        queue: frames that may wait, at least 1 (None: the stride, 2 at least; 16 without one).

    Raises:
        BadInput: the policy, the stride or the queue cannot be used. While iterating: the source or the model failed;
            the maps of all frames before come first if it was the source.

    >>> from tinyhd_lib.runtime import open_runtime
    >>> from tinyhd_lib.live.sources import open_source
    >>> with Stream(open_source("0"), open_runtime("workbench_m_r4")) as stream:  # doctest: +SKIP
    ...     for frame, time, saliency, latency, image in stream:
    ...         ...
    """

    def __init__(
        self,
        source: Iterable[Frame],
        runtime: Runtime,
        *,
        drop: str = "latest",
        stride: int | None = None,
        queue: int | None = None,
    ) -> None:
        if drop not in POLICIES:
            raise BadInput(f"drop {drop!r}: choose from {', '.join(POLICIES)}")
        if queue is not None and queue < 1:
            raise BadInput(f"queue {queue}: at least 1 frame must be able to wait")
        self.plan = make_plan(runtime.spec, POLICIES[drop], stride)
        self._source, self._runtime = source, runtime
        self._frames = Channel[Arrival](queue or self.plan.queue, drops=POLICIES[drop].drops)
        # One pass may wait while the consumer is at work on another: what it cannot take is dropped before the model.
        self._maps = Channel[list[Computed]](1)
        self._threads = [
            Thread(target=self._receive, name="tinyhd-source", daemon=True),
            Thread(target=self._compute, name="tinyhd-model", daemon=True),
        ]
        self._past, self._present = Counts(), Counts()
        self._since = self._first = self._last = 0.0

    def __enter__(self) -> Self:
        self._since = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[LivePrediction]:
        """The maps, in order of their frames, until the source ends."""
        return (each for each in self.watch() if isinstance(each, LivePrediction))

    def watch(self, every: float = 1.0) -> Iterator[LivePrediction | Statistics]:
        """The maps, and among them every so many seconds the statistics since the last ones, also while none come.

        Raises:
            BadInput: the source or the model failed.
            RuntimeError: the stream was not entered.
        """
        if not self._threads[0].ident:
            raise RuntimeError("a stream runs within its block: with Stream(...) as stream")
        ready: deque[Computed] = deque()
        due = self._since + every
        while True:
            if time.monotonic() >= due:
                yield self._tick()
                due = max(due, time.monotonic() - every) + every
            elif ready:
                yield self._hand_over(ready.popleft())
            else:
                try:
                    maps = self._maps.take(max(0.0, due - time.monotonic()))
                except TimeoutError:
                    continue
                if maps is None:
                    break
                ready.extend(maps)
        last = self._tick()
        if last.frames or last.maps:
            yield last
        if self._maps.error:
            raise self._maps.error

    def summary(self) -> Statistics:
        """The statistics from the beginning until the last ones that `watch` gave."""
        return summarise(self._past, len(self._frames))

    def stated_latency(self) -> float | None:
        """Seconds that the map of the frame which waits longest should take, by the frame rate and the time of a pass.

        What is measured beyond that was spent in the queue or with the consumer. None before the first statistics.
        """
        forward, passed = self.summary().forward_p50_ms, self._last - self._first
        if forward is None or not passed:
            return None
        return self.plan.stated_latency((self._frames.arrived - 1) / passed, forward / 1e3)

    def end(self) -> None:
        """Take no more frames; those that have arrived still get their maps. Returns at once."""
        self._frames.finish()
        if not isinstance(self._source, Generator):
            getattr(self._source, "close", lambda: None)()

    def close(self) -> None:
        """Stop: join the threads and release the source. A source that blocks is waited for."""
        self.end()
        self._frames.close()
        self._maps.close()
        for thread in self._threads:
            thread.join()

    def _receive(self) -> None:
        """The source's thread."""
        error: Exception | None = None
        try:
            frames = iter(self._source)
            try:
                for frame in frames:
                    self._last = time.monotonic()
                    self._first = self._first or self._last
                    if not self._frames.put(Arrival(frame, self._last)):
                        break
            finally:
                if isinstance(frames, Generator):
                    frames.close()
        except Exception as failure:  # noqa: BLE001  (whatever it is, it must not get lost in a thread)
            error = _one_line("the source", failure)
        self._frames.finish(error)

    def _compute(self) -> None:
        """The model's thread."""
        try:
            for maps in passes(self._frames, self._runtime, self.plan, time.monotonic):
                if not self._maps.put(maps):
                    break
            error = self._frames.error
        except Exception as failure:  # noqa: BLE001
            error = _one_line("the model", failure)
        self._frames.close()
        self._maps.finish(error)

    def _hand_over(self, computed: Computed) -> LivePrediction:
        frame, saliency, arrived, begun, done = computed
        latency = Latency(begun - arrived, done - begun, time.monotonic() - done)
        self._present.count(latency)
        return LivePrediction(frame.index, frame.time, saliency, latency, frame.image)

    def _tick(self) -> Statistics:
        now = time.monotonic()
        arrived, dropped, waiting = self._frames.counts()
        self._present.seconds, self._since = now - self._since, now
        self._present.frames = arrived - self._past.frames
        self._present.dropped = dropped - self._past.dropped
        statistics = summarise(self._present, waiting)
        self._past, self._present = self._past + self._present, Counts()
        return statistics


def _one_line(who: str, failure: Exception) -> BadInput:
    """An error of another thread as the one kind that a user is shown."""
    if isinstance(failure, BadInput):
        return failure
    reason = (str(failure).strip().splitlines() or [""])[0]
    error = BadInput(f"{who} failed ({type(failure).__name__}): {reason}")
    error.__cause__ = failure
    return error
