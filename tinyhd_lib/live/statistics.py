"""How a stream fares: pure functions of the latencies of its maps."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class Latency(NamedTuple):
    """Seconds from a frame's arrival to the hand-over of its map.

    Attributes:
        waiting: for its turn, and for the frames that complete its chunk.
        forward: the pass itself.
        delivery: until the consumer took the map.
    """

    waiting: float
    forward: float
    delivery: float

    @property
    def total(self) -> float:
        """Return all of it."""
        return sum(self)


@dataclass(frozen=True)
class Statistics:
    """A stream's figures over some time; its text says them in one line. Times are None where no map was handed over.

    Attributes:
        seconds: how long that was.
        frames: that arrived.
        dropped: of those, as nobody had taken them in time.
        maps: that were handed over.
        queued: frames that waited at the end.
        frames_per_second: that arrived.
        maps_per_second: that were handed over.
        latency_p50_ms: median milliseconds from arrival to hand-over.
        latency_p95_ms: the time that 95 % of the maps kept.
        latency_max_ms: the longest.
        waiting_p50_ms: median of a part, as `Latency` has them; likewise the next two.
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
        return (
            f"{self.frames_per_second:.1f} frames/s, {self.dropped} dropped, {self.queued} waiting; "
            f"{self.maps_per_second:.1f} maps/s, {latency}"
        )


def summarise(  # noqa: PLR0913, PLR0917
    seconds: float, frames: int, dropped: int, maps: int, latencies: Collection[Latency], queued: int
) -> Statistics:
    """Return the figures of some seconds, with ``queued`` frames waiting at their end."""
    times: list[Any] = [None] * 6
    if latencies:
        every = [(each.total, *each) for each in latencies]
        ranks = 1e3 * np.percentile(every, (50, 95, 100), axis=0, method="inverted_cdf")
        times = np.round([*ranks[:, 0], *ranks[0, 1:]], 1).tolist()
    rates = [round(count / seconds, 2) if seconds else 0.0 for count in (frames, maps)]
    return Statistics(round(seconds, 3), frames, dropped, maps, queued, *rates, *times)


def as_table(reports: Iterable[dict[str, Any]]) -> "pd.DataFrame":
    """Return the runs that ``json`` files hold as a table, one a column; times in milliseconds."""
    import pandas as pd

    return pd.DataFrame([{**report["key"], **report["details"]["summary"]} for report in reports], dtype=object).T
