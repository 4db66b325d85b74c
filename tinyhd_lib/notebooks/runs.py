"""Run notebooks with papermill, each into a folder of its own; finished runs are not repeated."""

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
    """A notebook with its parameters and the folder of its results.

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
        """Return the files that the notebook declares to write, with their paths."""
        out = Path(str(self.parameters.get("OUT", self.folder)))
        return {name: out / name for name in self.notebook.artefacts}

    def record(self) -> RunRecord:
        """Return the record of this run, started now; its key holds everything that the results depend on."""
        key = {"notebook": self.notebook.name, "sha256": sha256(self.notebook.path), "parameters": self.parameters}
        return RunRecord("notebook", key, details={"artefacts": list(self.artefacts)})

    def is_done(self) -> bool:
        """Return whether all results exist, made by the same notebook, parameters and versions."""
        with suppress(BadInput):  # something else wrote the record
            earlier, now = read_record(self.folder), self.record()
            if earlier and earlier.complete and (earlier.key, earlier.versions) == (now.key, now.versions):
                return (self.folder / COPY_NAME).exists() and not self.missing()
        return False

    def missing(self) -> str:
        """Return the names of declared files that are missing, or an empty text."""
        return ", ".join(name for name, path in self.artefacts.items() if not is_whole(path))


class Ending(NamedTuple):
    """How a run ended.

    Attributes:
        name: of the notebook.
        seconds: duration, None if it was done already.
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
    """Return the runs of some notebooks, after checking their parameters.

    Args:
        notebooks: to run.
        sources: YAML files of parameters, or names of parameter sets.
        settings: single parameters, which override those.
        out: folder for the folders of all runs; by default ``runs/notebooks``, or with parameter sets a subfolder named
            after them.

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
        cluster: client that runs several at once, see `tinyhd_lib.engine.connected`; None for one after the other, with
            a progress bar.
        timeout: time limit of a whole notebook, in seconds.
        force: also run notebooks that are finished already.

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
        with alone_in(run.folder, "notebook"):  # its own lock: functions in the notebook may lock the folder, too
            failure = _recorded(run, timeout, progress=progress)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other notebooks have nothing to do with it
        failure = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
    return Ending(run.notebook.name, time.perf_counter() - begun, failure and shorten(failure, width=300))


def _recorded(run: Run, timeout: float | None, *, progress: bool) -> str | None:
    """Run a notebook and write its record; return why it failed, None if it did not."""
    record = run.record()
    remove_partials(run.folder)
    for left in (run.folder / COPY_NAME, *run.artefacts.values()):  # old files must not pass for new results
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
    """Execute a notebook with the current Python; return in one line why that failed, None if it did not.

    Args:
        source: the notebook.
        copy: path of the executed copy, written atomically; after a failure it ends with the cell that failed.
        parameters: by name.
        timeout: time limit of all its cells together, in seconds.
        progress: whether to show a progress bar.

    Raises:
        OSError: the copy cannot be written.
        RuntimeError: the kernel did not start.
    """
    import papermill  # type: ignore[import-untyped]
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    failure, deadline = None, time.monotonic() + (timeout or 0)
    # Jupyter's and papermill's logs and warnings are noise here: actual errors are raised.
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
                store_widget_state=False,  # without a kernel, the widgets' replacements are shown
                # Never 0, which means no limit to nbclient.
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
    """Return a kernel manager for ``sys.executable``; otherwise a user's own kernel called python3 would be started.

    The kernel's output is in the notebook's cells; anything else that it writes to the terminal is discarded.
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
    """Return a path with its braces escaped, in which papermill would otherwise insert parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")
