"""Saliency of a live stream: frames arrive at their own pace, maps follow with a bounded latency."""

import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np

from tinyhd_lib.data.transforms import Image, Map, clip_of, windows, windows_ending
from tinyhd_lib.data.video import Frame
from tinyhd_lib.errors import BadInput, first_line
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.overlap import Waiting
from tinyhd_lib.runtime import Runtime

if TYPE_CHECKING:
    import pandas as pd

_POLL = 0.1


class Latency(NamedTuple):
    """Seconds from a frame's arrival to the hand-over of its map.

    Attributes:
        waiting: in the queue, and for the frames that complete its chunk.
        forward: the forward pass.
        delivery: until the consumer took the map.
    """

    waiting: float
    forward: float
    delivery: float

    @property
    def total(self) -> float:
        """Return the sum of the three."""
        return sum(self)


class LivePrediction(NamedTuple):
    """The saliency of one frame of a stream.

    Attributes:
        frame: its index in the source, from 0, counting dropped frames.
        time: seconds since the first frame, by the source's timestamps.
        map: (192, 256) float32 in (0, 1), as the model gives it.
        latency: time from the frame's arrival to the hand-over of its map.
        image: the frame, (H, W, 3) uint8 RGB.
    """

    frame: int
    time: float
    map: Map
    latency: Latency
    image: Image


class Statistics(NamedTuple):
    """A stream's figures over an interval; as text, one line. Latencies are None where no map was handed over.

    Attributes:
        seconds: length of the interval.
        frames: frames that arrived.
        dropped: frames of those that were dropped from a full queue.
        maps: maps that were handed over.
        queued: frames in the queue at the end.
        frames_per_second: rate of arrival.
        maps_per_second: rate of hand-over.
        latency_p50_ms: median milliseconds from arrival to hand-over.
        latency_p95_ms: their 95th percentile.
        latency_max_ms: their maximum.
        waiting_p50_ms: median of the part that `Latency` calls so; likewise the next two.
        forward_p50_ms: of the forward pass.
        delivery_p50_ms: of the hand-over.
    """

    seconds: float
    frames: int
    dropped: int
    maps: int
    queued: int
    frames_per_second: float
    maps_per_second: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_max_ms: float | None
    waiting_p50_ms: float | None
    forward_p50_ms: float | None
    delivery_p50_ms: float | None

    def __str__(self) -> str:
        median, most, longest = self.latency_p50_ms, self.latency_p95_ms, self.latency_max_ms
        latency = "no map" if median is None else f"latency {median:.0f} ms (95 % {most:.0f}, max {longest:.0f})"
        frames = f"{self.frames_per_second:.1f} frames/s, {self.dropped} dropped, {self.queued} waiting"
        return f"{frames}; {self.maps_per_second:.1f} maps/s, {latency}"


class Arrival(NamedTuple):
    """A frame and when it arrived, in seconds of the system's monotonic clock."""

    frame: Frame
    at: float


class Computed(NamedTuple):
    """A frame, when it arrived, its map (192, 256), and when its forward pass began, and ended."""

    frame: Frame
    arrived: float
    map: Map
    begun: float
    done: float


def passes(
    arrivals: Waiting[Arrival], runtime: Runtime, every: int | None, *, holds: bool = False
) -> Iterator[list[Computed]]:
    """Run the model on the 16 newest frames until no more arrive; yield each pass's maps, in order of their frames.

    Args:
        arrivals: the frames.
        runtime: the model, ready to run.
        every: frames from one pass to the next; None runs one whenever no frame waits.
        holds: each pass waits for the frames of the next, since the last window of a video may own frames of the one
            before (see `windows`); M models only.
    """
    multi = runtime.spec.multi
    answered: deque[Arrival] = deque(maxlen=None if multi else 1)

    def ready() -> Iterator[Map]:
        for arrival in arrivals:
            answered.append(arrival)
            yield runtime.prepare(arrival.frame.image)

    def due(fresh: range) -> bool:
        # Without ``every``, as soon as no frame waits, and at the latest before a frame would fall out of all windows.
        return len(fresh) == every if every else len(fresh) == CLIP_FRAMES or not len(arrivals)

    for window in windows(ready(), every or CLIP_FRAMES) if holds else windows_ending(ready(), due):
        begun = time.monotonic()
        (maps,) = runtime([clip_of(window.clip)])
        done = time.monotonic()
        owned = window.owned if multi else window.owned[-1:]
        yield [Computed(*answered.popleft(), maps[window.output(index, len(maps))], begun, done) for index in owned]


