"""Recipes: everything that decides how a student is trained, as one flat table that YAML, papermill and code share."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args, get_origin

import yaml

from tinyhd_lib.data.clips import VIEWS
from tinyhd_lib.data.datasets import KINDS
from tinyhd_lib.errors import BadInput
from tinyhd_lib.losses import TERMS
from tinyhd_lib.models.spec import MODEL_SPECS, ModelSpec

_CHOICES: dict[str, tuple[str, ...]] = {
    "timing": ("aligned", "published"),
    "optimiser": ("sgd", "adamw"),
    "schedule": ("steps", "cosine"),
    "precision": ("float32", "bfloat16", "float16"),
    "validation_view": tuple(VIEWS),
    "labelled": tuple(KINDS),
    "auxiliary": tuple(KINDS),
}


@dataclass(frozen=True)
class Recipe:
    """How a student is trained. In YAML the names are in capitals, as notebooks' parameters are.

    Args:
        model: a row of `MODEL_SPECS`.
        start: weights to begin with, none for a fresh student.
        teachers: ``hd2s:FILE``, ``maps:FOLDER``, or the name or path of a student; the mean of several.
        timing: which window of a teacher of single maps answers for a frame; see `tinyhd_lib.training.teachers`.
        terms: the loss's weights, by term (`tinyhd_lib.losses.TERMS`).
        labelled: kind of the data set with gaze, None for none.
        labelled_dir: its folder; the kind's environment variable if None.
        labelled_split: its part to learn from, None for all.
        validation_split: its part to measure on, None for none.
        auxiliary: kind of the data set that only the teacher knows an answer for, None for none.
        auxiliary_dir: its folder.
        auxiliary_split: its part to learn from, None for all.
        exclude: videos to leave out, or parts of them: ``name``, ``name:first-last``.
        clips_per_video: clips that an epoch draws from each labelled video (of each auxiliary one, without labels).
        auxiliary_ratio: auxiliary clips for each labelled one.
        speeds: steps from frame to frame that are drawn from; negative ones run backwards.
        every: clips begin on every so many frames only, which keeps the cache of a teacher of whole clips small.
        crop: the least part of the width and height that a random crop keeps; 1 for none.
        colour: strength of random changes of colour, 0 to 1.
        size: (H, W) that the student is trained at.
        teacher_size: (H, W) that the teachers look at, 192x256 as published.
        validation_view: what is seen of validation videos: the ``whole`` frame, or the ``published`` crop.
        validation_clips: evenly spaced clips of each validation video.
        store: decode every video once, into the cache folder.
        cache: keep the teachers' answers.
        optimiser: ``sgd`` (momentum 0.9, published) or ``adamw``.
        lr: learning rate of the decoders.
        encoder_lr: that of the encoder, as a factor of ``lr``.
        fusion_lr: that of the fusion, likewise.
        weight_decay: of all but biases.
        schedule: ``steps`` (x0.1 at ``milestones``, the best checkpoint reloaded) or ``cosine`` after a warm-up.
        milestones: epochs of ``steps``.
        warmup: epochs in which ``cosine`` rises to its height.
        ema: decay of the moving average of the weights that is measured and kept, 0 for none.
        clip_norm: the gradient is shortened to this length, 0 for never.
        epochs: passes.
        batch: clips a step and process.
        accumulate: batches whose gradients are added up before a step.
        precision: of the forward pass: ``float32``, or mixed with ``bfloat16`` or ``float16``.
        compile: use torch.compile.
        seed: decides all that is drawn.

    Raises:
        BadInput: a value that no recipe can have; the message names it.
    """

    model: str
    start: str | None = None
    teachers: tuple[str, ...] = ()
    timing: str = "aligned"
    terms: Mapping[str, float] = field(default_factory=lambda: {"ground_truth": 1.0, "teacher_map": 1.0, "d1": 1.0})
    labelled: str | None = None
    labelled_dir: str | None = None
    labelled_split: str | None = None
    validation_split: str | None = None
    auxiliary: str | None = None
    auxiliary_dir: str | None = None
    auxiliary_split: str | None = None
    exclude: tuple[str, ...] = ()
    clips_per_video: int = 1
    auxiliary_ratio: float = 1.0
    speeds: tuple[int, ...] = (1,)
    every: int = 1
    crop: float = 1.0
    colour: float = 0.0
    size: tuple[int, int] = (192, 256)
    teacher_size: tuple[int, int] = (192, 256)
    validation_view: str = "whole"
    validation_clips: int = 5
    store: bool = True
    cache: bool = True
    optimiser: str = "sgd"
    lr: float = 0.01
    encoder_lr: float = 0.5
    fusion_lr: float = 1.0
    weight_decay: float = 5e-4
    schedule: str = "steps"
    milestones: tuple[int, ...] = (100, 150, 180)
    warmup: float = 1.0
    ema: float = 0.0
    clip_norm: float = 0.0
    epochs: int = 200
    batch: int = 2
    accumulate: int = 1
    precision: str = "float32"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            if isinstance(getattr(self, each.name), list):
                object.__setattr__(self, each.name, tuple(getattr(self, each.name)))
            if not _fits(getattr(self, each.name), each.type):
                raise BadInput(f"{each.name.upper()} {getattr(self, each.name)!r}: {_WORDS[each.type]}")
        if self.model not in MODEL_SPECS:
            raise BadInput(f"MODEL {self.model!r}: no such row{_nearest(self.model, MODEL_SPECS)}")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise BadInput(f"{name.upper()} {value!r}: {', '.join(choices)}")
        for valid, rule in _rules(self):
            if not valid:
                raise BadInput(rule)

    @property
    def spec(self) -> ModelSpec:
        """The student's row."""
        return MODEL_SPECS[self.model]

    @property
    def hints(self) -> bool:
        """Whether the teacher's features are to be learnt."""
        return bool(self.terms.get("levels"))

    @property
    def only_hints(self) -> bool:
        """Whether nothing else is, so that decoders need not run."""
        return {name for name, weight in self.terms.items() if weight} == {"levels"}

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON-ready values."""
        return {
            name: list(value) if isinstance(value, tuple) else dict(value) if name == "terms" else value
            for name, value in asdict(self).items()
        }

    def without_places(self) -> dict[str, Any]:
        """The table without what is only true of one machine: folders, and where files lie."""
        table = self.to_dict()
        table["teachers"] = [
            f"{kind}{colon}{Path(rest).name}" for kind, colon, rest in map(teacher_kind, self.teachers)
        ]
        table["start"] = Path(self.start).parent.name if self.start else None
        return {name: value for name, value in table.items() if not name.endswith("_dir")}

    def to_yaml(self) -> str:
        """The table as YAML, which `read_recipe` and papermill's ``-f`` read."""
        return yaml.safe_dump({name.upper(): value for name, value in self.to_dict().items()}, sort_keys=False)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], where: str = "recipe") -> Self:
        """A recipe from names, in capitals or not, and values.

        Raises:
            BadInput: a name or value that no recipe has.
        """
        known = {each.name for each in fields(cls)}
        values = {str(name).lower(): value for name, value in table.items()}
        for name in values:
            if name not in known:
                raise BadInput(
                    f"{where}: no such entry {name.upper()!r}{_nearest(name.upper(), map(str.upper, known))}"
                )
        if "model" not in values:
            raise BadInput(f"{where}: MODEL: name the student's row, one of {', '.join(MODEL_SPECS)}")
        try:
            return cls(**values)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from error


