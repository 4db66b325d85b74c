"""The forward pass in OpenVINO, on a CPU. A model is converted once; then torch is not needed any more."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openvino

from tinyhd_lib.cache import Cache, cache_folder
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.spec import INPUT_SIZE
from tinyhd_lib.runtime.base import ModelSource, Unusable, check_precision
from tinyhd_lib.runtime.conversion import CLIP_SHAPE, check_parity, conversion_key

logger = logging.getLogger(__name__)

_CONVERSIONS = Cache("openvino", most_bytes=2**30)

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}

PRECISIONS = ("float32", "bfloat16", "int8")


class OpenVINORuntime:
    """OpenVINO; see `Runtime`.

    Every clip is a request of its own with a fixed shape: on a CPU that is faster than batches or a free shape.

    Args:
        source: the model.
        precision: ``float32``; ``bfloat16``, where the processor has it; ``int8``, calibrated on the example clips.

    Raises:
        BadInput: there is no such precision.
        Unusable: a fresh conversion differs from torch by more than 1e-5 on this machine, or with fewer bits from
            float32 by more than their precision allows.
    """

    def __init__(self, source: ModelSource, precision: str = "float32") -> None:
        check_precision(precision, PRECISIONS, "openvino")
        self.name = f"openvino {version('openvino')}" + ("" if precision == "float32" else f" {precision}")
        self.spec = source.spec
        self.digest = source.digest
        self.precision = precision
        settings = SETTINGS | {"CACHE_DIR": str(cache_folder() / "openvino-compiled")}
        core = openvino.Core()
        if precision == "bfloat16":
            _check_processor(core)
            settings["INFERENCE_PRECISION_HINT"] = "bf16"
        key = _key(source, precision)
        kept = _CONVERSIONS.read(key)
        if kept:
            self._start(core.compile_model(_unpacked(core, kept), "CPU", settings))
            return
        logger.info("converting %s for OpenVINO, once (10 to 20 seconds)", source.spec.label)
        converted = _quantise(_convert(source)) if precision == "int8" else _convert(source)
        self._start(core.compile_model(converted, "CPU", settings))
        if precision == "float32":
            check_parity(self, source)
        else:
            from tinyhd_lib.runtime.precision import check_agreement

            check_agreement(self, OpenVINORuntime(source))
        _CONVERSIONS.write(key, _packed(converted))

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


def _check_processor(core: openvino.Core) -> None:
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise Unusable("precision 'bfloat16': this processor has no instructions for it; use `precision=float32`")


def _convert(source: ModelSource) -> openvino.Model:
    import torch

    from tinyhd_lib.models.graph import FromClips, exported_program

    return openvino.convert_model(exported_program(FromClips(source.load()), torch.zeros(CLIP_SHAPE)))


def _quantise(model: openvino.Model) -> openvino.Model:
    """The model with 8-bit weights and activations, calibrated on the example clips."""
    if not find_spec("nncf"):
        raise Unusable(
            "precision 'int8' needs nncf, which is not installed (pip install -e '.[int8]' from the checkout)"
        )
    import nncf

    from tinyhd_lib.runtime.precision import example_clips

    clips = [clip[np.newaxis] for clip in example_clips()]
    return nncf.quantize(model, nncf.Dataset(clips), subset_size=len(clips))


def _key(source: ModelSource, precision: str) -> str:
    packages = ("openvino", "torch", "torchvision", *(("nncf",) if precision == "int8" and find_spec("nncf") else ()))
    return conversion_key(source, packages, precision, [Path(__file__).parents[1] / "models" / "graph.py"])


def _packed(model: openvino.Model) -> bytes:
    """Both files of a model as one: the length of the first, the first, the second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        network, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    return len(network).to_bytes(8, "little") + network + weights


def _unpacked(core: openvino.Core, content: bytes) -> openvino.Model:
    end = 8 + int.from_bytes(content[:8], "little")
    return core.read_model(content[8:end], content[end:])
