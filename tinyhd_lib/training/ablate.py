"""Ablations: the same recipe for many models, and a table like the paper's.

for comparison in ablate(specs_of(["decoders"]), recipe, Path("runs/ablation")):
    ...  # one row of the table; what was trained before is not trained again
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tinyhd_lib.engine import results
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.spec import MODEL_SPECS
from tinyhd_lib.models.student import build_model, count_gmac, count_parameters
from tinyhd_lib.training.checkpoint import read_log
from tinyhd_lib.training.loop import train
from tinyhd_lib.training.recipe import Recipe

if TYPE_CHECKING:
    from distributed import Client

SWEEPS: dict[str, tuple[str, ...]] = {
    "decoders": ("d1_S", "d2_S", "d3_S", "d12_S", "d13_S", "d23_S", "d1d2d3_S_lt"),
    "outputs": ("d1d2d3_S_lt", "d123_M_8out", "ucf_d123m"),
    "reductions": ("ucf_d123m", "d123m_rc2_rc1T", "d123m_rc4_rc1T", "rc8_M"),
    "reductions_single": ("d1d2d3_S_lt", "d123s_rc2_rc1T", "d123s_rc4_rc1T", "rc8_S"),
    "heterogeneity": ("d111_S", "d222_S", "d333_S", "d1d2d3_S_lt"),
}
"""The paper's comparisons, and three decoders of a kind against three kinds, as rows of `MODEL_SPECS`."""

TABLE_NAME = "ablation"


@dataclass(frozen=True)
class Comparison:
    """What a model scores that was trained like others.

    Attributes:
        model: a row of `MODEL_SPECS`.
        scores: of the best checkpoint on the validation set; see `tinyhd_lib.training.learner.validate`.
    """

    model: str
    scores: dict[str, float]


def specs_of(names: Sequence[str]) -> list[str]:
    """Return the rows of `MODEL_SPECS` behind the names of sweeps and models, each once, in their order.

    Raises:
        BadInput: there are none, or one is neither.

    Examples:
        >>> specs_of(["outputs", "S-r1-D1", "M-r1-ucf"])
        ['d1d2d3_S_lt', 'd123_M_8out', 'ucf_d123m', 'd1_S']
    """
    if not names:
        raise BadInput(f"no model to train; name sweeps ({', '.join(SWEEPS)}) or models")
    rows: list[str] = []
    for name in names:
        if name not in MODEL_SPECS and name not in SWEEPS:
            raise BadInput(f"model {name!r}: no such model; there are {', '.join([*SWEEPS, *MODEL_SPECS])}")
        rows += SWEEPS.get(name) or [MODEL_SPECS.published_name(name)]
    return list(dict.fromkeys(rows))


def ablate(
    models: Sequence[str], recipe: Recipe, out: Path, *, cluster: "Client | None" = None, **options: Any
) -> Iterator[Comparison]:
    """Train every model by the same recipe, each into a folder of its name in ``out``.

    Args:
        models: rows of `MODEL_SPECS`, see `specs_of`.
        recipe: whose ``model`` they take turns to be.
        out: where ``ablation.json`` and ``ablation.md`` go too, anew after every model.
        cluster: that trains several at once, see `tinyhd_lib.engine.connected`; None for one after the other.
        options: ``device``, ``loaders`` and ``force`` of `train`.

    Raises:
        BadInput: there is no such model, or nothing to measure on; or see `train`.
    """
    if recipe.validation_split is None:
        raise BadInput("VALIDATION_SPLIT: without one there is nothing to compare")
    found: list[Comparison] = []
    recipes = [replace(recipe, model=model) for model in specs_of(models)]
    for comparison in results(partial(_trained, out=out, options=options), recipes, cluster):
        found.append(comparison)
        table = as_table(found)
        write_atomically(out / f"{TABLE_NAME}.json", table.to_json(orient="records", indent=2).encode())
        write_atomically(out / f"{TABLE_NAME}.md", table.to_markdown(index=False, floatfmt=".4g").encode())
        yield found[-1]


def _trained(recipe: Recipe, out: Path, options: Mapping[str, Any]) -> Comparison:
    for _ in train(recipe, out / recipe.model, **options):
        pass
    measured = [entry["scores"] for entry in read_log(out / recipe.model) if "scores" in entry]
    return Comparison(recipe.model, min(measured, key=lambda scores: scores["kl"]))


def as_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return the columns of `model_table` and a column a score, a row a model."""
    scores = pd.DataFrame([each.scores for each in comparisons])
    return pd.concat([model_table([each.model for each in comparisons]), scores], axis=1)


def model_table(models: Sequence[str]) -> pd.DataFrame:
    """Return what distinguishes models from one another, and what they cost.

    Args:
        models: rows of `MODEL_SPECS`.

    Returns:
        a row each: ``model``, ``label``, ``decoders``, ``outputs`` (maps a clip), ``reduction`` (r), ``parameters`` and
        ``gmac`` (multiplications of a clip, in 10^9).
    """
    return pd.DataFrame([_facts(model) for model in models])


@cache
def _facts(row: str) -> dict[str, Any]:
    spec = MODEL_SPECS[row]
    model = build_model(spec).eval()
    return {
        "model": row,
        "label": spec.label,
        "decoders": "+".join(spec.decoders).upper(),
        "outputs": spec.outputs,
        "reduction": spec.reduction,
        "parameters": count_parameters(model),
        "gmac": count_gmac(model),
    }
