"""How fast the models run here: forward passes against torch eager in the same run, and the whole pipeline.

Speed does not depend on what a network has learnt, so every row is measured with random weights and nothing is
downloaded.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tinyhd_lib import bench_metrics
from tinyhd_lib.bench_metrics import measure_metrics
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.data.video import probe
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.checkpoints import save_model
from tinyhd_lib.models.cost import count_gmac, count_parameters
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, MODEL_SPECS
from tinyhd_lib.models.student import TinyHD, build_model
from tinyhd_lib.runs import hardware, peak_memory, usable_cores, versions
from tinyhd_lib.runtime import Runtime, open_runtime

DEFAULT_ROWS = ("d123m_rc4_rc1T", "d123s_rc4_rc1T", "d123m_rc2_rc1T", "d123s_rc2_rc1T", "ucf_d123m", "ucf_d123s")
EAGER = "cpu"

_VIEWED = 200


def run_bench(options: argparse.Namespace) -> int:
    """``tinyhd bench``: a table on standard output, and JSON if asked."""
    others = {"metrics": _measure_metrics, "training": _measure_training, "viewer": _measure_viewer}
    measure = next((measure for name, measure in others.items() if getattr(options, name)), _measure_models)
    report, table = measure(options)
    sys.stdout.write(table)
    if options.json:
        write_atomically(Path(options.json), json.dumps(report, indent=2).encode())
    return 0


def _repeats(options: argparse.Namespace) -> int:
    repeats: int = 2 if options.quick else options.repeats
    if repeats < 1:
        raise BadInput(f"repeats {repeats}: at least 1")
    return repeats


def _measure_metrics(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    repeats, workers = _repeats(options), 1 if options.quick else usable_cores()
    rows = [measure_metrics(fixations, repeats, workers) for fixations in tqdm((100, 1000), desc="metrics")]
    report = {"hardware": hardware(), "versions": versions(), "metrics": rows}
    return report, metrics_table(report)


def _measure_training(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from tinyhd_lib import bench_training

    cases = [(row, size) for row in options.models or bench_training.ROWS for size in bench_training.SIZES]
    rows = [bench_training.measure_training(*case) for case in cases[-1 if options.quick else 0 :]]
    report = {"hardware": hardware(), "versions": versions(), "training": rows}
    return report, f"{report['hardware']}\n\n{bench_training.as_table(rows)}"


def _measure_viewer(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from tinyhd_lib import bench_viewer

    if options.video is None:
        raise BadInput("--viewer: of which video? name it with --video")
    rows = [bench_viewer.measure_viewer(Path(options.video), 4 if options.quick else _VIEWED)]
    report = {"hardware": hardware(), "versions": versions(), "viewer": rows}
    return report, f"{report['hardware']}\n\n{bench_viewer.as_table(rows)}"


def metrics_table(report: dict[str, Any]) -> str:
    """The report on the metrics as text."""
    return f"{report['hardware']}\n\n{bench_metrics.as_table(report['metrics'])}"


def _measure_models(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    rows = options.models or DEFAULT_ROWS[: 1 if options.quick else None]
    unknown = [row for row in rows if row not in MODEL_SPECS]
    if unknown:
        raise BadInput(f"model {unknown[0]!r}: no such row; there are {', '.join(MODEL_SPECS)}")
    video = Path(options.video) if options.video else None
    repeats = _repeats(options)
    report: dict[str, Any] = {"hardware": hardware(), "versions": versions(), "forward": [], "pipeline": []}
    if video:
        report["video"] = {"name": video.name, "frames": probe(video).frames}
    for row in tqdm(rows, desc="models", unit=" models"):
        model = random_model(row)
        report["forward"] += measure_forward(row, model, [EAGER, *options.devices], repeats)
        if video:
            report["pipeline"] += [measure_pipeline(row, model, video, device) for device in options.devices]
    return report, as_table(report)


def random_model(row: str) -> TinyHD:
    """A model that has learnt nothing; the same one every time, so that a conversion is found in the cache."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(MODEL_SPECS[row]).eval()


def measure_forward(row: str, model: TinyHD, devices: list[str], repeats: int) -> list[dict[str, Any]]:
    """Times of the forward pass of one clip, the devices taking turns, each after a warm-up."""
    runtimes = [open_runtime(model, device) for device in devices]
    seconds = _take_turns(runtimes, repeats)
    medians = np.median(seconds, axis=0)
    cost = {
        "model": row,
        "label": model.spec.label,
        "parameters": count_parameters(model),
        "gmac": round(count_gmac(deepcopy(model)), 3),
    }
    return [
        cost
        | {
            "runtime": runtime.name,
            "peak_mib": measure_memory(row, device),
            "p50_ms": round(1e3 * medians[i], 1),
            "p95_ms": round(1e3 * float(np.percentile(seconds[:, i], 95)), 1),
            "times_eager": round(float(np.median(seconds[:, 0] / seconds[:, i])), 2),
        }
        for i, (runtime, device) in enumerate(zip(runtimes, devices, strict=True))
    ]


