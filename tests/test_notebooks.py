"""The notebooks: they follow the rules of style, run on their smoke sets, and produce the artefacts they promise."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from tinyhd_lib.notebooks.files import gather_parameters, read_notebook
from tinyhd_lib.notebooks.helpers import as_html

FOLDER = ROOT / "notebooks"
NAMES = (
    "01_teacher_inspection",
    "02_distillation_training",
    "03_decoder_ablations",
    "04_metric_evaluation",
    "05_visualization",
)
PATHS = sorted(FOLDER.glob("*.ipynb"))
SETS = sorted((FOLDER / "parameters").glob("*.yaml"))
PROMISES = [(path.stem, name) for path in PATHS for name in read_notebook(path).artefacts]

LONGEST_DEFINITION = 25  # lines: a figure of one notebook only is defined there
LONGEST_CELL = 18  # lines, without its definitions
PARAMETERS_CELL = 2


def test_there_are_five() -> None:
    assert [path.stem for path in PATHS] == list(NAMES)


# How they are written: each rule reports its violations

Notebook = Any


def is_of_this_python(notebook: Notebook) -> Iterator[str]:
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield "format 4.5 is what has names for cells"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"


def begins_with_what_it_is_about(notebook: Notebook) -> Iterator[str]:
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not re.match(r"# 0\d [A-Z]", first.source):
        yield "the first cell is not prose under a title such as '# 02 Distillation training'"
    if not 3 <= len(re.findall(r"^- ", first.source.partition("What you will learn")[2], flags=re.MULTILINE)) <= 5:
        yield "the first cell does not say in three to five points what you will learn"


def has_one_cell_of_parameters(notebook: Notebook) -> Iterator[str]:
    tagged = [index for index, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())]
    if tagged != [PARAMETERS_CELL]:
        yield f"cells {tagged} are tagged parameters, instead of the third alone"


def explains_each_parameter(notebook: Notebook) -> Iterator[str]:
    lines = notebook.cells[PARAMETERS_CELL].source.splitlines()
    for line in lines:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*: \S.* = \S.*  # \S.*", line):
            yield f"not NAME: type = value  # comment: {line}"
    if not any(line.startswith("OUT: str = ") for line in lines):
        yield "there is no OUT"


def explains_before_it_computes(notebook: Notebook) -> Iterator[str]:
    for index, (cell, following) in enumerate(pairwise(notebook.cells[PARAMETERS_CELL:])):
        if cell.cell_type == following.cell_type == "code":
            yield f"no prose between cells {index + PARAMETERS_CELL} and {index + PARAMETERS_CELL + 1}"


def leaves_code_to_the_library(notebook: Notebook) -> Iterator[str]:
    for index, tree in code_of(notebook):
        definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        defined = sum((node.end_lineno or 0) - node.lineno + 1 for node in definitions)
        lines = [line for line in notebook.cells[index].source.splitlines() if line]
        if index >= PARAMETERS_CELL and len(lines) - defined > LONGEST_CELL:
            yield f"cell {index} is longer than {LONGEST_CELL} lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield f"cell {index} defines the class {node.name}"
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST_DEFINITION:
                    yield f"a definition in cell {index} is {length} lines long"


def names_no_place_of_one_machine(notebook: Notebook) -> Iterator[str]:
    for index, tree in code_of(notebook):
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        yield from (f"cell {index}: {text}" for text in texts if is_absolute(text))
    for index, cell in enumerate(notebook.cells):
        words = re.split(r"[\s`'\"()<>]+", cell.source) if cell.cell_type == "markdown" else []
        yield from (f"cell {index}: {word}" for word in words if is_absolute(word))


def promises_something(notebook: Notebook) -> Iterator[str]:
    artefacts = notebook.metadata.get("tinyhd", {}).get("artefacts", [])
    if not artefacts:
        yield "the metadata tinyhd.artefacts name no file"
    yield from (f"{name}: this file has no check that fits it" for name in artefacts if Path(name).suffix not in CHECKS)


def ends_with_next_steps(notebook: Notebook) -> Iterator[str]:
    last = notebook.cells[-1]
    if last.cell_type != "markdown" or not last.source.startswith("## Next steps\n"):
        yield "the last cell is not prose under '## Next steps'"


def links_to_what_is_there(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.cells:
        links = re.findall(r"\]\((?!http|#)([^)#]+)", cell.source) if cell.cell_type == "markdown" else []
        missing = [link for link in links if Path(link).stem not in NAMES and not (FOLDER / link).exists()]
        yield from (f"a link to {link}, which is not there" for link in missing)


RULES: tuple[Callable[[Notebook], Iterator[str]], ...] = (
    is_of_this_python,
    begins_with_what_it_is_about,
    has_one_cell_of_parameters,
    explains_each_parameter,
    explains_before_it_computes,
    leaves_code_to_the_library,
    names_no_place_of_one_machine,
    promises_something,
    ends_with_next_steps,
    links_to_what_is_there,
)


def code_of(notebook: Notebook) -> Iterator[tuple[int, ast.Module]]:
    """The number and the syntax tree of every code cell, with magics as calls."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            yield index, ast.parse(TransformerManager().transform_cell(cell.source))


