"""From frames that arrive to maps: the ring of the newest frames, and when the model looks at it. No threads here."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import Frame
from tinyhd_lib.errors import BadInput
from tinyhd_lib.live.channel import Channel, Policy
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, ModelSpec
from tinyhd_lib.runtime import Runtime

_SHORTEST_QUEUE = 2


class Arrival(NamedTuple):
    """A frame and when it arrived, in seconds of the stream's clock."""

    frame: Frame
    at: float


class Computed(NamedTuple):
    """A frame with its map.

    Attributes:
        frame: as the source gave it.
        map: (192, 256) float32.
        arrived: when the frame did, in seconds of the stream's clock.
        begun: when its forward pass began.
        done: when that ended.
    """

    frame: Frame
    map: Map
    arrived: float
    begun: float
    done: float


@dataclass(frozen=True)
class Plan:
    """When the model runs, and for which frames.

    Attributes:
        stride: kept frames from one pass to the next; None runs one whenever the model is free.
        claims: the newest frames that get their maps from a pass.
        holds: maps wait for the next pass, since the last one of a video may claim some of them (as `windows` has it).
    """

    stride: int | None
    claims: int
    holds: bool

    @property
    def queue(self) -> int:
        """Frames that may wait: what one pass adds to the window. Older ones no pass would see."""
        return max(_SHORTEST_QUEUE, self.stride or CLIP_FRAMES)

    def is_due(self, fresh: int, waiting: int) -> bool:
        """Whether to run, with ``fresh`` frames since the last pass while ``waiting`` others wait."""
        if self.stride:
            return fresh >= self.stride
        return not waiting or fresh >= CLIP_FRAMES

    def stated_latency(self, rate: float, forward: float) -> float:
        """Seconds from a frame's arrival to its map, for the frame that waits longest, where the machine can follow.

        Args:
            rate: frames that arrive a second.
            forward: seconds of a pass.
        """
        chunk = self.claims - 1 if self.stride else 1
        return chunk / rate + forward


def make_plan(spec: ModelSpec, policy: Policy, stride: int | None = None) -> Plan:
    """How a model works on a stream.

    M gives maps in chunks of ``stride`` frames, 16 if None. S gives one for the newest of every ``stride`` frames; if
    None, for the newest whenever the model is free, or for every frame where none may be dropped.

    Raises:
        BadInput: there is no such stride.
    """
    if not spec.multi:
        if stride is not None and stride < 1:
            raise BadInput(f"stride {stride}: a map for every Nth frame, N at least 1")
        return Plan(stride or (None if policy.drops else 1), claims=1, holds=False)
    if stride is not None and not 1 <= stride <= CLIP_FRAMES:
        raise BadInput(f"stride {stride}: 1 to {CLIP_FRAMES} frames from one pass of an M model to the next")
    return Plan(stride or CLIP_FRAMES, claims=stride or CLIP_FRAMES, holds=not policy.drops)


class Ring:
    """The 16 newest preprocessed frames, in memory that is taken once.

    In front of the first frame that frame is repeated.
    """

    def __init__(self) -> None:
        self._frames = np.empty((3, CLIP_FRAMES, *INPUT_SIZE), np.float32)
        self._clip = np.empty((1, *self._frames.shape), np.float32)
        self._pushed = 0

    def push(self, frame: Map) -> None:
        """Put a frame (3, 192, 256) in the place of the oldest."""
        place = self._pushed % CLIP_FRAMES if self._pushed else slice(None)
        self._frames[:, place] = frame if self._pushed else frame[:, np.newaxis]
        self._pushed += 1

    def clip(self) -> Map:
        """The model's input (1, 3, 16, 192, 256), oldest frame first; the next call writes over it."""
        oldest = self._pushed % CLIP_FRAMES
        self._clip[0, :, : CLIP_FRAMES - oldest] = self._frames[:, oldest:]
        self._clip[0, :, CLIP_FRAMES - oldest :] = self._frames[:, :oldest]
        return self._clip


def passes(
    arrivals: Channel[Arrival], runtime: Runtime, plan: Plan, clock: Callable[[], float]
) -> Iterator[list[Computed]]:
    """Run the model on the newest frames until the channel ends; each pass's maps, in order of their frames.

    Args:
        arrivals: the frames.
        runtime: the model, ready to run.
        plan: when it runs.
        clock: seconds, as the arrivals have them.
    """
    ring, fresh = Ring(), 0
    recent: deque[Arrival] = deque(maxlen=plan.claims)
    held: list[Computed] = []
    for arrival in arrivals:
        ring.push(preprocess(arrival.frame.image))
        recent.append(arrival)
        fresh += 1
        if plan.is_due(fresh, len(arrivals)):
            maps, fresh = _forward(ring, recent, runtime, clock), 0
            ready, held = (held, maps) if plan.holds else (maps, held)
            yield ready
    if fresh:
        maps = _forward(ring, recent, runtime, clock)
        old = max(0, len(recent) - fresh)  # frames that have a map already: the last window's is the better one
        held = [*held[: len(held) - old], *maps] if plan.holds else maps[old:]
    yield held


def _forward(ring: Ring, recent: deque[Arrival], runtime: Runtime, clock: Callable[[], float]) -> list[Computed]:
    begun = clock()
    (maps,) = runtime(ring.clip())
    done = clock()
    first = CLIP_FRAMES - len(recent)
    return [
        Computed(frame, maps[position * len(maps) // CLIP_FRAMES], at, begun, done)
        for position, (frame, at) in enumerate(recent, start=first)
    ]
