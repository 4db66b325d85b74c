"""Recipes: everything that decides how a student is trained, as one flat table for YAML, papermill and Python alike."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field, fields
from difflib import get_close_matches
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, to_jsonable_python

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import read_values, read_yaml
from tinyhd_lib.losses import PUBLISHED_WEIGHTS, OfFeatures, Term
from tinyhd_lib.models.spec import MODEL_SPECS, ModelSpec

Class = TypeVar("Class")

_FOLDER = Path(__file__).parent / "recipes"


def _model(name: str) -> str:
    """Return a model's published name, which records and checkpoints use."""
    if name not in MODEL_SPECS:
        raise ValueError(f"no such model{_nearest(name, MODEL_SPECS)}")
    return MODEL_SPECS.published_name(name)


_OF_FEATURES: tuple[OfFeatures, ...] = get_args(OfFeatures)
_Kind = Literal["dhf1k", "ucf", "hollywood2", "kinetics", "folder", "gaze", "avimos"]
_Flag = Annotated[bool, Field(strict=True)]
_Integer = Annotated[int, Field(strict=True)]
_Count = Annotated[_Integer, Field(gt=0)]
_Side = Annotated[_Count, Field(multiple_of=32)]
# YAML reads 1e-3 as text.
_Number = Annotated[
    float, Field(strict=True, allow_inf_nan=False), BeforeValidator(lambda x: float(x) if isinstance(x, str) else x)
]
_Weight = Annotated[_Number, Field(ge=0)]
_ONE_OR_SEVERAL = BeforeValidator(lambda x: (x,) if isinstance(x, str) else () if x is None else x)
_Words = Annotated[tuple[str, ...], _ONE_OR_SEVERAL]
_Counts = Annotated[
    tuple[_Count, ...], Field(min_length=1), BeforeValidator(lambda x: (x,) if isinstance(x, int | float) else x)
]


def _in_one_line(kind: type[Class]) -> type[Class]:
    """Let a class raise a `BadInput` of one line where pydantic refuses its arguments."""
    create: Callable[..., None] = kind.__init__

    @wraps(create)
    def tell(self: Class, *given: Any, **named: Any) -> None:
        try:
            create(self, *given, **named)
        except ValidationError as error:
            raise BadInput(_complaint(error.errors()[0])) from None

    kind.__init__ = tell  # type: ignore[method-assign, assignment]
    return kind


def _helpful(kind: type[Class]) -> type[Class]:
    """Let ``help`` describe a class's entries, instead of their validators."""
    entries = kind.__pydantic_fields__.items()  # type: ignore[attr-defined]
    lines = (f"        {name}: {entry.description}" for name, entry in entries)
    kind.__doc__ = "\n".join([f"{kind.__doc__}", "    Args:", *lines])
    plain = [each.replace(annotation=Parameter.empty) for each in signature(kind).parameters.values()]
    kind.__signature__ = Signature(plain)  # type: ignore[attr-defined]
    return kind


