"""The forward pass in OpenVINO, on a CPU. A model is converted once; from then on torch is not needed."""

import logging
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import openvino

from tinyhd_lib.cache import Cache
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import CLIP_SHAPE, INPUT_SIZE
from tinyhd_lib.runtime.base import Runtime, Unusable, conversion_key

logger = logging.getLogger(__name__)

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}

CONVERSIONS = Cache("conversions", most_bytes=2 * 2**30)
"""Compiled models, as OpenVINO exports them for a processor."""


class OpenVINORuntime(Runtime):
    """OpenVINO; see `Runtime`.

    Every clip is a request of its own with a fixed shape: on a CPU that is faster than batches or dynamic shapes.

    Args:
        source: the model.
        precision: ``float32``, or ``bfloat16`` if the processor supports it.

    Raises:
        BadInput: there is no such precision.
        Unusable: a fresh conversion differs from torch by more than 1e-5 on this machine, or in bfloat16 from float32
            by more than `LEAST_CC` allows.
    """

    precisions = ("float32", "bfloat16")

    def __init__(self, source: ModelSource, precision: str = "float32") -> None:
        super().__init__(source, f"openvino {version('openvino')}", precision)
        core = openvino.Core()
        settings = SETTINGS | ({"INFERENCE_PRECISION_HINT": "bf16"} if precision == "bfloat16" else {})
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unusable("precision 'bfloat16': this processor has none; use `precision=\"float32\"`")
        place = f"{precision} {core.get_property('CPU', 'FULL_DEVICE_NAME')}"
        key = conversion_key(source, ("openvino", "torch", "torchvision"), place)
        kept = CONVERSIONS.read(key)
        if kept:
            compiled = core.import_model(kept, "CPU", settings)
        else:
            import torch

            from tinyhd_lib.models.graph import FromClips, exported_program

            logger.info("converting %s for OpenVINO, once (10 to 20 seconds)", source.spec.label)
            program = exported_program(FromClips(source.load()), torch.zeros(1, *CLIP_SHAPE))
            compiled = core.compile_model(openvino.convert_model(program), "CPU", settings)
        self.batch = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = openvino.AsyncInferQueue(compiled, self.batch)
        if not kept:
            from tinyhd_lib.runtime.eager import TorchRuntime, check_exact

            check_exact(self, TorchRuntime(source, "cpu") if precision == "float32" else OpenVINORuntime(source))
            CONVERSIONS.write(key, compiled.export_model().getvalue())

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
