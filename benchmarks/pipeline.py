"""The whole of ``tinyhd predict``, from the start of a process to its end, with and without written files."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.models import Subject, find_subject
from benchmarks.report import Benchmark, Report, Row
from benchmarks.turns import in_a_fresh_process
from tinyhd_lib.data.video import probe, read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.inference import saliency_maps
from tinyhd_lib.records import peak_memory, read_record
from tinyhd_lib.runtime import open_runtime


@dataclass(frozen=True, kw_only=True)
class Pipeline(Benchmark):
    """Measure ``tinyhd predict`` of a video, from command to files.

    It writes *nothing* (maps stay in memory), *maps*, or *maps and overlay*.

    Attributes:
        video: a file or a folder of frames.
        models: names of models, which run with random weights; names of weights; or paths of checkpoints.
        devices: as in ``tinyhd predict --device``.
        precisions: float32, bfloat16, float16; all but float32 need trained weights.
        repeats: number of timed processes, after one to warm up; the median counts.
    """

    video: Path
    models: tuple[str, ...] = ("M-r4", "S-r4")
    devices: tuple[str, ...] = ("fused", "openvino")
    precisions: tuple[str, ...] = ("float32",)
    repeats: int = 1

    def measure(self) -> Report:
        """Return ``video``, ``pipeline``, and ``refused``, the cases that cannot run, with the reasons."""
        rows, refused = [], []
        with TemporaryDirectory() as folder:
            subjects = [find_subject(name, Path(folder)) for name in self.models]
            cases = [
                (each, device, precision)
                for each in subjects
                for device in self.devices
                for precision in self.precisions
            ]
            for subject, device, precision in tqdm(cases, desc="pipelines"):
                try:
                    rows += self._measure(subject, device, precision, Path(folder))
                except BadInput as error:
                    refused.append(
                        {"model": subject.name, "device": device, "precision": precision, "reason": str(error)}
                    )
        frames = probe(self.video).frames
        return {"video": [{"name": self.video.name, "frames": frames}], "pipeline": rows, "refused": refused}

    def _measure(self, subject: Subject, device: str, precision: str, folder: Path) -> list[Row]:
        subject.open(device, precision)  # so that a refusal is raised here, with its reason
        how: dict[str, Any] = {"weights": subject.weights, "device": device, "precision": precision}
        command = partial(_predict_files, self.video, folder, **how)
        runs: dict[str, Callable[[], Row]] = {
            "nothing": lambda: in_a_fresh_process(_predict_nothing, self.video, how),
            "maps": partial(command, overlay=False),
            "maps and overlay": partial(command, overlay=True),
        }
        runs["maps and overlay"]()
        what = {"model": subject.name, "label": subject.spec.label, "device": device, "precision": precision}
        return [what | {"writes": writes} | _timed(run, self.repeats) for writes, run in runs.items()]


def _timed(run: Callable[[], Row], repeats: int) -> Row:
    seconds, peaks = [], []
    for _ in range(repeats):
        begun = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - begun)
        peaks.append(found["peak_mib"] or 0)
    middle = float(np.median(seconds))
    return {
        "runtime": found["runtime"],
        "seconds": round(middle, 2),
        "frames_per_second": round(found["frames"] / middle, 1),
        "peak_mib": max(peaks) or None,
    }


def _predict_files(video: Path, folder: Path, *, overlay: bool, **how: str) -> Row:
    """Run the command; return the details of its run record."""
    command = [sys.executable, "-m", "tinyhd_lib", "predict", str(video), "--out", str(folder / "maps"), "--force"]
    command += [word for name, value in how.items() for word in (f"--{name}", value)]
    command += ["--overlay", str(folder / "overlay.mp4")] * overlay
    finished = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")  # noqa: S603
    if finished.returncode:
        raise BadInput(finished.stderr.strip().splitlines()[-1])
    record = read_record(folder / "maps")
    assert record is not None
    return record.details


def _predict_nothing(video: Path, how: dict[str, str]) -> Row:
    """Do the same as the command without writing files."""
    runtime = open_runtime(how["weights"], how["device"], how["precision"])
    frames = sum(1 for _ in saliency_maps(read_frames(video), runtime))
    return {"runtime": runtime.name, "frames": frames, "peak_mib": peak_memory()}