@_helpful
@_in_one_line
@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class Recipe:
    """Say how a student is trained. In YAML the names are in capitals, as notebooks' parameters are.

    Raises:
        BadInput: an entry has an invalid value; the message names it.

    Examples:
        >>> Recipe("M-r4", labelled="gaze", teachers="workbench-m-r4", lr="1e-3").lr
        0.001
    """

    model: Annotated[str, AfterValidator(_model)]
    """the student's model, such as M-r4, or by its published name, d123m_rc4_rc1T."""
    start: str | None = None
    """initial weights: all matching tensors of a model, or of its encoder (encoder:NAME, mobilenet_v2:FILE)."""
    freeze: Annotated[tuple[Literal["encoder", "d1", "d2", "d3", "fusion"], ...], _ONE_OR_SEVERAL] = ()
    """parts that are not trained: encoder, d1, d2, d3, fusion."""
    teachers: _Words = ()
    """hd2s:FILE, maps:FOLDER, or the name or path of a student; the mean of several."""
    timing: Literal["aligned", "published"] = "aligned"
    """which window of a single-output teacher gives the map of a frame; see tinyhd_lib.training.teachers."""
    terms: Mapping[Term, _Weight] = field(default_factory=lambda: dict(PUBLISHED_WEIGHTS))
    """the loss's weights, by term (tinyhd_lib.losses.Term)."""
    labelled: _Kind | None = None
    """kind of the data set with ground truth, None for none."""
    labelled_dir: _Words = ()
    """its folder, or several; the kind's environment variable if none."""
    labelled_split: str | None = None
    """its split to train on, None for all."""
    sigma: str | None = None
    """standard deviation of the Gaussian that turns gaze points into labels: 0.5deg, 20px or dhf1k; 1deg if None."""
    validation_split: str | None = None
    """its split to measure on, None for none."""
    auxiliary: _Kind | None = None
    """kind of the data set without ground truth, labelled by the teacher alone, None for none."""
    auxiliary_dir: _Words = ()
    """its folder, or several."""
    auxiliary_split: str | None = None
    """its split to train on, None for all."""
    exclude: _Words = ()
    """videos to leave out, or parts of them: name, name:first-last."""
    clips_per_video: _Counts = (1,)
    """clips that an epoch draws from each labelled video (if none is, from each); or a number per LABELLED_DIR."""
    auxiliary_ratio: _Weight = 1.0
    """auxiliary clips per labelled clip."""
    speeds: Annotated[tuple[_Integer, ...], Field(min_length=1)] = (1,)
    """frame steps of clips, one of which is drawn for each; negative ones run backwards."""
    every: _Count = 1
    """clips start only on every Nth frame, which keeps the cache of a multi-output teacher small."""
    crop: Annotated[_Number, Field(ge=0.1, le=1)] = 1.0
    """smallest fraction of width and height that a random crop keeps; 1 for no crops."""
    colour: Annotated[_Number, Field(ge=0, le=1)] = 0.0
    """strength of the colour augmentation, 0 to 1."""
    size: tuple[_Side, _Side] = (192, 256)
    """(H, W) that the student is trained at."""
    teacher_size: tuple[_Side, _Side] = (192, 256)
    """(H, W) of the teachers' input, 192x256 as published."""
    validation_view: Literal["whole", "published"] = "whole"
    """view of validation videos: the whole frame, or the published crop."""
    validation_clips: _Count = 5
    """number of evenly spaced clips of each validation video."""
    best_by: Literal["kl", "cc", "nss"] = "kl"
    """score by which the best student is chosen."""
    patience: Annotated[_Integer, Field(ge=0)] = 0
    """training ends after this many epochs without a better score, 0 for never."""
    store: _Flag = True
    """decode every video once, into the cache folder."""
    cache: _Flag = True
    """keep the teachers' answers in the cache folder."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """sgd (momentum 0.9, published) or adamw."""
    lr: Annotated[_Number, Field(gt=0)] = 0.01
    """learning rate of the decoders."""
    encoder_lr: _Weight = 0.5
    """learning rate of the encoder, as a factor of LR."""
    fusion_lr: _Weight = 1.0
    """learning rate of the fusion, as a factor of LR."""
    weight_decay: _Weight = 5e-4
    """weight decay of all parameters but biases."""
    schedule: Literal["steps", "cosine"] = "steps"
    """steps (x0.1 at MILESTONES, the best checkpoint reloaded) or cosine after a warm-up."""
    milestones: tuple[_Integer, ...] = (100, 150, 180)
    """epochs at which the schedule steps lowers the rate."""
    warmup: _Weight = 1.0
    """warm-up of the schedule cosine, in epochs."""
    ema: Annotated[_Number, Field(ge=0, lt=1)] = 0.0
    """decay of the moving average of weights, which is then what is measured and saved; 0 for none."""
    clip_norm: _Weight = 0.0
    """gradients are clipped to this norm, 0 for never."""
    epochs: _Count = 200
    """number of epochs."""
    batch: _Count = 2
    """clips per batch and process."""
    accumulate: _Count = 1
    """batches whose gradients are accumulated for a step."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """precision of the forward pass: float32, or mixed with bfloat16 or float16."""
    seed: Annotated[_Integer, Field(ge=0)] = 0
    """seed of all random draws."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        numbers, folders = len(self.clips_per_video), len(self.labelled_dir)
        rules = (
            (any(self.terms.values()), "TERMS: all of weight 0, nothing would be learnt"),
            (0 not in self.speeds, "SPEEDS: steps from frame to frame, none of them 0"),
            (self.labelled or self.auxiliary, "LABELLED or AUXILIARY: name the data to learn from"),
            (numbers in {1, folders}, "CLIPS_PER_VIDEO: one number, or one for each of LABELLED_DIR"),
            (self.teachers or self.labelled, "TEACHERS: without any, LABELLED data are needed"),
            (self.teachers or not self.features, f"TERMS {self.features}: needs TEACHERS to learn features from"),
            (not all(map(self.terms.get, _OF_FEATURES)), "TERMS: blocks or features, not both at once"),
        )
        for valid, rule in rules:
            if not valid:
                raise ValueError(rule)
        return self

    @property
    def spec(self) -> ModelSpec:
        """Return the student's model."""
        return MODEL_SPECS[self.model]

    @property
    def features(self) -> OfFeatures | None:
        """Return the loss term that distils features, see `learner.BesideTeacher`; None if there is none."""
        return next((term for term in _OF_FEATURES if self.terms.get(term)), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON-ready values."""
        return to_jsonable_python(self)

    def without_places(self) -> dict[str, Any]:
        """Return the table without what depends on the machine: folders, and paths of files."""
        table = self.to_dict()
        parts = map(teacher_kind, self.teachers)
        table["teachers"] = [f"{kind}{colon}{Path(rest).name}" for kind, colon, rest in parts]
        table["start"] = (Path(self.start).parent.name or self.start) if self.start else None
        return {name: value for name, value in table.items() if not name.endswith("_dir")}


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the library."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def read_recipe(name_or_path: str | Path, **changes: Any) -> Recipe:
    """Read a built-in recipe, or a file.

    Args:
        name_or_path: a name of `recipe_names`, or a YAML file.
        changes: entries that replace those of the file, such as ``epochs=2``.

    Raises:
        BadInput: there is no such recipe, it cannot be read, or it has an unknown name or an invalid value.

    Examples:
        >>> read_recipe("laptop", epochs=2).epochs
        2
    """
    text = str(name_or_path)
    source = _FOLDER / f"{text}.yaml" if text in recipe_names() else Path(name_or_path)
    if not source.is_file():
        raise BadInput(f"recipe {text!r}: no such file or name{_nearest(text, recipe_names())}")
    entries = {str(name).lower(): value for name, value in read_yaml(source).items()}
    try:
        return Recipe(**entries | changes)
    except BadInput as error:
        raise BadInput(f"{text}: {error}") from error


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Return ``NAME=VALUE`` texts as entries of a recipe, the values read as YAML.

    Raises:
        BadInput: one of them is not such a text.

    Examples:
        >>> read_settings(["EPOCHS=2", "SIZE=[96, 128]"])
        {'epochs': 2, 'size': [96, 128]}
    """
    pairs = [setting.partition("=") for setting in settings]
    for name, equals, value in pairs:
        if not (equals and name):
            raise BadInput(f"`set` {name + equals + value!r}: NAME=VALUE, such as EPOCHS=2")
    return read_values((name.lower(), value) for name, _, value in pairs)


def teacher_kind(teacher: str) -> tuple[str, str, str]:
    """Split an entry of ``teachers`` into its kind (``hd2s``, ``maps``, none for a student), colon and rest."""
    kind, colon, rest = teacher.partition(":")
    return (kind, colon, rest) if kind in {"hd2s", "maps"} else ("", "", teacher)


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.4)
    return f"; the nearest are {', '.join(near)}" if near else ""


def _complaint(error: ErrorDetails) -> str:
    """Return pydantic's error as one line, with the entry's name in capitals."""
    entry, *inside = map(str, error["loc"] or ("",))
    name = " ".join([entry.upper(), *inside])
    if error["type"] == "unexpected_keyword_argument":
        return f"no such entry {name!r}{_nearest(name, [each.name.upper() for each in fields(Recipe)])}"
    if error["type"] == "missing" and not inside:
        return f"{name}: name the student's model, one of {', '.join(MODEL_SPECS)}"
    rule = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{name} {error['input']!r}: {rule}" if entry else rule
