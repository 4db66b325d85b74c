"""Notebooks run headless by papermill, each into a folder of its own; what is done is not run again."""

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL
from textwrap import shorten
from typing import Any, NamedTuple

from tinyhd_lib.engine import Client, results
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import alone_in, appears_whole, is_whole, remove_partials, sha256
from tinyhd_lib.notebooks.files import Notebook, gather_parameters, is_set
from tinyhd_lib.records import RunRecord, read_record

COPY_NAME = "notebook.ipynb"


class Run(NamedTuple):
    """A notebook, what it is given, and where it leaves what it makes.

    Attributes:
        notebook: to execute.
        parameters: by name, as JSON can hold them.
        folder: of the executed copy and ``run.json``; of the artefacts too, unless the parameter OUT says otherwise.
    """

    notebook: Notebook
    parameters: Mapping[str, Any]
    folder: Path

    @property
    def artefacts(self) -> dict[str, Path]:
        """Return the files that the notebook promises, and where they lie."""
        out = Path(str(self.parameters.get("OUT", self.folder)))
        return {name: out / name for name in self.notebook.artefacts}

    def record(self) -> RunRecord:
        """Return the record of this run, begun now; everything that decides what comes out is in its key."""
        key = {"notebook": self.notebook.name, "sha256": sha256(self.notebook.path), "parameters": self.parameters}
        return RunRecord("notebook", key, details={"artefacts": list(self.artefacts)})

    def is_done(self) -> bool:
        """Return whether all of it is there, made by the same notebook, parameters and versions."""
        with suppress(BadInput):  # something else wrote the record
            earlier, now = read_record(self.folder), self.record()
            if earlier and earlier.complete and (earlier.key, earlier.versions) == (now.key, now.versions):
                return (self.folder / COPY_NAME).exists() and not self.missing()
        return False

    def missing(self) -> str:
        """Return the names of promised files that are not there, or empty."""
        return ", ".join(name for name, path in self.artefacts.items() if not is_whole(path))


class Ending(NamedTuple):
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
    """Return what is to be run, all of it checked.

    Args:
        notebooks: to run.
        sources: YAML files of parameters, or names of sets.
        settings: single parameters, which win over those.
        out: where a folder for each goes; by default ``runs/notebooks``, with sets a folder of their names below it.

    Raises:
        BadInput: see `gather_parameters`.
    """
    out = out or Path("runs/notebooks", *filter(is_set, sources))
    runs = []
    for notebook in notebooks:
        folder = out / notebook.name
        own = {"OUT": str(folder)} if "OUT" in notebook.parameters else {}
        runs.append(Run(notebook, own | gather_parameters(notebook, sources, settings), folder))
    return runs


def run_notebooks(
    runs: Sequence[Run], *, cluster: "Client | None" = None, timeout: float | None = None, force: bool = False
) -> Iterator[Ending]:
    """Run notebooks and yield how each ended, in their order. One that fails does not stop the others.

    Args:
        runs: see `plan`.
        cluster: that runs several at once, see `tinyhd_lib.engine.connected`; None for one after the other, with a bar.
        timeout: seconds that a notebook may take, all of it.
        force: run what is done already, too.

    Raises:
        BadInput: a number is out of its range, or papermill is not installed.
    """
    if timeout is not None and timeout <= 0:
        raise BadInput(f"`timeout` {timeout:g}: seconds, more than 0")
    if find_spec("papermill") is None:
        raise BadInput("papermill is not installed; pip install -e '.[notebooks]' from the checkout")
    waiting = [run for run in runs if force or not run.is_done()]
    outcomes = results(partial(_run, timeout=timeout, progress=cluster is None), waiting, cluster)
    for run in runs:
        yield next(outcomes) if run in waiting else Ending(run.notebook.name)


def _run(run: Run, *, timeout: float | None, progress: bool) -> Ending:
    begun = time.perf_counter()
    try:
        with alone_in(run.folder, "notebook"):  # what the notebook calls may want the folder itself for its own
            failure = _recorded(run, timeout, progress=progress)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other notebooks have nothing to do with it
        failure = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
    return Ending(run.notebook.name, time.perf_counter() - begun, failure and shorten(failure, width=300))


def _recorded(run: Run, timeout: float | None, *, progress: bool) -> str | None:
    """Run a notebook and write down what came of it; return why it failed, None if it did not."""
    record = run.record()
    remove_partials(run.folder)
    for left in (run.folder / COPY_NAME, *run.artefacts.values()):  # what lies there will not have been made
        left.unlink(missing_ok=True)
    record.write(run.folder)
    failure = execute(run.notebook.path, run.folder / COPY_NAME, run.parameters, timeout=timeout, progress=progress)
    if not failure and run.missing():
        failure = f"promised {run.missing()}, which it did not make"
    if failure:
        record.details["failure"] = failure
        record.write(run.folder)
    else:
        record.finish(run.folder)
    return failure


def execute(
    source: Path, copy: Path, parameters: Mapping[str, Any], *, timeout: float | None, progress: bool
) -> str | None:
    """Execute a notebook, with the Python that runs this; return in one line why that failed, None if it did not.

    Args:
        source: the notebook.
        copy: where the executed copy goes, in one step when it is whole; after a failure as far as it came.
        parameters: by name.
        timeout: seconds that its cells may take together.
        progress: show a bar of its cells.

    Raises:
        OSError: the copy cannot be written.
        RuntimeError: there came no kernel.
    """
    import papermill  # type: ignore[import-untyped]
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    failure, deadline = None, time.monotonic() + (timeout or 0)
    # Jupyter and papermill tell what they do, and what they would like better; what goes wrong, they raise.
    logging.getLogger("papermill").setLevel(logging.CRITICAL + 1)
    with appears_whole(copy) as place, warnings.catch_warnings(action="ignore"):
        try:
            papermill.execute_notebook(
                _verbatim(source),
                _verbatim(place),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar={"desc": source.stem, "leave": False} if progress else False,
                start_timeout=300,
                kernel_manager_class=_own_python(),
                iopub_timeout=60,  # nbclient waits 4 for the last output of a cell, which a busy machine exceeds
                store_widget_state=False,  # no kernel would answer it: what stands in for a widget is shown
                # Never 0, which nbclient takes for as long as it likes.
                timeout_func=(lambda _cell: max(0.001, deadline - time.monotonic())) if timeout else None,
            )
        except papermill.PapermillExecutionError as error:
            failure = f"In [{error.exec_count}]: {error.ename}: {error.evalue}"
        except DeadKernelError:
            failure = "its kernel died, perhaps for want of memory"
        except CellTimeoutError:
            failure = f"took longer than {timeout:g} s, and was stopped"
    return failure


def _own_python() -> type[Any]:
    """Return what starts ``sys.executable``, where a user's own kernel called python3 would win otherwise.

    What a kernel has to say is in the notebook's cells; what it writes on the terminal besides is Jupyter's concern.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class OwnPython(AsyncKernelManager):
        kernel_spec = KernelSpec(**get_kernel_dict())

        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # declared as if it did not wait
            options["env"] = {**os.environ, **(options.get("env") or {}), "TQDM_DISABLE": "1"}
            await super().start_kernel(stdout=DEVNULL, stderr=DEVNULL, **options)

    return OwnPython


def _verbatim(path: Path) -> str:
    """Return a path that holds no parameters: papermill would put them between its braces."""
    return str(path).replace("{", "{{").replace("}", "}}")
