"""What runtimes that convert a model have in common: under which name a conversion is kept, and how exact it must be."""

import ast
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tinyhd_lib import models
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.runtime.base import ModelSource, Runtime, Unusable

CLIP_SHAPE = (1, 3, CLIP_FRAMES, *INPUT_SIZE)

PARITY_TOLERANCE = 1e-5
"""By how much the maps of a conversion may differ from eager torch's."""


def conversion_key(source: ModelSource, packages: Sequence[str], precision: str, code: Sequence[Path] = ()) -> str:
    """Return a hash of all that a conversion depends on: weights, spec, versions, and the code that defines the network.

    Args:
        source: the model.
        packages: whose versions matter.
        precision: of the conversion.
        code: further files that matter.
    """
    digest = hashlib.sha256(source.digest.encode())
    digest.update(json.dumps(source.spec.to_dict(), sort_keys=True).encode())
    for package in packages:
        digest.update(version(package).encode())
    digest.update(precision.encode())
    for module in (*sorted(Path(models.__path__[0]).glob("*.py")), *code):
        digest.update(_instructions(module.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:32]


def check_parity(runtime: Runtime, source: ModelSource) -> None:
    """Hold a fresh conversion against eager torch.

    Raises:
        Unusable: they differ by more than 1e-5.
    """
    from tinyhd_lib.runtime.eager import TorchRuntime

    clip = np.random.default_rng(0).standard_normal(CLIP_SHAPE, np.float32)
    difference = float(np.abs(runtime(clip) - TorchRuntime(source, "cpu")(clip)).max())
    if not difference <= PARITY_TOLERANCE:
        raise Unusable(f"{runtime.name} differs from torch by {difference:.1e} on this machine")


def _instructions(code: str) -> str:
    """What a module does, without its comments and docstrings: to edit these changes no conversion."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
