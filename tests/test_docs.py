"""The documentation agrees with the code."""

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from pkgutil import resolve_name
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import tyro
from conftest import ROOT

from benchmarks.__main__ import BENCHMARKS
from benchmarks.documents import PAGES as RENDERED
from benchmarks.documents import rendered
from benchmarks.many_hours import Assumptions, Way, plan_table, simulate
from tinyhd_lib.cli import _COMMANDS, _parse, main
from tinyhd_lib.evaluation.compare import Comparison
from tinyhd_lib.evaluation.summary import Estimate, Summary
from tinyhd_lib.live.stream import as_table as live_table
from tinyhd_lib.losses import Term
from tinyhd_lib.training.recipe import recipe_names

README = (ROOT / "README.md").read_text()
EVALUATION = (ROOT / "docs/evaluation.md").read_text()
TRAINING = (ROOT / "docs/training.md").read_text()
PAGES = [
    "docs/evaluation.md",
    "docs/training.md",
    "docs/notebooks.md",
    "docs/streaming.md",
    "docs/speed.md",
    "docs/deployment.md",
    "docs/scale.md",
]
RESULTS = ROOT / "docs/results"


def test_the_readmes_table_is_the_registrys(capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "list", "--markdown"])
    assert capsys.readouterr().out in README


@pytest.mark.parametrize("page", RENDERED, ids=lambda page: page.name)
def test_the_speeds_in_the_documents_are_those_of_the_raw_files(page: Path) -> None:
    text = page.read_text()
    assert rendered(text) == text, "run: python -m benchmarks render"


def test_a_changed_figure_would_be_seen() -> None:
    shown = [name for page in RENDERED for name in re.findall(r"<!-- bench: (\S+)", page.read_text())]
    raw = {path.stem for path in (ROOT / "docs/bench").glob("*.json") if "live" not in path.name}
    assert raw == {name for name in raw if any(fnmatch(name, pattern) for pattern in shown)}
    assert all(any(fnmatch(name, pattern) for name in raw) for pattern in shown)
    assert rendered(README.replace(" frames in ", " frames in 1")) == README
    table = (ROOT / "docs/speed.md").read_text()
    assert rendered(table.replace(" torch cpu ", " torch gpu ")) == table
    prose = "<!-- bench: cpu-viewer -->\n\nWhat follows stays.\n"
    assert rendered(prose).endswith("```\n\nWhat follows stays.\n")
    assert rendered(rendered(prose)) == rendered(prose)
    prose = "<!-- bench: cpu-scale plan -->\n\nWhat follows stays.\n"
    assert rendered(rendered(prose)) == rendered(prose) != prose
    assert rendered(prose).endswith("|\n\nWhat follows stays.\n")


def parse(words: list[str]) -> None:
    """Parse a command as the command line does, without running it."""
    name = next(name for name in (" ".join(words[:2]), words[0]) if name in _COMMANDS)
    _parse(resolve_name(f"tinyhd_lib.cli.{_COMMANDS[name][0]}"), name, words[len(name.split()) :])


@pytest.mark.parametrize("page", RENDERED, ids=lambda page: page.name)
def test_the_benchmarks_in_the_documents_are_understood(page: Path) -> None:
    for command in re.findall(r"^python -m benchmarks ([^#\n]+)", page.read_text(), flags=re.MULTILINE):
        name, *words = shlex.split(command)
        if name in BENCHMARKS:
            tyro.cli(BENCHMARKS[name], args=words)
        else:
            assert name in {"show", "markdown", "plot", "plan", "render"}


