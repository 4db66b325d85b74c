"""Many videos, from command to files, with each way of distributing them over the cores of this machine."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from benchmarks.report import Benchmark, Report, Row
from tinyhd_lib.data.video import probe
from tinyhd_lib.errors import BadInput
from tinyhd_lib.records import usable_cores

ONE_CORE, MAP_VIDEOS = "one process on one core", "one process on one core, a video of maps instead"


@dataclass(frozen=True, kw_only=True)
class Scale(Benchmark):
    """Measure ``tinyhd predict`` of many copies of a video, on one core and on all.

    Attributes:
        video: a file.
        videos: number of copies.
        weights: a name, or a checkpoint's path.
        repeats: timed turns, after one to warm up; the median counts.
    """

    video: Path
    videos: int = 8
    weights: str = "M-r4"
    repeats: int = 1

    def measure(self) -> Report:
        """Return ``scale``: seconds, frames per second and bytes of results per frame, for each way."""
        if not hasattr(os, "sched_setaffinity"):
            raise BadInput("this system cannot keep a process on one core")
        cores, frames = usable_cores(), self.videos * (probe(self.video).frames or 0)
        with TemporaryDirectory() as place:
            folder = Path(place)
            copies = [folder / f"videos/{number}{self.video.suffix}" for number in range(self.videos)]
            copies[0].parent.mkdir()
            for copy in copies:
                shutil.copyfile(self.video, copy)
            everywhere = set(range(cores))
            ways: dict[str, list[tuple[list[Path], list[str], set[int]]]] = {
                ONE_CORE: [(copies, [], {0})],
                f"{cores} processes by hand, a core and a share of the videos each": [
                    (copies[core::cores], [], {core}) for core in range(cores)
                ],
                f"`--workers {cores}`": [(copies, ["--workers", str(cores)], everywhere)],
                "one process on all cores": [(copies, [], everywhere)],
                MAP_VIDEOS: [
                    (copies, ["--maps", "none", "--overlay", str(folder / "seen"), "--style", "map"], {0}),
                ],
            }
            seconds, size = [], {}
            for _ in tqdm(range(self.repeats + 1), desc="turns"):
                turn = []
                for name, commands in ways.items():
                    shutil.rmtree(folder / "out", ignore_errors=True)
                    shutil.rmtree(folder / "seen", ignore_errors=True)
                    turn.append(self._run(commands, folder / "out"))
                    written = [path for place in ("out", "seen") for path in (folder / place).rglob("[!.]*.[pm]*")]
                    size[name] = sum(path.stat().st_size for path in written)
                seconds.append(turn)
        rows: list[Row] = [
            {
                "way": name,
                "seconds": round(float(took), 2),
                "frames_per_second": round(frames / took, 1),
                "times_one_core": round(float(times), 2),
                "bytes_per_frame": round(size[name] / frames),
            }
            for name, took, times in zip(
                ways,
                np.median(seconds[1:], axis=0),
                np.median(np.array(seconds)[1:, :1] / np.array(seconds)[1:], axis=0),
                strict=True,
            )
        ]
        return {
            "video": [{"name": self.video.name, "frames": frames // self.videos, "videos": self.videos}],
            "scale": rows,
        }

    def _run(self, commands: Sequence[tuple[list[Path], list[str], set[int]]], out: Path) -> float:
        """Return the seconds from the start of all commands to the end of the last one."""
        base = [sys.executable, "-m", "tinyhd_lib", "predict"]
        begun = time.perf_counter()
        running = []
        for videos, more, cores in commands:
            words = [*base, *map(str, videos), "--weights", self.weights, "--out", str(out), *more]
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, cores)  # the process inherits it
            running.append(subprocess.Popen(words, stderr=subprocess.PIPE, text=True))  # noqa: S603
            os.sched_setaffinity(0, before)
        for process in running:
            said = process.communicate()[1]
            if process.returncode:
                raise BadInput(said.strip().splitlines()[-1])
        return time.perf_counter() - begun
