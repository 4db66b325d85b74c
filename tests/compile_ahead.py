"""Compile every kernel that a plan launches, for GPUs that need not be present.

python tests/compile_ahead.py MODEL TARGET...

A target is sm_80, sm_90, gfx942 and the like. Prints a line for each: the number of kernels, and of bytes spilt.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tinyhd_lib import MODEL_SPECS, build_model
from tinyhd_lib.models.decoders import DecoderBlock
from tinyhd_lib.runtime import gpu
from tinyhd_lib.runtime import gpu_kernels as kernels
from tinyhd_lib.runtime.fused.planner import make_plan
from tinyhd_lib.training import gpu_kernels
from tinyhd_lib.training import gpu_layers as layers

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}


class Recorder:
    """Stands in for a kernel and records each distinct way in which it is launched."""

    def __init__(self, kernel: Any, launches: dict[Any, Any]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, _grid: Any) -> Any:
        return self.launch

    def launch(self, *args: Any, **constants: Any) -> None:
        types = tuple(map(type_of, args))
        constants |= {self.kernel.arg_names[place]: None for place, arg in enumerate(args) if arg is None}
        options = {name: constants.pop(name) for name in ("num_warps",) if name in constants}
        self.launches[self.kernel.fn.__name__, types, *constants.items()] = self.kernel, types, constants, options


def type_of(arg: Any) -> Any:
    if isinstance(arg, tuple):
        return tuple(map(type_of, arg))
    return TYPES[arg.dtype] if isinstance(arg, torch.Tensor) else "fp32" if isinstance(arg, float) else "i32"


def recorded(module: Any, found: dict[Any, Any]) -> SimpleNamespace:
    """Return a stand-in for a module of kernels that records their launches."""
    named = {name: Recorder(value, found) for name, value in vars(module).items() if name.endswith("_kernel")}
    return SimpleNamespace(**named)


def launches_of(model: str, precision: str) -> list[Any]:
    """Return all launches of a forward pass, and of a training step of accelerated layers, in two data types."""
    found: dict[Any, Any] = {}
    gpu.kernels, layers.kernels = recorded(kernels, found), recorded(gpu_kernels, found)
    gpu._precision = lambda _device: precision
    plan = make_plan(build_model(MODEL_SPECS[model]))
    for kind in (torch.float32, torch.bfloat16):
        gpu.Engine(plan, torch.device("meta"), kind)(torch.empty(1, *plan.clip, device="meta"))
        learning = torch.nn.Sequential(
            torch.nn.Conv3d(48, 48, 3, padding=1, groups=48, bias=False), torch.nn.BatchNorm3d(48), torch.nn.ReLU6()
        )
        block = DecoderBlock(48, 48, (3, 1, 1))
        layers.accelerate(torch.nn.Sequential(learning, block))
        with torch.autocast("cpu", kind, enabled=kind != torch.float32):
            block(learning(torch.randn(1, 48, 2, 48, 64, dtype=kind, requires_grad=True))).sum().backward()
    return list(found.values())


def compiled(
    kernel: Any, types: tuple[Any, ...], constants: dict[str, Any], options: dict[str, int], target: GPUTarget
) -> Any:
    names = kernel.arg_names
    signature = dict(zip(names, types, strict=False)) | dict.fromkeys(constants, "constexpr")
    values = {(names.index(name),): value for name, value in constants.items()}
    return triton.compile(ASTSource(fn=kernel, signature=signature, constexprs=values), target=target, options=options)


def spilt(cubin: bytes) -> int:
    """Return the bytes of local memory that a kernel uses, which is where registers are spilt."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.findall(r"(?:STACK|LOCAL):(\d+)", told)))


def main() -> None:
    model, *targets = sys.argv[1:]
    launches = {precision: launches_of(model, precision) for precision in ("tf32x3", "ieee")}
    for name in targets:
        nvidia = name.startswith("sm_")
        target = GPUTarget("cuda", int(name[3:]), 32) if nvidia else GPUTarget("hip", name, 64)
        made = [compiled(*launch, target) for launch in launches["tf32x3" if nvidia else "ieee"]]
        local = sum(spilt(each.asm["cubin"]) for each in made) if nvidia else 0
        sys.stdout.write(f"{name}: {len(made)} kernels, {local} bytes of local memory\n")


if __name__ == "__main__":
    main()