def test_the_live_figures_are_those_of_the_raw_files() -> None:
    page = (ROOT / "docs/streaming.md").read_text()
    reports = [json.loads((ROOT / f"docs/bench/cpu-live-{name}.json").read_text()) for name in ("m-r4", "s-r4")]
    assert f"{reports[0]['hardware']}\n\n{live_table(reports).to_string(header=False)}\n```" in page


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_the_commands_in_the_documents_are_understood(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tonight.txt").write_text("video.mp4\n")  # a list of videos is read while the command is parsed
    commands = re.findall(r"^tinyhd ([^#\n]+)", (ROOT / document).read_text(), flags=re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        parse(shlex.split(command))


@pytest.mark.parametrize("document", ["README.md", *PAGES])
def test_what_the_documents_import_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    exec("\n".join(re.findall(r"^(?:from tinyhd_lib[.\w]* )?import .*$", text, flags=re.MULTILINE)), {})


def test_some_document_imports_something() -> None:
    assert "\nfrom tinyhd_lib" in TRAINING


@pytest.mark.parametrize("document", ["README.md", *PAGES, "weights/README.md", "notebooks/README.md"])
def test_no_document_names_a_file_that_is_not_there(document: str) -> None:
    path = ROOT / document
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", path.read_text()):
        assert (path.parent / link.partition("#")[0]).exists(), link


def test_the_recipes_in_the_documents_are_those_there_are() -> None:
    rows = re.findall(r"^\| ((?:`[a-z0-9_*]+`(?:, )?)+) \|", TRAINING, flags=re.MULTILINE)
    patterns = [name for row in rows for name in re.findall(r"`([a-z0-9_*]+)`", row) if name not in get_args(Term)]
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in recipe_names())
    assert all(any(fnmatch(name, pattern) for name in recipe_names()) for pattern in patterns)


@pytest.mark.parametrize("name", ["m_r4", "s_r4"])
def test_the_scores_in_the_documents_are_those_of_the_raw_files(name: str) -> None:
    raw = json.loads((RESULTS / f"gaze-{name}.json").read_bytes())
    rows = [
        {"predictor": predictor, "metric": metric, **each}
        for predictor, row in raw["figures"].items()
        for metric, each in row.items()
    ]
    figures = pd.DataFrame(rows).astype({"mean": float, "low": float, "high": float})
    assert str(Summary(raw["settings"], figures, pd.DataFrame())) in EVALUATION


def test_the_comparison_in_the_documents_is_that_of_the_raw_file() -> None:
    raw = json.loads((RESULTS / "gaze-compare.json").read_bytes())
    mean, p, corrected = (pd.DataFrame.from_dict(raw[name], "index").astype(float) for name in ("mean", "p", "holm"))
    apart = pd.DataFrame.from_dict(raw["difference"], "index").map(lambda each: np.array([*each.values()], float))
    apart = apart.map(lambda numbers: Estimate(*numbers))
    assert str(Comparison(raw["headline"], mean, p.isna(), apart, p, corrected)) in EVALUATION


def test_the_videos_in_the_documents_are_those_of_the_raw_files() -> None:
    tables = [
        pd.read_csv(RESULTS / f"gaze-{name}-videos.csv").set_index(["predictor", "video"])["NSS"]
        for name in ("m_r4", "s_r4")
    ]
    for video in tables[0]["prediction"].index:
        columns = [(0, "centre bias"), (0, "prediction"), (1, "prediction"), (0, "half of the observers")]
        cells = [f"{tables[number][predictor, video]:.3f}" for number, predictor in columns]
        assert f"| {video} | {' | '.join(cells)} |" in EVALUATION


def test_the_plan_is_a_simulation_that_loses_what_deaths_cost() -> None:
    given = Assumptions(hours=500, cores=10)
    maps = Way("maps", speed=100.0, bytes=10.0, files=1.0, resumes=True)
    film = Way("film", speed=100.0, bytes=10.0, files=0.0, resumes=False)
    immortal = simulate(film, Assumptions(hours=500, cores=10, days_between_deaths=1e9))
    assert immortal.deaths == immortal.lost_hours == 0
    assert immortal.days * 24 * 10 * immortal.efficiency == pytest.approx(500 * 30 / 100)
    assert immortal.efficiency > 0.99, "long videos are begun first, so that all end together"
    mortal = Assumptions(hours=500, cores=10, days_between_deaths=0.1)
    assert simulate(maps, mortal).lost_hours == 0
    lost = simulate(film, mortal)
    assert lost.deaths > 10
    assert 0 < lost.lost_hours / lost.deaths < 1
    assert lost.days > simulate(maps, mortal).days > immortal.days
    assert "54,000,000 | one a video |" in plan_table([maps, film], given)
