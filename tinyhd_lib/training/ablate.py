"""Ablations: the same recipe for many rows of the registry, and a table like the paper's.

for comparison in ablate(SWEEPS["decoders"], recipe, Path("runs/ablation")):
...  # one row of the table; what was trained before is not trained again
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.spec import MODEL_SPECS
from tinyhd_lib.models.student import build_model, count_gmac, count_parameters
from tinyhd_lib.training.checkpoint import read_log
from tinyhd_lib.training.loop import train
from tinyhd_lib.training.recipe import Recipe

SWEEPS: dict[str, tuple[str, ...]] = {
    "decoders": ("d1_S", "d2_S", "d3_S", "d12_S", "d13_S", "d23_S", "d1d2d3_S_lt"),
    "outputs": ("d1d2d3_S_lt", "d123_M_8out", "ucf_d123m"),
    "reductions": ("ucf_d123m", "d123m_rc2_rc1T", "d123m_rc4_rc1T", "rc8_M"),
    "reductions_single": ("d1d2d3_S_lt", "d123s_rc2_rc1T", "d123s_rc4_rc1T", "rc8_S"),
}
"""The paper's comparisons, as rows of `MODEL_SPECS`."""

TABLE_NAME = "ablation"


@dataclass(frozen=True)
class Comparison:
    """A row of the table.

    Attributes:
        model: a row of `MODEL_SPECS`.
        label: its short name.
        decoders: that it has.
        outputs: maps a clip.
        parameters: how many it learns.
        gmac: multiplications of a clip, in 10^9.
        scores: of the best checkpoint on the validation set; see `tinyhd_lib.training.validate`.
    """

    model: str
    label: str
    decoders: str
    outputs: int
    parameters: int
    gmac: float
    scores: dict[str, float]


def ablate(  # noqa: PLR0913
    rows: Sequence[str], recipe: Recipe, out: Path, *, device: str = "auto", workers: int = 0, force: bool = False
) -> Iterator[Comparison]:
    """Train every row by the same recipe, one after the other; each into a folder of its name in ``out``.

    Args:
        rows: of `MODEL_SPECS`.
        recipe: whose ``model`` they take turns to be.
        out: where ``ablation.json`` and ``ablation.md`` go too, anew after every row.
        device: see `train`.
        workers: see `train`.
        force: begin anew.

    Raises:
        BadInput: there is no such row, or nothing to measure on; or see `train`.
    """
    _check_rows(rows)
    if recipe.validation_split is None:
        raise BadInput("VALIDATION_SPLIT: without one there is nothing to compare")
    table: list[Comparison] = []
    for row in rows:
        for _ in train(replace(recipe, model=row), out / row, device=device, workers=workers, force=force):
            pass
        table.append(_comparison(row, out / row))
        write_atomically(out / f"{TABLE_NAME}.json", json.dumps([asdict(each) for each in table], indent=2).encode())
        write_atomically(out / f"{TABLE_NAME}.md", as_table(table).encode())
        yield table[-1]


def rows_of(names: Sequence[str]) -> list[str]:
    """The rows behind the names of sweeps and rows, each once, in their order.

    Args:
        names: of `SWEEPS` or of `MODEL_SPECS`.

    Raises:
        BadInput: there are none, or one is neither.

    >>> rows_of(["outputs", "d1_S", "ucf_d123m"])
    ['d1d2d3_S_lt', 'd123_M_8out', 'ucf_d123m', 'd1_S']
    """
    rows = list(dict.fromkeys(row for name in names for row in SWEEPS.get(name, (name,))))
    _check_rows(rows)
    return rows


def as_table(table: Sequence[Comparison]) -> str:
    """The comparison in Markdown, which reads well on a console too."""
    names = list(dict.fromkeys(name for each in table for name in each.scores))
    head = ["model", "", "decoders", "outputs", "parameters", "GMAC", *(name.upper() for name in names)]
    rows = [
        [
            each.model,
            each.label,
            each.decoders,
            str(each.outputs),
            f"{each.parameters:,}",
            f"{each.gmac:.2f}",
            *(f"{each.scores[name]:.4f}" if name in each.scores else "-" for name in names),
        ]
        for each in table
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * max(width, 3) for width in widths], *rows]
    return "".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |\n" for line in lines
    )


def _check_rows(rows: Sequence[str]) -> None:
    if not rows:
        raise BadInput(f"no model to train; name sweeps ({', '.join(SWEEPS)}) or rows")
    unknown = [row for row in rows if row not in MODEL_SPECS]
    if unknown:
        raise BadInput(f"model {unknown[0]!r}: no such row; there are {', '.join([*SWEEPS, *MODEL_SPECS])}")


def _comparison(row: str, folder: Path) -> Comparison:
    spec = MODEL_SPECS[row]
    measured = [entry["scores"] for entry in read_log(folder) if "scores" in entry]
    model = build_model(spec).eval()
    return Comparison(
        model=row,
        label=spec.label,
        decoders="+".join(spec.decoders).upper(),
        outputs=spec.outputs,
        parameters=count_parameters(model),
        gmac=round(count_gmac(model), 3),
        scores=min(measured, key=lambda scores: scores["kl"]),
    )
