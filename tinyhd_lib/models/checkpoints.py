"""Read checkpoint files into models, and write models to files.

The workbench's own files are safetensors whose metadata carry the model's spec, the preprocessing and the provenance,
so that a file alone is enough to run. Published files are pickles, which are only ever read weights-only; their keys
are renamed, and nothing else about them changes.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import git_blob_id, sha256, write_atomically
from tinyhd_lib.models.decoders import BLOCK_COUNTS
from tinyhd_lib.models.spec import DECODERS, FOREIGN_SUFFIXES, PREPROCESSING, REDUCTIONS, ModelSpec
from tinyhd_lib.models.student import TinyHD, build_model
from tinyhd_lib.models.teacher import HD2S, LEVELS
from tinyhd_lib.models.weights import LICENCE_NOTE, locate_weights, model_of_file, recognise_file

logger = logging.getLogger(__name__)

_TEACHER_PARTS = {
    "featureExtractor.": "backbone.",
    **{f"conv_t{level}": f"collapse.{level}." for level in LEVELS},
    **{f"decoder{level}.": f"decoders.{level}." for level in LEVELS},
    "last_conv.": "fusion.",
}
"""Prefixes of HD2S's published parts, and of the same parts here: their entries differ in name, but not in order."""

_WRAPPINGS = ("student_model", "ema", "model_ema", "state_dict", "model_state_dict", "model")


def load_model(name_or_path: str | Path) -> TinyHD:
    """Return a trained student, ready for inference.

    Args:
        name_or_path: a name of `list_models` or of a published file (downloaded if need be), or the path of a
            ``.safetensors`` or a published ``.pth`` file; an unknown ``.pth`` is recognised from its shapes.

    Raises:
        BadInput: the name is unknown, or the file is missing, damaged, or holds another model.
    """
    path = locate_weights(name_or_path)
    model = _read_own(path) if path.suffix == ".safetensors" else _read_published(path)
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise BadInput(f"{path}: holds numbers that are not finite; fetch or train it anew")
    return model.eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a pickle, read weights-only (no code in it is run), without the wrapping of trainers.

    Raises:
        BadInput: it is no such file.
    """
    if path.suffix in FOREIGN_SUFFIXES:
        raise BadInput(f"{path}: a model of other software, which can only predict and teach")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a crafted pickle may raise anything
        raise BadInput(f"{path}: not a checkpoint that can be read safely, or damaged") from error
    for name in 2 * _WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not (isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values())):
        raise BadInput(f"{path}: no state dict in this checkpoint")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def save_model(model: TinyHD, path: Path, provenance: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a ``.safetensors`` file with metadata, atomically; equal weights and provenance give the same bytes.

    Args:
        model: the student.
        path: of the ``.safetensors`` file.
        provenance: where the weights come from, as JSON-ready values.
        half: store the weights in float16, at half the size; they are float32 again when they are read.

    Raises:
        BadInput: float16 cannot represent the weights.
    """
    about = {"preprocessing": PREPROCESSING, "provenance": dict(provenance)}
    about |= {"sampling": asdict(model.sampling), "spec": model.spec.to_dict()}
    metadata = {name: json.dumps(value) for name, value in about.items()}
    state = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    if half and not all(tensor.isfinite().all() for tensor in state.values()):
        raise BadInput(f"{path}: the model has numbers that float16 cannot hold; leave out `half`")
    write_atomically(path, _with_metadata(safetensors.torch.save(state), metadata))


def convert(path: Path, out: Path) -> TinyHD:
    """Convert a published pickle into a ``.safetensors`` file with metadata.

    Raises:
        BadInput: see `load_model`.
    """
    if path.suffix == ".safetensors":
        raise BadInput(f"{path}: a .safetensors file already")
    if out.suffix != ".safetensors":
        raise BadInput(f"`out` {out}: a .safetensors file")
    model = _read_published(path)
    known = recognise_file(path)
    provenance = {"converted_from": path.name, "sha256": sha256(path), "git_blob": git_blob_id(path)}
    if known:
        published = {"published_as": known.file, "source": known.url, "dataset": known.trained_on}
        provenance |= published | {"licence": LICENCE_NOTE}
    save_model(model, out, provenance)
    return model


def load_published_state(model: TinyHD, state_dict: Mapping[str, Tensor]) -> None:
    """Load a published student's state dict into a model of the same spec.

    Raises:
        BadInput: keys are missing, surplus or of another shape; the message names them.
    """
    _load_renamed(model, state_dict, {_published_name(key, model.spec): key for key in model.state_dict()})


