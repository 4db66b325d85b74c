"""How a stream fares: counts that add up, and what is said of them. Pure functions on numbers of fixed size."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

# Times are counted in bins, each 2 % wider than the one before: 0.1 ms to 1000 s.
_EDGES = np.geomspace(1e-4, 1e3, 816)
_MIDDLES = np.sqrt(_EDGES[1:] * _EDGES[:-1])

_TITLES = (
    *("source", "model", "drop", "every", "s", "frames", "dropped", "maps/s"),
    *("p50 ms", "p95", "max", "stated", "waiting", "forward", "delivery", "MiB"),
)
_LAYOUT = "{:<12} {:<8} {:<6} {:>5} {:>4} {:>6} {:>7} {:>6}  {:>6} {:>5} {:>5} {:>6}  {:>7} {:>7} {:>8} {:>5}"


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
        """All of it."""
        return sum(self)


@dataclass
class Counts:
    """What happened in some time; the sum of two is what happened in both.

    Attributes:
        seconds: how long that was.
        frames: that arrived.
        dropped: of those, as nobody had taken them in time.
        maps: that were handed over.
        slowest: the longest total latency, in seconds.
        times: (4, 815) how many latencies fell into each bin: waiting, forward, delivery, total.
    """

    seconds: float = 0.0
    frames: int = 0
    dropped: int = 0
    maps: int = 0
    slowest: float = 0.0
    times: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((4, len(_MIDDLES)), np.int64))

    def count(self, latency: Latency) -> None:
        """Note a map that was handed over."""
        each = [*latency, latency.total]
        bins = np.searchsorted(_EDGES, each, side="right").clip(1, len(_MIDDLES)) - 1
        self.times[range(4), bins] += 1
        self.maps += 1
        self.slowest = max(self.slowest, latency.total)

    def __add__(self, other: Self) -> "Counts":
        return Counts(
            self.seconds + other.seconds,
            self.frames + other.frames,
            self.dropped + other.dropped,
            self.maps + other.maps,
            max(self.slowest, other.slowest),
            self.times + other.times,
        )


@dataclass(frozen=True)
class Statistics:
    """A stream's figures over some time. Times are None where no map was handed over.

    Attributes:
        seconds: how long that was.
        frames: that arrived.
        dropped: of those.
        maps: that were handed over.
        frames_per_second: that arrived.
        maps_per_second: that were handed over.
        latency_p50_ms: median milliseconds from arrival to hand-over, to 1 %.
        latency_p95_ms: the time that 95 % of the maps kept, to 1 %.
        latency_max_ms: the longest, exact.
        waiting_p50_ms: median of a part, as `Latency` has them; likewise the next two.
        forward_p50_ms: of the forward pass.
        delivery_p50_ms: of the hand-over.
        queued: frames that waited at the end.
    """

    seconds: float
    frames: int
    dropped: int
    maps: int
    frames_per_second: float
    maps_per_second: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_max_ms: float | None
    waiting_p50_ms: float | None
    forward_p50_ms: float | None
    delivery_p50_ms: float | None
    queued: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def summarise(counts: Counts, queued: int) -> Statistics:
    """The figures of some counts, with ``queued`` frames waiting at their end."""
    waiting, forward, delivery, total = counts.times
    return Statistics(
        seconds=round(counts.seconds, 3),
        frames=counts.frames,
        dropped=counts.dropped,
        maps=counts.maps,
        frames_per_second=_rate(counts.frames, counts.seconds),
        maps_per_second=_rate(counts.maps, counts.seconds),
        latency_p50_ms=_quantile(total, 0.5, counts.slowest),
        latency_p95_ms=_quantile(total, 0.95, counts.slowest),
        latency_max_ms=round(1e3 * counts.slowest, 1) if counts.maps else None,
        waiting_p50_ms=_quantile(waiting, 0.5),
        forward_p50_ms=_quantile(forward, 0.5),
        delivery_p50_ms=_quantile(delivery, 0.5),
        queued=queued,
    )


def as_line(statistics: Statistics) -> str:
    """A second of a stream in one line."""
    s = statistics
    latency = (
        f"latency {s.latency_p50_ms:.0f} ms (95 % {s.latency_p95_ms:.0f}, max {s.latency_max_ms:.0f})"
        if s.maps
        else "no map"
    )
    return (
        f"{s.frames_per_second:.1f} frames/s, {s.dropped} dropped, {s.queued} waiting; "
        f"{s.maps_per_second:.1f} maps/s, {latency}"
    )


def as_table(reports: list[dict[str, Any]]) -> str:
    """What ``tinyhd live`` prints at its end and writes with ``--json``, one run a row; times in milliseconds."""
    return "".join(f"{_LAYOUT.format(*cells)}\n" for cells in (_TITLES, *map(_cells, reports)))


def _cells(report: dict[str, Any]) -> list[Any]:
    s = report["summary"]
    times = [s[f"latency_{name}_ms"] for name in ("p50", "p95", "max")] + [s["stated_ms"]]
    parts = [s[f"{name}_p50_ms"] for name in ("waiting", "forward", "delivery")]
    return [
        *(report["source"][-12:], report["model"], report["drop"], report["stride"] or "free"),
        *(round(s["seconds"]), s["frames"], s["dropped"], f"{s['maps_per_second']:.1f}"),
        *("-" if time is None else round(time) for time in (*times, *parts)),
        s["peak_mib"] or "-",
    ]


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 2) if seconds else 0.0


def _quantile(times: npt.NDArray[np.int64], part: float, longest: float = math.inf) -> float | None:
    """Milliseconds of the middle of the bin in which a quantile lies, None of no times."""
    total = int(times.sum())
    if not total:
        return None
    place = int(np.searchsorted(times.cumsum(), math.ceil(part * total)))
    return round(1e3 * min(float(_MIDDLES[place]), longest), 1)
