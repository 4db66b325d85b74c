"""Forward passes: every runtime in every precision against torch eager, in float32, at the same batch, in the same run.

A batch goes in and its maps come out as arrays in the computer's memory: on a GPU, both ways over the bus are counted.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from benchmarks.subjects import Case, Row, Subject, random_model, refusal
from benchmarks.turns import in_a_fresh_process, paired, take_turns
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.windows import published_stride
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.records import peak_memory
from tinyhd_lib.runtime import Runtime, open_runtime


def measure_forward(
    subject: Subject, cases: Sequence[Case], batches: Sequence[int], repeats: int
) -> tuple[list[Row], list[Row]]:
    """Times of forward passes, the runtimes of a processor taking turns, each after a warm-up.

    Args:
        subject: the model.
        cases: what it runs on, and how; torch eager in float32 on the same processors is always measured too.
        batches: clips a forward pass.
        repeats: timed turns.

    Returns:
        a row a case and batch, and a row for each case that cannot be measured, with the ``reason``.
    """
    measured, refused = [], []
    for processor, group in groupby(sorted(cases, key=_processor), key=_processor):
        eager = Case(processor)
        runtimes, complaints = _open_all(subject, dict.fromkeys([eager, *group]))
        refused += complaints
        if eager in runtimes:
            for batch in batches:
                measured += _measure_batch(subject, runtimes, batch, repeats)
    return measured, refused


def measure_rows(rows: Sequence[str], device: str, repeats: int) -> dict[str, float]:
    """Milliseconds of the forward pass of one clip by row, the median of turns that the rows take.

    Args:
        rows: of `MODEL_SPECS`.
        device: see `open_runtime`.
        repeats: turns, after one to warm up.
    """
    clip = _clips(1)
    runs = [partial(open_runtime(random_model(row), device), clip) for row in rows]
    return dict(zip(rows, (1e3 * np.median(take_turns(runs, repeats), axis=0)).tolist(), strict=True))


def _processor(case: Case) -> str:
    """The torch device on which eager is what a case is held against."""
    if case.device in {"fused", "openvino"}:
        return "cpu"
    compiled, _, where = case.device.partition(":")
    if compiled != "compiled":
        return case.device
    if where:
        return where
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _open_all(subject: Subject, cases: Iterable[Case]) -> tuple[dict[Case, Runtime], list[Row]]:
    runtimes, refused = {}, []
    for case in cases:
        try:
            runtimes[case] = case.open(subject)
        except BadInput as error:
            refused.append(refusal(subject, case, error))
    return runtimes, refused


def _measure_batch(subject: Subject, runtimes: dict[Case, Runtime], batch: int, repeats: int) -> list[Row]:
    clips = _clips(batch)
    for case, runtime in runtimes.items():
        _prepare(case, runtime, batch)
    times = paired(take_turns([partial(runtime, clips) for runtime in runtimes.values()], repeats))
    frames = batch * published_stride(subject.spec)
    return [
        subject.facts()
        | case.to_dict()
        | {"runtime": runtime.name, "batch": batch}
        | each
        | {"frames_per_second": round(1e3 * frames / each["p50_ms"], 1)}
        | in_a_fresh_process(_peak_of_a_batch, subject, case, batch)
        for (case, runtime), each in zip(runtimes.items(), times, strict=True)
    ]


def _prepare(case: Case, runtime: Runtime, batch: int) -> None:
    if case.device.startswith("compiled"):
        runtime.batch = batch  # its code is for batches of one size, and fills smaller ones up


def _peak_of_a_batch(subject: Subject, case: Case, batch: int) -> dict[str, int | None]:
    runtime = case.open(subject)
    _prepare(case, runtime, batch)
    runtime(np.zeros((batch, 3, CLIP_FRAMES, *INPUT_SIZE), np.float32))
    return {"peak_mib": peak_memory(), "peak_gpu_mib": _peak_on_gpu()}


def _peak_on_gpu() -> int | None:
    """Peak memory in MiB of torch's arrays on the GPU; None where it was not used."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() // 2**20 or None if torch and torch.cuda.is_initialized() else None


def _clips(batch: int) -> Map:
    return np.random.default_rng(0).standard_normal((batch, 3, CLIP_FRAMES, *INPUT_SIZE), np.float32)


def as_table(rows: Sequence[Row]) -> str:
    """The measurements as text."""
    width = max(len(row["runtime"]) for row in rows)
    on_gpu = any(row["peak_gpu_mib"] for row in rows)
    titles = f"{'batch':>5} {'p50 ms':>8} {'p95 ms':>8} {'frames/s':>8} {'x eager':>7} {'MiB':>5}"
    lines = [f"{'model':<25} {'parameters':>10} {'GMAC':>5}  {'runtime':<{width}} {titles}{'  GPU MiB' * on_gpu}"]
    for row in rows:
        model = f"{row['model']:<16} {row['label']:<8} {row['parameters']:>10,} {row['gmac']:>5.2f}"
        times = (
            f"{row['p50_ms']:>8.2f} {row['p95_ms']:>8.2f} {row['frames_per_second']:>8.1f} {row['times_eager']:>7.2f}"
        )
        gpu = f"  {row['peak_gpu_mib'] or '-':>7}" * on_gpu
        lines.append(f"{model}  {row['runtime']:<{width}} {row['batch']:>5} {times} {row['peak_mib'] or '-':>5}{gpu}")
    return "\n".join(lines) + "\n"


def as_notes(refused: Sequence[Row]) -> str:
    """What could not be measured, and why: a line a reason."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in refused:
        models = reasons.setdefault((row["device"], row["precision"], row["reason"]), [])
        models += [row["model"]] * (row["model"] not in models)
    lines = [
        f"{device} {precision} ({', '.join(models)}): {reason}"
        for (device, precision, reason), models in reasons.items()
    ]
    return "\n".join(["Not measured:", *lines]) + "\n"
