"""Forward passes: every runtime in every precision, compared with eager torch in float32 at the same batch size.

Both are measured in the same run. Clips lie where the model runs; maps end in main memory, and the time includes that.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.models import Subject, find_subject
from benchmarks.report import Benchmark, Report, Row
from benchmarks.turns import in_a_fresh_process, paired, take_turns
from tinyhd_lib.data.transforms import Map, clip_of
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.records import peak_memory
from tinyhd_lib.runtime import Runtime


class Case(NamedTuple):
    """A way to run a model.

    Attributes:
        device: see `open_runtime`.
        precision: likewise.
    """

    device: str
    precision: str


@dataclass(frozen=True, kw_only=True)
class Forward(Benchmark):
    """Measure forward passes: every runtime in every precision, against torch eager in float32.

    Attributes:
        models: names of models, which run with random weights; names of weights; or paths of checkpoints.
        devices: as in ``tinyhd predict --device``.
        precisions: float32, bfloat16, float16; all but float32 need trained weights.
        batches: windows per forward pass.
        repeats: timed turns, after one to warm up.
    """

    models: tuple[str, ...] = ("M-r4", "S-r4", "M-r2", "S-r2", "M-r1", "S-r1")
    devices: tuple[str, ...] = ("fused", "openvino")
    precisions: tuple[str, ...] = ("float32",)
    batches: tuple[int, ...] = (1,)
    repeats: int = 10

    def measure(self) -> Report:
        """Return ``forward``, one row per model, case and batch, and ``refused``, with the reasons."""
        cases = [Case(*each) for each in product(self.devices, self.precisions)]
        found: Report = {"forward": [], "refused": []}
        with TemporaryDirectory() as folder:
            subjects = [find_subject(name, Path(folder)) for name in self.models]
            for subject in tqdm(subjects, desc="models", unit=" models"):
                measured, refused = measure_forward(subject, cases, self.batches, self.repeats)
                found["forward"] += measured
                found["refused"] += refused
        return found


def measure_forward(
    subject: Subject, cases: Sequence[Case], batches: Sequence[int], repeats: int
) -> tuple[list[Row], list[Row]]:
    """Return times of forward passes, for which the runtimes of a processor take turns, after a warm-up each.

    Args:
        subject: the model.
        cases: devices and precisions; eager torch in float32 on the same processors is always measured, too.
        batches: clips per forward pass.
        repeats: timed turns.

    Returns:
        one row per case and batch, and a row for each case that cannot be measured, with the ``reason``.
    """
    measured, refused = [], []
    for processor, group in groupby(sorted(cases, key=_processor), key=_processor):
        eager = Case(processor, "float32")
        runtimes, complaints = _open_all(subject, dict.fromkeys([eager, *group]))
        refused += complaints
        if eager in runtimes:
            for batch in batches:
                measured += _measure_batch(subject, runtimes, batch, repeats)
    return measured, refused


def _processor(case: Case) -> str:
    """Return the torch device of the eager baseline for a case."""
    return "cpu" if case.device in {"fused", "openvino"} else case.device.replace("triton", "cuda")


def _open_all(subject: Subject, cases: Iterable[Case]) -> tuple[dict[Case, Runtime], list[Row]]:
    runtimes, refused = {}, []
    for case in cases:
        try:
            runtimes[case] = subject.open(*case)
        except BadInput as error:
            refused.append({"model": subject.name, **case._asdict(), "reason": str(error)})
    return runtimes, refused


def _measure_batch(subject: Subject, runtimes: dict[Case, Runtime], batch: int, repeats: int) -> list[Row]:
    times = paired(take_turns([partial(each, clips_for(each, batch)) for each in runtimes.values()], repeats))
    frames = batch * (CLIP_FRAMES if subject.spec.multi else 1)  # frames of video per pass
    return [
        subject.facts()
        | case._asdict()
        | {"runtime": runtime.name, "batch": batch}
        | each
        | {"frames_per_second": round(1e3 * frames / each["p50_ms"], 1)}
        | in_a_fresh_process(_peak_of_a_batch, subject, case, batch)
        for (case, runtime), each in zip(runtimes.items(), times, strict=True)
    ]


def clips_for(runtime: Runtime, batch: int) -> list[Map]:
    """Return clips of random pixels, prepared by a runtime; successive ones share all frames but one."""
    images = np.random.default_rng(0).integers(0, 256, (batch + CLIP_FRAMES - 1, *INPUT_SIZE, 3), np.uint8)
    frames = clip_of([runtime.prepare(image) for image in images])
    return [frames[:, first:][:, :CLIP_FRAMES] for first in range(batch)]


def _peak_of_a_batch(subject: Subject, case: Case, batch: int) -> Row:
    runtime = subject.open(*case)
    runtime(clips_for(runtime, batch))
    torch = sys.modules.get("torch")  # not imported just for this, which would cost memory
    on_gpu = torch.cuda.max_memory_allocated() // 2**20 if torch and torch.cuda.is_initialized() else None
    return {"peak_mib": peak_memory(), "peak_gpu_mib": on_gpu}
