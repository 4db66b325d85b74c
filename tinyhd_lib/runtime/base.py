"""The interface of runtimes, and helpers for those that convert a model. Nothing here needs torch."""

import ast
import json
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tinyhd_lib import models
from tinyhd_lib.data.transforms import Grey, Image, Map, preprocess, to_grey
from tinyhd_lib.errors import BadInput, first_line
from tinyhd_lib.files import digest_of
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE, ForeignSpec, ModelSpec
from tinyhd_lib.runtime.fused.plan import PLANS, Plan

logger = logging.getLogger(__name__)

LEAST_CC = {"float32": 1.0, "bfloat16": 0.999, "float16": 0.999}
"""Precisions, with the least mean CC to the float32 maps of the example clips; float32 must agree to 1e-5 instead."""

_NETWORK = [Path(models.__path__[0]) / f"{name}.py" for name in ("decoders", "graph", "student")]
"""The code that defines what a model computes."""


class Unusable(BadInput):
    """A runtime is not available, or not exact, on this machine."""


class Runtime:
    """A model that is ready to run.

    Args:
        source: the model.
        name: what it runs on.
        precision: of its arithmetic, a name of `LEAST_CC`.
        batch: the number of clips per call that suits it best.

    Attributes:
        precisions: the precisions that it supports.
        name: what it runs on, for the run record: ``fused (numba 0.68)``, ``openvino 2026.4``, ``torch cuda:0``.
        spec: of the model.
        digest: a hash of its weights, or of the file that they come from.
        sampling: the model's default sampling.
        precision: as in the arguments.
        batch: as in the arguments.
        prepare: returns a frame (H, W, 3) as the model's input (3, 192, 256), where the model runs; see `preprocess`.
        to_grey: see `tinyhd_lib.data.transforms.to_grey`. Threads may share both.

    Raises:
        BadInput: it does not support the precision.
    """

    precisions: tuple[str, ...] = ("float32", "bfloat16", "float16")
    spec: ModelSpec | ForeignSpec
    prepare: Callable[[Image], Map] = staticmethod(preprocess)
    to_grey: Grey = staticmethod(to_grey)

    def __init__(self, source: ModelSource, name: str, precision: str, batch: int = 1) -> None:
        if precision not in self.precisions:
            what = name.partition(" ")[0]
            raise BadInput(f"precision {precision!r}: {what} computes in {', '.join(self.precisions)}")
        self.name = name if precision == "float32" else f"{name} {precision}"
        self.spec, self.digest, self.sampling = source.spec, source.digest, source.sampling
        self.precision, self.batch = precision, batch

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """Return the fused maps (N, outputs, 192, 256) of N clips (3, 16, 192, 256), both float32.

        The clips may be overlapping views of one array; it lies in main memory, or holds frames from `prepare`.
        """
        raise NotImplementedError


def try_out(runtime: Runtime, *errors: type[Exception]) -> None:
    """Run a model once, to see whether it runs here.

    Raises:
        Unusable: one of the errors was raised.
    """
    try:
        runtime([np.zeros(CLIP_SHAPE, np.float32)])
    except errors as error:
        raise Unusable(f"{runtime.name}: cannot compute this here ({first_line(error)})") from error


def plan_of(source: ModelSource, key: str, where: str) -> tuple[Plan, bool]:
    """Return a model's plan, and whether it was cached; a new one is logged as made for ``where``."""
    if kept := PLANS.read(key):
        return Plan.from_bytes(kept), True
    from tinyhd_lib.runtime.fused.planner import make_plan

    logger.info("planning %s for %s", source.spec.label, where)
    return make_plan(source.load()), False


def conversion_key(source: ModelSource, packages: Sequence[str], precision: str, code: Sequence[Path] = ()) -> str:
    """Return a hash of everything that a conversion depends on: weights, spec, versions and the network's code.

    Args:
        source: the model.
        packages: whose versions matter.
        precision: of the conversion.
        code: further Python files that matter.
    """
    facts = source.digest, json.dumps(source.spec.to_dict(), sort_keys=True), str(CLIP_SHAPE), precision
    return digest_of(*facts, *map(version, packages), *(_code(path) for path in (*_NETWORK, *code)))


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


def _code(path: Path) -> str:
    """Return a Python file's syntax tree without docstrings, which neither comments nor formatting change."""
    return ast.dump(_WithoutDocstrings().visit(ast.parse(path.read_bytes())))
