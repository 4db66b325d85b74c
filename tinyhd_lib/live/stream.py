"""Saliency of what is happening now: frames come when they like, maps follow with a bounded latency."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from threading import Condition, Thread
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from tinyhd_lib.data.transforms import Image, Map, preprocess
from tinyhd_lib.data.video import Frame
from tinyhd_lib.errors import BadInput
from tinyhd_lib.live.statistics import Latency, Statistics, summarise
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.overlap import prefetch
from tinyhd_lib.runtime import Runtime

_SHORTEST_QUEUE = 2
_POLL = 0.1
_REMEMBERED = 100_000  # latencies that the figures of the whole stream are computed of: an hour of maps


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


class Arrival(NamedTuple):
    """A frame and when it arrived, in seconds of the system's monotonic clock."""

    frame: Frame
    at: float


class Arrivals:
    """The frames that wait between the source's thread and the model's.

    Args:
        size: how many may wait.
        drops: whether the oldest makes room for a new one when it is full; else who puts it waits.

    Attributes:
        arrived: how many frames came.
        dropped: how many of them made room for others.
        error: what ended it, None if nothing went wrong.
    """

    def __init__(self, size: int, *, drops: bool = False) -> None:
        self._size, self._drops = size, drops
        self._items: deque[Arrival] = deque(maxlen=size)
        self._changed = Condition()
        self._ended = False
        self.arrived = self.dropped = 0
        self.error: BadInput | None = None

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._items)

    def put(self, item: Arrival) -> bool:
        """Append a frame; False if no more are taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._drops or self._ended or len(self._items) < self._size)
            if self._ended:
                return False
            self.dropped += len(self._items) == self._size
            self._items.append(item)  # in the place of the oldest, if there is no other
            self.arrived += 1
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> list[Arrival] | None:
        """Return the oldest frame, or none if nothing came for so long; None after the last one."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, timeout)
            taken = [self._items.popleft()] if self._items else None if self._ended else []
            self._changed.notify_all()
            return taken

    def end(self, error: BadInput | None = None, *, forget: bool = False) -> None:
        """Let no more in; what waits can still be taken, unless it is forgotten. The first error stays."""
        with self._changed:
            self.error = self.error if self._ended else error
            self._ended = True
            if forget:
                self._items.clear()
            self._changed.notify_all()


class Computed(NamedTuple):
    """A frame with its map (192, 256), and when it arrived, its forward pass began, and that ended."""

    frame: Frame
    map: Map
    arrived: float
    begun: float
    done: float


def passes(arrivals: Arrivals, runtime: Runtime, every: int | None, *, holds: bool) -> Iterator[list[Computed]]:
    """Run the model on the 16 newest frames until no more come; yield each pass's maps, in order of their frames.

    In front of the first frame that frame is repeated. Where no frame comes for a while, no maps are given.

    Args:
        arrivals: the frames.
        runtime: the model, ready to run.
        every: frames from one pass to the next; None runs one whenever no frame waits.
        holds: maps wait for the next pass, since the last one of a video may claim some of them (as `windows` has it).

    Raises:
        BadInput: the source failed; after the maps of all frames before.
    """
    clip: deque[Map] = deque(maxlen=CLIP_FRAMES)
    answered: deque[Arrival] = deque(maxlen=every if every and runtime.spec.multi else 1)
    held: list[Computed] = []
    fresh = 0
    while (taken := arrivals.take(_POLL)) is not None or fresh:
        for arrival in taken or ():
            ready = preprocess(arrival.frame.image)
            clip.extend([ready] * (1 if clip else CLIP_FRAMES))
            answered.append(arrival)
            fresh += 1
        # Without ``every``, as soon as nothing waits, and at the latest before a frame would be seen by no pass.
        due = fresh >= every if every else fresh >= CLIP_FRAMES or not len(arrivals)
        if fresh and (due or taken is None):
            maps = _forward(runtime, clip, answered)
            again = max(0, len(maps) - fresh)  # only in the last pass: frames that have a map of the pass before
            yield held[: len(held) - again] if holds else maps[again:]
            held = maps if holds else []
            fresh = 0
        elif not taken:
            yield []
    yield held
    if arrivals.error:
        raise arrivals.error


