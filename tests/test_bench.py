"""The benchmarks run, report what they measured, and refuse bad input. No test depends on speed."""

import json
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
from benchmarks.__main__ import main
from benchmarks.forward import Case, measure_forward
from benchmarks.models import Subject, find_subject
from benchmarks.plot import speed_plot
from benchmarks.report import as_markdown, read_report
from benchmarks.turns import paired
from tinyhd_lib import MODEL_SPECS, BadInput
from tinyhd_lib.models.weights import find_weights
from tinyhd_lib.runtime import Runtime

pytestmark = pytest.mark.slow

KEPT = ROOT / "docs/bench/cpu-forward.json"


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


# The command


def test_forward_passes_are_measured_kept_and_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "forward.json"
    words = ["forward", "--models", "rc8_S", "--devices", "fused", "--precisions", "float32", "bfloat16"]
    words += ["--repeats", "1"]
    assert main([*words, "--json", str(kept)]) == 0
    printed, report = capsys.readouterr().out, read_report(kept)
    assert [row["device"] for row in report["forward"]] == ["cpu", "fused"]
    assert report["forward"][0]["times_eager"] == 1
    assert all(row["p95_ms"] >= row["p50_ms"] > 0 for row in report["forward"])
    assert all(row["peak_mib"] > 50 and row["gmac"] > 1 for row in report["forward"])
    assert [(row["device"], row["precision"]) for row in report["refused"]] == [("fused", "bfloat16")]
    assert report["command"] == f"python -m benchmarks {' '.join(words)} --json forward.json"
    assert "only weights that have learnt" in printed
    assert main(["show", str(kept)]) == 0
    assert capsys.readouterr().out == printed
    assert main(["plot", str(kept), str(tmp_path / "plot.png")]) == 2
    assert "no model was measured whose authors published" in last_line(capsys)