def is_absolute(text: str) -> bool:
    return bool(re.match(r"/\w|~|[A-Za-z]:[\\/]\w|file://", text))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook(path: Path, rule: Callable[[Notebook], Iterator[str]]) -> None:
    assert list(rule(nbformat.read(path, as_version=nbformat.NO_CONVERT))) == []


@pytest.mark.slow
def test_notebooks_are_stripped_of_what_they_gave(tmp_path: Path) -> None:
    """So is the sound one below; an output, a count or another name of a cell is noticed."""
    nbformat.write(sound_notebook(), tmp_path / "sound.ipynb")
    output = nbformat.v4.new_output("stream", text="said")
    faults = {
        tmp_path / "output.ipynb": put(4, outputs=[output]),
        tmp_path / "count.ipynb": put(4, execution_count=3),
        tmp_path / "name.ipynb": put(4, id="long-and-random"),
    }
    for path, fault in faults.items():
        notebook = sound_notebook()
        fault(notebook)
        nbformat.write(notebook, path)
    command = [sys.executable, "-m", "nbstripout", "--dry-run", *PATHS, tmp_path / "sound.ipynb", *faults]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.splitlines() == [f"Dry run: would have stripped {path}" for path in faults]


# Sets of parameters


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_has_a_smoke_set(path: Path) -> None:
    assert "smoke" in read_notebook(path).sets


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_a_set_belongs_to_a_notebook_that_knows_its_names(path: Path) -> None:
    [name] = [name for name in NAMES if name.startswith(path.stem.partition("_")[0] + "_")]
    if (FOLDER / f"{name}.ipynb") in PATHS:
        parameters = gather_parameters(read_notebook(FOLDER / f"{name}.ipynb"), [str(path)], {})
        assert parameters
        assert "OUT" not in parameters  # each run has its own output folder
    assert not [word for word in re.split(r"[\s'\"\[\],]+", path.read_text()) if is_absolute(word)]


# The rules notice violations


def sound_notebook() -> Notebook:
    """The shortest notebook that violates no rule."""
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}, "tinyhd": {"artefacts": ["a.csv"]}},
        cells=[
            nbformat.v4.new_markdown_cell("# 02 Title\n\nWhat you will learn:\n\n- one\n- two\n- three"),
            nbformat.v4.new_code_cell("%matplotlib inline\nimport math"),
            nbformat.v4.new_code_cell('OUT: str = "runs/x"  # where files go', metadata={"tags": ["parameters"]}),
            nbformat.v4.new_markdown_cell("See [the first](01_teacher_inspection.ipynb), `runs/x`, and/or 1/2."),
            nbformat.v4.new_code_cell("def square(x):\n    return x * x"),
            nbformat.v4.new_markdown_cell("## Next steps\n\n- [Next](03_decoder_ablations.ipynb)"),
        ],
    )
    for index, cell in enumerate(notebook.cells):
        cell.id = str(index)
    return notebook


def test_a_sound_notebook_breaks_no_rule() -> None:
    assert [complaint for rule in RULES for complaint in rule(sound_notebook())] == []


