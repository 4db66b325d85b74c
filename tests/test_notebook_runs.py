"""Notebooks run headless: what is refused before any starts, what counts as finished, and how kernels end."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from tinyhd_lib import BadInput
from tinyhd_lib.cli import _parse, main
from tinyhd_lib.cli.models import run_notebooks as command
from tinyhd_lib.files import PARTIAL_SUFFIX, alone_in, read_values
from tinyhd_lib.notebooks.files import (
    Notebook,
    copy_notebooks,
    find_notebooks,
    gather_parameters,
    list_notebooks,
    read_notebook,
)
from tinyhd_lib.notebooks.runs import Ending, Run, plan, run_notebooks
from tinyhd_lib.records import read_record

pytestmark = pytest.mark.slow

PARAMETERS = 'VIDEO: str = "pursuit.mp4"  # a video\nSEED = 0\nOUT: str = "runs/x"  # where files go'


def write_notebook(path: Path, *sources: str, parameters: str = PARAMETERS, **own: Any) -> Path:
    """A notebook: a title, a cell of parameters, and the cells of these sources."""
    notebook = nbformat.v4.new_notebook(metadata={"tinyhd": own})
    notebook.cells = [
        nbformat.v4.new_code_cell("# imports"),
        nbformat.v4.new_markdown_cell(f"## About\n\n# Of {path.stem}"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *map(nbformat.v4.new_code_cell, sources),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def write_set(notebooks: Path, name: str, text: str) -> Path:
    path = notebooks / "parameters" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Three notebooks; the second one takes the entries of a recipe and declares a table as its artefact."""
    folder = tmp_path / "notebooks"
    write_notebook(folder / "01_looking.ipynb")
    write_notebook(folder / "02_learning.ipynb", recipe=True, artefacts=["losses.csv"])
    write_notebook(folder / "02_learning_more.ipynb")
    return folder


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


# Which notebooks there are


def test_notebooks_are_found_by_name_by_beginning_by_path_and_all_in_order(shelf: Path) -> None:
    def names(*given: str) -> list[str]:
        return [notebook.name for notebook in find_notebooks(given, shelf)]

    assert names() == ["01_looking", "02_learning", "02_learning_more"]
    assert names("02_learning") == ["02_learning"]  # although another name begins with it
    assert names("02_learning_", "01") == ["02_learning_more", "01_looking"]
    assert names("01", "01_looking", str(shelf / "01_looking.ipynb")) == ["01_looking"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("02", "'02': begins several notebooks; there are 02_learning, 02_learning_more"),
        ("03", "'03': no such notebook; there are 01_looking, 02_learning, 02_learning_more"),
        ("mine.ipynb", "mine.ipynb: no such notebook"),
    ],
)
def test_a_name_that_fits_none_or_several_is_refused(shelf: Path, name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=re.escape(reason)):
        find_notebooks([name], shelf)


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        find_notebooks([], tmp_path / "notebooks")
    with pytest.raises(BadInput, match="no notebooks in it"):
        find_notebooks(["01"], tmp_path)


def test_ours_are_found_from_any_folder_and_copied_with_their_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = find_notebooks()
    assert [notebook.name[:2] for notebook in ours] == ["01", "02", "03", "04", "05"]
    copies = copy_notebooks(Path("mine"))
    assert [path.read_bytes() for path in copies] == [notebook.path.read_bytes() for notebook in ours]
    assert [read_notebook(path).sets for path in copies] == [notebook.sets for notebook in ours]
    with pytest.raises(BadInput, match="is there already; give another `folder`"):
        copy_notebooks(Path("mine"))


def test_two_of_the_same_name_would_share_a_folder(shelf: Path, tmp_path: Path) -> None:
    other = write_notebook(tmp_path / "other" / "01_looking.ipynb")
    with pytest.raises(BadInput, match="several notebooks are called '01_looking'"):
        find_notebooks(["01", str(other)], shelf)


