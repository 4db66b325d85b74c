"""Find, read and copy notebooks, and gather their parameters."""

import json
import shutil
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from symtable import symtable
from typing import Any, NamedTuple

import pandas as pd

from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import read_yaml, shipped


class Notebook(NamedTuple):
    """The metadata of a notebook.

    Attributes:
        path: of its file.
        title: its first heading.
        parameters: the names in its cell tagged ``parameters``.
        recipe: whether it also takes the entries of a recipe, in capitals.
        artefacts: the files that it declares to write into its folder OUT.
    """

    path: Path
    title: str
    parameters: tuple[str, ...]
    recipe: bool
    artefacts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the file's name without its suffix, such as ``02_distillation_training``."""
        return self.path.stem

    @property
    def sets(self) -> list[str]:
        """Return the names of its parameter sets: ``smoke`` for ``parameters/02_smoke.yaml``."""
        pattern = self.set_path("*")
        return sorted(path.stem.partition("_")[2] for path in pattern.parent.glob(pattern.name))

    def set_path(self, name: str) -> Path:
        """Return the path of a parameter set for this notebook."""
        return self.path.parent / "parameters" / f"{self.name.partition('_')[0]}_{name}.yaml"

    def known(self) -> list[str]:
        """Return the names of all parameters that it takes."""
        if not self.recipe:
            return list(self.parameters)
        from tinyhd_lib.training.recipe import Recipe

        return [*self.parameters, *map(str.upper, Recipe.__annotations__)]


def find_notebooks(names: Sequence[str] = (), folder: Path | None = None) -> list[Notebook]:
    """Return notebooks by name.

    Args:
        names: stems, beginnings of one stem each, such as ``02``, or paths of .ipynb files; without any, all of them.
        folder: the folder of the notebooks; those shipped with the package if None.

    Raises:
        BadInput: one cannot be found or read, or two have the same name.
    """
    folder = shipped("notebooks") if folder is None else folder
    there = sorted(folder.glob("*.ipynb"))
    if not there:
        raise BadInput(f"{folder}: {'no notebooks in it' if folder.is_dir() else 'no such folder'}")
    paths = list(dict.fromkeys(_find(name, there) for name in names)) or there
    stems = [path.stem for path in paths]
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise BadInput(f"several notebooks are called {twice[0]!r}, and would share a folder; run them one by one")
    return [read_notebook(path) for path in paths]


def list_notebooks(folder: Path | None = None) -> pd.DataFrame:
    """Return a table of the notebooks in a folder (see `find_notebooks`): their names, titles and sets.

    Examples:
        >>> list_notebooks()["notebook"][0]
        '01_teacher_inspection'
    """
    rows = [(each.name, each.title, ", ".join(each.sets) or "-") for each in find_notebooks(folder=folder)]
    return pd.DataFrame(rows, columns=["notebook", "title", "sets"])


def copy_notebooks(folder: Path) -> list[Path]:
    """Copy the shipped notebooks and their parameter sets into a folder; return the paths of the notebooks.

    Args:
        folder: a new or an empty folder.

    Raises:
        BadInput: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder}: something is there already; give another `folder`")
    ours = shutil.ignore_patterns("runs", ".*")  # results of runs in a checkout
    shutil.copytree(shipped("notebooks"), folder, ignore=ours, dirs_exist_ok=True)
    return sorted(folder.glob("*.ipynb"))


def read_notebook(path: Path) -> Notebook:
    """Return the metadata of a notebook.

    Raises:
        BadInput: it is no notebook, or its parameters are not valid Python.
    """
    try:
        content = json.loads(path.read_bytes())
        own, cells = content["metadata"].get("tinyhd", {}), content["cells"]
        prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        given = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
        # Papermill's own reader misses names that are annotated ``str | None``.
        names = symtable(given[0] if given else "", str(path), "exec")
    except SyntaxError as error:
        raise BadInput(f"{path}: its parameters cell is no Python ({error.msg}, line {error.lineno})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a notebook, at least none of format 4") from error
    lines = "\n".join(prose).splitlines()
    title = next((line.removeprefix("# ") for line in lines if line.startswith("# ")), "")
    parameters = tuple(each.get_name() for each in names.get_symbols() if each.is_assigned())
    return Notebook(path, title, parameters, own.get("recipe", False), tuple(own.get("artefacts", ())))


def is_set(source: str) -> bool:
    """Return whether a source of parameters is the name of a parameter set rather than a YAML file."""
    return not source.endswith((".yaml", ".yml"))


def gather_parameters(notebook: Notebook, sources: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of one notebook, checked.

    Args:
        notebook: the notebook that takes them.
        sources: YAML files, or names of parameter sets; later ones override earlier ones.
        settings: single parameters, which override all others.

    Raises:
        BadInput: a file is missing or no table, the notebook has no such parameter, or a value is not JSON-ready.
    """
    parameters: dict[str, Any] = {}
    for source in sources:
        path = notebook.set_path(source) if is_set(source) else Path(source)
        if not path.is_file():
            there = f"the sets {', '.join(notebook.sets)}" if notebook.sets else "no sets"
            raise BadInput(f"{path}: no such parameters; {notebook.name} has {there}")
        parameters |= read_yaml(path)
    parameters |= settings
    for name, value in parameters.items():
        if name not in notebook.known():
            near = ", ".join(get_close_matches(str(name).upper(), notebook.known(), n=3, cutoff=0.5))
            remedy = f"the nearest are {near}" if near else f"it has {', '.join(notebook.parameters) or 'none'}"
            raise BadInput(f"{notebook.name}: no parameter {name}; {remedy}")
        with refusing(f"{name} {value!r}: neither text nor a number; put it in quotes", TypeError):
            parameters[name] = json.loads(json.dumps(value))  # as read back from a record, where a tuple is a list
    return parameters


def _find(name: str, there: Sequence[Path]) -> Path:
    if name.endswith(".ipynb"):
        if not Path(name).is_file():
            raise BadInput(f"{name}: no such notebook")
        return Path(name)
    found = [path for path in there if path.stem == name] or [path for path in there if path.stem.startswith(name)]
    if len(found) == 1:
        return found[0]
    trouble = "begins several notebooks" if found else "no such notebook"
    raise BadInput(f"{name!r}: {trouble}; there are {', '.join(path.stem for path in found or there)}")
