"""The kinds of files that a model can be exported to, as rows of a table, and what every file says of itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.models.graph import Input
from tinyhd_lib.models.source import ModelSource
from tinyhd_lib.models.spec import INPUT_SIZE, PREPROCESSING

OUTPUT = "maps"

Loaded = Callable[[npt.NDArray[Any]], Map]
"""An exported model: maps of its input."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: as `export_model` takes it.
        suffixes: of its files; the last is the one to name, and is put in place last.
        packages: that it needs besides torch.
        write: puts a program that takes an input into the file, and what `description` says of it.
        load: gives what runs it, on a CPU and in float32.
    """

    name: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[ExportedProgram, Path, Input, dict[str, str]], None]
    load: Callable[[Path], Loaded]

    def check_installed(self) -> None:
        """Refuse before the work.

        Raises:
            BadInput: a package that it needs is missing.
        """
        missing = [package for package in self.packages if not find_spec(package)]
        if missing:
            raise BadInput(
                f"`to={self.name}` needs {', '.join(missing)} (pip install -e '.[export]' from the checkout)"
            )


def description(source: ModelSource, takes: Input) -> dict[str, str]:
    """Return what an exported file says of itself, words by name."""
    outputs = source.spec.outputs
    return {
        "made_by": f"tinyhd {version('tinyhd')}",
        "model": source.spec.label,
        "spec": json.dumps(source.spec.to_dict()),
        "weights": source.digest,
        "input": str(takes),
        "output": f"{OUTPUT} float32 (batch, {outputs}, {', '.join(map(str, INPUT_SIZE))}), in (0, 1)",
        "preprocessing": json.dumps(PREPROCESSING),
    }


def _write_torch(program: ExportedProgram, path: Path, _takes: Input, words: dict[str, str]) -> None:
    torch.export.save(program, path, extra_files={"tinyhd.json": json.dumps(words)})


def _load_torch(path: Path) -> Loaded:
    module = torch.export.load(path).module()
    return torch.inference_mode()(lambda array: module(torch.from_numpy(array)).numpy())


def _write_onnx(program: ExportedProgram, path: Path, takes: Input, words: dict[str, str]) -> None:
    converted = torch.onnx.export(
        program,
        (takes.example(),),
        input_names=[takes.name],
        output_names=[OUTPUT],
        dynamic_shapes={takes.name: takes.free},
        dynamo=True,
        verbose=False,
    )
    assert converted is not None  # it answers None only where it writes the file itself
    converted.model.metadata_props.update(words)
    converted.save(path, external_data=False)


def _load_onnx(path: Path) -> Loaded:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda array: session.run(None, {name: array})[0]


def _write_openvino(program: ExportedProgram, path: Path, takes: Input, words: dict[str, str]) -> None:
    import openvino

    converted = openvino.convert_model(program)
    converted.reshape([size if isinstance(size, int) else -1 for size in takes.shape])
    converted.output(0).get_tensor().set_names({OUTPUT})
    for name, text in words.items():
        converted.set_rt_info(text, ["tinyhd", name])
    openvino.save_model(converted, path, compress_to_fp16=False)


def _load_openvino(path: Path) -> Loaded:
    import openvino

    # Without the hint, processors that have bfloat16 compute in it.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda array: compiled(array)[0]


FORMATS = {
    row.name: row
    for row in (
        Format("onnx", (".onnx",), ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _load_onnx),
        Format("openvino", (".bin", ".xml"), ("openvino",), _write_openvino, _load_openvino),
        Format("torch", (".pt2",), (), _write_torch, _load_torch),
    )
}
"""Kinds of files by the name that `export_model` has for them."""