def test_a_notebook_tells_what_it_takes_and_makes(shelf: Path) -> None:
    write_set(shelf, "02_smoke", "SEED: 1")
    write_set(shelf, "02_long_run", "SEED: 2")
    notebook = read_notebook(shelf / "02_learning.ipynb")
    assert notebook == Notebook(
        shelf / "02_learning.ipynb", "Of 02_learning", ("VIDEO", "SEED", "OUT"), recipe=True, artefacts=("losses.csv",)
    )
    assert notebook.sets == ["long_run", "smoke"]
    assert read_notebook(shelf / "01_looking.ipynb").sets == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": [{}]}', '{"cells": [], "metadata": []}', "\x80"])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(BadInput, match=r"x\.ipynb: not a notebook"):
        read_notebook(path)


def test_parameters_that_are_no_python_are_refused(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "x.ipynb", parameters="A = 1\nB = = 2")
    with pytest.raises(BadInput, match=r"x\.ipynb: its parameters cell is no Python \(invalid syntax, line 2\)"):
        read_notebook(path)


# Their parameters


def test_later_files_and_sets_win_over_earlier_ones_and_single_parameters_over_all(shelf: Path, tmp_path: Path) -> None:
    write_set(shelf, "01_smoke", "VIDEO: popout.mp4\nSEED: 1")
    write_set(shelf, "01_empty", "# nothing is different")
    mine = tmp_path / "mine.yml"
    mine.write_text("SEED: 2\nOUT: there")
    [notebook] = find_notebooks(["01"], shelf)
    gathered = gather_parameters(notebook, ["smoke", str(mine), "empty"], {"OUT": "here"})
    assert gathered == {"VIDEO": "popout.mp4", "SEED": 2, "OUT": "here"}
    assert gather_parameters(notebook, [str(mine), "smoke"], {})["SEED"] == 1


def test_a_set_that_is_missing_names_the_file_that_it_would_be(shelf: Path) -> None:
    write_set(shelf, "01_smoke", "SEED: 1")
    [notebook, other] = find_notebooks(["01", "02_learning"], shelf)
    reason = f"{shelf}/parameters/01_smok.yaml: no such parameters; 01_looking has the sets smoke"
    with pytest.raises(BadInput, match=re.escape(reason)):
        gather_parameters(notebook, ["smok"], {})
    with pytest.raises(BadInput, match=r"02_smoke\.yaml: no such parameters; 02_learning has no sets"):
        gather_parameters(other, ["smoke"], {})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such parameters"),
        (b"A: [", "not YAML that can be read"),
        (b"\x80", "not YAML that can be read"),
        (b"- SEED", "a table of names and values"),
    ],
)
def test_a_file_that_holds_no_parameters_is_refused(
    shelf: Path, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "mine.yaml").write_bytes(content)
    [notebook] = find_notebooks(["01"], shelf)
    with pytest.raises(BadInput, match=rf"mine\.yaml: .*{reason}"):
        gather_parameters(notebook, [str(tmp_path / "mine.yaml")], {})


def test_a_parameter_that_a_notebook_does_not_know_is_refused_with_the_nearest(shelf: Path) -> None:
    looking, learning = find_notebooks(["01", "02_learning"], shelf)
    with pytest.raises(BadInput, match=r"^01_looking: no parameter VIDOE; the nearest are VIDEO$"):
        gather_parameters(looking, [], {"VIDOE": 1})
    with pytest.raises(BadInput, match="no parameter seed; the nearest are SEED"):
        gather_parameters(looking, [], {"seed": 1})
    with pytest.raises(BadInput, match="no parameter EPOCHS; it has VIDEO, SEED, OUT"):
        gather_parameters(looking, [], {"EPOCHS": 2})
    with pytest.raises(BadInput, match="no parameter 7; it has"):
        gather_parameters(looking, [], {7: 2})
    assert gather_parameters(learning, [], {"EPOCHS": 2}) == {"EPOCHS": 2}
    with pytest.raises(BadInput, match="no parameter EPOCH; the nearest are EPOCHS"):
        gather_parameters(learning, [], {"EPOCH": 2})


