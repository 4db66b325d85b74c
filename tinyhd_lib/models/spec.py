"""Every TinyHD student as one row of a table, and the rules for valid rows.

Source: the paper's sections 3.1 to 3.3 and its ablations; field names as in the published variants. See docs/model.md.
"""

import math
import re
import tomllib
from collections import UserDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

CLIP_FRAMES = 16
"""Frames of a window, the input of every model."""

INPUT_SIZE = (192, 256)
"""Height and width of every model's input."""

CLIP_SHAPE = (3, CLIP_FRAMES, *INPUT_SIZE)
"""Shape of every model's input: colours, frames, height, width."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

PREPROCESSING: dict[str, Any] = {
    "colour": "RGB in [0, 1]",
    "mean": list(MEAN),
    "std": list(STD),
    "size": list(INPUT_SIZE),
    "resize": "bilinear, half-pixel centres, no antialiasing, aspect ignored",
    "clip_frames": CLIP_FRAMES,
}
"""Description of the preprocessing, for a checkpoint's metadata."""

PARITY_TOLERANCE = 1e-5
"""Largest difference allowed between the maps of a converted or exported model and eager torch's."""

REDUCTIONS = (1, 2, 4, 8)
DECODERS = ("d1", "d2", "d3")

FOREIGN_SUFFIXES = (".py", ".onnx")
"""Suffixes of files with models of other software, see `tinyhd_lib.runtime.foreign`."""


