"""The commands for models, notebooks and the cache: a function's parameters are the options, its results are printed.

Slow parts of the library are imported only when a command runs.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tqdm import tqdm
from tyro.conf import Positional, UseAppendAction, arg

from tinyhd_lib.engine import connected
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.weights import LICENCE_NOTE, TEACHER_NOTE, get_published, locate_weights, weights_table

logger = logging.getLogger(__name__)


_Settings = UseAppendAction[Annotated[tuple[str, ...], arg(metavar="NAME=VALUE")]]


@dataclass(frozen=True)
class Running:
    """Say where training runs; none of these options changes the result."""

    device: str = "auto"
    """auto; fused (CPU) or triton[:N] (CUDA), with this package's kernels where torch is slow; cpu, cuda[:N]."""
    loaders: int = 0
    """Worker processes that load clips."""
    force: bool = False
    """Start over, replacing earlier results."""


def train(
    running: Running,
    recipe: str | None = None,
    list: bool = False,
    set: _Settings = (),
    out: Path | None = None,
    tensorboard: bool = False,
) -> None:
    """Train a student; an interrupted training resumes.

    Args:
        running: Where it runs.
        recipe: Name of a built-in recipe (--list), or a YAML file.
        list: Print the names of the built-in recipes.
        set: Override an entry of the recipe, such as EPOCHS=2 or SIZE='[96, 128]'; may be given several times.
        out: Folder for checkpoints, log and run record; runs/RECIPE if not given.
        tensorboard: Also write OUT/tensorboard.
    """
    from tinyhd_lib.training.recipe import read_recipe, read_settings, recipe_names

    if list:
        print("\n".join(recipe_names()))
        return
    if recipe is None:
        raise BadInput(f"`recipe`: name one ({', '.join(recipe_names())}) or a YAML file")
    chosen = read_recipe(recipe, **read_settings(set))
    from tinyhd_lib.training import loop
    from tinyhd_lib.training.checkpoint import BEST_NAME

    out = out or Path("runs") / Path(recipe).stem
    entries = loop.train(chosen, out, **vars(running))
    for entry in loop.on_tensorboard(entries, out) if tensorboard else entries:
        if "scores" in entry:
            scores = ", ".join(f"{name} {value:.4f}" for name, value in entry["scores"].items())
            logger.info("epoch %d of %d: %s", entry["epoch"], chosen.epochs, scores)
    logger.info("done; it predicts with --weights %s", out / BEST_NAME)


def experiment(
    name: Positional[str],
    running: Running,
    budget: Literal["smoke", "laptop", "published"] = "laptop",
    data: Annotated[tuple[str, ...], arg(metavar="KIND=DIR [...]")] = (),
    seeds: tuple[int, ...] = (0,),
    set: _Settings = (),
    out: Path | None = None,
    workers: int = 1,
    cluster: str | None = None,
) -> None:
    """Train models that differ in one thing, and compare them.

    Args:
        name: auxiliary, datasets, decoders, distillation, heterogeneity, outputs, reduction, or a YAML file.
        running: Where it runs.
        budget: Training per model: seconds (smoke), minutes (laptop), or as in the paper, days on a GPU (published).
        data: Folders of the data sets, such as gaze=DIR; smoke and laptop synthesise small ones for any not given.
        seeds: Random seeds; each model is trained once per seed.
        set: Override an entry of the recipe that all models share; may be given several times.
        out: Folder for the tables and one subfolder per model; runs/NAME_BUDGET if not given.
        workers: Models trained in parallel, each in its own process.
        cluster: A Dask scheduler to use instead (tcp://host:8786), or a YAML file that describes a cluster.
    """
    from tinyhd_lib.training.experiment import ExperimentOptions, conduct
    from tinyhd_lib.training.recipe import read_settings

    places = {kind: folder for kind, _, folder in (each.partition("=") for each in data)}
    if not all(places.values()):
        raise BadInput(f"`data={' '.join(data)}`: KIND=DIR, such as gaze=DIR")
    out = out or Path("runs") / f"{Path(name).stem}_{budget}"
    options = ExperimentOptions(budget=budget, data=places, seeds=seeds, changes=read_settings(set))
    with connected(workers, cluster) as client:
        for run, _ in conduct(name, out, options, cluster=client, **vars(running)):
            logger.info("%s, seed %d: trained and measured", run.name, run.seed)
    print((out / "table.txt").read_text(encoding="utf-8"))
    logger.info("%s", out)


def export(
    model: Positional[str],
    to: Literal["onnx", "openvino", "torch"],
    input: Literal["clips", "frames"] = "clips",
    out: Path | None = None,
    force: bool = False,
) -> None:
    """Export a model as a file for other software, and compare the file's maps with torch's.

    Args:
        model: A name (tinyhd weights list), a .pth or a .safetensors file.
        to: File format.
        input: The model's input: clips (N, 3, 16, 192, 256) float32, preprocessed; or frames (N, 16, H, W, 3) uint8 RGB
            of any size, with preprocessing inside the model.
        out: File to write; NAME.onnx, .xml or .pt2 if not given.
        force: Replace existing files.
    """
    from tinyhd_lib.export import FORMATS, export_model
    from tinyhd_lib.models.graph import INPUTS

    suffixes = FORMATS[to].suffixes
    out = out or Path(f"{Path(model).stem}{suffixes[-1]}")
    logger.info("exporting %s to %s and running it: half a minute", model, out)
    parity = export_model(model, out, to, input, force=force)
    logger.info("takes %s", INPUTS[input])
    logger.info("%s", parity)
    files = [out.with_suffix(suffix) for suffix in suffixes]
    logger.info("%.1f MB -> %s", sum(file.stat().st_size for file in files) / 1e6, " and ".join(map(str, files)))