def test_values_are_read_as_yaml_and_must_be_of_use(shelf: Path) -> None:
    pairs = [("A", "2"), ("B", "[96, 128]"), ("C", "word"), ("D", "null"), ("E", "0.5"), ("A", "3")]
    assert read_values(pairs) == {"A": 3, "B": [96, 128], "C": "word", "D": None, "E": 0.5}
    with pytest.raises(BadInput, match=r"A '\[1': the value is no YAML"):
        read_values([("A", "[1")])
    [notebook] = find_notebooks(["01"], shelf)
    with pytest.raises(BadInput, match=r"SEED datetime.*: neither text nor a number; put it in quotes"):
        gather_parameters(notebook, [], read_values([("SEED", "2023-01-03")]))


# Where they go


def test_sets_have_folders_of_their_own_and_out_is_the_runs_folder(shelf: Path, tmp_path: Path) -> None:
    for number in ("01", "02"):
        write_set(shelf, f"{number}_smoke", "SEED: 1")
    file = write_set(tmp_path, "mine", "SEED: 2")
    notebooks = find_notebooks(["01", "02_learning"], shelf)

    def folders(*given: Any) -> list[str]:
        return [run.folder.as_posix() for run in plan(notebooks, *given)]

    assert folders([], {}) == folders([str(file)], {}) == ["runs/notebooks/01_looking", "runs/notebooks/02_learning"]
    assert folders(["smoke"], {}) == ["runs/notebooks/smoke/01_looking", "runs/notebooks/smoke/02_learning"]
    assert folders(["smoke"], {}, Path("mine")) == ["mine/01_looking", "mine/02_learning"]
    run = plan(notebooks, [], {}, Path("mine"))[1]
    assert run.parameters == {"OUT": str(Path("mine/02_learning"))}
    assert run.artefacts == {"losses.csv": Path("mine/02_learning/losses.csv")}
    run = plan(notebooks, [], {"OUT": "elsewhere"}, Path("mine"))[1]
    assert run.parameters == {"OUT": "elsewhere"}
    assert run.artefacts == {"losses.csv": Path("elsewhere/losses.csv")}


def test_a_notebook_without_out_is_not_given_one(tmp_path: Path) -> None:
    notebook = read_notebook(write_notebook(tmp_path / "x.ipynb", parameters="A = 1", artefacts=["a.csv"]))
    [run] = plan([notebook], [], {}, tmp_path)
    assert run.parameters == {}
    assert run.artefacts == {"a.csv": tmp_path / "x" / "a.csv"}


# What counts as finished: papermill is replaced by a stand-in


