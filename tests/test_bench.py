"""``tinyhd bench``: that it runs, that what it says is what it measured, and what it refuses. Never how fast."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks import forward
from benchmarks.forward import as_notes, measure_forward
from benchmarks.plot import speed_plot
from benchmarks.report import as_markdown, command_line, part_as_text, read_report
from benchmarks.subjects import DEFAULT_ROWS, Case, Subject, cases, subject
from benchmarks.turns import paired
from tinyhd_lib import MODEL_SPECS, BadInput
from tinyhd_lib.cli import _parser, main
from tinyhd_lib.models.weights import WEIGHTS, find_weights

KEPT = ROOT / "docs/bench/cpu-forward.json"


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


# The command


def test_the_quick_set_runs_and_reports(video_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "bench.json"
    arguments = ["bench", "--quick", "--precisions", "float32", "int8", "--video", str(video_file)]
    assert main([*arguments, "--json", str(kept)]) == 0
    printed, report = capsys.readouterr().out, read_report(kept)
    assert [row["device"] for row in report["forward"]] == ["cpu", "fused"]
    assert report["forward"][0]["times_eager"] == 1
    for row in report["forward"] + report["steps"]:
        assert row["p95_ms"] >= row["p50_ms"] > 0
    assert all(row["peak_mib"] > 50 and row["gmac"] > 1 for row in report["forward"])
    assert [(row["device"], row["precision"]) for row in report["refused"]] == [("fused", "int8")]
    assert [row["writes"] for row in report["pipeline"]] == ["maps and film"]
    assert report["pipeline"][0]["frames_per_second"] > 0
    assert [row["way"] for row in report["steps"]] == ["eager float32", "eager bfloat16"]
    assert [row["fixations"] for row in report["metrics"]] == [100]
    assert "Not measured:\nfused int8 (rc8_S): random weights" in printed
    assert "dot.mp4, 40 frames" in printed
    assert main(["bench", "--from", str(kept)]) == 0
    assert capsys.readouterr().out == printed
    assert main(["bench", "--from", str(kept), "--plot", str(tmp_path / "plot.png")]) == 2
    assert "no model was measured whose authors published" in last_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--models", "r5"], "model 'r5': no such row or file; there are"),
        (["--repeats", "0"], "--repeats 0: at least 1"),
        (["--batches", "1", "0"], "--batches 1 0: at least 1"),
        (["--plot", "speed.jpg"], "--plot speed.jpg: a picture is a .png or .svg file"),
        (["--viewer"], "name it with --video"),
        (["--metrics", "--plot", "speed.png"], "measure them too (--forward)"),
        (["--training", "--models", "workbench_m_r4"], "model 'workbench_m_r4': only rows are trained"),
        (["--from", "missing.json"], "missing.json: cannot be read"),
        (["--from", str(ROOT / "docs/bench/cpu-live-m-r4.json")], "not what this version"),
    ],
)
def test_what_it_refuses(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert complaint in last_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        "--models rc8_S d1_M --devices cuda:1 compiled --precisions int8 --batches 1 20 --repeats 3",
        "--forward --training --viewer --quick --video 'a film.mp4'",
        "--metrics",
    ],
)
def test_a_report_says_the_command_that_made_it(arguments: str) -> None:
    options = _parser().parse_args(["bench", *shlex.split(arguments), "--json", "x.json"])
    again = _parser().parse_args(shlex.split(command_line(options))[1:])
    assert vars(again) == vars(options) | {"json": None}


# What is measured


@given(arrays(float, (5, 3), elements=st.floats(1e-4, 10)), st.floats(0.5, 2))
def test_pairs_are_of_turns(seconds: np.ndarray, slower: float) -> None:
    first, *others = paired(seconds)
    assert first["times_eager"] == 1
    assert all(row["p95_ms"] >= row["p50_ms"] for row in (first, *others))
    # A machine that slows down from turn to turn changes no ratio.
    drifting = paired(seconds * slower ** np.arange(5)[:, None])
    assert [row["times_eager"] for row in drifting] == pytest.approx(
        [row["times_eager"] for row in (first, *others)], abs=0.011
    )


def test_a_row_runs_with_weights_that_are_at_hand(tmp_path: Path, weights_file: Path) -> None:
    assert all(subject(own.model, tmp_path).learnt == own.name for own in WEIGHTS.values() if not own.published)
    random = subject("rc8_S", tmp_path)
    assert random.learnt is None
    written = Path(random.weights).stat().st_mtime_ns
    assert subject("rc8_S", tmp_path) == random
    assert Path(random.weights).stat().st_mtime_ns == written, "or its conversions would not be found again"
    named = subject(str(weights_file), tmp_path)
    assert (named.name, named.spec) == (weights_file.stem, MODEL_SPECS["d123m_rc4_rc1T"])


class _Still:
    """A runtime that answers at once."""

    def __init__(self, name: str) -> None:
        self.name, self.batch = name, 8

    def __call__(self, _clips: np.ndarray) -> None:
        time.sleep(0.002)


def _open(case: Case, _subject: Subject) -> _Still:
    if case.device == "fused" and case.precision == "int8":
        raise BadInput("fused computes in float32")
    if case.device == "cuda:7":
        raise BadInput("no such GPU")
    return _Still(f"{case.device} {case.precision}")


def test_every_case_is_held_against_eager_on_its_own_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "open", _open)
    monkeypatch.setattr(forward, "in_a_fresh_process", lambda *_: {"peak_mib": 1, "peak_gpu_mib": None})
    wanted = cases(["fused", "compiled:mps", "openvino", "cuda:7", "fused"], ["float32", "int8"])
    model = Subject("rc8_M", MODEL_SPECS["rc8_M"], "file", "file")
    measured, refused = measure_forward(model, wanted, [1, 4], 2)
    found = [(row["batch"], row["runtime"]) for row in measured]
    on_cpu = ["cpu float32", "fused float32", "openvino float32", "openvino int8"]
    on_mps = ["mps float32", "compiled:mps float32", "compiled:mps int8"]
    assert found == [(batch, name) for names in (on_cpu, on_mps) for batch in (1, 4) for name in names]
    assert all(row["times_eager"] == 1 for row in measured if row["runtime"] in {on_cpu[0], on_mps[0]})
    refusals = [(row["device"], row["precision"]) for row in refused]
    assert refusals == [("fused", "int8"), ("cuda:7", "float32"), ("cuda:7", "int8")]
    for row in measured:
        assert row["frames_per_second"] == pytest.approx(16 * row["batch"] * 1e3 / row["p50_ms"], rel=0.01)
    notes = as_notes(refused + [row | {"model": "rc8_S"} for row in refused])
    assert "fused int8 (rc8_M, rc8_S): fused computes in float32" in notes
    assert notes.count("\n") == 4


# How it reads


def test_speed_and_accuracy_of_the_picture_are_those_of_the_report() -> None:
    report = read_report(KEPT)
    axes = speed_plot(report).axes[0]
    points = {tuple(line.get_xydata()[0]): line for line in axes.lines if line.get_marker() != "None"}
    published = [row for row in report["forward"] if find_weights(row["model"]).figures]
    assert len(points) == len(published) == 12
    for row in published:
        line = points[row["frames_per_second"], find_weights(row["model"]).figures["NSS"]]
        assert (line.get_markerfacecolor() == "white") == row["label"].startswith("S")
    names = [text.get_text() for text in axes.texts]
    assert {"M r4", "S r4", "M r2", "S r2"} < set(names)


@pytest.mark.parametrize(("suffix", "beginning"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_made_of_a_kept_report(suffix: str, beginning: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"speed.{suffix}"
    assert main(["bench", "--from", str(KEPT), "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(beginning)


def test_the_short_table_has_a_line_a_model_and_a_gap_where_nothing_was_measured() -> None:
    report: dict[str, Any] = json.loads(KEPT.read_bytes())
    lines = as_markdown(report).splitlines()
    assert len(lines) == 2 + len(DEFAULT_ROWS)
    report["forward"].pop()
    assert as_markdown(report).splitlines()[-1].endswith("| - |")
    with pytest.raises(BadInput, match="no forward passes"):
        as_markdown(report | {"forward": []})


def test_a_gpus_memory_is_shown_where_there_is_one() -> None:
    report = read_report(KEPT)
    assert "GPU" not in part_as_text(report, "forward")
    report["forward"][0]["peak_gpu_mib"] = 1234
    assert "GPU MiB" in part_as_text(report, "forward")
    assert "1234\n" in part_as_text(report, "forward")
