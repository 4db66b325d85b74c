"""Compile every kernel that layers launch, for GPUs that need not be there.

python tests/compile_ahead.py TARGET...

A target is sm_80, sm_90, gfx942 and the like. Prints a line for each: how many kernels, and how many registers spilt.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tinyhd_lib.runtime import depthwise

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}


class Recorder:
    """Stands for a kernel and writes down how it is launched, each way once."""

    def __init__(self, kernel: Any, launches: dict[Any, Any]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, _grid: Any) -> Any:
        return self.launch

    def launch(self, *args: Any, **constants: Any) -> None:
        types = tuple(map(type_of, args))
        constants |= {self.kernel.arg_names[place]: None for place, arg in enumerate(args) if arg is None}
        self.launches[self.kernel.fn.__name__, types, *constants.items()] = self.kernel, types, constants


def type_of(arg: Any) -> Any:
    if isinstance(arg, tuple):
        return tuple(map(type_of, arg))
    return TYPES[arg.dtype] if isinstance(arg, torch.Tensor) else "fp32" if isinstance(arg, float) else "i32"


def launches() -> list[Any]:
    """Return all launches of a layer that learns, in two precisions."""
    found: dict[Any, Any] = {}
    for name, value in list(vars(depthwise).items()):
        if name.endswith("_kernel"):
            setattr(depthwise, name, Recorder(value, found))
    for kind in (torch.float32, torch.bfloat16):
        layer = torch.nn.Sequential(torch.nn.Conv3d(48, 48, 3, padding=1, groups=48, bias=False))
        depthwise.accelerate(layer)
        layer(torch.randn(1, 48, 2, 48, 64, dtype=kind, requires_grad=True)).sum().backward()
    return list(found.values())


def compiled(kernel: Any, types: tuple[Any, ...], constants: dict[str, Any], target: GPUTarget) -> Any:
    names = kernel.arg_names
    signature = dict(zip(names, types, strict=False)) | dict.fromkeys(constants, "constexpr")
    values = {(names.index(name),): value for name, value in constants.items()}
    return triton.compile(ASTSource(fn=kernel, signature=signature, constexprs=values), target=target)


def spilt(cubin: bytes) -> int:
    """Return bytes of local memory, which is where registers go that there are too few of."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.findall(r"(?:STACK|LOCAL):(\d+)", told)))


def main() -> None:
    found = launches()
    for name in sys.argv[1:]:
        nvidia = name.startswith("sm_")
        target = GPUTarget("cuda", int(name[3:]), 32) if nvidia else GPUTarget("hip", name, 64)
        made = [compiled(*launch, target) for launch in found]
        local = sum(spilt(each.asm["cubin"]) for each in made) if nvidia else 0
        sys.stdout.write(f"{name}: {len(made)} kernels, {local} bytes of local memory\n")


if __name__ == "__main__":
    main()