class Stream:
    """Maps of frames while they arrive; a context manager, and within it an iterator of `LivePrediction`.

    One thread takes frames from the source into a bounded queue; another keeps the 16 newest and runs the model. All
    memory is bounded. Leaving the block stops both threads and releases the source.

    An M model gives maps in chunks of ``every`` frames. An S model gives one map for every ``every`` frames, for the
    newest of them, or one whenever it is free. If frames were dropped, the window holds the 16 newest of those kept, so
    motion in it is faster than in the training data.

    Args:
        source: frames, from `open_source` or any iterable. If it has a method ``close``, that is called from another
            thread to end it.
        runtime: the model, ready to run.
        drop: what happens when the queue is full. ``latest``: the frame that has waited longest is dropped, latency is
            bounded. ``block``: the source waits, no frame is lost; the maps are those of `predict` with the same
            ``every`` and without smoothing; an S model gives those of each ``every``-th frame and of the last.
        every: M models: frames from one window to the next, 1 to 16 (None: 16). S models: 1 or more (None: as often as
            the machine can keep up; with ``block`` every frame).
        queue: length of the queue in frames, at least 1 (None: ``every``, but at least 2; 16 without ``every``).

    Raises:
        BadInput: an option cannot be used. While iterating: the source or the model failed; if the source did, the maps
            of all frames before are yielded first.

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
        if every is not None and not 1 <= every <= (CLIP_FRAMES if multi else every):
            most = f"1 to {CLIP_FRAMES} frames" if multi else "at least 1 frame"
            raise BadInput(f"`every` {every}: {most} from one pass of the model to the next")
        if queue is not None and queue < 1:
            raise BadInput(f"`queue` {queue}: at least 1 frame must be able to wait")
        self.every = every or (CLIP_FRAMES if multi else None if drops else 1)
        self._source, self._multi = source, multi
        # The queue holds what one pass adds to the window: older frames would be in no window.
        self._frames = Waiting[Arrival](queue or max(2, self.every or CLIP_FRAMES), drops=drops)
        self._passes = passes(self._frames, runtime, self.every, holds=multi and not drops)
        self._thread = Thread(target=self._receive, name="tinyhd-source", daemon=True)
        self._model = ThreadPoolExecutor(1, "tinyhd-model")
        self._failure: BadInput | None = None  # of the source
        self._latest: list[Latency] = []
        self._latencies: deque[Latency] = deque(maxlen=100_000)  # an hour of maps, for the figures of the whole stream
        self._counted = (0, 0, 0)
        self._since = self._begun = self._first = self._last = 0.0

    def __enter__(self) -> Self:
        self._since = self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop: join the threads and release the source, waiting for a source that blocks."""
        self.end()
        self._model.shutdown(cancel_futures=True)
        self._thread.join()

    def __iter__(self) -> Iterator[LivePrediction]:
        """Yield the maps, in order of their frames, until the source ends."""
        return (each for each in self.watch() if isinstance(each, LivePrediction))

    def watch(self, every: float = 1.0) -> Iterator[LivePrediction | Statistics]:
        """Yield the maps and, every ``every`` seconds even without maps, the statistics since the last ones.

        Raises:
            BadInput: the source or the model failed.
            RuntimeError: the stream was not entered.
        """
        if not self._begun:
            raise RuntimeError("a stream runs within its block: with Stream(...) as stream")
        failure, due = None, self._since + every
        try:
            for maps in self._coming():
                for frame, arrived, saliency, begun, done in maps:
                    latency = Latency(begun - arrived, done - begun, time.monotonic() - done)
                    self._latest.append(latency)
                    yield LivePrediction(frame.index, frame.time, saliency, latency, frame.image)
                if time.monotonic() >= due:
                    yield self._tick()
                    due = self._since + every
            failure = self._failure
        except Exception as error:  # noqa: BLE001  (the last statistics are yielded before it is raised)
            failure = _one_line("the model", error)
        last = self._tick()
        if last.frames or last.maps:
            yield last
        if failure:
            raise failure

    def summary(self) -> Statistics:
        """Return the statistics from the beginning until the last ones that `watch` yielded.

        Latencies are those of the newest 100,000 maps.
        """
        return summarise(self._since - self._begun, *self._counted, self._latencies, len(self._frames))

    def stated_latency(self) -> float | None:
        """Return the latency in seconds to expect for the first frame of a chunk, if the machine keeps up.

        That is the time of a forward pass and of the frames that complete the chunk. Any latency measured beyond it was
        spent in the queue or by the consumer. None before the first statistics.
        """
        forward, passed, between = self.summary().forward_p50_ms, self._last - self._first, self._frames.arrived - 1
        if forward is None or between < 1:
            return None
        chunk = 1 if self.every is None else self.every - 1 if self._multi else 0
        return chunk * passed / between + forward / 1e3

    def end(self) -> None:
        """Take no more frames; those that have arrived still get their maps. Return at once."""
        self._frames.end()
        if not isinstance(self._source, Generator):
            getattr(self._source, "close", lambda: None)()

    def _receive(self) -> None:
        """Put the source's frames into the queue: the work of the source's thread."""
        try:
            frames = iter(self._source)
            with closing(frames) if isinstance(frames, Generator) else nullcontext():
                for frame in frames:
                    self._last = time.monotonic()
                    self._first = self._first or self._last
                    if not self._frames.put(Arrival(frame, self._last)):
                        break
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not get lost in a thread)
            self._failure = None if self._frames.ended else _one_line("the source", error)
        self._frames.end()

    def _coming(self) -> Iterator[list[Computed]]:
        """Yield the maps of each pass while the next one runs, and an empty list whenever none ended for a while."""
        coming = self._model.submit(next, self._passes, None)
        while True:
            maps = coming.result() if wait([coming], _POLL).done else []
            if maps is None:
                return
            if maps:  # frames that the next pass cannot take are dropped before
                coming = self._model.submit(next, self._passes, None)
            yield maps

    def _tick(self) -> Statistics:
        """Return the statistics since the last ones, and add them to those of the whole stream."""
        now, before, latest = time.monotonic(), self._counted, self._latest
        self._counted = (self._frames.arrived, self._frames.dropped, before[2] + len(latest))
        frames, dropped, maps = np.subtract(self._counted, before).tolist()
        statistics = summarise(now - self._since, frames, dropped, maps, latest, len(self._frames))
        self._latencies += latest
        self._since, self._latest = now, []
        return statistics


