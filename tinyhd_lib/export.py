"""Export a model as a file for other software; its maps are compared with torch's before it is put in place."""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.export import ExportedProgram

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.errors import BadInput, entry_of
from tinyhd_lib.files import shipped
from tinyhd_lib.metrics import cc
from tinyhd_lib.models.graph import INPUTS, FromClips, Input, exported_program
from tinyhd_lib.models.source import ModelSource, model_source
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, PARITY_TOLERANCE, PREPROCESSING
from tinyhd_lib.models.student import TinyHD

OUTPUT = "maps"
EXAMPLE = "pursuit.mp4"
CLIPS = 2  # more than one, to test that the batch size is free

Loaded = Callable[[npt.NDArray[Any]], Map]
"""A loaded exported model: returns the maps of its input."""


class Format(NamedTuple):
    """A file format.

    Attributes:
        suffixes: of its files; the last one names the model, and is put in place last.
        packages: that it needs besides torch.
        write: writes a traced program with its input and its `description` into the file.
        load: returns the file's model, run on a CPU in float32.
    """

    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[ExportedProgram, Path, Input, dict[str, str]], None]
    load: Callable[[Path], Loaded]


def description(source: ModelSource, takes: Input) -> dict[str, str]:
    """Return the metadata of an exported file, text by name."""
    return {
        "made_by": f"tinyhd {version('tinyhd')}",
        "model": source.spec.label,
        "spec": json.dumps(source.spec.to_dict()),
        "weights": source.digest,
        "sampling": json.dumps(asdict(source.sampling)),
        "input": str(takes),
        "output": f"{OUTPUT} float32 (batch, {source.spec.outputs}, {', '.join(map(str, INPUT_SIZE))}), in (0, 1)",
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
    assert converted is not None  # it is None only if the export writes the file itself
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

    # Without the hint, processors that support bfloat16 use it.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda array: compiled(array)[0]


FORMATS = {
    "onnx": Format((".onnx",), ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _load_onnx),
    "openvino": Format((".bin", ".xml"), ("openvino",), _write_openvino, _load_openvino),
    "torch": Format((".pt2",), (), _write_torch, _load_torch),
}
"""File formats by name."""


class Parity(NamedTuple):
    """The agreement of an exported model's maps with those of eager torch.

    Attributes:
        difference: the largest absolute difference.
        cc: the least CC of two maps.
        maps: number of maps compared.
    """

    difference: float
    cc: float
    maps: int

    def __str__(self) -> str:
        """Return it as one line."""
        found = f"greatest difference {self.difference:.1e}, least CC {self.cc:.6f}"
        return f"against torch, {self.maps} maps of {EXAMPLE}: {found}"


def export_model(
    model: TinyHD | str | Path, path: Path, to: str, takes: str = "clips", *, force: bool = False
) -> Parity:
    """Write a model in float32, load the file, and compare its maps with eager torch's on real clips.

    Args:
        model: a name of `list_models`, a checkpoint's path, or a model.
        path: of the file; an OpenVINO model has a second one beside it, ``.bin``.
        to: a name of `FORMATS`.
        takes: a name of `INPUTS`.
        force: replace existing files.

    Returns:
        how well its maps agree with torch's.

    Raises:
        BadInput: the weights cannot be used; there is no such format or input; packages of the format are not
            installed; the file exists already, or its suffix is wrong; its maps differ by more than 1e-5, and then no
            file is left.
        OSError: the folder cannot be created.
    """
    chosen, wanted = entry_of(FORMATS, to, f"`to={to}`"), entry_of(INPUTS, takes, f"`input={takes}`")
    missing = [package for package in chosen.packages if not find_spec(package)]
    if missing:
        raise BadInput(f"`to={to}` needs {', '.join(missing)} (pip install -e '.[export]' from the checkout)")
    if path.suffix != chosen.suffixes[-1]:
        raise BadInput(f"{path}: a model for {to} is a file {chosen.suffixes[-1]}")
    there = next((place for place in map(path.with_suffix, chosen.suffixes) if place.exists()), None)
    if there and not force:
        raise BadInput(f"{there}: is there already; give another `out`, or `force=True` to replace it")
    path.parent.mkdir(parents=True, exist_ok=True)
    source = model_source(model)
    loaded = source.load()
    program = exported_program(wanted.module(loaded), wanted.example(), wanted.free)
    # On the same disk as its final place, so that moving it there is atomic.
    with TemporaryDirectory(dir=path.parent, prefix=".tinyhd-export-") as folder:
        made = Path(folder) / path.name
        chosen.write(program, made, wanted, description(source, wanted))
        parity = _parity(chosen.load(made), loaded, wanted)
        if not parity.difference <= PARITY_TOLERANCE:
            told = f"{parity.difference:.1e} ({PARITY_TOLERANCE:.0e} is allowed; CC {parity.cc:.4f})"
            remedy = "try another version of what runs it, or another `to`"
            raise BadInput(f"{path}: not written, for its maps differ from torch's by {told}; {remedy}")
        for suffix in chosen.suffixes:
            made.with_suffix(suffix).replace(path.with_suffix(suffix))
    return parity


def compare(found: Map, expected: Map) -> Parity:
    """Compare two arrays of maps (N, outputs, H, W); NaN, infinity or another shape count as an infinite difference."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Parity(float("inf"), 0.0, 0)
    ours, theirs = (maps.reshape(-1, *expected.shape[-2:]) for maps in (found, expected))
    return Parity(float(np.abs(ours - theirs).max()), float(np.min(cc(ours, theirs))), len(ours))


def _parity(exported: Loaded, model: TinyHD, takes: Input) -> Parity:
    """Compare an exported model with torch's on clips of a shipped example video."""
    images = [frame.image for frame in islice(read_frames(shipped("example_data", EXAMPLE)), CLIPS * CLIP_FRAMES)]
    frames = np.stack(images).reshape(CLIPS, CLIP_FRAMES, *images[0].shape)
    clips = np.ascontiguousarray(np.stack([[preprocess(image) for image in clip] for clip in frames]).swapaxes(1, 2))
    with torch.inference_mode():
        expected: Map = FromClips(model)(torch.from_numpy(clips)).numpy()
    return compare(exported(frames if takes.name == "frames" else clips), expected)
