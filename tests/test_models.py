"""Students and teacher: shapes, gradients, batches, and the published outputs to 1e-5."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import REFERENCE, needs_shared, random_model
from golden import GOLDEN_FILE, reference_outputs
from torchvision.models import mobilenet_v2

from tinyhd_lib import (
    MODEL_SPECS,
    ModelSpec,
    build_model,
    build_teacher,
    inflate_mobilenet_v2,
    load_published_state,
    load_published_teacher_state,
)
from tinyhd_lib.models.checkpoints import _published_name, recognise_spec
from tinyhd_lib.models.decoders import by_products

GOLDEN = REFERENCE / "golden"
VARIANTS = json.loads((REFERENCE / "variants.json").read_text()) if REFERENCE.exists() else {}
SMALL = (64, 64)
TINY = (32, 64)

# Every row, and combinations that no published variant covers.
SPECS = {
    **MODEL_SPECS,
    "r2 multi-map D1": ModelSpec(2, ("d1", "d2"), (False, False), outputs=16),
    "r8 multi-map D1": ModelSpec(8, ("d1", "d3"), (False, True), outputs=16),
    "r4 8 outputs": ModelSpec(4, ("d1", "d2", "d3"), (True, False, False), outputs=8),
    "r8 8 outputs": ModelSpec(8, ("d2", "d3"), (False, True), outputs=8),
    "r2 force_multi": ModelSpec(2, ("d1", "d2", "d3"), (True, True, True), force_multi=True, outputs=16),
    "r4 force_multi 8 outputs": ModelSpec(4, ("d1", "d3"), (True, True), force_multi=True, outputs=8),
    "r4 d1_last": ModelSpec(4, ("d1", "d2", "d3"), (True, False, False), d1_last=True, outputs=16),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_every_model_gives_its_shapes_and_every_parameter_a_gradient(name: str) -> None:
    spec = SPECS[name]
    torch.manual_seed(0)
    model = build_model(spec)
    fused, side_maps = model(torch.randn(2, 3, 16, *TINY))
    assert fused.shape == ((2, 1, spec.outputs, *TINY) if spec.multi else (2, 1, *TINY))
    frames = [1 if single else spec.outputs for single in spec.single_frame]
    maps = [4 if decoder == "d1" else 1 for decoder in spec.decoders]
    assert [tuple(side.shape) for side in side_maps] == [(2, m, t, *TINY) for m, t in zip(maps, frames, strict=True)]
    assert all(((values > 0) & (values < 1)).all() for values in (fused, *side_maps))
    fused.mean().backward()
    assert [name for name, parameter in model.named_parameters() if not has_gradient(parameter)] == []


def has_gradient(parameter: torch.nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)


@pytest.mark.parametrize("name", ["d123m_rc4_rc1T", "d123s_rc4_rc1T"])
def test_a_batch_of_two_equals_two_batches_of_one(name: str) -> None:
    model = random_model(name)
    clips = torch.randn(2, 3, 16, *SMALL)
    with torch.no_grad():
        together = model(clips).map
        apart = torch.cat([model(clip[None]).map for clip in clips])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3, 8, 64, 64), (1, 1, 16, 64, 64), (3, 16, 64, 64), (1, 3, 16, 60, 64)])
def test_a_clip_of_another_shape_is_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a clip is \(N, 3, 16, H, W\).*got"):
        random_model("d2_S")(torch.zeros(shape))


@pytest.mark.parametrize("row", MODEL_SPECS)
def test_a_student_still_gives_its_reference_outputs(row: str) -> None:
    expected = json.loads(GOLDEN_FILE.read_text())[row]
    outputs = reference_outputs(row)
    assert outputs.keys() == expected.keys()
    for name, values in outputs.items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("factors", [(1.0, 2.0, 2.0), (2.0, 2.0, 2.0), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_products_enlarge_as_torch_does_and_so_do_their_gradients(frames: int, factors: tuple[float, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 3, frames, 4, 5), generator=generator, requires_grad=True)
    usual = F.interpolate(x, scale_factor=factors, mode="trilinear", align_corners=True)
    ours, weights = by_products(x, factors), torch.randn(usual.shape, generator=generator)
    torch.testing.assert_close(ours, usual)
    gradients = (torch.autograd.grad((each * weights).sum(), x) for each in (ours, usual))
    torch.testing.assert_close(*gradients)


@pytest.mark.slow
@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("decoders", [("d3", "d3"), ("d1", "d1", "d1"), ("d1", "d2", "d2")], ids="+".join)
def test_equal_decoders_are_decoders_of_their_own(decoders: tuple[str, ...], multi: bool) -> None:
    """Each gives the map that it gives alone with the same encoder; the fusion sees all of them in key order."""
    torch.manual_seed(1)
    single = tuple(not multi for _ in decoders)
    spec = ModelSpec(4, decoders, single, outputs=16 if multi else 1)
    model, clip = build_model(spec).eval(), torch.randn(1, 3, 16, *SMALL)
    with torch.no_grad():
        fused, side_maps = model(clip)
    for number, (name, kind) in enumerate(zip(spec.names, decoders, strict=True)):
        alone = build_model(ModelSpec(4, (kind,), single[:1], outputs=spec.outputs)).eval()
        alone.encoder.load_state_dict(model.encoder.state_dict())
        alone.decoders[kind].load_state_dict(model.decoders[name].state_dict())
        with torch.no_grad():
            torch.testing.assert_close(alone(clip).side_maps[0], side_maps[number])
    weighed = torch.einsum("nc...,c->n...", torch.cat(side_maps, 1), model.fusion.weight.flatten())
    torch.testing.assert_close(fused.reshape(weighed.shape), (weighed + model.fusion.bias).sigmoid())


def test_published_keys_run_on_through_equal_decoders() -> None:
    model = build_model(ModelSpec(4, ("d1", "d1", "d3"), (True, True, True)))
    own = model.state_dict()
    state = {_published_name(key, model.spec): value for key, value in own.items()}
    numbers = {int(key.split(".")[2]) for key in state if key.startswith("aggregator")}
    assert numbers == set(range(16 + 16 + 13))
    assert recognise_spec(state) == model.spec
    assert state["aggregator.aggregate_adapter.16.conv.0.0.weight"] is own["decoders.d1_2.blocks.0.0.0.weight"]


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("name", VARIANTS)
def test_a_student_equals_the_published_one(name: str, reference_fill, reference_clip) -> None:
    model = build_model(MODEL_SPECS[name])
    load_published_state(model, reference_fill(VARIANTS[name]["state_dict"]))
    with torch.no_grad():
        fused, side_maps = model.eval()(reference_clip())
    with np.load(GOLDEN / f"{name}.npz") as golden:
        np.testing.assert_allclose(fused[..., ::8, ::8], golden["map"], rtol=0, atol=1e-5)
        for decoder, maps in zip(model.spec.decoders, side_maps, strict=True):
            np.testing.assert_allclose(maps[..., ::8, ::8], golden[f"inter_{decoder}"], rtol=0, atol=1e-5)
        stats = [float(value) for value in (fused.mean(), fused.std(), fused.min(), fused.max())]
        np.testing.assert_allclose(stats, golden["map_stats"], rtol=0, atol=1e-5)


@pytest.mark.slow
@needs_shared
def test_the_teacher_equals_the_published_one(reference_fill, reference_clip) -> None:
    published = json.loads((REFERENCE / "hd2s_state_dict.json").read_text())
    teacher = build_teacher()
    assert sum(p.numel() for p in teacher.parameters()) == published["parameters"]
    load_published_teacher_state(teacher, reference_fill(published["state_dict"]))
    teacher.eval()
    with torch.no_grad(), np.load(GOLDEN / "hd2s_teacher.npz") as golden:
        fused, conspicuity = teacher(reference_clip())
        np.testing.assert_allclose(fused[:, 0, ::8, ::8], golden["map"], rtol=0, atol=1e-5)
        for level, side_map in enumerate(conspicuity, start=2):
            np.testing.assert_allclose(side_map[:, 0, ::8, ::8], golden[f"conspicuity_block{level}"], rtol=0, atol=1e-5)
        for block, tap in enumerate(teacher.taps(reference_clip()), start=1):
            assert tuple(tap.shape) == tuple(golden[f"block{block}_shape"])
            np.testing.assert_allclose([tap.mean(), tap.std()], golden[f"block{block}_mean_std"], atol=1e-5)
        native = teacher(reference_clip(height=128, width=192, seed=1)).map
        np.testing.assert_allclose(native[:, 0, ::8, ::8], golden["map_128x192_seed1"], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_every_teacher_parameter_gets_a_gradient() -> None:
    teacher = build_teacher()
    fused, conspicuity = teacher(torch.randn(2, 3, 16, *SMALL))
    assert fused.shape == (2, 1, *SMALL)
    assert len(conspicuity) == 4
    fused.mean().backward()
    assert [name for name, parameter in teacher.named_parameters() if not has_gradient(parameter)] == []


def test_inflation_repeats_in_time_and_averages_channels_in_blocks() -> None:
    flat = mobilenet_v2().state_dict()
    model = build_model(ModelSpec(2, ("d2",), (True,)))
    model.train()(torch.randn(2, 3, 16, *SMALL))  # changes the running statistics, which must be reset
    inflate_mobilenet_v2(model, flat)
    inflated = model.encoder.features.state_dict()
    stem = flat["features.0.0.weight"]  # 32 filters become 16: filter n is the mean of filters n and n + 16
    torch.testing.assert_close(inflated["0.0.weight"][:, :, 1], (stem[:16] + stem[16:]) / 2)
    torch.testing.assert_close(inflated["0.0.weight"][:, :, 0], inflated["0.0.weight"][:, :, 2])
    assert (inflated["0.1.running_mean"] == 0).all()
    assert (inflated["0.1.running_var"] == 1).all()


def test_inflation_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"'features.0.0.weight' is missing"):
        inflate_mobilenet_v2(random_model("d2_S"), {})


@needs_shared
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["S", "M"])
def test_inflation_sums_equal_the_published_ones(reduction: int, kind: str, reference_fill) -> None:
    golden = json.loads((GOLDEN / "inflation_sums.json").read_text())[f"r{reduction}_{kind}"]
    outputs = 16 if kind == "M" else 1
    model = build_model(ModelSpec(reduction, ("d2",), (kind == "S",), outputs=outputs))
    flat = reference_fill({name: tensor.shape for name, tensor in mobilenet_v2().state_dict().items()})
    inflate_mobilenet_v2(model, flat)
    inflated = {f"encoder.{name}": tensor.double() for name, tensor in model.encoder.features.state_dict().items()}
    for name, (total, squares) in golden.items():
        # Terms of both signs cancel in the sum, so the tolerance is relative to the terms.
        scale = inflated[name].abs().sum().item()
        assert inflated[name].sum().item() == pytest.approx(total, rel=1e-4, abs=1e-6 * scale), name
        assert inflated[name].square().sum().item() == pytest.approx(squares, rel=1e-4), name
