"""The models that are measured, with their weights.

Speed does not depend on the weights' values, so nothing is downloaded: a model of the table runs with random weights.
Precisions below float32 are only allowed if the maps stay nearly the same, which random weights cannot show: they need
trained weights, so name the project's own (``workbench-m-r4``) or a file.

torch is imported only if needed, since its memory would count for runtimes that do without it.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import tinyhd_lib
from benchmarks.report import Row
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import MODEL_SPECS, ModelSpec
from tinyhd_lib.runtime import Runtime, open_runtime


class Subject(NamedTuple):
    """A model to be measured.

    Attributes:
        name: as requested.
        spec: its row of `MODEL_SPECS`.
        weights: a name or path that `open_runtime` takes.
        learnt: whether the weights are trained rather than random.
    """

    name: str
    spec: ModelSpec
    weights: str
    learnt: bool

    def facts(self) -> Row:
        """Return its columns in a table, which do not depend on the device."""
        weights = self.name if self.learnt else "random"
        return {"model": self.name, "label": self.spec.label, "weights": weights, **_cost(self.spec)}

    def open(self, device: str, precision: str) -> Runtime:
        """Return the model, ready to run.

        Raises:
            BadInput: it cannot run here, or the precision changes the maps too much, or random weights cannot show.
        """
        if precision != "float32" and not self.learnt:
            raise BadInput("random weights: only weights that have learnt can show whether the maps stay the same")
        return open_runtime(self.weights, device, precision)


def find_subject(name: str, folder: Path) -> Subject:
    """Return the model behind a name.

    Args:
        name: of `MODEL_SPECS`, of weights, or a checkpoint's path.
        folder: where random weights are written.

    Raises:
        BadInput: there is no such model, or its file cannot be used.
    """
    if name not in MODEL_SPECS:
        return Subject(
            Path(name).stem if Path(name).is_file() else name, tinyhd_lib.load_model(name).spec, name, learnt=True
        )
    import torch

    path = folder / f"{name}.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the same weights every time, so that their conversions are found again
        tinyhd_lib.save_model(tinyhd_lib.build_model(MODEL_SPECS[name]).eval(), path, {"note": "random weights"})
    return Subject(name, MODEL_SPECS[name], str(path), learnt=False)


@cache
def _cost(spec: ModelSpec) -> Row:
    from tinyhd_lib.models.student import count_gmac, count_parameters

    model = tinyhd_lib.build_model(spec)
    return {"parameters": count_parameters(model), "gmac": round(count_gmac(model), 3)}
