"""Notebooks as files: which there are, what they say of themselves, and the parameters that they are given."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from tinyhd_lib.errors import BadInput

_YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Notebook:
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
        """The file's name without its suffix, such as ``02_distillation_training``."""
        return self.path.stem

    @property
    def sets(self) -> list[str]:
        """The names of its sets of parameters: ``smoke`` for ``parameters/02_smoke.yaml``."""
        return sorted(path.stem.partition("_")[2] for path in self.set_path("*").parent.glob(self.set_path("*").name))

    def set_path(self, name: str) -> Path:
        """Where a set of parameters for this notebook lies."""
        return self.path.parent / "parameters" / f"{self.name.partition('_')[0]}_{name}.yaml"

    def known(self) -> set[str]:
        """All the names that a parameter may have."""
        if not self.recipe:
            return set(self.parameters)
        from tinyhd_lib.notebooks.helpers import recipe_entries

        return {*self.parameters, *map(str.upper, recipe_entries())}


def find_notebooks(names: Sequence[str], folder: Path) -> list[Notebook]:
    """Notebooks by name.

    Args:
        names: stems, beginnings of one stem each, such as ``02``, or paths of .ipynb files; without any, all of them.
        folder: where they lie.

    Raises:
        BadInput: one cannot be found or read, or two are called the same.
    """
    paths = list(dict.fromkeys(_find(name, folder) for name in names)) or _notebooks_in(folder)
    stems = [path.stem for path in paths]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice:
        raise BadInput(f"several notebooks are called {twice!r}, and would share a folder; run them one by one")
    return [read_notebook(path) for path in paths]


def read_notebook(path: Path) -> Notebook:
    """What a notebook says of itself.

    Raises:
        BadInput: it is no notebook, or its parameters are no Python.
    """
    try:
        content = json.loads(path.read_bytes())
        own = content["metadata"].get("tinyhd", {})
        prose = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "markdown"]
        tagged = [
            "".join(cell["source"]) for cell in content["cells"] if "parameters" in cell["metadata"].get("tags", ())
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a notebook, at least none of format 4") from error
    try:
        parameters = _assigned("".join(tagged[:1]))
    except SyntaxError as error:
        raise BadInput(f"{path}: its parameters cell is no Python ({error.msg}, line {error.lineno})") from error
    title = next((line.removeprefix("# ") for line in "\n".join(prose).splitlines() if line.startswith("# ")), "")
    return Notebook(path, title, parameters, own.get("recipe", False), tuple(own.get("artefacts", ())))


def is_set(source: str) -> bool:
    """Whether ``-f`` names a set of parameters, and not a YAML file."""
    return not source.endswith(_YAML_SUFFIXES)


def gather_parameters(notebook: Notebook, sources: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one notebook, checked.

    Args:
        notebook: that is given them.
        sources: YAML files, or names of sets; of equal entries the last one counts.
        settings: single ones, which win over all others.

    Raises:
        BadInput: a file is not there or no table, the notebook does not know a name, or a value is of no use.
    """
    parameters: dict[str, Any] = {}
    for source in sources:
        parameters |= _read_set(notebook, source) if is_set(source) else _read_table(Path(source))
    parameters |= settings
    for name, value in parameters.items():
        if name not in notebook.parameters and name not in notebook.known():
            raise BadInput(f"{notebook.name}: no parameter {name}; {_nearest(str(name), notebook)}")
        try:
            json.dumps(value)
        except TypeError as error:
            raise BadInput(f"{name} {value!r}: neither text nor a number; put it in quotes") from error
    return parameters


def _find(name: str, folder: Path) -> Path:
    if name.endswith(".ipynb"):
        if not Path(name).is_file():
            raise BadInput(f"{name}: no such notebook")
        return Path(name)
    paths = _notebooks_in(folder)
    found = [path for path in paths if path.stem == name] or [path for path in paths if path.stem.startswith(name)]
    if len(found) == 1:
        return found[0]
    trouble = "begins several notebooks" if found else "no such notebook"
    raise BadInput(f"{name!r}: {trouble}; there are {', '.join(path.stem for path in found or paths)}")


def _notebooks_in(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.ipynb"))
    if not paths:
        trouble = "no notebooks in it" if folder.is_dir() else "no such folder"
        raise BadInput(f"{folder}: {trouble}; run this where the notebooks' folder is, or name it with --notebooks")
    return paths


def _assigned(source: str) -> tuple[str, ...]:
    """The names that a cell gives a value."""
    targets: list[ast.expr] = []
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign():
                targets += statement.targets
            case ast.AnnAssign():
                targets.append(statement.target)
    return tuple(target.id for target in targets if isinstance(target, ast.Name))


def _read_set(notebook: Notebook, name: str) -> dict[str, Any]:
    path = notebook.set_path(name)
    if not path.is_file():
        there = f"{notebook.name} has {', '.join(notebook.sets) or 'none'}"
        raise BadInput(f"-f {name}: no such set of parameters ({path} is not there); {there}")
    return _read_table(path)


def _read_table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadInput(f"-f {path}: no such file")
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"-f {path}: not YAML that can be read ({str(error).partition(chr(10))[0]})") from error
    if not isinstance(table, dict):
        raise BadInput(f"-f {path}: parameters are a table of names and values")
    return table


def _nearest(name: str, notebook: Notebook) -> str:
    near = get_close_matches(name.upper(), sorted(notebook.known()), n=3, cutoff=0.5)
    return f"the nearest are {', '.join(near)}" if near else f"it has {', '.join(notebook.parameters) or 'none'}"
