"""The forward pass in OpenVINO, on a CPU. A model is converted once; then torch is not needed any more."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openvino

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.runtime.base import ModelSource
from tinyhd_lib.runtime.conversion import CLIP_SHAPE, check_parity, conversion_key, conversions

logger = logging.getLogger(__name__)

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


class OpenVINORuntime:
    """OpenVINO in float32; see `Runtime`.

    Every clip is a request of its own with a fixed shape: on a CPU that is faster than batches or a free shape.

    Raises:
        Unusable: a fresh conversion differs from torch by more than 1e-5 on this machine.
    """

    def __init__(self, source: ModelSource) -> None:
        self.name = f"openvino {version('openvino')}"
        self.spec = source.spec
        self.digest = source.digest
        folder = conversions("openvino")
        settings = SETTINGS | ({"CACHE_DIR": str(folder / "compiled")} if folder else {})
        path = folder / f"{conversion_key(source, ('openvino', 'torch', 'torchvision'))}.xml" if folder else None
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
        check_parity(self, source)
        if path:
            _save_atomically(converted, path)

    def _start(self, compiled: openvino.CompiledModel) -> None:
        self.batch = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = openvino.AsyncInferQueue(compiled, self.batch)

    def __call__(self, clips: Sequence[Map] | Map) -> Map:
        """See `Runtime`."""
        maps = np.empty((len(clips), self.spec.outputs, *INPUT_SIZE), np.float32)

        def collect(request: openvino.InferRequest, position: int) -> None:
            maps[position] = request.get_output_tensor().data.reshape(maps.shape[1:])

        self._requests.set_callback(collect)
        for position, clip in enumerate(clips):
            self._requests.start_async([np.ascontiguousarray(clip)[np.newaxis]], position)
        self._requests.wait_all()
        return maps


def _convert(source: ModelSource) -> openvino.Model:
    from tinyhd_lib.export import MapOnly, exported_program

    return openvino.convert_model(exported_program(MapOnly(source.load()), CLIP_SHAPE))


def _save_atomically(converted: openvino.Model, path: Path) -> None:
    """Both files of the model appear under their names whole or not at all, the one that is looked for last."""
    with TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(converted, Path(folder) / path.name, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            (Path(folder) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))
