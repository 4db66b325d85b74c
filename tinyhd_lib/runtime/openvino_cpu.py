"""The forward pass in OpenVINO, on a CPU. A model is converted once; then torch is not needed any more."""

import hashlib
import json
import logging
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openvino

from tinyhd_lib import models
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.files import cache_folder
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.runtime.base import ModelSource, OpenVINOUnusable

logger = logging.getLogger(__name__)

CLIP_SHAPE = (1, 3, CLIP_FRAMES, *INPUT_SIZE)
PARITY_TOLERANCE = 1e-5

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


class OpenVINORuntime:
    """OpenVINO in float32; see `Runtime`.

    Every clip is a request of its own with a fixed shape: on a CPU that is faster than batches or a free shape.

    Raises:
        OpenVINOUnusable: a fresh conversion differs from torch by more than 1e-5 on this machine.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name = f"openvino {version('openvino')}"
        self.spec = source.spec
        self.digest = source.digest
        folder = _usable(cache_folder() / "openvino")
        settings = SETTINGS | ({"CACHE_DIR": str(folder / "compiled")} if folder else {})
        path = folder / f"{_conversion_key(source)}.xml" if folder else None
        core = openvino.Core()
        if path and path.exists():
            try:
                self._start(core.compile_model(core.read_model(path), "CPU", settings))
            except RuntimeError:
                logger.warning("%s is damaged: converting the model again", path)
            else:
                return
        logger.info("converting %s for OpenVINO, once (10 to 20 seconds)", source.spec.label)
        converted = _convert(source)
        self._start(core.compile_model(converted, "CPU", settings))
        self._check_parity(source)
        if path:
            _save_atomically(converted, path)

    def _start(self, compiled: openvino.CompiledModel) -> None:
        self.batch = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = openvino.AsyncInferQueue(compiled, self.batch)

    def __call__(self, clips: Map) -> Map:
        """See `Runtime`."""
        maps = np.empty((len(clips), self.spec.outputs, *INPUT_SIZE), np.float32)

        def collect(request: openvino.InferRequest, position: int) -> None:
            maps[position] = request.get_output_tensor().data.reshape(maps.shape[1:])

        self._requests.set_callback(collect)
        for position, clip in enumerate(clips):
            self._requests.start_async([clip[np.newaxis]], position)
        self._requests.wait_all()
        return maps

    def _check_parity(self, source: ModelSource) -> None:
        from tinyhd_lib.runtime.eager import TorchRuntime

        clip = np.random.default_rng(0).standard_normal(CLIP_SHAPE, np.float32)
        difference = float(np.abs(self(clip) - TorchRuntime(source, "cpu")(clip)).max())
        if not difference <= PARITY_TOLERANCE:
            raise OpenVINOUnusable(f"OpenVINO differs from torch by {difference:.1e} on this machine")


def _convert(source: ModelSource) -> openvino.Model:
    from tinyhd_lib.export import MapOnly, exported_program

    return openvino.convert_model(exported_program(MapOnly(source.load()), CLIP_SHAPE))


def _usable(folder: Path) -> Path | None:
    """The cache folder, made if need be; None, with one line, where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            return folder
    except OSError as error:
        logger.warning("%s: cannot be written (%s), the conversion will not be kept", folder, error.strerror)
        return None


def _conversion_key(source: ModelSource) -> str:
    """A hash of all that the conversion depends on: weights, row, versions, and the code that defines the network."""
    digest = hashlib.sha256(source.digest.encode())
    digest.update(json.dumps(source.spec.to_dict(), sort_keys=True).encode())
    for package in ("openvino", "torch", "torchvision"):
        digest.update(version(package).encode())
    for module in sorted(Path(models.__path__[0]).glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:32]


def _save_atomically(converted: openvino.Model, path: Path) -> None:
    """Both files of the model appear under their names whole or not at all, the one that is looked for last."""
    with TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(converted, Path(folder) / path.name, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            (Path(folder) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))
