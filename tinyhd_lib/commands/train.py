"""``tinyhd train`` and ``tinyhd ablate``."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm.contrib.logging import logging_redirect_tqdm

from tinyhd_lib.errors import BadInput
from tinyhd_lib.training.recipe import read_recipe, recipe_names

logger = logging.getLogger(__name__)


def train(options: argparse.Namespace) -> int:
    """``tinyhd train``: a student into a folder; a progress bar, and a line an epoch."""
    if options.list:
        sys.stdout.writelines(f"{name}\n" for name in recipe_names())
        return 0
    if options.recipe is None:
        raise BadInput(f"--recipe: name one ({', '.join(recipe_names())}) or a YAML file")
    recipe = read_recipe(options.recipe, **changes(options.set))
    from tinyhd_lib.training.loop import train as run

    out = Path(options.out or f"runs/{Path(options.recipe).stem}")
    entries = run(recipe, out, device=options.device, workers=options.workers, force=options.force)
    with logging_redirect_tqdm():
        for entry in _on_tensorboard(entries, out) if options.tensorboard else entries:
            if "scores" in entry:
                scores = ", ".join(f"{name} {value:.4f}" for name, value in entry["scores"].items())
                logger.info("epoch %d of %d: %s", entry["epoch"], recipe.epochs, scores)
    logger.info("%s", out)
    return 0


def _on_tensorboard(entries: Iterator[dict[str, Any]], out: Path) -> Iterator[dict[str, Any]]:
    """Pass a training on, and write it down for TensorBoard.

    Raises:
        BadInput: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BadInput("--tensorboard: it is not installed; pip install 'tinyhd[tensorboard]'") from error
    with SummaryWriter(str(out / "tensorboard")) as writer:
        for entry in entries:
            for kind in ("terms", "scores"):
                for name, value in entry.get(kind, {}).items():
                    writer.add_scalar(f"{kind}/{name}", value, entry["step"])
            yield entry


def ablate(options: argparse.Namespace) -> int:
    """``tinyhd ablate``: a table of rows that were trained alike."""
    recipe = read_recipe(options.recipe, **changes(options.set))
    from tinyhd_lib.training.ablate import ablate as run
    from tinyhd_lib.training.ablate import as_table, rows_of

    rows = rows_of(options.models)
    with logging_redirect_tqdm():
        table = []
        for comparison in run(
            rows, recipe, Path(options.out), device=options.device, workers=options.workers, force=options.force
        ):
            table.append(comparison)
            logger.info("%s: %s", comparison.model, comparison.scores)
    sys.stdout.write(as_table(table))
    return 0


def changes(settings: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` pairs as entries of a recipe, the values read as YAML.

    Raises:
        BadInput: one of them is not such a pair.
    """
    found = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (equals and name):
            raise BadInput(f"--set {setting!r}: NAME=VALUE, such as EPOCHS=2")
        try:
            found[name.lower()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BadInput(f"--set {setting!r}: the value is no YAML") from error
    return found
