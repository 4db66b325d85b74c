"""The compiled runtime gives torch's maps for any number of threads, and is refused where it does not."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import random_model
from hypothesis import given
from hypothesis import strategies as st
from test_teachers import wake

from tinyhd_lib import MODEL_SPECS, BadInput
from tinyhd_lib.runtime import open_runtime
from tinyhd_lib.runtime.fused.plan import CLIP, Plan, Step, share_buffers
from tinyhd_lib.runtime.fused.planner import make_plan
from tinyhd_lib.runtime.fused.runtime import Engine

pytestmark = pytest.mark.slow

EVERY_KIND = ["d123m_rc4_rc1T", "d1_M", "d123s_rc4_rc1T", "rc8_M", "d123_allM_rc4"]
"""Models that have between them every kind of step; a test of the GPU's engine says that none is missing."""


def clip_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((3, 16, 192, 256), np.float32)


class TapByTap(torch.nn.Conv3d):
    """A depthwise convolution as a sum over taps: in double precision, torch's takes minutes and 13 GiB.

    It sums for a few channels at a time, which fit in a processor's cache.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, [side for pad in reversed(self.padding) for side in (pad, pad)])
        windows = padded.unfold(2, self.kernel_size[0], self.stride[0]).unfold(3, 3, self.stride[1])
        windows = windows.unfold(4, 3, self.stride[2])  # (N, C, T, H, W, kernel, 3, 3), a view
        out = torch.zeros(windows.shape[:5], dtype=x.dtype)
        few = 1 + 2**18 // out[0, 0].numel()
        for seen, sums, weight in zip(windows.split(few, 1), out.split(few, 1), self.weight.split(few), strict=True):
            for taps in np.ndindex(*self.kernel_size):
                sums.addcmul_(seen[(..., *taps)], weight[:, 0][(slice(None), *taps)].reshape(-1, 1, 1, 1))
        return out


def in_double(model: torch.nn.Module) -> torch.nn.Module:
    for layer in model.double().modules():
        if isinstance(layer, torch.nn.Conv3d) and layer.groups > 1:
            layer.__class__ = TapByTap
    return model


@pytest.mark.parametrize("row", MODEL_SPECS)
def test_every_model_gives_torchs_maps(row: str) -> None:
    """Every kind of step is compared with double precision, too: it must be as close to that as torch is."""
    model = random_model(row)
    wake(model, torch.randn(2, 3, 16, 64, 96, generator=torch.Generator().manual_seed(1)))
    clip = clip_of(0)
    with torch.inference_mode():
        ours = Engine(make_plan(model), 2)(clip).copy()
        torchs = model(torch.from_numpy(clip)[None]).map.reshape(ours.shape).numpy()
        assert torchs.std() > 5e-3
        assert np.abs(ours - torchs).max() < 1e-4
        if row in EVERY_KIND:
            exact = in_double(model)(torch.from_numpy(clip).double()[None]).map.reshape(ours.shape).numpy()
            assert np.abs(ours - exact).max() < 3 * np.abs(torchs - exact).max() < 1e-4


def test_the_maps_do_not_depend_on_who_shares_the_work() -> None:
    plan = make_plan(random_model("d123s_rc4_rc1T"))
    clip = clip_of(0)
    alone = Engine(plan, 1)(clip).copy()
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(Engine(plan, threads)(clip), alone)


def test_many_clips_views_and_callers_get_their_own_maps() -> None:
    runtime = open_runtime(random_model("d123s_rc4_rc1T"), "fused")
    frames = np.random.default_rng(0).standard_normal((3, 20, 192, 256), np.float32)
    views = [frames[:, start : start + 16] for start in range(5)]
    each = np.concatenate([runtime([view.copy()]) for view in views])
    np.testing.assert_array_equal(runtime(views), each)
    with ThreadPoolExecutor(4) as callers:
        for found, expected in zip(callers.map(lambda view: runtime([view])[0], views), each, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert np.abs(each[0] - each[4]).max() > 0


def test_a_plan_that_differs_from_torch_is_refused_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path))
    honest = make_plan(random_model("S-r8-D2"))
    wrong = Plan(honest.steps, {name: weight + np.float32(1e-2) for name, weight in honest.weights.items()})
    monkeypatch.setattr("tinyhd_lib.runtime.fused.planner.make_plan", lambda _model: wrong)
    with pytest.raises(BadInput, match=r"fused .* differs from torch by"):
        open_runtime(random_model("S-r8-D2"), "fused")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_other_precisions_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match="fused computes in float32"):
        open_runtime(random_model("S-r8-D2"), "fused", "bfloat16")
    with pytest.raises(BadInput, match="choose from float32, bfloat16, float16"):
        open_runtime(random_model("S-r8-D2"), "fused", "float64")


@given(st.data())
def test_no_result_is_written_over_before_it_was_read(data: st.DataObject) -> None:
    steps = []
    for number in range(data.draw(st.integers(1, 12))):
        sources = data.draw(st.sets(st.integers(CLIP, number - 1), min_size=1, max_size=3))
        shape = (data.draw(st.integers(1, 4)), 1, data.draw(st.integers(1, 3)), 8)
        steps.append(Step("any", tuple(sources), shape))
    plan = Plan(tuple(steps), {})
    buffers, sizes = share_buffers(plan)
    holds: dict[int, int] = {}
    for number, step in enumerate(steps):
        assert all(holds[buffers[source]] == source for source in step.sources if source != CLIP)
        assert all(buffers[source] != buffers[number] for source in step.sources if source != CLIP)
        assert sizes[buffers[number]] >= np.prod(step.shape)
        holds[buffers[number]] = number
    assert holds[buffers[-1]] == len(steps) - 1


def test_a_plan_survives_being_written_down() -> None:
    plan = make_plan(random_model("d123m_rc4_rc1T"))
    content = plan.to_bytes()
    again = Plan.from_bytes(content)
    assert again.to_bytes() == content
    assert [step.shape for step in again.steps] == [step.shape for step in plan.steps]
    clip = clip_of(0)
    np.testing.assert_array_equal(Engine(again, 1)(clip), Engine(plan, 1)(clip))
