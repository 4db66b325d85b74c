"""What every notebook needs: errors in one line, where its files go, and where its video is.

``%load_ext tinyhd_lib.notebooks.helpers`` shows bad input as one line in the cell instead of a trace.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.training.recipe import Recipe, read_recipe

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib.figure import Figure

_EXAMPLES = ("example_data", "../example_data")
_DOTS_PER_INCH = 120


class Artefacts:
    """The folder that a notebook leaves its files in; it is made when the first one comes.

    Args:
        folder: where.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """Where a file of that name goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def figure(self, figure: "Figure", name: str) -> "Figure":
        """Keep a figure as ``name``.png; answers it, for the cell to show."""
        figure.savefig(self.path(f"{name}.png"), dpi=_DOTS_PER_INCH)
        return figure

    def table(self, table: "pd.DataFrame", name: str) -> "pd.DataFrame":
        """Keep a table as ``name``.csv; answers it, for the cell to show."""
        write_atomically(self.path(f"{name}.csv"), table.to_csv(index=False, lineterminator="\n").encode())
        return table


def find_video(name: str | Path) -> Path:
    """A video: a path, or the name of one of our examples.

    Raises:
        BadInput: there is neither.
    """
    places = [Path(name), *(Path(folder) / name for folder in _EXAMPLES)]
    found = next((path for path in places if path.exists()), None)
    if found is None:
        examples = ", ".join(sorted(path.name for folder in _EXAMPLES for path in Path(folder).glob("*.mp4")))
        raise BadInput(f"{name}: no such video" + (f"; there are {examples}" if examples else ""))
    return found


def recipe_of(name_or_path: str | Path, parameters: Mapping[str, Any]) -> Recipe:
    """A recipe, changed by a notebook's parameters.

    Args:
        name_or_path: see `read_recipe`.
        parameters: such as ``globals()``: whatever is called like an entry of a recipe, in capitals, replaces it.

    Raises:
        BadInput: see `read_recipe`.
    """
    changes = {name: parameters[name.upper()] for name in recipe_entries() if name.upper() in parameters}
    return read_recipe(name_or_path, **changes)


def recipe_entries() -> list[str]:
    """The names of a recipe's entries."""
    return [each.name for each in fields(Recipe)]


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Show bad input as one line. IPython calls this for ``%load_ext``."""
    shell.set_custom_exc((BadInput,), _show)


def _show(
    shell: "InteractiveShell",
    kind: type[BaseException],
    error: BaseException,
    _trace: TracebackType | None,
    tb_offset: int | None = None,  # noqa: ARG001
) -> None:
    shell._showtraceback(kind, error, [f"{error}"])  # noqa: SLF001
