"""Models of other software, and baselines: a function from frames to a map, in Python or in an ONNX file.

The function is ``saliency(frames)``: sixteen frames (16, 192, 256, 3), RGB float32 from 0 to 1, in; the map (h, w) of
the last one out, not negative, of any size. See docs/experiments.md.
"""

import json
import runpy
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb
from typing import Any
from uuid import uuid4

import cv2
import numpy as np

from tinyhd_lib.data.transforms import Map, normalise
from tinyhd_lib.errors import BadInput, entry_of
from tinyhd_lib.files import digest_of, sha256
from tinyhd_lib.models.baselines import BASELINES
from tinyhd_lib.models.spec import FOREIGN_SUFFIXES, INPUT_SIZE, MEAN, STD, ForeignSpec, Sampling
from tinyhd_lib.models.weights import locate_weights
from tinyhd_lib.runtime.base import Runtime

Saliency = Callable[[Map], Map]
"""A function from sixteen frames to the map of the last one; see the module."""

_EVERY_FRAME = Sampling(1)


class ForeignRuntime(Runtime):
    """A function from frames to a map; see `Runtime`.

    Args:
        saliency: see `Saliency`.
        label: its name.
        digest: changes whenever its maps may change.
        sampling: its default sampling.
    """

    precision, batch = "float32", 1

    def __init__(self, saliency: Saliency, label: str, digest: str, sampling: Sampling = _EVERY_FRAME) -> None:
        self.name, self.spec, self.digest, self.sampling = "its own function", ForeignSpec(label), digest, sampling
        self._saliency = saliency

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        return np.stack([self._map(clip)[np.newaxis] for clip in clips])

    def _map(self, clip: Map) -> Map:
        frames = clip.transpose(1, 2, 3, 0) * np.array(STD, np.float32) + np.array(MEAN, np.float32)
        found = _attempted(self.spec.label, lambda: np.asarray(self._saliency(frames.clip(0, 1)), np.float32))
        if found.ndim != 2 or not found.size or not ((found >= 0) & np.isfinite(found)).all():
            raise BadInput(f"{self.spec.label}: gave {found.shape}; a map is (h, w), finite, 0 and more")
        return cv2.resize(found, INPUT_SIZE[::-1], interpolation=cv2.INTER_LINEAR)


def foreign_runtime(model: Any) -> ForeignRuntime | None:
    """Return a model of other software, or a baseline, ready to run; None for TinyHD's own models.

    Args:
        model: a function; ``baseline:centre``, ``baseline:spectral`` or ``baseline:motion``; the path of an ONNX file,
            or of a Python file that defines ``saliency``, which is run.

    Raises:
        BadInput: it does not exist, defines no such function, or its input is not a video.
    """
    if callable(model) and not hasattr(model, "spec"):
        return ForeignRuntime(model, getattr(model, "__name__", type(model).__name__), uuid4().hex)
    kind, _, name = str(model).partition(":")
    if kind == "baseline":
        baseline = entry_of(BASELINES, name, f"{model}: no such baseline")
        return ForeignRuntime(baseline, str(model), digest_of(name, sha256(locate_weights(model))))
    if Path(str(model)).suffix not in FOREIGN_SUFFIXES:
        return None
    path = locate_weights(model)
    if path.suffix == ".onnx":
        saliency, sampling = _of_onnx(path)
        return ForeignRuntime(saliency, path.stem, sha256(path), sampling)
    saliency = _attempted(path, runpy.run_path, str(path)).get("saliency")
    if not callable(saliency):
        raise BadInput(f"{path}: defines no function saliency(frames)")
    return ForeignRuntime(saliency, path.stem, sha256(path))


def _attempted(who: object, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Return the result of a foreign function; any error in it becomes a `BadInput` of one line, with its place."""
    try:
        return function(*given, **named)
    except Exception as error:
        of_others = __file__, "<", *(get_path(name) for name in ("stdlib", "purelib", "platlib"))
        theirs = [each for each in extract_tb(error.__traceback__) if not each.filename.startswith(of_others)]
        place = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
        raise BadInput(f"{who}: {' '.join(f'{type(error).__name__}: {error}'.split())}{place}") from error


def _of_onnx(path: Path) -> tuple[Saliency, Sampling]:
    """Return a network that takes clips (N, 3, T, H, W), normalised as for ImageNet, or frames (N, T, H, W, 3) uint8.

    Also return its sampling: a window for every frame, but an S model that `export_model` wrote stores its own.
    """
    if not find_spec("onnxruntime"):
        raise BadInput(f"{path}: needs onnxruntime (pip install -e '.[export]' from the checkout)")
    import onnxruntime

    session = _attempted(path, onnxruntime.InferenceSession, path, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    as_frames = given.type == "tensor(uint8)"
    sizes = [size if isinstance(size, int) else 0 for size in given.shape]
    if len(sizes) != 5 or sizes[-1 if as_frames else 1] != 3:
        raise BadInput(f"{path}: takes {given.shape}; a video model takes (N, 3, T, H, W), or (N, T, H, W, 3) in uint8")
    count, height, width = sizes[1:4] if as_frames else sizes[2:]
    size = width or INPUT_SIZE[1], height or INPUT_SIZE[0]

    def saliency(frames: Map) -> Map:
        pictures = np.stack([cv2.resize(frame, size) for frame in frames[-count:]])
        clip = np.rint(255 * pictures).astype(np.uint8) if as_frames else normalise(pictures).transpose(3, 0, 1, 2)
        found: Map = session.run(None, {given.name: clip[np.newaxis]})[0]
        return found.reshape(-1, *found.shape[-2:])[-1]

    words = session.get_modelmeta().custom_metadata_map
    is_ours = words.get("made_by", "").startswith("tinyhd") and session.get_outputs()[0].shape[1] == 1
    return saliency, Sampling(**json.loads(words["sampling"])) if is_ours and "sampling" in words else _EVERY_FRAME