def recipe_names() -> list[str]:
    """The recipes that come with the library."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


def read_recipe(name_or_path: str | Path, **changes: Any) -> Recipe:
    """One of our recipes, or a file.

    Args:
        name_or_path: a name of `recipe_names`, or a YAML file.
        changes: entries that replace those of the file, such as ``epochs=2``.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    text = str(name_or_path)
    source = _folder() / f"{text}.yaml" if text in recipe_names() else Path(name_or_path)
    if not source.is_file():
        raise BadInput(f"recipe {text!r}: no such file or name{_nearest(text, recipe_names())}")
    try:
        table = yaml.safe_load(source.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{source}: not YAML that can be read ({str(error).partition(chr(10))[0]})") from error
    if not isinstance(table, dict):
        raise BadInput(f"{source}: a recipe is a table of names and values")
    lowered = {str(name).lower(): value for name, value in table.items()}
    return Recipe.from_dict(lowered | changes, text)


def teacher_kind(teacher: str) -> tuple[str, str, str]:
    """Kind (``hd2s``, ``maps``, none for a student), colon and rest of an entry of ``teachers``."""
    kind, colon, rest = teacher.partition(":")
    return (kind, colon, rest) if kind in {"hd2s", "maps"} else ("", "", teacher)


def _folder() -> Any:
    return files("tinyhd_lib.training") / "recipes"


def _nearest(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"; the nearest are {', '.join(near)}" if near else ""


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number, such as 0.001 or 1.0e-3",
    str: "a word",
    str | None: "a word, or null",
    tuple[str, ...]: "a list of words, with quotes about those that look like numbers",
    tuple[int, ...]: "a list of whole numbers",
    tuple[int, int]: "[H, W]",
    Mapping[str, float]: "names of terms with numbers",
}


def _fits(value: Any, declared: Any) -> bool:
    """Whether a value is of the type that an entry is declared with."""
    kinds = get_args(declared)
    if isinstance(declared, UnionType):
        return any(_fits(value, kind) for kind in kinds)
    if get_origin(declared) is tuple:
        return isinstance(value, tuple) and all(_fits(each, kinds[0]) for each in value)
    if get_origin(declared) is Mapping:
        return isinstance(value, Mapping) and all(all(map(_fits, pair, kinds)) for pair in value.items())
    if declared is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, declared) and (declared is bool or not isinstance(value, bool))