class Executions:
    """Stands in for papermill: writes the files it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.makes = {"losses.csv": "epoch,loss\n"}
        self.answer: str | Exception | None = None

    def __call__(
        self, _source: Path, copy: Path, parameters: dict[str, Any], *, timeout: float | None, progress: bool
    ) -> str | None:
        assert (timeout, progress) == (None, True)
        self.count += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        copy.write_text("{}")
        for name, text in self.makes.items():
            (Path(parameters["OUT"]) / name).write_text(text)
        return self.answer


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> Executions:
    stand_in = Executions()
    monkeypatch.setattr("tinyhd_lib.notebooks.runs.execute", stand_in)
    return stand_in


@pytest.fixture
def make_run(shelf: Path, tmp_path: Path) -> Callable[..., Run]:
    """The run of 02_learning, with parameters."""
    return lambda **given: plan(find_notebooks(["02_learning"], shelf), [], given, tmp_path / "out")[0]


def end(run: Run, **options: Any) -> Ending:
    [outcome] = run_notebooks([run], **options)
    return outcome


@pytest.mark.usefixtures("executions")
def test_a_run_is_recorded(make_run: Callable[..., Run]) -> None:
    run = make_run(SEED=3)
    outcome = end(run)
    assert str(outcome) == f"02_learning: ok ({outcome.seconds:.1f} s)"
    record = read_record(run.folder)
    assert record is not None
    assert (record.what, record.complete) == ("notebook", True)
    sha256 = hashlib.sha256(run.notebook.path.read_bytes()).hexdigest()
    parameters = {"OUT": str(run.folder), "SEED": 3}
    assert record.key == {"notebook": "02_learning", "sha256": sha256, "parameters": parameters}
    assert record.details["artefacts"] == ["losses.csv"]
    assert "failure" not in record.details
    assert 0 <= record.details["seconds"] <= outcome.seconds + 0.001


def test_what_is_done_is_passed_over_unless_forced(executions: Executions, make_run: Callable[..., Run]) -> None:
    end(make_run())
    assert str(end(make_run())) == "02_learning: done already"
    assert executions.count == 1
    assert end(make_run(), force=True).failure is None
    assert executions.count == 2


def test_another_parameter_notebook_or_version_is_another_run(
    executions: Executions, make_run: Callable[..., Run], shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(make_run())
    end(make_run(SEED=1))
    assert executions.count == 2
    end(make_run(SEED=1, VIDEO="x"))
    assert executions.count == 3
    write_notebook(shelf / "02_learning.ipynb", "1 + 1", recipe=True, artefacts=["losses.csv"])
    end(make_run(SEED=1, VIDEO="x"))
    assert executions.count == 4
    monkeypatch.setattr("tinyhd_lib.records.version", lambda _package: "0")
    end(make_run(SEED=1, VIDEO="x"))
    assert executions.count == 5
    assert end(make_run(SEED=1, VIDEO="x")).seconds is None


@pytest.mark.parametrize("name", ["losses.csv", "notebook.ipynb", "run.json"])
def test_a_run_that_lost_a_file_is_not_done(executions: Executions, make_run: Callable[..., Run], name: str) -> None:
    end(make_run())
    (make_run().folder / name).unlink()
    assert end(make_run()).seconds is not None
    assert executions.count == 2


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"complete": true}'])
def test_what_is_no_record_of_a_notebooks_run_does_not_count(
    executions: Executions, make_run: Callable[..., Run], content: str
) -> None:
    end(make_run())
    (make_run().folder / "run.json").write_text(content)
    end(make_run())
    assert executions.count == 2


def test_a_failure_is_recorded_and_runs_again(executions: Executions, make_run: Callable[..., Run]) -> None:
    executions.answer = "In [3]: ValueError: too\n  small"
    executions.makes |= {"losses.csv": ""}  # not the reason of the failure
    run = make_run()
    outcome = end(run)
    assert str(outcome) == f"02_learning: In [3]: ValueError: too small ({outcome.seconds:.1f} s)"
    record = json.loads((run.folder / "run.json").read_text())
    assert record["complete"] is False
    assert "too\n" in record["details"]["failure"]
    executions.makes |= {"losses.csv": "epoch,loss\n"}
    end(run)
    executions.answer = None
    assert end(run).failure is None
    assert executions.count == 3


def test_a_run_that_was_cut_off_leaves_nothing_that_looks_whole(
    executions: Executions, make_run: Callable[..., Run]
) -> None:
    run = make_run()
    end(run)
    left_by_one_that_was_killed = run.folder / f".notebook.ipynb{PARTIAL_SUFFIX}"
    left_by_one_that_was_killed.touch()
    executions.answer = OSError("cut off")
    end(run, force=True)
    assert sorted(path.name for path in run.folder.iterdir()) == ["run.json"]
    assert json.loads((run.folder / "run.json").read_text())["complete"] is False


def test_what_is_promised_must_be_made_and_hold_something(executions: Executions, make_run: Callable[..., Run]) -> None:
    for makes in ({}, {"losses.csv": ""}, {"other.csv": "1"}):
        executions.makes = makes
        assert end(make_run()).failure == "promised losses.csv, which it did not make"
        assert json.loads((make_run().folder / "run.json").read_text())["complete"] is False


def test_what_another_run_left_was_not_made(executions: Executions, make_run: Callable[..., Run]) -> None:
    end(make_run())
    executions.makes = {}
    assert end(make_run(SEED=1)).failure == "promised losses.csv, which it did not make"
    assert end(make_run(), force=True).failure == "promised losses.csv, which it did not make"


@pytest.mark.usefixtures("executions")
def test_promises_are_looked_for_where_out_says(make_run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert end(make_run(OUT=str(tmp_path / "elsewhere"))).failure is None
    assert (tmp_path / "elsewhere" / "losses.csv").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (RuntimeError("no\nkernel"), "RuntimeError: no kernel"),
        (BadInput("one line"), "one line"),
        (ValueError("long " * 1000), "ValueError: " + "long " * 56 + "[...]"),
    ],
)
def test_whatever_one_notebook_runs_into_the_others_run(
    executions: Executions, shelf: Path, tmp_path: Path, error: Exception, reason: str
) -> None:
    runs = plan(find_notebooks(["01", "02_learning"], shelf), [], {}, tmp_path / "out")
    executions.answer = error
    outcomes = []
    for outcome in run_notebooks(runs):
        outcomes.append(outcome)
        executions.answer = None
    assert [outcome.failure for outcome in outcomes] == [reason, None]


def test_two_do_not_run_into_the_same_folder(executions: Executions, make_run: Callable[..., Run]) -> None:
    run = make_run()
    with alone_in(run.folder, "notebook"):
        assert "another run is at work there" in str(end(run).failure)
    assert executions.count == 0
    with alone_in(run.folder):  # the lock that code in the notebook may take
        assert end(run).failure is None


def test_numbers_out_of_range_are_refused(make_run: Callable[..., Run]) -> None:
    for seconds in (0.0, -1.0):
        with pytest.raises(BadInput, match=f"`timeout` {seconds:g}: seconds, more than 0"):
            end(make_run(), timeout=seconds)


# The command


def test_without_papermill_the_extra_is_named(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert main(["notebooks", "run", "--notebooks", str(shelf)]) == 2
    assert last_line(capsys).endswith("is not installed; pip install -e '.[notebooks]' from the checkout")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["03"], "no such notebook"),
        (["-f", "smoke"], "parameters/01_smoke.yaml: no such parameters"),
        (["-f", "mine.yaml"], "no such parameters"),
        (["01", "-p", "SEEED", "1"], "tinyhd: 01_looking: no parameter SEEED; the nearest are SEED"),
        (["-p", "EPOCHS", "1"], "no parameter EPOCHS"),
        (["01", "-p", "SEED", "{"], "the value is no YAML"),
        (["--workers", "0"], "at least 1"),
        (["--timeout", "0"], "more than 0"),
        (["--notebooks", "nowhere"], "no such folder"),
    ],
)
def test_bad_input_is_one_line_status_2_and_nothing_started(
    executions: Executions, shelf: Path, tmp_path: Path, capsys, arguments: list[str], reason: str
) -> None:
    out = tmp_path / "out"
    assert main(["notebooks", "run", "--notebooks", str(shelf), "--out", str(out), *arguments]) == 2
    assert reason in last_line(capsys)
    assert not out.exists()
    assert executions.count == 0


def test_everything_is_checked_before_the_first_one_starts(
    executions: Executions, shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two have a parameter DEPTH, the last one does not."""
    for name in ("01_looking", "02_learning"):
        write_notebook(shelf / f"{name}.ipynb", parameters="DEPTH = 1\nOUT = 'x'")
    out = tmp_path / "out"
    assert main(["notebooks", "run", "--notebooks", str(shelf), "--out", str(out), "-p", "DEPTH", "2"]) == 2
    assert "02_learning_more: no parameter DEPTH" in last_line(capsys)
    assert executions.count == 0


