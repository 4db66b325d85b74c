"""One notebook through papermill and a kernel: in silence, within its time, and with the Python that runs this."""

import logging
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import papermill  # type: ignore[import-untyped]
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from tinyhd_lib.files import partial_path

_START_SECONDS = 300
_OUTPUT_SECONDS = 60  # nbclient waits 4 for the last output of a cell, which a busy machine exceeds


class _OwnPython(AsyncKernelManager):
    """Starts ``sys.executable``, where a user's own kernel called python3 would win otherwise.

    What a kernel has to say is in the notebook's cells; what it writes on the terminal besides is Jupyter's concern.
    """

    kernel_spec = KernelSpec(**get_kernel_dict())

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # declared as if it did not wait
        await super().start_kernel(stdout=DEVNULL, stderr=DEVNULL, **options)


def execute(
    source: Path, copy: Path, parameters: Mapping[str, Any], *, timeout: float | None, progress: bool
) -> str | None:
    """Execute a notebook; answers in one line why that failed, None if it did not.

    Args:
        source: the notebook.
        copy: where the executed copy goes, in one step when it is whole; after a failure as far as it came.
        parameters: by name.
        timeout: seconds that all of it may take.
        progress: show a bar of its cells.

    Raises:
        OSError: the copy cannot be written.
        RuntimeError: there came no kernel.
    """
    partial = partial_path(copy)
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    failure = None
    try:
        with _quietly():
            papermill.execute_notebook(
                _verbatim(source),
                _verbatim(partial),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar={"desc": source.stem, "leave": False} if progress else False,
                start_timeout=math.ceil(timeout or _START_SECONDS),
                kernel_manager_class=_OwnPython,
                iopub_timeout=_OUTPUT_SECONDS,
                timeout_func=lambda _cell: _left(deadline),
            )
    except papermill.PapermillExecutionError as error:
        failure = f"In [{error.exec_count}]: {error.ename}: {error.evalue}"
    except DeadKernelError:
        failure = "its kernel died, perhaps for want of memory"
    except (CellTimeoutError, RuntimeError):  # the latter if there was not even a kernel
        if time.monotonic() < deadline:
            raise
        failure = f"took longer than {timeout:g} s, and was stopped"
    partial.replace(copy)
    return failure


@contextmanager
def _quietly() -> Iterator[None]:
    """Jupyter and papermill tell what they do, and what they would like better; what goes wrong, they raise."""
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _verbatim(path: Path) -> str:
    """A path that holds no parameters: papermill would put them between its braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _left(deadline: float) -> float | None:
    """The seconds until then, never 0, which nbclient takes for as long as it likes; None if there is no end."""
    return None if math.isinf(deadline) else max(0.001, deadline - time.monotonic())