def put(cell: int, **entries: Any) -> Callable[[Notebook], None]:
    """A change that sets entries of a cell."""
    return lambda notebook: notebook.cells[cell].update(entries)


def add(place: int, source: str, **options: Any) -> Callable[[Notebook], None]:
    """A change that inserts a code cell."""
    return lambda notebook: notebook.cells.insert(place, nbformat.v4.new_code_cell(source, **options))


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (is_of_this_python, lambda notebook: notebook.update(nbformat_minor=4)),
        (is_of_this_python, lambda notebook: notebook.metadata.pop("kernelspec")),
        (begins_with_what_it_is_about, put(0, source="Title\n\nWhat you will learn:\n\n- one\n- two\n- three")),
        (begins_with_what_it_is_about, put(0, source="# 02 Title\n\nWhat you will learn:\n\n- one\n- two")),
        (has_one_cell_of_parameters, put(2, metadata={})),
        (has_one_cell_of_parameters, add(4, "A = 1", metadata={"tags": ["parameters"]})),
        (has_one_cell_of_parameters, lambda notebook: notebook.cells.pop(1)),
        (explains_each_parameter, put(2, source='OUT = "runs/x"  # where')),
        (explains_each_parameter, put(2, source='OUT: str = "runs/x"')),
        (explains_each_parameter, put(2, source='OUT: str = "runs/x"  # where\nseed: int = 0  # of all')),
        (explains_each_parameter, put(2, source="SEED: int = 0  # of all")),
        (explains_before_it_computes, add(4, "1")),
        (explains_before_it_computes, add(3, "1")),
        (leaves_code_to_the_library, put(4, source="class A:\n    pass")),
        (leaves_code_to_the_library, put(4, source="def f(x):\n" + "    x += 1\n" * 24 + "    return x")),
        (leaves_code_to_the_library, put(4, source="if True:\n  f = lambda x: (\n    x" + "\n    + 1" * 26 + ")")),
        (leaves_code_to_the_library, put(4, source="\n".join(["math.pi"] * 19))),
        (names_no_place_of_one_machine, put(4, source='open("/home/me/film.mp4")')),
        (names_no_place_of_one_machine, put(4, source='f"~/{math.pi}"')),
        (names_no_place_of_one_machine, put(4, source='"C:\\\\films"')),
        (names_no_place_of_one_machine, put(3, source="See `/data/dhf1k` and more")),
        (promises_something, lambda notebook: notebook.metadata.tinyhd.update(artefacts=[])),
        (promises_something, lambda notebook: notebook.metadata.pop("tinyhd")),
        (promises_something, lambda notebook: notebook.metadata.tinyhd.update(artefacts=["a.xyz"])),
        (ends_with_next_steps, lambda notebook: notebook.cells.pop()),
        (ends_with_next_steps, put(5, source="## The end\n")),
        (links_to_what_is_there, put(5, source="## Next steps\n\n[next](06_more.ipynb)")),
    ],
)
def test_a_rule_notices_what_breaks_it(rule: Callable[[Notebook], Iterator[str]], fault: Callable[..., Any]) -> None:
    notebook = sound_notebook()
    fault(notebook)
    assert list(rule(notebook))


# They run


def check_picture(path: Path) -> None:
    picture = cv2.imread(str(path))
    assert picture is not None, "no picture"
    assert min(picture.shape[:2]) >= 100
    assert picture.std() > 5, "blank"


def check_table(path: Path) -> None:
    table = pd.read_csv(path)
    assert len(table) > 0, "no rows"
    assert np.isfinite(table.select_dtypes("number").to_numpy(float)).all(), "numbers that are none"


def check_film(path: Path) -> None:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(frames) > 1, "no frames"
    assert max(frame.std() for frame in frames) > 5, "blank"


def check_json(path: Path) -> None:
    assert json.loads(path.read_text()), "nothing in it"


def check_yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text()), "nothing in it"


CHECKS: dict[str, Callable[[Path], None]] = {
    ".png": check_picture,
    ".csv": check_table,
    ".mp4": check_film,
    ".json": check_json,
    ".yaml": check_yaml,
}