def test_a_whole_prediction_is_measured(video_file: Path, weights_file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "pipeline.json"
    words = ["pipeline", "--video", str(video_file), "--models", str(weights_file), "--devices", "fused"]
    assert main([*words, "--json", str(kept)]) == 0
    rows = read_report(kept)["pipeline"]
    assert [row["writes"] for row in rows] == ["nothing", "maps", "maps and overlay"]
    assert all(row["frames_per_second"] > 0 for row in rows)
    assert read_report(kept)["video"] == [{"name": video_file.name, "frames": 40}]


def test_metrics_and_the_viewer_are_measured(video_file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    assert (
        main(
            [
                "metrics",
                "--sizes",
                "64x36",
                "--fixations",
                "20",
                "--repeats",
                "1",
                "--workers",
                "1",
                "--json",
                str(kept),
            ]
        )
        == 0
    )
    assert [row["what"] for row in read_report(kept)["metrics"]] == ["auc_judd", "all seven"]
    assert main(["viewer", "--video", str(video_file), "--repeats", "2", "--json", str(kept)]) == 0
    (row,) = read_report(kept)["viewer"]
    assert row["frames"] == 40
    assert all(0 < row[f"{what}_at_{speed}"] <= 1 for what in ("shown", "presented") for speed in (1, 2))
    assert all(row[f"{place}_p95_ms"] >= row[f"{place}_p50_ms"] > 0 for place in ("near", "far"))
    assert row["kernel_mib"] > 50
    assert row["heap_mib_after"] > 1
    assert main(["viewer"]) == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["forward", "--models", "r5"], "r5"),
        (["show", "missing.json"], "missing.json: cannot be read"),
        (["show", str(ROOT / "docs/bench/cpu-live-m-r4.json")], "not what this version"),
        (["markdown", str(ROOT / "docs/bench/cpu-metrics.json")], "no forward passes"),
        (["nothing"], "python -m benchmarks render"),
        ([], "python -m benchmarks render"),
    ],
)
def test_what_it_refuses(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == (2 if words else 0)
    told = capsys.readouterr()
    assert complaint in told.err + told.out
    assert "Traceback" not in told.err


# What is measured


@given(arrays(float, (5, 3), elements=st.floats(1e-4, 10)), st.floats(0.5, 2))
def test_pairs_are_of_turns(seconds: np.ndarray, slower: float) -> None:
    first, *others = paired(seconds)
    assert first["times_eager"] == 1
    assert all(row["p95_ms"] >= row["p50_ms"] for row in (first, *others))
    # A machine that slows down from one round to the next does not change the ratios.
    drifting = paired(seconds * slower ** np.arange(5)[:, None])
    assert [row["times_eager"] for row in drifting] == pytest.approx(
        [row["times_eager"] for row in (first, *others)], abs=0.011
    )


def test_models_run_with_weights_that_are_at_hand(tmp_path: Path, weights_file: Path) -> None:
    random = find_subject("rc8_S", tmp_path)
    assert not random.learnt
    with pytest.raises(BadInput, match="weights that have learnt"):
        random.open("fused", "bfloat16")
    again = find_subject("rc8_S", tmp_path)
    assert Path(again.weights).read_bytes() == Path(random.weights).read_bytes(), "or conversions would not be found"
    named = find_subject(str(weights_file), tmp_path)
    assert (named.name, named.spec, named.learnt) == (weights_file.stem, MODEL_SPECS["M-r8-D2"], True)
    assert find_subject("workbench-m-r4", tmp_path).learnt


class _Still(Runtime):
    """A runtime that answers at once."""

    def __init__(self, name: str) -> None:
        self.name, self.batch = name, 8

    def __call__(self, _clips: np.ndarray) -> None:
        time.sleep(0.002)


def _open(_subject: Subject, device: str, precision: str) -> _Still:
    if device == "fused" and precision == "bfloat16":
        raise BadInput("fused computes in float32")
    if device == "cuda:7":
        raise BadInput("no such GPU")
    return _Still(f"{device} {precision}")


def test_every_case_is_held_against_eager_on_its_own_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subject, "open", _open)
    monkeypatch.setattr(forward, "in_a_fresh_process", lambda *_: {"peak_mib": 1, "peak_gpu_mib": None})
    devices, precisions = ("fused", "triton:1", "openvino", "cuda:7"), ("float32", "bfloat16")
    wanted = [Case(device, precision) for device in devices for precision in precisions]
    model = Subject("rc8_M", MODEL_SPECS["rc8_M"], "file", learnt=True)
    measured, refused = measure_forward(model, wanted, [1, 4], 2)
    found = {(row["batch"], row["runtime"]) for row in measured}
    on_cpu = ["cpu float32", "fused float32", "openvino float32", "openvino bfloat16"]
    on_gpu = ["cuda:1 float32", "triton:1 float32", "triton:1 bfloat16"]
    assert found == {(batch, name) for names in (on_cpu, on_gpu) for batch in (1, 4) for name in names}
    assert all(row["times_eager"] == 1 for row in measured if row["runtime"] in {on_cpu[0], on_gpu[0]})
    refusals = {(row["device"], row["precision"]) for row in refused}
    assert refusals == {("fused", "bfloat16"), ("cuda:7", "float32"), ("cuda:7", "bfloat16")}
    for row in measured:
        assert row["frames_per_second"] == pytest.approx(16 * row["batch"] * 1e3 / row["p50_ms"], rel=0.01)


# How results are printed


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
    assert main(["plot", str(KEPT), str(path)]) == 0
    assert path.read_bytes().startswith(beginning)


def test_the_short_table_has_a_line_a_model_and_a_gap_where_nothing_was_measured() -> None:
    report: dict[str, Any] = json.loads(KEPT.read_bytes())
    lines = as_markdown(report).splitlines()
    assert len(lines) == 2 + len({row["label"] for row in report["forward"]})
    report["forward"].pop()
    assert lines[-1] not in as_markdown(report)
    assert "- |" in as_markdown(report).splitlines()[-1]
    with pytest.raises(BadInput, match="no forward passes"):
        as_markdown(report | {"forward": []})
