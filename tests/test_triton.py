"""The GPU's kernels compute what torch computes: interpreted on a CPU here, and compiled for GPUs that need not be there."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_model
from test_teachers import wake

from tinyhd_lib import MODEL_SPECS, BadInput, metrics, open_runtime
from tinyhd_lib.runtime.fused.planner import make_plan

pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")

from tinyhd_lib.runtime.triton.engine import Engine

interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU: see test_gpu.py")

CLIP = 3, 16, 32, 64
QUICK = "d123m_rc4_rc1T"  # what takes time is the interpreter
ROWS = [row if row == QUICK else pytest.param(row, marks=pytest.mark.slow) for row in MODEL_SPECS]


def engine_of(model: torch.nn.Module, kind: torch.dtype = torch.float32, batch: int = 1, tile: int = 2**17) -> Engine:
    return Engine(make_plan(model, CLIP), batch, torch.device("cpu"), kind, graph=False, tile=tile)


def awake(row: str) -> torch.nn.Module:
    model = random_model(row)
    wake(model, torch.randn(2, 3, 16, 64, 96, generator=torch.Generator().manual_seed(1)))
    return model


@interpreted
@pytest.mark.parametrize("row", ROWS)
def test_every_model_gives_torchs_maps(row: str) -> None:
    model = awake(row)
    clips = torch.randn(1, *CLIP, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        maps = engine_of(model)(clips).clone()
        expected = model.double()(clips.double()).map.reshape(maps.shape)
    assert expected.std() > 5e-3
    assert (maps - expected).abs().max() < 1e-5


@interpreted
@pytest.mark.slow
def test_clips_of_a_batch_and_small_tiles_change_nothing() -> None:
    model = awake("d2_S")
    clips = torch.randn(3, *CLIP, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        each = torch.cat([engine_of(model)(clip[None]).clone() for clip in clips])
        torch.testing.assert_close(engine_of(model, batch=3, tile=2**14)(clips), each, rtol=0, atol=1e-6)
    assert (each[0] - each[1]).abs().max() > 1e-3


@interpreted
@pytest.mark.slow
def test_half_precision_changes_maps_a_little() -> None:
    model = awake("d2_S")
    clip = torch.randn(1, *CLIP, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        exact, half = model(clip).map.reshape(32, 64).numpy(), engine_of(model, torch.float16)(clip)[0, 0].numpy()
    assert 0 < np.abs(half - exact).max() < 0.02
    assert metrics.cc(half, exact) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("model", ["d123s_rc4_rc1T", QUICK])
def test_the_kernels_compile_for_gpus_that_are_not_there(model: str) -> None:
    script = Path(__file__).with_name("compile_ahead.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    targets = ["sm_80", "sm_90", "gfx942"]
    command = [sys.executable, script, model, *targets]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == targets
    for line in lines:
        assert int(line.split()[1]) > 20
        assert int(line.split()[3]) < 500  # bytes of local memory of all kernels together: hardly a register is spilt


@interpreted
def test_without_a_gpu_the_runtime_is_refused_in_one_line() -> None:
    with pytest.raises(BadInput, match="device 'cuda:3' cannot be used here"):
        open_runtime(random_model("d2_S"), "triton:3")
