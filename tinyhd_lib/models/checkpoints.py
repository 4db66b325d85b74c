"""Checkpoint files read into models, and models written to files.

Our own files are safetensors whose metadata carries the model's row, the preprocessing and the provenance, so that a
file alone is enough to run. Published files are pickles, which are only ever read weights-only.
"""

import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import git_blob_id, sha256, write_atomically
from tinyhd_lib.models.published import load_published_state, recognise_spec
from tinyhd_lib.models.registry import LICENCE_NOTE
from tinyhd_lib.models.spec import PREPROCESSING
from tinyhd_lib.models.student import TinyHD, build_model
from tinyhd_lib.models.weights import locate_weights, own_spec, published_row, read_metadata

logger = logging.getLogger(__name__)


def load_model(name_or_path: str | Path) -> TinyHD:
    """Load a trained student, ready for inference.

    Args:
        name_or_path: a name of `list_models` (downloaded if need be), or the path of a ``.safetensors`` or a published
            ``.pth`` file; the model of an unnamed ``.pth`` is recognised from its shapes.

    Raises:
        BadInput: the name is unknown, or the file is missing, damaged, or holds another model.
    """
    path = locate_weights(name_or_path)
    read = _read_own if path.suffix == ".safetensors" else _read_published
    return read(path).eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a published pickle, read weights-only (no code in it is run).

    Raises:
        BadInput: it is no such file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: not a checkpoint that can be read safely, or damaged") from error
    state = content.get("student_model", content) if isinstance(content, dict) else {}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadInput(f"{path}: no state dict in this checkpoint")
    return state


def save_model(model: TinyHD, path: Path, provenance: Mapping[str, Any], *, half: bool = False) -> None:
    """Write one of our own files, whole or not at all.

    Args:
        model: the student.
        path: of the ``.safetensors`` file.
        provenance: where the weights come from, as JSON-ready values.
        half: keep the numbers in float16, at half the size; they are float32 again when they are read.
    """
    metadata = {"spec": model.spec.to_dict(), "preprocessing": PREPROCESSING, "provenance": dict(provenance)}
    state = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    content = safetensors.torch.save(state, {key: json.dumps(value) for key, value in metadata.items()})
    write_atomically(path, _ordered(content))


def _ordered(content: bytes) -> bytes:
    """A safetensors file whose metadata are in order: safetensors writes them in a random one, and hashes would differ."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of eight
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def convert(path: Path, out: Path) -> TinyHD:
    """Turn a published pickle into one of our own files.

    Raises:
        BadInput: see `load_model`.
    """
    if path.suffix == ".safetensors":
        raise BadInput(f"{path}: a .safetensors file already")
    if out.suffix != ".safetensors":
        raise BadInput(f"`out` {out}: a .safetensors file")
    model = _read_published(path)
    known = published_row(path)
    provenance = {"converted_from": path.name, "sha256": sha256(path), "git_blob": git_blob_id(path)}
    if known:
        provenance |= {"published_as": known.file, "source": known.url, "dataset": known.trained_on}
        provenance["licence"] = LICENCE_NOTE
    save_model(model, out, provenance)
    return model


def halve(path: Path, out: Path) -> TinyHD:
    """Write one of our own files again in float16, as `save_model` does.

    Raises:
        BadInput: it is none of ours, or holds what float16 cannot.
    """
    if path.suffix != ".safetensors":
        raise BadInput(f"{path}: not one of our own .safetensors files; convert it first")
    model = load_model(path)
    largest = torch.finfo(torch.float16).max
    if any(bool((tensor.abs() > largest).any()) for tensor in model.state_dict().values()):
        raise BadInput(f"{path}: holds numbers that float16 cannot")
    save_model(model, out, read_metadata(path)["provenance"], half=True)
    return model


def _read_own(path: Path) -> TinyHD:
    metadata = read_metadata(path)
    if metadata["preprocessing"] != PREPROCESSING:
        raise BadInput(f"{path}: made for another preprocessing, {metadata['preprocessing']}")
    model = build_model(own_spec(path, metadata))
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise BadInput(f"{path}: its weights do not fit the model that its metadata names") from error
    return model


def _read_published(path: Path) -> TinyHD:
    state = read_state(path)
    if any(key.startswith("featureExtractor.") for key in state):
        raise BadInput(f"{path}: this is the teacher HD2S, not a student")
    known = published_row(path)
    try:
        spec = known.spec if known else recognise_spec(state)
        model = build_model(spec)
        load_published_state(model, state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    if not known:
        logger.warning("%s: not a published file; by its shapes it is taken for %s", path, spec.label)
    return model