def summarise(  # noqa: PLR0913, PLR0917
    seconds: float, frames: int, dropped: int, maps: int, latencies: Collection[Latency], queued: int
) -> Statistics:
    """Return the statistics of an interval of some seconds, with ``queued`` frames in the queue at its end."""
    times: list[Any] = [None] * 6
    if latencies:
        every = [(each.total, *each) for each in latencies]
        ranks = 1e3 * np.percentile(every, (50, 95, 100), axis=0, method="inverted_cdf")
        times = np.round([*ranks[:, 0], *ranks[0, 1:]], 1).tolist()
    rates = [round(count / seconds, 2) if seconds else 0.0 for count in (frames, maps)]
    return Statistics(round(seconds, 3), frames, dropped, maps, queued, *rates, *times)


def as_table(reports: Iterable[dict[str, Any]]) -> "pd.DataFrame":
    """Return the runs that ``json`` files hold as a table, one column per run; times in milliseconds."""
    import pandas as pd

    return pd.DataFrame([{**report["key"], **report["details"]["summary"]} for report in reports], dtype=object).T


def _one_line(who: str, failure: Exception) -> BadInput:
    """Return an error of another thread as a `BadInput`, the kind that is shown to users."""
    if isinstance(failure, BadInput):
        return failure
    error = BadInput(f"{who} failed ({type(failure).__name__}): {first_line(failure)}")
    error.__cause__ = failure
    return error
