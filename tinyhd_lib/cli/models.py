"""The commands for models, notebooks and the cache: parameters are options; what the library gives is printed.

What of the library is slow to import is imported when a command runs.
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
    """Where training runs; none of it decides what comes out."""

    device: str = "auto"
    """auto; fused or triton[:N], a CPU or CUDA with kernels of our own where torch is slow; cpu, cuda[:N]."""
    loaders: int = 0
    """Processes that prepare clips."""
    force: bool = False
    """Begin anew, over what is there."""


def train(
    running: Running,
    recipe: str | None = None,
    list: bool = False,
    set: _Settings = (),
    out: Path | None = None,
    tensorboard: bool = False,
) -> None:
    """Teach a student; what was cut off goes on.

    Args:
        running: Where it runs.
        recipe: One of ours (--list) or a YAML file.
        list: Print the names of our recipes.
        set: Change an entry of the recipe, as often as needed, such as EPOCHS=2 or SIZE='[96, 128]'.
        out: Checkpoints, log and record; runs/RECIPE if not given.
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
        budget: Seconds a model (smoke), minutes (laptop), or as in the paper, with a GPU and days (published).
        data: Where data sets are, such as gaze=DIR; with smoke and laptop, small ones are made up where none is named.
        seeds: Each model is trained once with each.
        set: Change an entry of the recipe that all share, as often as needed.
        out: A folder a model, and the tables; runs/NAME_BUDGET if not given.
        workers: Models at once, in a process each.
        cluster: A Dask scheduler to do it instead (tcp://host:8786), or a YAML file of a cluster.
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
    """Write a model as a file for other software, held against torch.

    Args:
        model: A name (tinyhd weights list), a .pth or a .safetensors file.
        to: The kind of file.
        input: What it takes: clips (N, 3, 16, 192, 256) float32, preprocessed; or frames (N, 16, H, W, 3) uint8 RGB of
            any size, with preprocessing inside.
        out: NAME.onnx, .xml or .pt2 if not given.
        force: Replace what is there.
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
    """List the models that have names.

    Args:
        markdown: As the README has it.
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
    """Download a published file, verified, and print its path.

    Args:
        name: Of published weights (tinyhd weights list).
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
    """List the notebooks, with their sets of parameters.

    Args:
        notebooks: Where they lie; those that come with us if not given.
    """
    from tinyhd_lib.notebooks.files import list_notebooks

    print(list_notebooks(notebooks).to_markdown(index=False, tablefmt="simple", maxcolwidths=[None, 32, 34]))


def copy_notebooks(folder: Positional[Path]) -> None:
    """Put the notebooks and their sets of parameters into a folder of your own.

    Args:
        folder: Is made, or empty.
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
    """Run notebooks without a browser, each into a folder of its own; what is done is passed over.

    Args:
        names: A name, the beginning of one, or a path; all if not given.
        file: Parameters: a YAML file, or the name of a set, such as smoke for parameters/02_smoke.yaml.
        parameter: One parameter, its value as YAML writes it; wins over -f.
        out: Where a folder a notebook goes; runs/notebooks, or runs/notebooks/SET if not given.
        timeout: Seconds that a notebook may take; no end if not given.
        workers: Notebooks at once, in a process each.
        cluster: A Dask scheduler to do it instead (tcp://host:8786), or a YAML file of a cluster.
        force: Run what is done already, too.
        notebooks: Where they lie; those that come with us if not given.
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
    """Show what is kept on this machine, and how large it is."""
    from tinyhd_lib.cache import cache_folder, cache_usage

    for kind, entries, size in cache_usage():
        print(f"{kind:12} {entries:7,} entries {size / 2**20:10,.1f} MiB")
    print(cache_folder())


def clear_cache(kind: Positional[str | None] = None, days: float = 0.0) -> None:
    """Remove what is kept on this machine; it is made again when it is needed.

    Args:
        kind: Only this one (tinyhd cache show); all if not given.
        days: Only what was not used for so many days.
    """
    from tinyhd_lib.cache import clear_cache

    print(f"{clear_cache(kind, days) / 2**20:,.1f} MiB removed")
