"""``tinyhd bench``."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from benchmarks.forward import measure_forward
from benchmarks.metrics import measure_metrics
from benchmarks.pipeline import WRITES, measure_pipeline
from benchmarks.plot import SUFFIXES, write_plot
from benchmarks.report import Report, as_markdown, as_text, begin_report, read_report
from benchmarks.steps import measure_steps
from benchmarks.subjects import DEFAULT_ROWS, Case, Row, Subject, cases, refusal, subject
from benchmarks.training import ROWS, SIZES, measure_training
from benchmarks.viewer import measure_viewer
from tinyhd_lib.data.video import probe
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import shipped, write_atomically
from tinyhd_lib.models.spec import MODEL_SPECS
from tinyhd_lib.records import usable_cores

Measure = Callable[[argparse.Namespace], Report]
"""Measures something, and answers with its part of the report."""

_DEVICES = ("fused", "openvino")
_VIEWED = 200
_QUICK_ROW = "rc8_S"
_QUICK_REPEATS = 2
_QUICK_SIZE = (64, 64)


def run_bench(options: argparse.Namespace) -> int:
    """``tinyhd bench``: tables on standard output; JSON and a picture if asked."""
    _check(options)
    report = read_report(Path(options.kept)) if options.kept else _measure(options, _chosen(options))
    if options.json:
        write_atomically(Path(options.json), json.dumps(report, indent=2).encode())
    sys.stdout.write(as_markdown(report) if options.markdown else as_text(report))
    if options.plot:
        write_plot(report, Path(options.plot))
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what would only be found out after everything is measured."""
    if options.plot and Path(options.plot).suffix not in SUFFIXES:
        raise BadInput(f"--plot {options.plot}: a picture is a {' or '.join(SUFFIXES)} file")
    if options.repeats is not None and options.repeats < 1:
        raise BadInput(f"--repeats {options.repeats}: at least 1")
    if options.training and (files := [name for name in options.models or () if name not in MODEL_SPECS]):
        raise BadInput(f"model {files[0]!r}: only rows are trained; there are {', '.join(MODEL_SPECS)}")
    if options.viewer and not (options.video or options.quick):
        raise BadInput("--viewer: of which video? name it with --video")
    if (options.plot or options.markdown) and not options.kept and _measure_models not in _chosen(options):
        raise BadInput("--plot and --markdown show forward passes: measure them too (--forward)")
    if any(batch < 1 for batch in options.batches or ()):
        raise BadInput(f"--batches {' '.join(map(str, options.batches))}: at least 1 window a forward pass")


def _chosen(options: argparse.Namespace) -> list[Measure]:
    """What is measured: what is asked for, or else the forward passes, or all that is cheap."""
    all_there_are: dict[str, Measure] = {
        "forward": _measure_models,
        "training": _measure_training,
        "metrics": _measure_metrics,
        "viewer": _measure_viewer,
    }
    cheap: list[Measure] = [_measure_models, _measure_steps, _measure_metrics, _measure_viewer]
    asked_for = [measure for name, measure in all_there_are.items() if getattr(options, name)]
    return asked_for or cheap[: None if options.quick else 1]


def _measure(options: argparse.Namespace, chosen: Sequence[Measure]) -> Report:
    report = begin_report(options)
    for measure in chosen:
        report |= measure(options)
    return report


def _measure_models(options: argparse.Namespace) -> Report:
    names = options.models or ([_QUICK_ROW] if options.quick else DEFAULT_ROWS)
    wanted = cases(options.devices or _DEVICES[: 1 if options.quick else None], options.precisions or ["float32"])
    video = Path(options.video) if options.video else None
    found: Report = {"video": {"name": video.name, "frames": probe(video).frames}} if video else {}
    found |= {"forward": [], "refused": [], "pipeline": []}
    with TemporaryDirectory() as folder:
        subjects = [subject(name, Path(folder)) for name in names]
        for each in tqdm(subjects, desc="models", unit=" models"):
            measured, refused = measure_forward(each, wanted, options.batches or [1], _repeats(options, 10))
            found["forward"] += measured
            found["refused"] += refused
            if video:
                impossible = {(row["device"], row["precision"]) for row in refused}
                possible = [case for case in wanted if (case.device, case.precision) not in impossible]
                rows, refused = _measure_pipelines(options, each, possible, video)
                found["pipeline"] += rows
                found["refused"] += refused
    return found


def _measure_pipelines(
    options: argparse.Namespace, model: Subject, possible: Sequence[Case], video: Path
) -> tuple[list[Row], list[Row]]:
    writes, repeats = (WRITES[-1:], 1) if options.quick else (WRITES, _repeats(options, 1))
    measured, refused = [], []
    for case in possible:
        try:
            measured += measure_pipeline(model, case, video, repeats, writes)
        except BadInput as error:
            refused.append(refusal(model, case, error))
    return measured, refused


def _measure_training(options: argparse.Namespace) -> Report:
    steps = _measure_steps(options)
    pairs = [(row, size) for row in options.models or ROWS for size in SIZES]
    rows = [measure_training(row, size) for row, size in pairs[-1 if options.quick else 0 :]]
    return steps | {"training": rows}


def _measure_steps(options: argparse.Namespace) -> Report:
    names = options.models or ([_QUICK_ROW] if options.quick else ROWS)
    sizes, repeats = ([_QUICK_SIZE] if options.quick else SIZES), _repeats(options, 3)
    choices = [(row, size, batch) for row in names for size in sizes for batch in options.batches or [1]]
    rows = [row for choice in tqdm(choices, desc="steps") for row in measure_steps(*choice, repeats)]
    return {"steps": rows}


def _measure_metrics(options: argparse.Namespace) -> Report:
    counts, workers = ((100,), 1) if options.quick else ((100, 1000), usable_cores())
    repeats = _repeats(options, 10)
    return {"metrics": [measure_metrics(count, repeats, workers) for count in tqdm(counts, desc="metrics")]}


def _measure_viewer(options: argparse.Namespace) -> Report:
    video = Path(options.video) if options.video else shipped("example_data", "popout.mp4")
    return {"viewer": [measure_viewer(video, 2 * _QUICK_REPEATS if options.quick else _VIEWED)]}


def _repeats(options: argparse.Namespace, usual: int) -> int:
    chosen: int = options.repeats or (_QUICK_REPEATS if options.quick else usual)
    return chosen
