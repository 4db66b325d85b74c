"""The whole of ``tinyhd predict``, a process from its start to its end: with a film, with maps alone, with neither."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from benchmarks.subjects import Case, Row, Subject
from benchmarks.turns import in_a_fresh_process
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.inference import saliency_maps
from tinyhd_lib.records import peak_memory

WRITES = ("nothing", "maps", "maps and film")


def measure_pipeline(
    subject: Subject, case: Case, video: Path, repeats: int, writes: Sequence[str] = WRITES
) -> list[Row]:
    """Wall seconds of whole processes, after one to warm up.

    Args:
        subject: the model.
        case: what it runs on, and how.
        video: a file or folder.
        repeats: processes that are timed; the median counts.
        writes: what they leave, names of `WRITES`. What writes nothing ends with the maps in memory.

    Raises:
        BadInput: the video or the case cannot be used.
    """
    with TemporaryDirectory() as folder:
        runs: dict[str, Callable[[], Row]] = {
            "nothing": lambda: in_a_fresh_process(_predict, str(video), subject.weights, case),
            "maps": lambda: _run(_command(subject, case, video, Path(folder), film=False), Path(folder)),
            "maps and film": lambda: _run(_command(subject, case, video, Path(folder), film=True), Path(folder)),
        }
        _timed(runs["maps and film"])
        return [_measure(subject, case, each, runs[each], repeats) for each in writes]


def _measure(subject: Subject, case: Case, writes: str, run: Callable[[], Row], repeats: int) -> Row:
    turns = [_timed(run) for _ in range(repeats)]
    seconds, inner = float(np.median([wall for wall, _ in turns])), turns[-1][1]
    return {
        "model": subject.name,
        "label": subject.spec.label,
        **case.to_dict(),
        "runtime": inner["runtime"],
        "writes": writes,
        "seconds": round(seconds, 2),
        "frames_per_second": round(inner["frames"] / seconds, 1),
        "peak_mib": max(inner["peak_mib"] or 0 for _, inner in turns) or None,
    }


def _timed(run: Callable[[], Row]) -> tuple[float, Row]:
    begun = time.perf_counter()
    answer = run()
    return time.perf_counter() - begun, answer


def _command(subject: Subject, case: Case, video: Path, folder: Path, *, film: bool) -> list[str]:
    command = [sys.executable, "-m", "tinyhd_lib", "predict", str(video), "--out", str(folder / "maps"), "--force"]
    command += ["--weights", subject.weights, "--device", case.device, "--precision", case.precision]
    return command + ["--overlay", str(folder / "film.mp4")] * film


def _run(command: list[str], folder: Path) -> Row:
    finished = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603
    if finished.returncode:
        raise BadInput(finished.stderr.strip().splitlines()[-1])
    record: Row = json.loads((folder / "maps" / "run.json").read_bytes())
    return record


def _predict(video: str, weights: str, case: Case) -> Row:
    """What the command does, but for its files."""
    from tinyhd_lib.runtime import open_runtime

    cv2.setNumThreads(1)
    runtime = open_runtime(weights, case.device, case.precision)
    frames = sum(1 for _ in saliency_maps(read_frames(Path(video)), runtime))
    return {"runtime": runtime.name, "frames": frames, "peak_mib": peak_memory()}


def as_table(rows: Sequence[Row], video: Row) -> str:
    """The measurements as text.

    Args:
        rows: of `measure_pipeline`.
        video: its ``name`` and how many ``frames`` it has.
    """
    width = max(len(row["runtime"]) for row in rows)
    lines = [f"Whole processes, {video['name']}, {video['frames']} frames:"]
    lines.append(f"{'model':<25} {'runtime':<{width}}  {'writes':<13} {'seconds':>8} {'frames/s':>8} {'MiB':>5}")
    lines += [
        f"{row['model']:<16} {row['label']:<8} {row['runtime']:<{width}}  {row['writes']:<13} "
        f"{row['seconds']:>8.2f} {row['frames_per_second']:>8.1f} {row['peak_mib'] or '-':>5}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
