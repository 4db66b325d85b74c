"""The command line of the benchmarks; ``python -m benchmarks NAME --help`` lists the options of each."""

import sys
from pathlib import Path

import tyro

from benchmarks.coverage import Coverage
from benchmarks.documents import RAW, render
from benchmarks.forward import Forward
from benchmarks.many_hours import Assumptions, measured, plan_table
from benchmarks.metrics import Metrics
from benchmarks.pipeline import Pipeline
from benchmarks.plot import write_plot
from benchmarks.report import Benchmark, as_markdown, as_text, read_report, run
from benchmarks.scale import Scale
from benchmarks.trade import Trade
from benchmarks.training import Training
from benchmarks.viewer import Viewer
from tinyhd_lib.errors import BadInput

BENCHMARKS = {
    "forward": Forward,
    "pipeline": Pipeline,
    "scale": Scale,
    "trade": Trade,
    "training": Training,
    "metrics": Metrics,
    "coverage": Coverage,
    "viewer": Viewer,
}

USAGE = f"""usage: python -m benchmarks NAME [OPTIONS]     measure: {", ".join(BENCHMARKS)}
       python -m benchmarks show FILE          the tables of a report that was kept
       python -m benchmarks markdown FILE      the short one, of forward passes
       python -m benchmarks plot FILE PICTURE  accuracy against speed, as .png or .svg
       python -m benchmarks plan [OPTIONS]     what 10,000 hours of video would take
       python -m benchmarks render             docs/bench into the documents
"""


def main(words: list[str]) -> int:
    """Run the command line; return the exit status."""
    name, *rest = words or ["--help"]
    try:
        if name in BENCHMARKS:
            benchmark: Benchmark = tyro.cli(BENCHMARKS[name], args=rest, prog=f"python -m benchmarks {name}")
            sys.stdout.write(as_text(run(benchmark, words)))
        elif name == "plan":
            given = tyro.cli(Assumptions, args=rest, prog="python -m benchmarks plan")
            sys.stdout.write(plan_table(measured(read_report(RAW / "cpu-scale.json")), given))
        elif name == "render":
            render()
        elif name == "plot" and len(rest) == 2:
            write_plot(read_report(Path(rest[0])), Path(rest[1]))
        elif name in {"show", "markdown"} and len(rest) == 1:
            report = read_report(Path(rest[0]))
            sys.stdout.write(as_text(report) if name == "show" else as_markdown(report))
        else:
            (sys.stdout if name == "--help" else sys.stderr).write(USAGE)
            return 0 if name == "--help" else 2
    except BadInput as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