def measure_rows(rows: Sequence[str], device: str, repeats: int) -> dict[str, float]:
    """Milliseconds of the forward pass of one clip by row, the median of turns that the rows take.

    Args:
        rows: of `MODEL_SPECS`.
        device: see `open_runtime`.
        repeats: turns, after one to warm up.
    """
    seconds = _take_turns([open_runtime(random_model(row), device) for row in rows], repeats)
    return dict(zip(rows, (1e3 * np.median(seconds, axis=0)).tolist(), strict=True))


def measure_memory(row: str, device: str) -> int | None:
    """Peak memory in MiB of a fresh process that runs one clip, Python, torch and the model included."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_of_one_clip, row, device).result()


def _peak_of_one_clip(row: str, device: str) -> int | None:
    clip = np.zeros((1, 3, CLIP_FRAMES, *INPUT_SIZE), np.float32)
    open_runtime(random_model(row), device)(clip)
    return peak_memory()


def _take_turns(runtimes: Sequence[Runtime], repeats: int) -> Map:
    """Seconds (repeats, runtimes) of the forward pass of one clip, after a turn to warm up."""
    clip = np.random.default_rng(0).standard_normal((1, 3, CLIP_FRAMES, *INPUT_SIZE), np.float32)
    turns = zip(*(_times(runtime, clip) for runtime in runtimes), strict=True)
    return np.array(list(islice(turns, 1, repeats + 1)))


def _times(runtime: Runtime, clip: Map) -> Iterator[float]:
    while True:
        runtime(clip)  # untimed: threads of the runtime before it may still be spinning, and the caches are its own
        begun = time.perf_counter()
        runtime(clip)
        yield time.perf_counter() - begun


def measure_pipeline(row: str, model: TinyHD, video: Path, device: str) -> dict[str, Any]:
    """What ``tinyhd predict`` with maps and film takes as a whole process, after one run to warm up."""
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        save_model(model, weights, {"note": "random weights"})
        out = Path(folder) / "out"
        command = [
            sys.executable,
            "-m",
            "tinyhd_lib",
            "predict",
            str(video),
            "--weights",
            str(weights),
            "--out",
            str(out),
        ]
        command += ["--overlay", str(out / "film.mp4"), "--device", device, "--force"]
        _run(command)
        seconds = _run(command)
        inner = json.loads((out / "run.json").read_bytes())
    return {
        "model": row,
        "label": model.spec.label,
        "runtime": inner["runtime"],
        "seconds": round(seconds, 2),
        "frames_per_second": round(inner["frames"] / seconds, 1),
        "peak_mib": inner["peak_mib"],
    }


def _run(command: list[str]) -> float:
    """Wall seconds of a process from start to end."""
    begun = time.perf_counter()
    finished = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603
    if finished.returncode:
        raise BadInput(finished.stderr.strip().splitlines()[-1])
    return time.perf_counter() - begun


def as_table(report: dict[str, Any]) -> str:
    """The report as text."""
    titles = f"{'runtime':<20} {'p50 ms':>8} {'p95 ms':>8} {'x eager':>8} {'MiB':>6}"
    lines = [report["hardware"], "", f"{'model':<25} {'parameters':>10} {'GMAC':>6}  {titles}"]
    lines += [
        f"{r['model']:<16} {r['label']:<8} {r['parameters']:>10,} {r['gmac']:>6.2f}  "
        f"{r['runtime']:<20} {r['p50_ms']:>8.1f} {r['p95_ms']:>8.1f} {r['times_eager']:>8.2f} {r['peak_mib'] or '-':>6}"
        for r in report["forward"]
    ]
    if report["pipeline"]:
        name, frames = report["video"]["name"], report["video"]["frames"]
        lines += ["", f"tinyhd predict with maps and film, whole process, {name}, {frames} frames:"]
        lines += [
            f"{r['model']:<16} {r['label']:<8} {r['runtime']:<20} {r['seconds']:>8.2f} s "
            f"{r['frames_per_second']:>7.1f} frames/s {r['peak_mib']} MiB"
            for r in report["pipeline"]
        ]
    return "\n".join(lines) + "\n"
