"""What the documents claim is what the code says."""

import json
import re

import pytest
from conftest import ROOT

from tinyhd_lib.bench import as_table
from tinyhd_lib.cli import _parser, main

README = (ROOT / "README.md").read_text()


def test_the_readmes_table_is_the_registrys(capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "list", "--markdown"])
    assert capsys.readouterr().out in README


@pytest.mark.parametrize("name", ["cpu-pipeline", "cpu-forward"])
def test_the_readmes_figures_are_those_of_the_raw_files(name: str) -> None:
    report = json.loads((ROOT / f"docs/bench/{name}.json").read_text())
    assert as_table(report) in README


def test_the_readmes_first_figure_is_one_of_the_raw_ones() -> None:
    report = json.loads((ROOT / "docs/bench/cpu-pipeline.json").read_text())
    row = next(row for row in report["pipeline"] if row["label"] == "M r4")
    assert f"**{report['video']['frames']} frames in {row['seconds']:.1f} s**" in README
    assert f"{row['peak_mib']} MiB" in README
    assert report["hardware"].split(",")[0] in README


def test_the_commands_in_the_readme_are_understood() -> None:
    commands = re.findall(r"^tinyhd ([^#\n]+)", README, flags=re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        _parser().parse_args(command.split())


def test_no_document_names_a_file_that_is_not_there() -> None:
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / link).exists(), link