def _forward(runtime: Runtime, clip: Sequence[Map], answered: Sequence[Arrival]) -> list[Computed]:
    """Return the maps of the frames at the end of a clip."""
    begun = time.monotonic()
    (maps,) = runtime(np.stack(clip, axis=1)[np.newaxis])
    done = time.monotonic()
    places = enumerate(answered, start=CLIP_FRAMES - len(answered))
    return [Computed(each.frame, maps[n * len(maps) // CLIP_FRAMES], each.at, begun, done) for n, each in places]


class Stream:
    """Maps of frames while they arrive; a context manager, and within it an iterator of `LivePrediction`.

    One thread takes frames from the source into a bounded queue; another keeps the 16 newest and runs the model. All
    memory is bounded. Leaving the block stops both threads and releases the source.

    An M model answers in chunks of ``every`` frames. An S model answers for the newest of as many frames, or
    whenever it is free. Where frames were dropped, the window holds the 16 newest of those that were kept: time runs
    faster in it than the model was trained on.

    Args:
        source: frames, as `open_source` or any iterator gives them. If it has a method ``close``, that is called to
            end it, from another thread.
        runtime: the model, ready to run.
        drop: what happens when the queue is full. ``latest``: the frame that has waited longest is dropped, latency is
            bounded. ``block``: the source waits, no frame is lost; the maps are those of `predict` with the same
            ``every``, where M is not smoothed; S gives those of each ``every``-th frame and of the last.
        every: M: frames from one pass to the next, 1 to 16 (None: 16). S: 1 or more (None: as often as the machine
            can follow; with ``block`` every frame).
        queue: frames that may wait, at least 1 (None: as many as ``every``, 2 at least; 16 without one).

    Raises:
        BadInput: an option cannot be used. While iterating: the source or the model failed; the maps of
            all frames before come first if it was the source.

    Examples:
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
        drop: Literal["latest", "block"] = "latest",
        every: int | None = None,
        queue: int | None = None,
    ) -> None:
        multi, drops = runtime.spec.multi, drop == "latest"
        if not (drops or drop == "block"):
            raise BadInput(f"`drop` {drop!r}: choose from latest, block")
        if every is not None and multi and not 1 <= every <= CLIP_FRAMES:
            raise BadInput(f"`every` {every}: 1 to {CLIP_FRAMES} frames from one pass of an M model to the next")
        if every is not None and every < 1:
            raise BadInput(f"`every` {every}: at least 1 frame")
        if queue is not None and queue < 1:
            raise BadInput(f"`queue` {queue}: at least 1 frame must be able to wait")
        self.every = every or (CLIP_FRAMES if multi else None if drops else 1)
        self._source, self._multi = source, multi
        # What one pass adds to the window may wait: older frames no pass would see.
        self._frames = Arrivals(queue or max(_SHORTEST_QUEUE, self.every or CLIP_FRAMES), drops=drops)
        # One pass is computed while the consumer is at work on another: frames that it cannot take are dropped before.
        maps = passes(self._frames, runtime, self.every, holds=multi and not drops)
        self._outputs: Any = prefetch(maps, depth=1)  # a generator
        self._thread = Thread(target=self._receive, name="tinyhd-source", daemon=True)
        self._latest: list[Latency] = []
        self._latencies: deque[Latency] = deque(maxlen=_REMEMBERED)
        self._counted = (0, 0, 0)
        self._since = self._begun = self._first = self._last = 0.0

    def __enter__(self) -> Self:
        self._since = self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop: join the threads and release the source. A source that blocks is waited for."""
        self.end()
        self._frames.end(forget=True)
        self._outputs.close()
        self._thread.join()

    def __iter__(self) -> Iterator[LivePrediction]:
        """Yield the maps, in order of their frames, until the source ends."""
        return (each for each in self.watch() if isinstance(each, LivePrediction))

    def watch(self, every: float = 1.0) -> Iterator[LivePrediction | Statistics]:
        """Yield the maps, and among them every so many seconds the statistics since the last ones, also without maps.

        Raises:
            BadInput: the source or the model failed.
            RuntimeError: the stream was not entered.
        """
        if not self._begun:
            raise RuntimeError("a stream runs within its block: with Stream(...) as stream")
        error = None
        due = self._since + every
        try:
            for maps in self._outputs:
                for frame, saliency, arrived, begun, done in maps:
                    latency = Latency(begun - arrived, done - begun, time.monotonic() - done)
                    self._latest.append(latency)
                    yield LivePrediction(frame.index, frame.time, saliency, latency, frame.image)
                if time.monotonic() >= due:
                    yield self._tick()
                    due = self._since + every
        except Exception as failure:  # noqa: BLE001  (what was counted until then is told first)
            error = _one_line("the model", failure)
        last = self._tick()
        if last.frames or last.maps:
            yield last
        if error:
            raise error

    def summary(self) -> Statistics:
        """Return the statistics from the beginning until the last ones that `watch` gave.

        Times are those of the newest 100,000 maps.
        """
        return summarise(self._since - self._begun, *self._counted, self._latencies, len(self._frames))

    def stated_latency(self) -> float | None:
        """Return the seconds that the map of the frame which waits longest should take, where the machine can follow.

        That is the time of a pass and of the frames that complete its chunk. What is measured beyond it was spent in
        the queue or with the consumer. None before the first statistics.
        """
        forward, passed = self.summary().forward_p50_ms, self._last - self._first
        if forward is None or not passed:
            return None
        chunk = 1 if self.every is None else self.every - 1 if self._multi else 0
        return chunk * passed / (self._frames.arrived - 1) + forward / 1e3

    def end(self) -> None:
        """Take no more frames; those that have arrived still get their maps. Returns at once."""
        self._frames.end()
        if not isinstance(self._source, Generator):
            getattr(self._source, "close", lambda: None)()

    def _receive(self) -> None:
        """Do the work of the source's thread."""
        error = None
        try:
            frames = iter(self._source)
            with closing(frames) if isinstance(frames, Generator) else nullcontext():
                for frame in frames:
                    self._last = time.monotonic()
                    self._first = self._first or self._last
                    if not self._frames.put(Arrival(frame, self._last)):
                        break
        except Exception as failure:  # noqa: BLE001  (whatever it is, it must not get lost in a thread)
            error = _one_line("the source", failure)
        self._frames.end(error)

    def _tick(self) -> Statistics:
        """Return the statistics since the last ones, and add them to those of the whole stream."""
        now, before, latest = time.monotonic(), self._counted, self._latest
        self._counted = (self._frames.arrived, self._frames.dropped, before[2] + len(latest))
        frames, dropped, maps = np.subtract(self._counted, before).tolist()
        statistics = summarise(now - self._since, frames, dropped, maps, latest, len(self._frames))
        self._latencies += latest
        self._since, self._latest = now, []
        return statistics


def _one_line(who: str, failure: Exception) -> BadInput:
    """Return an error of another thread as the one kind that a user is shown."""
    if isinstance(failure, BadInput):
        return failure
    reason = (str(failure).strip().splitlines() or [""])[0]
    error = BadInput(f"{who} failed ({type(failure).__name__}): {reason}")
    error.__cause__ = failure
    return error