_SIZES = ("size", "teacher_size")


def _is_size(size: tuple[int, ...]) -> bool:
    return len(size) == 2 and all(side > 0 and side % 32 == 0 for side in size)


def _rules(recipe: Recipe) -> list[tuple[bool, str]]:
    positive = ("epochs", "batch", "accumulate", "clips_per_video", "every", "validation_clips", "lr")
    others = ("auxiliary_ratio", "encoder_lr", "fusion_lr", "weight_decay", "warmup", "clip_norm", "seed")
    rules = [(getattr(recipe, name) > 0, f"{name.upper()} {getattr(recipe, name)}: more than 0") for name in positive]
    rules += [(getattr(recipe, name) >= 0, f"{name.upper()} {getattr(recipe, name)}: 0 or more") for name in others]
    unknown = [name for name in recipe.terms if name not in TERMS]
    learns = any(recipe.terms.values())
    kinds = {teacher_kind(teacher)[0] for teacher in recipe.teachers}
    return [
        *rules,
        (not unknown, f"TERMS {unknown}: there are {', '.join(TERMS)}"),
        (learns, "TERMS: all of weight 0, nothing would be learnt"),
        (min(recipe.terms.values(), default=0) >= 0, "TERMS: weights are 0 or more"),
        (bool(recipe.labelled or recipe.auxiliary), "LABELLED or AUXILIARY: name the data to learn from"),
        (bool(recipe.teachers or recipe.labelled), "TEACHERS: without any, LABELLED data are needed"),
        *((_is_size(getattr(recipe, name)), f"{name.upper()}: [H, W], multiples of 32") for name in _SIZES),
        (bool(recipe.speeds) and 0 not in recipe.speeds, "SPEEDS: one or more steps, none of them 0"),
        (0.1 <= recipe.crop <= 1, f"CROP {recipe.crop}: 0.1 to 1"),
        (0 <= recipe.colour <= 1, f"COLOUR {recipe.colour}: 0 to 1"),
        (0 <= recipe.ema < 1, f"EMA {recipe.ema}: 0 or more, less than 1"),
        (not recipe.hints or (recipe.crop == 1 and len(recipe.teachers) == 1), "levels: one teacher, and CROP 1"),
        (not (recipe.hints and kinds - {""}), "levels: only a student among TEACHERS has them"),
        (not recipe.hints or recipe.size == recipe.teacher_size, "levels: SIZE and TEACHER_SIZE are the same"),
    ]