def list_weights(markdown: bool = False) -> None:
    """List the named models.

    Args:
        markdown: Print a Markdown table, as in the README.
    """
    table = weights_table()
    if markdown:
        print(table.to_markdown(index=False))
        return
    print(table.to_string(index=False, na_rep="-"))
    print("\nNSS and CC: the authors' own, DHF1K validation set (mean over frames, then over videos).")
    print("workbench-*: trained by this project and part of it; figures and licence lineage are in weights/.")
    print(f"Published students: {LICENCE_NOTE}.\nTeacher: {TEACHER_NOTE}.")


def get_weights(name: Positional[str]) -> None:
    """Download a published weights file, verify it, and print its path.

    Args:
        name: Name of published weights (tinyhd weights list).
    """
    print(get_published(name))


def convert_weights(file: Positional[str], out: Path | None = None) -> None:
    """Turn a published .pth into a self-describing .safetensors.

    Args:
        file: A name (tinyhd weights list) or a path.
        out: A .safetensors file; beside FILE if not given.
    """
    from tinyhd_lib.models.checkpoints import convert

    source = locate_weights(file)
    out = out or source.with_suffix(".safetensors")
    print(f"{out}: {convert(source, out).spec.label}")


def list_notebooks(notebooks: Path | None = None) -> None:
    """List the notebooks, with their parameter sets.

    Args:
        notebooks: Folder of the notebooks; the ones shipped with the package if not given.
    """
    from tinyhd_lib.notebooks.files import list_notebooks

    print(list_notebooks(notebooks).to_markdown(index=False, tablefmt="simple", maxcolwidths=[None, 32, 34]))


def copy_notebooks(folder: Positional[Path]) -> None:
    """Copy the notebooks and their parameter sets into a folder of your own.

    Args:
        folder: A new or an empty folder.
    """
    from tinyhd_lib.notebooks.files import copy_notebooks

    print("\n".join(map(str, copy_notebooks(folder))))


def run_notebooks(
    names: Positional[Annotated[tuple[str, ...], arg(metavar="[NAME ...]")]] = (),
    file: Annotated[UseAppendAction[tuple[str, ...]], arg(aliases=["-f"], metavar="FILE|SET")] = (),
    parameter: Annotated[UseAppendAction[tuple[tuple[str, str], ...]], arg(aliases=["-p"], metavar="NAME VALUE")] = (),
    out: Path | None = None,
    timeout: float | None = None,
    workers: int = 1,
    cluster: str | None = None,
    force: bool = False,
    notebooks: Path | None = None,
) -> int:
    """Run notebooks without a browser, each into a folder of its own; finished ones are skipped.

    Args:
        names: A name, the beginning of one, or a path; all notebooks if not given.
        file: Parameters: a YAML file, or the name of a parameter set, such as smoke for parameters/02_smoke.yaml.
        parameter: One parameter, its value in YAML syntax; overrides -f.
        out: Folder for the results, one subfolder per notebook; runs/notebooks, or runs/notebooks/SET if not given.
        timeout: Time limit per notebook in seconds; none if not given.
        workers: Notebooks run in parallel, each in its own process.
        cluster: A Dask scheduler to use instead (tcp://host:8786), or a YAML file that describes a cluster.
        force: Also run notebooks that are finished already.
        notebooks: Folder of the notebooks; the ones shipped with the package if not given.
    """
    from tinyhd_lib.files import read_values
    from tinyhd_lib.notebooks import files, runs

    planned = runs.plan(files.find_notebooks(names, notebooks), file, read_values(parameter), out)
    failed = 0
    with connected(workers, cluster) as client:
        outcomes = runs.run_notebooks(planned, cluster=client, timeout=timeout, force=force)
        for outcome in tqdm(outcomes, total=len(planned), unit=" notebooks", leave=False):
            logger.info("%s", outcome)
            failed += outcome.failure is not None
    logger.info("%d of %d notebooks -> %s", len(planned) - failed, len(planned), planned[0].folder.parent)
    return 1 if failed else 0


def show_cache() -> None:
    """Show the caches on this machine, with their sizes."""
    from tinyhd_lib.cache import cache_folder, cache_usage

    for kind, entries, size in cache_usage():
        print(f"{kind:12} {entries:7,} entries {size / 2**20:10,.1f} MiB")
    print(cache_folder())


def clear_cache(kind: Positional[str | None] = None, days: float = 0.0) -> None:
    """Clear the caches on this machine; entries are made again when they are needed.

    Args:
        kind: Only this kind of cache (tinyhd cache show); all if not given.
        days: Only entries that were not used for this many days.
    """
    from tinyhd_lib.cache import clear_cache

    print(f"{clear_cache(kind, days) / 2**20:,.1f} MiB removed")
