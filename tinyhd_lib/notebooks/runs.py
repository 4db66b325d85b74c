"""Notebooks run headless, each into a folder of its own that records what was run; what is done is not run again."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import alone_in, remove_partials, sha256, write_atomically
from tinyhd_lib.notebooks.files import Notebook, gather_parameters, is_set
from tinyhd_lib.overlap import processes
from tinyhd_lib.records import RECORD_NAME, hardware, versions

COPY_NAME = "notebook.ipynb"

_DEFAULT_OUT = Path("runs/notebooks")
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Run:
    """A notebook, what it is given, and where it leaves what it makes.

    Attributes:
        notebook: to execute.
        parameters: by name, as JSON can hold them.
        folder: of the executed copy and ``run.json``; of the artefacts too, unless the parameter OUT says otherwise.
        digest: SHA-256 of the notebook's file.
    """

    notebook: Notebook
    parameters: Mapping[str, Any]
    folder: Path
    digest: str

    @property
    def artefacts(self) -> dict[str, Path]:
        """The files that the notebook promises, and where they lie."""
        out = Path(str(self.parameters.get("OUT", self.folder)))
        return {name: out / name for name in self.notebook.artefacts}

    def key(self) -> dict[str, Any]:
        """Everything that decides what comes out."""
        return {"sha256": self.digest, "parameters": self.parameters, "versions": versions()}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        name: of the notebook.
        seconds: that it took, None if it was done already.
        failure: why it failed, in one line; None if it did not.
    """

    name: str
    seconds: float | None = None
    failure: str | None = None

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.name}: done already"
        return f"{self.name}: {self.failure or 'ok'} ({self.seconds:.1f} s)"


def plan(
    notebooks: Sequence[Notebook], sources: Sequence[str], settings: Mapping[str, Any], out: Path | None = None
) -> list[Run]:
    """What is to be run, all of it checked.

    Args:
        notebooks: to run.
        sources: YAML files of parameters, or names of sets.
        settings: single parameters, which win over those.
        out: where a folder for each goes; by default ``runs/notebooks``, with sets a folder of their names below it.

    Raises:
        BadInput: see `gather_parameters`.
    """
    out = out or _DEFAULT_OUT.joinpath(*filter(is_set, sources))
    return [
        _plan(notebook, gather_parameters(notebook, sources, settings), out / notebook.name) for notebook in notebooks
    ]


def run_notebooks(
    runs: Sequence[Run], *, jobs: int = 1, timeout: float | None = None, force: bool = False
) -> Iterator[Outcome]:
    """Run notebooks, giving how each ended, in their order. One that fails does not stop the others.

    Args:
        runs: see `plan`.
        jobs: how many at once, each computing in one thread; a single one takes what it wants and shows its cells.
        timeout: seconds that a notebook may take, all of it.
        force: run what is done already, too.

    Raises:
        BadInput: a number is out of its range, or papermill is not installed.
    """
    if jobs < 1:
        raise BadInput(f"--jobs {jobs}: at least 1")
    if timeout is not None and timeout <= 0:
        raise BadInput(f"--timeout {timeout:g}: seconds, more than 0")
    if find_spec("papermill") is None:
        raise BadInput("papermill, which runs notebooks, is not installed; pip install 'tinyhd[notebooks]'")
    waiting = [run for run in runs if force or not _is_done(run)]
    work = partial(_run, timeout=timeout, progress=jobs == 1)
    with processes(jobs) as spread:
        outcomes = spread(work, waiting)
        for run in runs:
            yield next(outcomes) if run in waiting else Outcome(run.notebook.name)


def _plan(notebook: Notebook, parameters: dict[str, Any], folder: Path) -> Run:
    out: dict[str, Any] = {"OUT": str(folder)} if "OUT" in notebook.parameters else {}
    # As the record will give them back: a tuple is a list there, and every name text.
    parameters = json.loads(json.dumps(out | parameters))
    return Run(notebook, parameters, folder, sha256(notebook.path))


def _is_done(run: Run) -> bool:
    record = _read_record(run.folder)
    copy = run.folder / COPY_NAME
    same = all(record.get(name) == value for name, value in run.key().items())
    return same and record.get("complete") is True and copy.exists() and not _missing(run, _states(run))


def _run(run: Run, *, timeout: float | None, progress: bool) -> Outcome:
    from tinyhd_lib.notebooks.kernel import execute

    begun = time.perf_counter()
    try:
        with alone_in(run.folder / COPY_NAME):  # what the notebook calls may want the folder itself for its own
            failure = _record(run, partial(execute, timeout=timeout, progress=progress))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other notebooks have nothing to do with it
        failure = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
    return Outcome(run.notebook.name, time.perf_counter() - begun, failure and shorten(failure, _LONGEST_REASON))


def _record(run: Run, execute: Callable[[Path, Path, Mapping[str, Any]], str | None]) -> str | None:
    """Run a notebook and write down what came of it; answers why it failed, None if it did not."""
    copy, before = run.folder / COPY_NAME, _states(run)
    run.folder.mkdir(parents=True, exist_ok=True)
    remove_partials(run.folder)
    copy.unlink(missing_ok=True)
    started, begun = datetime.now(UTC), time.perf_counter()
    _write_record(run, {"complete": False})
    failure = execute(run.notebook.path, copy, run.parameters)
    missing = _missing(run, dict(_states(run).items() - before.items()))  # what lay there has not been made
    if missing and not failure:
        failure = f"promised {', '.join(missing)}, which it did not make"
    details = {
        "complete": failure is None,
        "failure": failure,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - begun, 3),
        "hardware": hardware(),
    }
    _write_record(run, details)
    return failure


def _states(run: Run) -> dict[str, tuple[int, int]]:
    """The promised files that are there with something in them, and what changes when they are written again."""
    states = {name: path.stat() for name, path in run.artefacts.items() if path.is_file()}
    return {name: (state.st_mtime_ns, state.st_size) for name, state in states.items() if state.st_size}


def _missing(run: Run, made: Mapping[str, Any]) -> list[str]:
    return [name for name in run.artefacts if name not in made]


def _read_record(folder: Path) -> dict[str, Any]:
    """What an earlier run wrote down; nothing if there was none, or if something else wrote it."""
    try:
        content = json.loads((folder / RECORD_NAME).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_record(run: Run, details: Mapping[str, Any]) -> None:
    content = {"notebook": run.notebook.name, "artefacts": list(run.artefacts), **run.key(), **details}
    write_atomically(run.folder / RECORD_NAME, json.dumps(content, indent=2).encode())