def example_data() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (ROOT / "example_data").iterdir() if path.is_file()}


class Smoke(NamedTuple):
    """The run of all notebooks on their smoke sets: its folder, its messages, and the example data as it was before."""

    here: Path
    told: str
    examples: dict[str, bytes]


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    here, examples = tmp_path_factory.mktemp("smoke"), example_data()
    command = [sys.executable, "-m", "tinyhd_lib", "notebooks", "run", "-f", "smoke", "--jobs", "2", "--timeout", "900"]
    finished = subprocess.run(command, cwd=here, stderr=subprocess.PIPE, text=True, check=False)
    return Smoke(here, finished.stderr, examples)


def out(smoke: Smoke, name: str) -> Path:
    return smoke.here / "runs" / "notebooks" / "smoke" / name


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_its_smoke_set(path: Path, smoke: Smoke) -> None:
    record = out(smoke, path.stem) / "run.json"
    assert record.exists(), smoke.told
    found = json.loads(record.read_text())
    assert found["complete"], found["details"]["failure"]


@pytest.mark.slow
@pytest.mark.parametrize(("notebook", "name"), PROMISES)
def test_an_artefact_is_worth_having(notebook: str, name: str, smoke: Smoke) -> None:
    CHECKS[Path(name).suffix](out(smoke, notebook) / name)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_cell_warns(path: Path, smoke: Smoke) -> None:
    executed = nbformat.read(out(smoke, path.stem) / "notebook.ipynb", as_version=4)
    outputs = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    streams = [output.text for output in outputs if output.output_type == "stream"]
    assert not [text for text in streams if "Warning" in text]


@pytest.mark.slow
def test_they_write_nowhere_else(smoke: Smoke) -> None:
    here = smoke.here
    assert {path.name for path in here.iterdir()} == {"runs"}
    assert {path.name for path in (here / "runs").iterdir()} == {"notebooks"}
    assert example_data() == smoke.examples


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""),
        ("a.png", b"no picture"),
        ("a.png", cv2.imencode(".png", np.full((200, 200, 3), 255, np.uint8))[1].tobytes()),
        ("a.csv", b"epoch,loss\n"),
        ("a.csv", b"epoch,loss\n1,nan\n"),
        ("a.csv", b"epoch,loss\n1,-inf\n"),
        ("a.mp4", b"no film"),
        ("a.json", b"{}"),
        ("a.yaml", b""),
    ],
)
def test_a_check_notices_what_is_of_no_worth(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((AssertionError, av.error.FFmpegError, pd.errors.EmptyDataError)):
        CHECKS[path.suffix](path)


def test_a_check_lets_text_and_a_film_pass(tmp_path: Path, video_file: Path) -> None:
    (tmp_path / "a.csv").write_text("model,label,kl\nr4,M r4,1.5\nr2,,2.5\n")
    check_table(tmp_path / "a.csv")
    check_film(video_file)


def test_tables_are_shown_with_digits_that_mean_something_and_without_numbered_rows() -> None:
    table = pd.DataFrame({"sample_ms": [10717.082587, 0.123456], "what": ["a", "b"], "parts": [5.61e-07, np.nan]})
    html = as_html(table)
    assert re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", html) == [
        *("sample ms", "what", "parts"),
        *("10,717", "a", "5.61e-07"),
        *("0.1235", "b", ""),
    ]
    assert ">model<" in as_html(table.rename_axis("model"))


@pytest.mark.slow
@pytest.mark.parametrize("headless", [False, True])
def test_where_nobody_watches_there_are_no_bars(monkeypatch: pytest.MonkeyPatch, *, headless: bool) -> None:
    if headless:
        monkeypatch.setenv("TQDM_DISABLE", "1")
    source = "%load_ext tinyhd_lib.notebooks.helpers\nfrom tqdm.auto import tqdm\nprint(sum(tqdm(range(4))))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, kernel_name="python3", store_widget_state=False).execute()
    kinds = [output.output_type for output in notebook.cells[0].outputs]
    assert ("display_data" in kinds) == (not headless)
    assert any(output.get("text") == "6\n" for output in notebook.cells[0].outputs)
