"""The published checkpoints: one row a file, and the pure renaming of their keys into ours."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.decoders import block_counts
from tinyhd_lib.models.spec import DECODERS, MODEL_SPECS, REDUCTIONS, ModelSpec
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.models.teacher import LEVELS, HD2S

LICENCE_NOTE = "released by the paper's authors without a licence: for your own research, not for redistribution"
TEACHER_NOTE = (
    "HD2S's weights (CC BY-NC 4.0) are offered by its authors on a university OneDrive, linked from "
    "github.com/perceivelab/hd2s: download the file in a browser and give its path"
)


@dataclass(frozen=True)
class PublishedWeights:
    """A published file.

    Attributes:
        name: the file's name without ``.pth``; also the name of its row in `MODEL_SPECS`.
        dataset: what it was trained on.
        git_blob: SHA-1 over ``blob <size>\\0`` and the content, which pins a file that the repository holds.
        parameters: how many the model has.
        sha256: of the file, where one was at hand to be hashed.
        figures: the authors' own scores on DHF1K's validation set (frame, then video, then set).
    """

    name: str
    dataset: str
    git_blob: str
    parameters: int
    sha256: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> ModelSpec:
        """The model's row."""
        return MODEL_SPECS[self.name]

    @property
    def url(self) -> str:
        """Where the authors keep the file."""
        return f"https://github.com/feiyanhu/tinyHD/raw/main/weights/{self.name}.pth"


def _scores(auc_judd: float, auc_borji: float, cc: float, nss: float, sim: float) -> dict[str, float]:
    return {"AUC-Judd": auc_judd, "AUC-Borji": auc_borji, "CC": cc, "NSS": nss, "SIM": sim}


PUBLISHED: dict[str, PublishedWeights] = {
    row.name: row
    for row in (
        PublishedWeights("d1d2d3_S_lt", "DHF1K", "d1ed80fa95b9baaeac3ed2bc4c3b15ac525221ba", 3_940_981),
        PublishedWeights(
            "d123s_rc2_rc1T",
            "DHF1K",
            "3b8e363d241e32f971c4c5bdd9117d578dd4e4bc",
            1_370_291,
            figures=_scores(0.9052, 0.8330, 0.4805, 2.7317, 0.3684),
        ),
        PublishedWeights(
            "d123s_rc4_rc1T",
            "DHF1K",
            "88653d3e46fbdf1ad3e4224299bb3c62bd48db9b",
            513_121,
            sha256="939f818117dda22faa1232127f479c107e7932398c2b1901a963c6fe93b3413c",
            figures=_scores(0.9018, 0.8318, 0.4667, 2.6329, 0.3569),
        ),
        PublishedWeights("d1d2d3_M_lt", "DHF1K", "6e77140078bdff6fb1828174a4051c2c35d92e97", 3_922_405),
        PublishedWeights(
            "d123m_rc2_rc1T",
            "DHF1K",
            "272f30ebc7e7e667105b5147aa1ebb57827451f6",
            1_366_979,
            figures=_scores(0.9021, 0.8307, 0.4718, 2.6726, 0.3630),
        ),
        PublishedWeights(
            "d123m_rc4_rc1T",
            "DHF1K",
            "e87c128c9f2116017e940b9bff3a7633f7add22b",
            515_281,
            sha256="53e8a306d3e260f6c236e99694bec5852ee208b21d816d93a2918c1828771958",
            figures=_scores(0.8999, 0.8333, 0.4564, 2.5581, 0.3478),
        ),
        PublishedWeights("ucf_d123s", "UCF-Sports", "2f87a75612d95e100cc24f842629371261f69b03", 3_940_981),
        PublishedWeights("ucf_d123m", "UCF-Sports", "45a2e28bcfb546aa4825485ca37bb5836b01729a", 3_922_405),
    )
}


DEFAULT_WEIGHTS = "d123m_rc4_rc1T"


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
    sets = [()]
    for name in DECODERS:
        sets += [(*others, name) for others in sets]
    return next((names for names in sets if sum(block_counts()[name] for name in names) == count), ())


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
