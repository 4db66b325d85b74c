"""Measurements in turns, so that disturbances of the machine affect all of them alike."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")


def take_turns(runs: Sequence[Callable[[], object]], repeats: int) -> np.ndarray:
    """Return the seconds (repeats, runs) that each run takes, after a turn to warm up."""
    return np.array([[_seconds(run) for run in runs] for _ in range(repeats + 1)][1:])


def paired(seconds: np.ndarray, ratio: str = "times_eager") -> list[dict[str, float]]:
    """Return the figures of each run from the seconds of all turns.

    Args:
        seconds: (repeats, runs); the first run is the baseline.
        ratio: name of the speed-up over the baseline, the median over turns.

    Returns:
        ``p50_ms``, ``p95_ms`` and the ratio.

    >>> paired(np.array([[0.4, 0.1], [0.2, 0.1], [0.4, 0.1]]))[1]
    {'p50_ms': 100.0, 'p95_ms': 100.0, 'times_eager': 4.0}
    """
    ratios = np.median(seconds[:, :1] / seconds, axis=0)
    middle, late = 1e3 * np.percentile(seconds, (50, 95), axis=0)
    return [
        {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), ratio: round(float(times), 2)}
        for p50, p95, times in zip(middle, late, ratios, strict=True)
    ]


def in_a_fresh_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return the result of a function, called in a new process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _seconds(run: Callable[[], object]) -> float:
    run()  # untimed: the previous run's threads may still be spinning, and the caches hold its data
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
