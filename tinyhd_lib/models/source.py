"""Describe a model before it is loaded. Nothing here needs torch until the model is loaded."""

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tinyhd_lib.files import sha256
from tinyhd_lib.models.spec import ModelSpec, Sampling
from tinyhd_lib.models.weights import locate_weights, model_of_file, recognise_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from tinyhd_lib.models.student import TinyHD


class ModelSource(NamedTuple):
    """A model that is loaded on demand.

    Attributes:
        spec: its spec.
        digest: a hash of its weights, or of the file that they come from.
        sampling: its default sampling.
        load: returns the model in evaluation mode, as a copy that the caller may move between devices.
    """

    spec: ModelSpec
    digest: str
    sampling: Sampling
    load: "Callable[[], TinyHD]"


def model_source(model: "TinyHD | str | Path") -> ModelSource:
    """Return the source of a model, given by itself, name or path; it is only loaded if the file does not describe it.

    Raises:
        BadInput: the weights cannot be used.
    """
    if not isinstance(model, str | Path):
        return ModelSource(model.spec, state_digest(model), model.sampling, lambda: deepcopy(model).float().eval())
    path = locate_weights(model)

    def load() -> "TinyHD":
        from tinyhd_lib.models.checkpoints import load_model

        return load_model(path)

    if path.suffix == ".safetensors":
        spec, sampling = model_of_file(path)
    else:
        known = recognise_file(path)
        spec = known.spec if known else load().spec
        sampling = Sampling.published(spec)
    return ModelSource(spec, sha256(path), sampling, load)


def state_digest(model: "nn.Module") -> str:
    """Return a hash of a model's weights."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
