"""The pure renaming of the published checkpoints' keys into ours."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from torch import Tensor, nn

from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.decoders import block_counts
from tinyhd_lib.models.spec import DECODERS, REDUCTIONS, ModelSpec
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.models.teacher import HD2S, LEVELS


def load_published_state(model: TinyHD, state_dict: Mapping[str, Tensor]) -> None:
    """Load a published student's state dict into our model of the same row.

    Raises:
        BadInput: keys are missing, surplus or of another shape; the message names them.
    """
    _load_renamed(model, state_dict, {_published_name(key, model.spec): key for key in model.state_dict()})


def load_published_teacher_state(model: HD2S, state_dict: Mapping[str, Tensor]) -> None:
    """Load HD2S's published state dict into our teacher.

    Raises:
        BadInput: keys are missing, surplus or of another shape; the message names them.
    """
    own = list(model.state_dict())
    backbone = [key for key in own if key.startswith("backbone.")]
    # torchvision's S3D and the published backbone name their entries differently and list them in the same order.
    published = [key for key in state_dict if key.startswith("featureExtractor.")]
    published += [f"featureExtractor.<entry {n}>" for n in range(len(published), len(backbone))]
    names = dict(zip(published, backbone, strict=False))
    for level in LEVELS:
        for group, entries in (("collapse", _collapse_names(level)), ("decoders", _decoder_names(level))):
            prefix = f"{group}.{level}."
            names |= dict(zip(entries, (key for key in own if key.startswith(prefix)), strict=True))
    names |= {"last_conv.weight": "fusion.weight", "last_conv.bias": "fusion.bias"}
    _load_renamed(model, state_dict, names)


def recognise_spec(state_dict: Mapping[str, Tensor]) -> ModelSpec:
    """The row of a published-format student, read from the shapes of its state dict.

    Shapes do not tell D1 single from multi-map in an M model, 16 outputs from 8, d1_last or force_multi. Such a model
    is taken for the usual one: D1 single beside the others, 16 outputs, D1's maps first.

    Raises:
        BadInput: it is no TinyHD student.
    """
    stem = state_dict.get("encoder.encoder.0.0.weight")
    fusion = state_dict.get("decoder.decoder.0.weight")
    numbers = [int(found[1]) for key in state_dict if (found := re.match(_BLOCK_PATTERN, key))]
    if stem is None or fusion is None or not numbers:
        raise BadInput("not a TinyHD student: it lacks the encoder, decoder blocks or fusion of a published checkpoint")
    decoders = _decoders_with_blocks(max(numbers) + 1)
    multi = fusion.ndim == 5
    reduction = 32 // stem.shape[0]
    if not decoders or reduction not in REDUCTIONS:
        raise BadInput(f"not a TinyHD student: {max(numbers) + 1} decoder blocks, {stem.shape[0]} stem channels")
    single_frame = tuple(not multi or (name == "d1" and len(decoders) > 1) for name in decoders)
    return ModelSpec(reduction, decoders, single_frame, outputs=16 if multi else 1)


_BLOCK_PATTERN = r"aggregator\.aggregate_adapter\.(\d+)\."


def _decoders_with_blocks(count: int) -> tuple[str, ...]:
    """The decoder set whose blocks number ``count``; every set has a number of its own."""
    counts = block_counts()
    sets = (names for size in range(1, 4) for names in combinations(DECODERS, size))
    return next((names for names in sets if sum(counts[name] for name in names) == count), ())


def _published_name(own: str, spec: ModelSpec) -> str:
    part, _, rest = own.partition(".")
    if part == "encoder":
        return f"encoder.encoder.{rest.removeprefix('features.')}"
    if part == "fusion":
        return f"decoder.decoder.0.{rest}"
    decoder, _, number, tail = rest.split(".", 3)
    earlier = spec.decoders[: spec.decoders.index(decoder)]
    offset = sum(block_counts()[name] for name in earlier)
    return f"aggregator.aggregate_adapter.{offset + int(number)}.conv.{tail}"


_NORM_ENTRIES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _layer_names(prefix: str, suffix: str = "") -> Iterator[str]:
    """A convolution without bias and its batch norm."""
    yield f"{prefix}.conv{suffix}.weight"
    for entry in _NORM_ENTRIES:
        yield f"{prefix}.bn{suffix}.{entry}"


def _collapse_names(level: int) -> Iterator[str]:
    count = LEVELS[level].halvings
    for number in range(1, count + 1):
        yield from _layer_names(f"conv_t{level}_{number}" if count > 1 else f"conv_t{level}")


def _decoder_names(level: int) -> Iterator[str]:
    stages = LEVELS[level].stages
    for number, (_, depth) in zip(range(len(stages), 0, -1), stages, strict=True):
        stage = f"decoder{level}.deconvlayer{level}_{number}"
        yield from _layer_names(f"{stage}.0")
        for layer in range(1, depth):
            yield from _layer_names(f"{stage}.{layer}", "_s")
            yield from _layer_names(f"{stage}.{layer}", "_t")
    yield f"decoder{level}.last_conv{level}.weight"
    yield f"decoder{level}.last_conv{level}.bias"


def _load_renamed(model: nn.Module, state_dict: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
    """Load ``state_dict`` under our names; ``names`` maps published to own."""
    own = model.state_dict()
    complaints = {
        "missing": [key for key in names if key not in state_dict],
        "surplus": [key for key in state_dict if key not in names],
        "of another shape": [
            f"{key} {tuple(state_dict[key].shape)} instead of {tuple(own[name].shape)}"
            for key, name in names.items()
            if key in state_dict and state_dict[key].shape != own[name].shape
        ],
    }
    if any(complaints.values()):
        raise BadInput("checkpoint of another model: " + "; ".join(_list_keys(*item) for item in complaints.items()))
    model.load_state_dict({name: state_dict[key] for key, name in names.items()})


def _list_keys(complaint: str, keys: list[str], shown: int = 5) -> str:
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{len(keys)} keys {complaint}" + (f" ({', '.join(keys[:shown])}{more})" if keys else "")
