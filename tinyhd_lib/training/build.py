"""What a recipe names, made: its student and its teacher."""

from pathlib import Path

from tinyhd_lib.cache import cache_folder
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.checkpoints import load_model
from tinyhd_lib.models.encoder import pyramid_channels
from tinyhd_lib.models.student import TinyHD, build_model
from tinyhd_lib.models.weights import model_source
from tinyhd_lib.training.answers import AnswerCache
from tinyhd_lib.training.models import HD2SModel, StudentModel, WindowModel
from tinyhd_lib.training.recipe import Recipe, teacher_kind
from tinyhd_lib.training.teachers import Ensemble, MapTeacher, Teacher, WindowTeacher


def build_student(recipe: Recipe, *, fresh: bool = False) -> TinyHD:
    """The recipe's student, from where it starts.

    Raises:
        BadInput: the weights that it starts from are another model's.
    """
    if recipe.start is None or fresh:
        return build_model(recipe.spec)
    student = load_model(recipe.start)
    if student.spec != recipe.spec:
        raise BadInput(f"START {recipe.start}: {student.spec.label}, but MODEL is {recipe.spec.label}")
    return student


def build_teacher(recipe: Recipe, device: str) -> Teacher | None:
    """The recipe's teacher, None if it has none.

    Args:
        recipe: that names it.
        device: where it computes: ``openvino``, or a torch device.

    Raises:
        BadInput: a teacher cannot be used.
    """
    teachers = [_teacher(name, recipe, device) for name in recipe.teachers]
    if not teachers:
        return None
    return teachers[0] if len(teachers) == 1 else Ensemble(teachers)


def hint_channels(recipe: Recipe) -> tuple[int, ...]:
    """The channels of the teacher's pyramid, none where no hints are to be learnt.

    Raises:
        BadInput: it has no pyramid that fits the student's.
    """
    if not recipe.hints:
        return ()
    spec = model_source(recipe.teachers[0]).spec
    if spec.multi != recipe.spec.multi:
        raise BadInput(f"levels: {spec.label} cannot give hints to {recipe.spec.label}, both are S or both are M")
    return pyramid_channels(spec.reduction)


def _teacher(name: str, recipe: Recipe, device: str) -> Teacher:
    kind, _, rest = teacher_kind(name)
    if kind == "maps":
        return MapTeacher(Path(rest))
    model: WindowModel
    if kind == "hd2s":
        model = HD2SModel(Path(rest), device, size=recipe.teacher_size)
    else:
        model = StudentModel(name, device, size=recipe.teacher_size, hints=recipe.hints)
    cache = AnswerCache(cache_folder() / "teachers") if recipe.cache else None
    return WindowTeacher(model, recipe.timing, single=not recipe.spec.multi, cache=cache)