def load_published_teacher_state(model: HD2S, state_dict: Mapping[str, Tensor]) -> None:
    """Load HD2S's published state dict into the teacher.

    Raises:
        BadInput: keys are missing, surplus or of another shape; the message names them.
    """
    names: dict[str, str] = {}
    for part, own_part in _TEACHER_PARTS.items():
        theirs = (key for key in state_dict if key.startswith(part))
        own = (key for key in model.state_dict() if key.startswith(own_part))
        names |= {next(theirs, f"{part}<entry {number}>"): key for number, key in enumerate(own)}
    _load_renamed(model, state_dict, names)


def recognise_spec(state_dict: Mapping[str, Tensor]) -> ModelSpec:
    """Return the spec of a published-format student, read from the shapes of its state dict.

    Shapes cannot tell whether D1 is single- or multi-map in an M model, whether outputs are 16 or 8, nor d1_last and
    force_multi. The usual model is assumed: D1 single-map if there are other decoders, 16 outputs, D1's maps first.

    Raises:
        BadInput: it is no TinyHD student.
    """
    stem = state_dict.get("encoder.encoder.0.0.weight")
    fusion = state_dict.get("decoder.decoder.0.weight")
    numbers = [int(found[1]) for key in state_dict if (found := re.match(_BLOCK_PATTERN, key))]
    if stem is None or fusion is None or not numbers or not stem.ndim * stem.numel():
        raise BadInput("not a TinyHD student: it lacks the encoder, decoder blocks or fusion of a published checkpoint")
    decoders = _decoders_of(max(numbers) + 1, fusion.shape[1])
    multi = fusion.ndim == 5
    reduction = 32 // stem.shape[0]
    if not decoders or reduction not in REDUCTIONS:
        raise BadInput(f"not a TinyHD student: {max(numbers) + 1} decoder blocks, {stem.shape[0]} stem channels")
    single_frame = tuple(not multi or (name == "d1" and len(decoders) > 1) for name in decoders)
    return ModelSpec(reduction, decoders, single_frame, outputs=16 if multi else 1)


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """Return a safetensors file with metadata in a fixed order; the library writes them in a random one."""
    length = int.from_bytes(content[:8], "little")
    entries = {"__metadata__": metadata} | json.loads(content[8 : 8 + length])
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _read_own(path: Path) -> TinyHD:
    spec, sampling = model_of_file(path)
    model = build_model(spec)
    model.sampling = sampling
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError, ValueError) as error:
        raise BadInput(f"{path}: its weights do not fit the model that its metadata names") from error
    return model


def _read_published(path: Path) -> TinyHD:
    state = read_state(path)
    if any(key.startswith("featureExtractor.") for key in state):
        raise BadInput(f"{path}: this is the teacher HD2S, not a student")
    known = recognise_file(path)
    try:
        spec = known.spec if known else recognise_spec(state)
        model = build_model(spec)
        load_published_state(model, state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    if not known:
        logger.warning("%s: not a published file; by its shapes it is taken for %s", path, spec.label)
    return model


_BLOCK_PATTERN = r"aggregator\.aggregate_adapter\.(\d+)\."


def _decoders_of(blocks: int, maps: int) -> tuple[str, ...]:
    """Return the one to three decoders with these numbers of blocks and maps, which identify the combination."""
    mixes = (names for size in range(1, 4) for names in combinations_with_replacement(DECODERS, size))
    has = ((names, sum(BLOCK_COUNTS[name] for name in names), len(names) + 3 * names.count("d1")) for names in mixes)
    return next((names for names, *numbers in has if numbers == [blocks, maps]), ())


def _published_name(own: str, spec: ModelSpec) -> str:
    part, _, rest = own.partition(".")
    if part == "encoder":
        return f"encoder.encoder.{rest.removeprefix('features.')}"
    if part == "fusion":
        return f"decoder.decoder.0.{rest}"
    decoder, _, number, tail = rest.split(".", 3)
    earlier = spec.decoders[: spec.names.index(decoder)]
    offset = sum(BLOCK_COUNTS[name] for name in earlier)
    return f"aggregator.aggregate_adapter.{offset + int(number)}.conv.{tail}"


def _load_renamed(model: nn.Module, state_dict: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    """Load ``state_dict`` under new names; ``names`` maps published keys to the model's."""
    own = model.state_dict()
    sizes = {key: (tuple(state_dict[key].shape), tuple(own[names[key]].shape)) for key in names if key in state_dict}
    complaints = {
        "missing": [key for key in names if key not in state_dict],
        "surplus": [key for key in state_dict if key not in names],
        "of another shape": [f"{key} {one} instead of {other}" for key, (one, other) in sizes.items() if one != other],
    }
    if any(complaints.values()):
        raise BadInput("checkpoint of another model: " + "; ".join(_list_keys(*item) for item in complaints.items()))
    model.load_state_dict({name: state_dict[key] for key, name in names.items()})


def _list_keys(complaint: str, keys: list[str], shown: int = 5) -> str:
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{len(keys)} keys {complaint}" + (f" ({', '.join(keys[:shown])}{more})" if keys else "")
