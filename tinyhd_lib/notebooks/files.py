"""Notebooks as files: which there are, what they say of themselves, what they are given, and copies of them."""

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
    """What a notebook says of itself.

    Attributes:
        path: of its file.
        title: its first heading.
        parameters: the names in its cell tagged ``parameters``.
        recipe: whether it takes the entries of a recipe too, in capitals.
        artefacts: the files that it promises to leave in its folder OUT.
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
        """Return the names of its sets of parameters: ``smoke`` for ``parameters/02_smoke.yaml``."""
        pattern = self.set_path("*")
        return sorted(path.stem.partition("_")[2] for path in pattern.parent.glob(pattern.name))

    def set_path(self, name: str) -> Path:
        """Return where a set of parameters for this notebook lies."""
        return self.path.parent / "parameters" / f"{self.name.partition('_')[0]}_{name}.yaml"

    def known(self) -> list[str]:
        """Return all the names that a parameter may have."""
        if not self.recipe:
            return list(self.parameters)
        from tinyhd_lib.training.recipe import Recipe

        return [*self.parameters, *map(str.upper, Recipe.__annotations__)]


def find_notebooks(names: Sequence[str] = (), folder: Path | None = None) -> list[Notebook]:
    """Return notebooks by name.

    Args:
        names: stems, beginnings of one stem each, such as ``02``, or paths of .ipynb files; without any, all of them.
        folder: where they lie; those that come with the library if None.

    Raises:
        BadInput: one cannot be found or read, or two are called the same.
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
    """Copy the notebooks that come with the library, and their sets of parameters; return where the notebooks are.

    Args:
        folder: where they go; it is made, or empty.

    Raises:
        BadInput: something is in the folder.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder}: something is there already; give another `folder`")
    ours = shutil.ignore_patterns("runs", ".*")  # and not what somebody made of them in a checkout
    shutil.copytree(shipped("notebooks"), folder, ignore=ours, dirs_exist_ok=True)
    return sorted(folder.glob("*.ipynb"))


def read_notebook(path: Path) -> Notebook:
    """Return what a notebook says of itself.

    Raises:
        BadInput: it is no notebook, or its parameters are no Python.
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
    """Return whether a source of parameters is the name of a set, and no YAML file."""
    return not source.endswith((".yaml", ".yml"))


def gather_parameters(notebook: Notebook, sources: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of one notebook, checked.

    Args:
        notebook: that is given them.
        sources: YAML files, or names of sets; of equal entries the last one counts.
        settings: single ones, which win over all others.

    Raises:
        BadInput: a file is not there or no table, the notebook does not know a name, or a value is of no use.
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
            parameters[name] = json.loads(json.dumps(value))  # as a record will give it back: a tuple is a list there
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