def test_the_list_names_notebooks_titles_and_sets(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(shelf, "01_smoke", "SEED: 1")
    write_set(shelf, "01_long", "SEED: 1")
    assert list_notebooks(shelf).to_dict("records") == [
        {"notebook": "01_looking", "title": "Of 01_looking", "sets": "long, smoke"},
        {"notebook": "02_learning", "title": "Of 02_learning", "sets": "-"},
        {"notebook": "02_learning_more", "title": "Of 02_learning_more", "sets": "-"},
    ]
    assert main(["notebooks", "list", "--notebooks", str(shelf)]) == 0
    assert re.search(r"01_looking +Of 01_looking +long, smoke", capsys.readouterr().out)


def test_names_may_follow_options() -> None:
    words = ["-f", "smoke", "-p", "SEED", "-1", "01", "02", "-f", "x.yaml"]
    options = _parse(command, "notebooks run", words).keywords
    assert options["names"] == ("01", "02")
    assert options["file"] == ("smoke", "x.yaml")
    assert options["parameter"] == (("SEED", "-1"),)


# Real kernels

TELLS = """
import json, os, sys
from pathlib import Path
os.system("echo noise of a library; echo more noise >&2")
Path(OUT, "told.json").write_text(json.dumps([SEED, sys.executable, os.getcwd()]))
SEED
"""
SLEEPS = """
import os, time
from pathlib import Path
Path(OUT).mkdir(parents=True, exist_ok=True)
Path(OUT, "pid").write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Five notebooks with five outcomes, run two at a time, where the user's own kernel would never start."""
    folder = tmp_path_factory.mktemp("batch")
    write_notebook(folder / "notebooks" / "01_tells.ipynb", TELLS, artefacts=["told.json"])
    write_notebook(folder / "notebooks" / "02_divides.ipynb", "kept = 1\nkept", "1 / (SEED - 7)", "2")
    refuses = ["from tinyhd_lib.notebooks.helpers import find_video", 'find_video("no.mp4")']
    write_notebook(folder / "notebooks" / "03_refuses.ipynb", *refuses)
    write_notebook(folder / "notebooks" / "04_forgets.ipynb", "SEED", artefacts=["a.png", "b.csv"])
    write_notebook(folder / "notebooks" / "05_dies.ipynb", "import os\nos.kill(os.getpid(), 9)")
    kernel = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text('{"argv": ["false"], "display_name": "Python 3", "language": "python"}')
    command = [
        sys.executable,
        "-m",
        "tinyhd_lib",
        "notebooks",
        "run",
        "-p",
        "SEED",
        "7",
        "--notebooks",
        "notebooks",
        "--out",
        "{out}",
        "--workers",
        "2",
    ]
    environment = os.environ | {"JUPYTER_PATH": str(folder / "jupyter")}
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return folder, finished


def read_copy(folder: Path, name: str) -> list[Any]:
    """The code cells of an executed copy."""
    notebook = nbformat.read(folder / "{out}" / name / "notebook.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_each_ends_in_one_line_without_noise_and_the_status_is_1(batch) -> None:
    _, finished = batch
    assert finished.returncode == 1
    assert finished.stdout == ""
    lines = [line.strip() for line in finished.stderr.replace("\r", "\n").splitlines()]
    told = [line for line in lines if line and "notebooks/s" not in line and "s/ notebooks" not in line]
    assert [re.sub(r"\(\d+\.\d s\)$", "(S s)", line) for line in told] == [
        "01_tells: ok (S s)",
        "02_divides: In [5]: ZeroDivisionError: division by zero (S s)",
        "03_refuses: In [5]: BadInput: no.mp4: no such video; there are popout.mp4, pursuit.mp4 (S s)",
        "04_forgets: promised a.png, b.csv, which it did not make (S s)",
        "05_dies: its kernel died, perhaps for want of memory (S s)",
        "1 of 5 notebooks -> {out}",
    ]


def test_the_kernel_is_this_python_where_the_command_was_given(batch) -> None:
    folder, _ = batch
    told = json.loads((folder / "{out}" / "01_tells" / "told.json").read_text())
    assert told == [7, sys.executable, str(folder)]


def test_the_executed_copy_holds_what_came_out_and_where_it_failed(batch) -> None:
    folder, _ = batch
    *_, cell = read_copy(folder, "01_tells")
    assert cell.outputs[-1].data["text/plain"] == "7"
    *_, kept, failed, unreached = read_copy(folder, "02_divides")
    assert kept.outputs[0].data["text/plain"] == "1"
    assert failed.outputs[0].ename == "ZeroDivisionError"
    assert not unreached.outputs
    assert unreached.execution_count is None
    for name in ("01_tells", "02_divides", "03_refuses", "04_forgets", "05_dies"):
        assert sorted(path.name for path in (folder / "{out}" / name).iterdir() if path.name != "told.json") == [
            "notebook.ipynb",
            "run.json",
        ]


def test_bad_input_in_a_cell_is_one_line_there(batch) -> None:
    folder, _ = batch
    *_, cell = read_copy(folder, "03_refuses")
    [output] = cell.outputs
    assert output.output_type == "error"
    assert output.traceback == ["no.mp4: no such video; there are popout.mp4, pursuit.mp4"]


def test_only_what_failed_runs_again(
    batch, executions: Executions, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(batch[0])
    caplog.set_level("INFO")
    executions.makes = {}
    assert main(["notebooks", "run", "01", "02", "--notebooks", "notebooks", "-p", "SEED", "7", "--out", "{out}"]) == 0
    assert caplog.messages[0] == "01_tells: done already"
    assert caplog.messages[1].startswith("02_divides: ok")
    assert executions.count == 1


def test_a_notebook_that_takes_too_long_is_stopped_and_its_kernel_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each cell is quick enough by itself, but all together are not."""
    caplog.set_level("INFO")
    path = write_notebook(tmp_path / "x.ipynb", "import time", *["time.sleep(4)"] * 4)
    before = psutil.Process().children(recursive=True)
    outcome = end(plan([read_notebook(path)], [], {}, tmp_path)[0], timeout=8)
    assert outcome.failure == "took longer than 8 s, and was stopped"
    assert psutil.Process().children(recursive=True) == before
    assert not caplog.messages  # no log lines of papermill
    assert (tmp_path / "x" / "notebook.ipynb").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interruption_ends_the_kernels_and_keeps_what_is_finished(tmp_path: Path, workers: str) -> None:
    write_notebook(tmp_path / "notebooks" / "01_quick.ipynb", "1")
    write_notebook(tmp_path / "notebooks" / "02_slow.ipynb", SLEEPS)
    # A process that some shells start in the background ignores SIGINT, and so do its children.
    heeds = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    starts = "from tinyhd_lib.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", heeds + starts, "notebooks", "run"]
    command += ["--notebooks", "notebooks", "--out", "out", "--workers", workers]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    record, pid = tmp_path / "out" / "01_quick" / "run.json", tmp_path / "out" / "02_slow" / "pid"
    while process.poll() is None and not (
        pid.exists() and pid.read_text() and record.exists() and json.loads(record.read_text())["complete"]
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.splitlines()[-1].endswith("tinyhd: interrupted; run the same command again to resume")
    assert "Traceback" not in told
    psutil.wait_procs([psutil.Process(number) for number in {int(pid.read_text())} & {*psutil.pids()}], timeout=10)
    assert not psutil.pid_exists(int(pid.read_text()))
    assert json.loads(record.read_text())["complete"]
    assert not (tmp_path / "out" / "02_slow" / "notebook.ipynb").exists()
    assert json.loads((tmp_path / "out" / "02_slow" / "run.json").read_text())["complete"] is False
