"""What runtimes that convert a model have in common: where conversions are kept, under which name, and how exact."""

import hashlib
import json
import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tinyhd_lib import models
from tinyhd_lib.files import cache_folder
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.runtime.base import ModelSource, Runtime, Unusable

logger = logging.getLogger(__name__)

CLIP_SHAPE = (1, 3, CLIP_FRAMES, *INPUT_SIZE)

PARITY_TOLERANCE = 1e-5
"""By how much the maps of a conversion may differ from eager torch's."""


def conversions(kind: str) -> Path | None:
    """The folder of a kind of conversions, made if need be; None, with one line, where it cannot be written."""
    folder = cache_folder() / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            return folder
    except OSError as error:
        logger.warning("%s: cannot be written (%s), the conversion will not be kept", folder, error.strerror)
        return None


def conversion_key(source: ModelSource, packages: Sequence[str], precision: str, code: Sequence[Path] = ()) -> str:
    """A hash of all that a conversion depends on: weights, row, versions, and the code that defines the network.

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
        digest.update(module.read_bytes())
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
