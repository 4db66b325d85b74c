"""What every runtime is, and what it is made from. Nothing here needs torch."""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import sha256
from tinyhd_lib.models.spec import ModelSpec
from tinyhd_lib.models.weights import locate_weights, read_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from tinyhd_lib.models.student import TinyHD


LEAST_CC = {"float32": 1.0, "bfloat16": 0.999, "float16": 0.999, "int8": 0.99}
"""Precisions, and the least mean CC to the float32 maps of the example clips; float32 is held to 1e-5 instead."""


class Unusable(BadInput):
    """A runtime is not there, or not exact on this machine."""


class Runtime(Protocol):
    """A student made ready to run.

    Attributes:
        name: what it runs on, for the run record: ``fused (numba 0.68)``, ``openvino 2026.4``, ``torch cuda:0``.
        spec: the model's row.
        digest: a hash of its weights; of the file, where they come from one.
        precision: of its numbers, a name of `LEAST_CC`.
        batch: how many clips at once it likes best.
    """

    name: str
    spec: ModelSpec
    digest: str
    precision: str
    batch: int

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """Fused maps (N, outputs, 192, 256) of N clips (3, 16, 192, 256), both float32.

        The clips may be views of one array that overlap.
        """


def check_precision(precision: str, choices: tuple[str, ...], where: str) -> None:
    """Refuse a precision that a runtime does not compute in.

    Raises:
        BadInput: it is none of the choices.
    """
    if precision not in choices:
        raise BadInput(f"precision {precision!r}: {where} computes in {', '.join(choices)}")


@dataclass(frozen=True)
class ModelSource:
    """A model that need not be in memory yet.

    Attributes:
        spec: its row.
        digest: a hash of its weights.
        load: gives the model, in evaluation mode and the caller's own to move about.
    """

    spec: ModelSpec
    digest: str
    load: "Callable[[], TinyHD]"


def model_source(model: "TinyHD | str | Path") -> ModelSource:
    """A model, or what a name or path stands for.

    Raises:
        BadInput: the weights cannot be used.
    """
    if not isinstance(model, str | Path):
        return ModelSource(model.spec, state_digest(model), lambda: deepcopy(model).eval())
    path = locate_weights(model)

    def load() -> "TinyHD":
        from tinyhd_lib.models.checkpoints import load_model

        return load_model(path)

    return ModelSource(read_spec(path) or load().spec, sha256(path), load)


def state_digest(model: "nn.Module") -> str:
    """A hash of a model's weights."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
