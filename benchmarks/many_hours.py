"""A plan on paper for 10,000 hours of video: ``python -m benchmarks plan`` prints its table.

Speed and storage are those measured by ``scale``; all else is an assumption, and an option.
The queue is simulated: every process takes the longest video that is left, dies now and then, and comes back later.
"""

import heapq
import random
from dataclasses import dataclass

import pandas as pd

from benchmarks.report import Report, Row
from benchmarks.scale import MAP_VIDEOS, ONE_CORE


@dataclass(frozen=True)
class Way:
    """Name a way to keep the maps.

    Attributes:
        name: in the table.
        speed: frames a second of one core, with all that is written.
        bytes: of results a frame.
        files: of results a frame.
        resumes: whether a video that was broken off goes on inside, rather than from its start.
    """

    name: str
    speed: float
    bytes: float
    files: float
    resumes: bool


@dataclass(frozen=True)
class Assumptions:
    """Say what nobody measured."""

    hours: float = 10_000.0
    """Of video."""
    rate: float = 30.0
    """Frames a second."""
    minutes: float = 20.0
    """Mean length of a video; lengths are exponentially distributed."""
    cores: int = 128
    """A process each."""
    price: float = 0.04
    """Of a core for an hour."""
    days_between_deaths: float = 30.0
    """Of one process, on average."""
    minutes_to_return: float = 10.0
    """Until a process that died is back."""
    storage_price: float = 20.0
    """Of a terabyte for a month."""


@dataclass(frozen=True)
class Outlook:
    """Tell what a simulated run takes."""

    days: float
    deaths: int
    lost_hours: float  # of computing, done twice
    efficiency: float  # of the cores, until the last video is done


def simulate(way: Way, given: Assumptions, seed: int = 0) -> Outlook:
    """Let processes share a list of videos, and die."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    work = _lengths(rng, given, way.speed)
    deaths, lost, ends = 0, 0.0, 0.0
    mean_life = given.days_between_deaths * 24 * 3600
    processes = [(0.0, rng.expovariate(1 / mean_life)) for _ in range(given.cores)]  # (free at, dies at)
    heapq.heapify(processes)
    todo = [-seconds for seconds in work]
    heapq.heapify(todo)
    returned: list[tuple[float, float]] = []  # (when, what is left) of videos whose process died
    while todo or returned:
        free, dies = heapq.heappop(processes)
        if not todo:
            free = max(free, returned[0][0])
        while returned and returned[0][0] <= free:
            heapq.heappush(todo, -heapq.heappop(returned)[1])
        seconds = -heapq.heappop(todo)
        if free + seconds <= dies:
            ends = max(ends, free + seconds)
            heapq.heappush(processes, (free + seconds, dies))
            continue
        # It dies within this video, or before it: what is left of it goes back to the list, and another takes it.
        deaths += 1
        dies = max(free, dies)
        lost += 0.0 if way.resumes else dies - free
        heapq.heappush(returned, (dies, seconds - (dies - free if way.resumes else 0.0)))
        back = dies + given.minutes_to_return * 60
        heapq.heappush(processes, (back, back + rng.expovariate(1 / mean_life)))
    return Outlook(ends / 86400, deaths, lost / 3600, sum(work) / (ends * given.cores))


def plan_table(ways: list[Way], given: Assumptions) -> str:
    """Return the plan as a table in Markdown."""
    frames = given.hours * 3600 * given.rate
    columns = [(way, simulate(way, given)) for way in ways]
    rows = {
        "frames a second of one core, all written": [f"{way.speed:.1f}" for way, _ in columns],
        "core-hours": [f"{frames / way.speed / 3600:,.0f}" for way, _ in columns],
        f"cost at {given.price} a core-hour": [f"{frames / way.speed / 3600 * given.price:,.0f}" for way, _ in columns],
        f"days on {given.cores} cores, with deaths": [f"{outlook.days:.1f}" for _, outlook in columns],
        "of that time the cores are at work": [f"{outlook.efficiency:.1%}" for _, outlook in columns],
        "processes that die": [str(outlook.deaths) for _, outlook in columns],
        "hours of computing done twice": [f"{outlook.lost_hours:.1f}" for _, outlook in columns],
        "results": [f"{frames * way.bytes / 1e12:.2f} TB" for way, _ in columns],
        f"their cost at {given.storage_price:.0f} a TB-month": [
            f"{frames * way.bytes / 1e12 * given.storage_price:,.0f}" for way, _ in columns
        ],
        "files": [f"{frames * way.files:,.0f}" if way.files else "one a video" for way, _ in columns],
    }
    return (
        pd.DataFrame.from_dict(rows, orient="index", columns=[way.name for way, _ in columns]).to_markdown(
            disable_numparse=True, colalign=("left", "right", "right")
        )
        + "\n"
    )


def measured(report: Report) -> list[Way]:
    """Return what a report of ``scale`` says of one core."""
    rows = {row["way"]: row for row in report["scale"]}
    return [
        _way("a PNG a frame", rows[ONE_CORE], files=1.0, resumes=True),
        _way("a video of maps", rows[MAP_VIDEOS], files=0.0, resumes=False),
    ]


def _way(name: str, row: Row, *, files: float, resumes: bool) -> Way:
    return Way(name, row["frames_per_second"], row["bytes_per_frame"], files, resumes)


def _lengths(rng: random.Random, given: Assumptions, speed: float) -> list[float]:
    """Return seconds of computing for each video, together all hours."""
    lengths = [rng.expovariate(1 / given.minutes) for _ in range(round(given.hours * 60 / given.minutes))]
    factor = given.hours * 3600 * given.rate / speed / sum(lengths)
    return [length * factor for length in lengths]
