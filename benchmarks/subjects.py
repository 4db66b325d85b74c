"""What is measured: models with the weights that they run with, and where and in which precision they run.

Speed does not depend on what a network has learnt, so nothing is downloaded: a row runs with the weights that come with
us, or that were fetched before, or else with random ones. Fewer bits than float32 are another matter. They are only let
through where the maps stay nearly the same, and maps of random weights say nothing about that: with these, a row is
measured in float32 alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.spec import MODEL_SPECS, ModelSpec
from tinyhd_lib.models.weights import WEIGHTS, find_weights, list_models, model_source
from tinyhd_lib.runtime import Runtime, open_runtime

if TYPE_CHECKING:
    from tinyhd_lib.models.student import TinyHD

Row = dict[str, Any]
"""A line of a table, JSON-ready."""

DEFAULT_ROWS = ("d123m_rc4_rc1T", "d123s_rc4_rc1T", "d123m_rc2_rc1T", "d123s_rc2_rc1T", "ucf_d123m", "ucf_d123s")


@dataclass(frozen=True)
class Subject:
    """A model to be measured.

    Attributes:
        name: of its row, or of its weights.
        spec: its row.
        weights: a name or path that `open_runtime` takes.
        learnt: what the weights are called; None for random ones.
    """

    name: str
    spec: ModelSpec
    weights: str
    learnt: str | None

    def facts(self) -> Row:
        """What a table says of it, whatever it runs on."""
        return {"model": self.name, "label": self.spec.label, "weights": self.learnt or "random", **_cost(self.spec)}


@dataclass(frozen=True)
class Case:
    """A way to run a model.

    Attributes:
        device: see `open_runtime`.
        precision: likewise.
    """

    device: str
    precision: str = "float32"

    def open(self, subject: Subject) -> Runtime:
        """The model, ready to run.

        Raises:
            BadInput: that is not possible here, or changes the maps too much, or nobody could tell whether it does.
        """
        if self.precision != "float32" and not subject.learnt:
            raise BadInput(
                "random weights: whether the maps stay the same can only be seen with weights that have learnt; "
                "name a checkpoint's path among --models, or fetch the published one (tinyhd weights get)"
            )
        return open_runtime(subject.weights, self.device, self.precision)

    def to_dict(self) -> dict[str, str]:
        """The case as JSON-ready values."""
        return {"device": self.device, "precision": self.precision}


def subject(name: str, folder: Path) -> Subject:
    """The model behind a row, a name of ours, or a checkpoint's path.

    Args:
        name: of it.
        folder: where random weights can be written.

    Raises:
        BadInput: there is no such row or file, or it cannot be used.
    """
    if name in MODEL_SPECS:
        learnt = _weights_at_hand(name)
        return Subject(name, MODEL_SPECS[name], learnt or str(_random_weights(name, folder)), learnt)
    if find_weights(name) or Path(name).is_file():
        return Subject(Path(name).stem, model_source(name).spec, name, Path(name).stem)
    raise BadInput(f"model {name!r}: no such row or file; there are {', '.join([*MODEL_SPECS, *list_models()])}")


def cases(devices: Sequence[str], precisions: Sequence[str]) -> list[Case]:
    """Every device in every precision, each once."""
    return list(dict.fromkeys(Case(device, precision) for device in devices for precision in precisions))


def refusal(subject: Subject, case: Case, error: BadInput) -> Row:
    """The line of a case that cannot be measured."""
    return {"model": subject.name, **case.to_dict(), "reason": str(error)}


def random_model(row: str) -> "TinyHD":
    """A model that has learnt nothing; the same one every time."""
    import torch

    from tinyhd_lib.models.student import build_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(MODEL_SPECS[row]).eval()


def _weights_at_hand(row: str) -> str | None:
    """The name of weights for a row: ours, or published ones that were downloaded before."""
    spec = MODEL_SPECS[row]
    ours = next((each.name for each in WEIGHTS.values() if each.spec == spec and not each.published), None)
    known = find_weights(row)
    return ours or (known.name if known and known.path.exists() else None)


def _random_weights(row: str, folder: Path) -> Path:
    """A file of the same bytes every time, so that its conversions are found again."""
    from tinyhd_lib.models.checkpoints import save_model

    path = folder / f"{row}.safetensors"
    if not path.exists():
        save_model(random_model(row), path, {"note": "random weights"})
    return path


@cache
def _cost(spec: ModelSpec) -> dict[str, Any]:
    from tinyhd_lib.models.student import build_model, count_gmac, count_parameters

    model = build_model(spec)
    return {"parameters": count_parameters(model), "gmac": round(count_gmac(model), 3)}