@dataclass(frozen=True)
class ModelSpec:
    """The architecture of a student.

    Args:
        reduction: the encoder's channel counts are divided by this (1, 2, 4 or 8).
        decoders: one to three decoders, in the order d1, d2, d3; repeated ones make an ensemble of equal decoders.
        single_frame: for each decoder, whether it gives one map per clip (else one map per output frame).
        d1_last: whether D1's maps are the last inputs of the fusion, instead of the first.
        force_multi: whether the fused output has a map per frame although all decoders give a single one.
        outputs: maps per clip: 1 ("S", the clip's last frame), 16 ("M", every frame) or 8 (every other frame).

    Raises:
        ValueError: the combination is invalid; the message says which rule it breaks.

    Examples:
        >>> ModelSpec(4, ("d1", "d2", "d3"), (True, False, False), outputs=16).label
        'M r4'
    """

    reduction: int
    decoders: tuple[str, ...]
    single_frame: tuple[bool, ...]
    d1_last: bool = False
    force_multi: bool = False
    outputs: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "decoders", tuple(self.decoders))
        object.__setattr__(self, "single_frame", tuple(self.single_frame))
        for valid, rule in _rules(self):
            if not valid:
                raise ValueError(f"no such model: {rule}; got {asdict(self)}")

    @property
    def multi(self) -> bool:
        """Return whether the model gives a map for every output frame (M) instead of one map per clip (S)."""
        return self.force_multi or not all(self.single_frame)

    @property
    def names(self) -> tuple[str, ...]:
        """Return a unique name for each decoder; equal ones are numbered: ``d3``, ``d3_2``, ``d3_3``."""
        earlier = (self.decoders[:place].count(name) for place, name in enumerate(self.decoders))
        return tuple(f"{name}_{n + 1}" if n else name for name, n in zip(self.decoders, earlier, strict=True))

    @property
    def fusion_order(self) -> list[int]:
        """Return the indices of the decoders in the order in which the fusion takes their maps."""
        return sorted(range(len(self.decoders)), key=lambda place: self.d1_last and self.decoders[place] == "d1")

    @property
    def label(self) -> str:
        """Return the short name in the paper's tables, such as ``S r4``, with any departures from the usual model."""
        parts = ["M" if self.multi else "S", f"r{self.reduction}"]
        if self.decoders != DECODERS:
            parts.append("+".join(self.decoders).upper())
        elif self.multi and not self.force_multi and self.single_frame != (True, False, False):
            several = [name for name, single in zip(self.decoders, self.single_frame, strict=True) if not single]
            parts.append("multi-map " + "+".join(several).upper())
        if self.force_multi:
            parts.append("force_multi")
        if self.outputs == 8:
            parts.append("8 outputs")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready values; ``ModelSpec(**spec.to_dict()) == spec``."""
        return asdict(self) | {"decoders": list(self.decoders), "single_frame": list(self.single_frame)}


@dataclass(frozen=True)
class ForeignSpec:
    """The spec of a model of other software, which gives one map, of the last frame of its input.

    Args:
        label: its name.
    """

    label: str
    outputs: ClassVar[int] = 1
    multi: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self)


def _rules(spec: ModelSpec) -> list[tuple[bool, str]]:
    ordered = list(spec.decoders) == sorted(spec.decoders) and set(spec.decoders) <= set(DECODERS)
    multi_d1 = ("d1", False) in zip(spec.decoders, spec.single_frame, strict=False)
    return [
        (spec.reduction in REDUCTIONS, f"reduction is one of {REDUCTIONS}"),
        (ordered and 1 <= len(spec.decoders) <= 3, "decoders are one or more of d1, d2, d3, at most three, in order"),
        (len(spec.single_frame) == len(spec.decoders), "single_frame has one entry a decoder"),
        (not spec.force_multi or all(spec.single_frame), "force_multi needs every decoder to give a single map"),
        (not spec.d1_last or {"d1"} < set(spec.decoders), "d1_last needs d1 and another decoder"),
        (spec.outputs == 1 or spec.multi, "a model of single maps has 1 output (or takes force_multi)"),
        (spec.outputs in (8, 16) or not spec.multi, "a multi-map model has 8 or 16 outputs"),
        (spec.outputs != 8 or not multi_d1, "with 8 outputs D1 gives a single map, for its own maps number 16"),
    ]


@dataclass(frozen=True)
class Sampling:
    """Say how windows are placed on a video, and how their maps become one per frame; see docs/model.md.

    Args:
        every: frames from one window to the next; 1 or more for S, 1 to 16 for M, which gives each frame its own map.
        between: the map of a frame between two windows of an S model: interpolated (linear), or the later one (hold).
        smooth: standard deviation, in seconds, of a Gaussian that smooths maps over time; 0 for none.

    Raises:
        ValueError: a value is out of its range.
    """

    every: int
    between: str = "linear"
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        if self.every < 1 or self.between not in {"linear", "hold"} or not 0 <= self.smooth < math.inf:
            raise ValueError(f"{self} is no sampling")

    @classmethod
    def published(cls, spec: ModelSpec) -> Self:
        """Return the published sampling: a window for every frame in S models, for every sixteenth in M models."""
        return cls(CLIP_FRAMES if spec.multi else 1)

    @classmethod
    def best(cls, spec: ModelSpec) -> Self:
        """Return the sampling for students trained here, which costs less and was found to be better."""
        return cls(CLIP_FRAMES, smooth=0.2) if spec.multi else cls(8)


class ModelTable(UserDict[str, ModelSpec]):
    """Models by name; each is also found by a readable name: its label with hyphens, such as ``M-r4``.

    Any other model is found by such a label, too: ``S-r4-D1+D3``, ``M-r2-8-outputs``.
    """

    __contains__ = Mapping.__contains__  # it contains every name that can be looked up

    def __missing__(self, name: str) -> ModelSpec:
        """Return the spec of a model by a name that is no key of the table."""
        return self.data.get(self.published_name(name)) or _described(name)

    def published_name(self, name: str) -> str:
        """Return the name that records and checkpoints use for a model; any other text unchanged."""
        # If two share a label, it means the first one.
        labels = {spec.label.replace(" ", "-"): known for known, spec in reversed(self.data.items())}
        return (labels | _ALIASES).get(name, name)


def _described(label: str) -> ModelSpec:
    """Return the model that a label with hyphens describes; in an M model, D2 and D3 (or else D1) are multi-map.

    Raises:
        KeyError: it is no such label.
    """
    found = re.fullmatch(r"([SM])-r([1248])(-D[123](?:\+D[123])*)?(-8-outputs)?", label)
    if not found:
        raise KeyError(label)
    digits = re.sub(r"\D", "", found[3] or "123")
    several = "" if found[1] == "S" else digits.replace("1", "") or digits
    decoders = tuple(f"d{digit}" for digit in digits)
    single_frame = tuple(digit not in several for digit in digits)
    outputs = 8 if found[4] else 16 if several else 1
    try:
        return ModelSpec(int(found[2]), decoders, single_frame, outputs=outputs)
    except ValueError as error:
        raise KeyError(label) from error


_ROWS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

_ALIASES = {"S-r1-ucf": "ucf_d123s", "M-r1-ucf": "ucf_d123m"}
MODEL_SPECS = ModelTable({name: ModelSpec(**row) for name, row in _ROWS.items()})
"""Models by their published names (those of the ablations follow the same pattern), and by readable ones.

Examples:
    >>> MODEL_SPECS["M-r4"] == MODEL_SPECS["d123m_rc4_rc1T"]
    True
"""
