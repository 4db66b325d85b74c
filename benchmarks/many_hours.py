"""Estimate what 10,000 hours of video would take: ``python -m benchmarks plan`` prints the table.

Speed and storage are measured by ``scale``; everything else is an assumption, and an option. The queue is simulated:
every process takes the longest remaining video, fails now and then, and restarts later.
"""

import heapq
import random
from dataclasses import dataclass

import pandas as pd

from benchmarks.report import Report, Row
from benchmarks.scale import MAP_VIDEOS, ONE_CORE


@dataclass(frozen=True)
class Way:
    """A way to store the maps.

    Attributes:
        name: in the table.
        speed: frames per second of one core, including writing.
        bytes: of results per frame.
        files: of results per frame.
        resumes: whether an interrupted video resumes where it stopped, rather than from its start.
    """

    name: str
    speed: float
    bytes: float
    files: float
    resumes: bool


@dataclass(frozen=True)
class Assumptions:
    """The assumptions, none of which was measured."""

    hours: float = 10_000.0
    """Hours of video."""
    rate: float = 30.0
    """Frames per second."""
    minutes: float = 20.0
    """Mean length of a video in minutes; lengths are exponentially distributed."""
    cores: int = 128
    """Number of cores, with one process each."""
    price: float = 0.04
    """Price of a core-hour."""
    days_between_deaths: float = 30.0
    """Mean time between failures of a process, in days."""
    minutes_to_return: float = 10.0
    """Time until a failed process has restarted, in minutes."""
    storage_price: float = 20.0
    """Price of a terabyte of storage per month."""


@dataclass(frozen=True)
class Outlook:
    """The result of a simulated run."""

    days: float
    deaths: int
    lost_hours: float  # computing hours that were repeated
    efficiency: float  # share of the time that the cores work, until the last video is done


def simulate(way: Way, given: Assumptions, seed: int = 0) -> Outlook:
    """Simulate processes that share a list of videos, and fail at random."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    work = _lengths(rng, given, way.speed)
    deaths, lost, ends = 0, 0.0, 0.0
    mean_life = given.days_between_deaths * 24 * 3600
    processes = [(0.0, rng.expovariate(1 / mean_life)) for _ in range(given.cores)]  # (free at, dies at)
    heapq.heapify(processes)
    todo = [-seconds for seconds in work]
    heapq.heapify(todo)
    returned: list[tuple[float, float]] = []  # (time, remaining seconds) of videos whose process failed
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
        # The process fails during this video, or before it: the rest of the video goes back to the list.
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
    """Return the ways to store maps with the figures of one core from a report of ``scale``."""
    rows = {row["way"]: row for row in report["scale"]}
    return [
        _way("a PNG a frame", rows[ONE_CORE], files=1.0, resumes=True),
        _way("a video of maps", rows[MAP_VIDEOS], files=0.0, resumes=False),
    ]


def _way(name: str, row: Row, *, files: float, resumes: bool) -> Way:
    return Way(name, row["frames_per_second"], row["bytes_per_frame"], files, resumes)


def _lengths(rng: random.Random, given: Assumptions, speed: float) -> list[float]:
    """Return the computing seconds of each video, scaled so that they add up to all hours."""
    lengths = [rng.expovariate(1 / given.minutes) for _ in range(round(given.hours * 60 / given.minutes))]
    factor = given.hours * 3600 * given.rate / speed / sum(lengths)
    return [length * factor for length in lengths]
