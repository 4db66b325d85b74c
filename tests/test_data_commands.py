"""``tinyhd data synthesise`` and ``tinyhd data verify``: what they print and write, and their exit status."""

import json
from pathlib import Path

import pytest
from conftest import CLIPS, SHARED, needs_shared

from tinyhd_lib.cli import main
from tinyhd_lib.data.synthetic import WRITERS

pytestmark = pytest.mark.slow


def data(*arguments: object) -> int:
    return main(["data", *map(str, arguments)])


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_made_up_is_in_order(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    assert (
        data("synthesise", kind, root, "--videos", 1, "--frames", 5, "--size", "64x48", "--observers", 2, "--seed", 3)
        == 0
    )
    assert json.loads((root / "synthetic.json").read_bytes())["order"]["size"] == [48, 64]
    capsys.readouterr()
    planted = kind == "kinetics"  # it contains broken clips on purpose
    assert data("verify", kind, root, "--workers", 1) == int(planted)
    assert ("findings: 2" if planted else "findings: none") in capsys.readouterr().out


def test_a_finding_is_named_on_the_console_and_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    assert data("synthesise", "dhf1k", root, "--videos", 1, "--frames", 5) == 0
    (root / "annotation/0001/maps/0003.png").unlink()
    capsys.readouterr()
    assert data("verify", "dhf1k", root, "--workers", 2, "--json", tmp_path / "found.json") == 1
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_bytes())["findings"]
    assert {each["check"] for each in found} <= {"pairing", "count"}
    assert any("0003" in each["file"] + each["message"] for each in found)
    assert "pairing" in printed
    assert data("verify", "dhf1k", root, "--split", "test") == 0, "the other splits are in order"
    assert data("verify", "dhf1k", root, "--split", "test", "--complete") == 1, "but this one is not complete"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["synthesise", "dhf2k", "{new}"], "kind 'dhf2k'"),
        (["synthesise", "gaze", "{full}"], "is not empty, and nothing is overwritten"),
        (["synthesise", "gaze", "{new}", "--size", "big"], "WIDTHxHEIGHT"),
        (["synthesise", "gaze", "{new}", "--size", "33x64"], "even sides"),
        (["synthesise", "gaze", "{new}", "--videos", "0"], "videos 0"),
        (["verify", "gaze", "{new}"], "no such folder"),
        (["verify", "gaze", "{full}"], "no gaze data set"),
        (["verify", "gaze"], "set TINYHD_GAZE"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    places = {"new": tmp_path / "new", "full": tmp_path / "full"}
    assert data(*(argument.format(**places) for argument in arguments)) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert reason in error[-1]
    assert len(error) == 1
    assert not (tmp_path / "new").exists()


@needs_shared
def test_real_damage_is_found_and_nothing_else(tmp_path: Path) -> None:
    assert data("verify", "gaze", SHARED / "gaze") == 0
    assert data("verify", "folder", CLIPS, "--json", tmp_path / "found.json") == 1
    found = json.loads((tmp_path / "found.json").read_bytes())["findings"]
    assert {(each["check"], each["file"]) for each in found} == {
        ("unreadable", f"bad_{name}.mp4") for name in ("empty", "text", "corrupted", "truncated")
    }
