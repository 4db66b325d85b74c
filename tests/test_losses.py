"""The losses: properties of the divergence, the definition of each term, and the published values to 1e-5."""

import json
import math
from functools import cache
from importlib.util import find_spec
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import REFERENCE, needs_shared, random_model
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from tinyhd_lib import (
    MODEL_SPECS,
    BadInput,
    SaliencyOutput,
    build_model,
    build_teacher,
    load_published_state,
    load_published_teacher_state,
    metrics,
)
from tinyhd_lib.losses import (
    PUBLISHED_WEIGHTS,
    Term,
    decorrelation,
    distillation_terms,
    kl_divergence,
    mean_kl,
    missed_peaks,
    unexplained,
    weighted_sum,
)
from tinyhd_lib.training.learner import BesideTeacher, build_optimiser
from tinyhd_lib.training.models import OpenModel
from tinyhd_lib.training.recipe import Recipe

quick = settings(max_examples=60, deadline=None)

LOSSES = json.loads((REFERENCE / "golden/losses.json").read_text()) if REFERENCE.exists() else {}
DECODERS = ("d1", "d2", "d3")
SIZE = (4, 5)

predictions = arrays(np.float64, (3, *SIZE), elements=st.floats(1e-3, 1)).map(torch.from_numpy)
# Some pixels are 0, but no whole frame is.
targets = arrays(np.float64, (3, *SIZE), elements=st.just(0.0) | st.floats(1e-3, 1)).map(
    lambda frames: torch.from_numpy(frames + np.eye(*SIZE) * (frames.sum((1, 2), keepdims=True) == 0))
)
factors = st.floats(1e-3, 1e3)


def random_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 0.9 + 0.05


def random_output(outputs: int, d1: int, others: int) -> SaliencyOutput:
    """The output of a student with all decoders for two clips, with these numbers of maps: fused, D1, and D2 and D3."""
    fused = random_maps(2, 1, outputs, *SIZE) if outputs > 1 else random_maps(2, 1, *SIZE)
    sides = [(2, 4, d1, *SIZE), (2, 1, others, *SIZE), (2, 1, others, *SIZE)]
    return SaliencyOutput(fused, tuple(random_maps(*shape, seed=n) for n, shape in enumerate(sides, start=1)))


def teachings(frames: int) -> dict[str, torch.Tensor]:
    """All possible targets of a student that gives this many frames."""
    channels = {"label": 1, "map": 1, "d1": 4, "d2": 1, "d3": 1}
    return {name: random_maps(2, count, frames, *SIZE, seed=10 + n) for n, (name, count) in enumerate(channels.items())}


@quick
@given(predictions, targets)
def test_the_divergence_is_scipys_relative_entropy_of_every_frame(prediction, target) -> None:
    expected = [entropy(p.ravel(), q.ravel()) for p, q in zip(target.numpy(), prediction.numpy(), strict=True)]
    found = kl_divergence(prediction, target)
    assert found.shape == (3,)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@quick
@given(predictions, targets)
def test_it_is_never_negative_and_0_for_what_is_equal(prediction, target) -> None:
    assert (kl_divergence(prediction, target) > -1e-12).all()
    np.testing.assert_allclose(kl_divergence(prediction, prediction), 0, atol=1e-12)
    np.testing.assert_allclose(kl_divergence(target, target), 0, atol=1e-12)
    np.testing.assert_allclose(kl_divergence(prediction.float(), prediction.float()), 0, atol=1e-6)


@quick
@given(predictions, targets, factors, factors)
def test_the_scale_of_either_map_does_not_matter(prediction, target, one, other) -> None:
    expected = kl_divergence(prediction, target)
    np.testing.assert_allclose(kl_divergence(one * prediction, other * target), expected, rtol=1e-9, atol=1e-12)


def test_a_target_without_anybody_teaches_nothing() -> None:
    prediction = random_maps(2, *SIZE).requires_grad_()
    found = kl_divergence(prediction, torch.zeros(2, *SIZE))
    assert (found == 0).all()
    found.sum().backward()
    assert (prediction.grad == 0).all()


@pytest.mark.parametrize("zeros", ["some", "all"])
def test_a_prediction_that_underflowed_has_a_finite_divergence_and_gradient(zeros: str) -> None:
    prediction = random_maps(2, *SIZE)
    prediction[:, :2] = 0
    if zeros == "all":
        prediction[:] = 0
    prediction.requires_grad_()
    found = kl_divergence(prediction, random_maps(2, *SIZE, seed=1))
    assert torch.isfinite(found).all()
    assert (found > 0).all()
    found.sum().backward()
    assert torch.isfinite(prediction.grad).all()


def test_its_gradient_is_right() -> None:
    prediction = random_maps(2, *SIZE).double().requires_grad_()
    target = random_maps(2, *SIZE, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(kl_divergence, (prediction, target))
    assert torch.autograd.gradcheck(mean_kl, (prediction, target.detach()))


def test_it_is_computed_in_float32_whatever_the_precision_around_it() -> None:
    prediction = random_maps(2, *SIZE).bfloat16().requires_grad_()
    target = random_maps(2, *SIZE, seed=1).bfloat16()
    apart = kl_divergence(prediction.float(), target.float())
    with torch.autocast("cpu", torch.bfloat16):
        inside = kl_divergence(prediction, target)
        mean = mean_kl(prediction, target)
    assert inside.dtype == mean.dtype == torch.float32
    assert (inside == apart).all()
    mean.backward()
    assert torch.isfinite(prediction.grad).all()


def test_maps_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction \(2, 4, 5\) and target \(4, 5\) differ in shape"):
        kl_divergence(random_maps(2, 4, 5), random_maps(4, 5))


def test_the_mean_is_over_frames_that_have_a_label() -> None:
    prediction, target = random_maps(2, 1, 3, *SIZE), random_maps(2, 1, 3, *SIZE, seed=1)
    target[0, 0, 1] = 0
    target[1] = 0
    each = kl_divergence(prediction, target)
    assert mean_kl(prediction, target) == pytest.approx(float(each[0, 0, 0] + each[0, 0, 2]) / 2)
    assert mean_kl(prediction, torch.zeros_like(target)) == 0


@quick
@given(predictions, targets, factors)
def test_the_other_terms_are_the_metrics_of_evaluation(
    prediction: torch.Tensor, target: torch.Tensor, factor: float
) -> None:
    assume((prediction.amax((1, 2)) - prediction.amin((1, 2)) > 1e-2).all())
    assume((target.amax((1, 2)) - target.amin((1, 2)) > 1e-2).all())
    found = 1 - decorrelation(factor * prediction, target)
    torch.testing.assert_close(found, metrics.cc(prediction, target), atol=1e-6, rtol=1e-6)
    everybody = (target == target.amax((1, 2), keepdim=True)).double()  # all viewers look at the brightest pixel
    # The metric uses the sample standard deviation.
    found = -missed_peaks(factor * prediction, everybody) * math.sqrt(1 - 1 / prediction[0].numel())
    torch.testing.assert_close(found, metrics.nss(prediction, everybody.bool()), atol=1e-6, rtol=1e-6)


def test_a_flat_prediction_has_no_correlation_and_a_gradient() -> None:
    flat = torch.full((1, *SIZE), 0.5, dtype=torch.float64, requires_grad=True)
    target = random_maps(1, *SIZE).double()
    error = decorrelation(flat, target) + missed_peaks(flat, target)
    assert error == 1
    error.sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize(
    ("given", "terms"),
    [
        ((), set()),
        (("label",), {name for name in get_args(Term) if "ground_truth" in name}),
        (("map",), {"teacher_map", "teacher_cc"}),
        (("map", "d1"), {"teacher_map", "teacher_cc", "d1"}),
        (("d2", "d3"), {"d2", "d3"}),
        (("label", "map", "d1", "d2", "d3"), set(get_args(Term)) - {"blocks", "features"}),
    ],
)
def test_the_terms_are_those_that_the_targets_allow(given: tuple[str, ...], terms: set[str]) -> None:
    known = {name: values for name, values in teachings(1).items() if name in given}
    assert distillation_terms(random_output(1, 1, 1), DECODERS, known).keys() == terms


def test_a_student_without_d1_is_taught_without_it() -> None:
    output = random_output(1, 1, 1)
    alone = SaliencyOutput(output.map, output.side_maps[1:])
    assert "d1" not in distillation_terms(alone, ("d2", "d3"), teachings(1))


@pytest.mark.parametrize("frames", [1, 16])
def test_the_four_maps_of_d1_are_summed_and_all_else_is_a_mean(frames: int) -> None:
    output, taught = random_output(frames, frames, frames), teachings(frames)
    terms = distillation_terms(output, DECODERS, taught)
    d1, d2, d3 = output.side_maps
    four = [kl_divergence(d1[:, level], taught["d1"][:, level]).mean() for level in range(4)]
    assert terms["d1"] == pytest.approx(float(sum(four)), rel=1e-5)
    fused = output.map if frames > 1 else output.map[:, :, None]
    for name, maps, target in [
        ("ground_truth", fused, "label"),
        ("teacher_map", fused, "map"),
        ("d2", d2, "d2"),
        ("d3", d3, "d3"),
        ("d2_ground_truth", d2, "label"),
        ("d3_ground_truth", d3, "label"),
    ]:
        assert terms[name] == pytest.approx(float(kl_divergence(maps, taught[target]).mean()), rel=1e-5), name


def test_one_map_of_d1_is_held_against_the_mean_of_the_teachers() -> None:
    output, taught = random_output(16, 1, 16), teachings(16)
    # A bright frame has more weight, since the mean is taken before normalising to sum 1.
    taught["d1"][:, :, 5] *= 20
    mean = taught["d1"].mean(2, keepdim=True)
    expected = sum(kl_divergence(output.side_maps[0][:, level], mean[:, level]).mean() for level in range(4))
    assert distillation_terms(output, DECODERS, taught)["d1"] == pytest.approx(float(expected), rel=1e-5)


def test_one_map_of_d2_is_held_against_the_label_of_every_frame() -> None:
    output, taught = random_output(16, 1, 1), teachings(16)
    each = [kl_divergence(output.side_maps[1][:, :, 0], taught["label"][:, :, frame]).mean() for frame in range(16)]
    found = distillation_terms(output, DECODERS, taught)["d2_ground_truth"]
    assert found == pytest.approx(float(sum(each)) / 16, rel=1e-5)


def test_frames_that_nobody_looked_at_count_in_the_teachers_terms_only() -> None:
    output, taught = random_output(1, 1, 1), teachings(1)
    whole = distillation_terms(output, DECODERS, taught)
    taught["label"][1] = 0
    half = distillation_terms(output, DECODERS, taught)
    first = kl_divergence(output.map[0], taught["label"][0, :, 0])
    assert half["ground_truth"] == pytest.approx(float(first), rel=1e-5)
    assert {name for name in whole if whole[name] != half[name]} == {
        name for name in get_args(Term) if "ground_truth" in name
    }


def test_features_are_explained_in_units_of_their_variance() -> None:
    scales = torch.tensor([0.01, 1, 1, 100.0]).reshape(1, 4, 1, 1, 1)
    features = random_maps(2, 4, 3, *SIZE).double() * scales
    assert unexplained(features, features) == 0
    mean = features.mean((0, 2, 3, 4), keepdim=True).expand_as(features)
    left = unexplained(mean[:, :1], features[:, :1])
    assert float(left) == pytest.approx(10 / 11, rel=0.02)  # a tenth of the mean variance is added
    assert unexplained(1e3 * mean[:, :1], 1e3 * features[:, :1]) == pytest.approx(float(left))
    assert float(unexplained(mean, features)) < 0.4  # small channels hardly count beside one that varies much
    assert unexplained(torch.ones(1, 1, 1, *SIZE), torch.ones(1, 1, 1, *SIZE)) == 0


def block_gradients(pair: BesideTeacher, block: int, clip: torch.Tensor) -> list[torch.Tensor]:
    pair.student.zero_grad()
    pair(clip)[2].backward()
    return [parameter.grad.clone() for parameter in pair.student.encoder.features[block].parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("row", ["S-r8", "M-r8"])
@pytest.mark.parametrize("apart", [True, False])
def test_a_student_learns_features_beside_a_teacher_that_does_not_learn(row: str, *, apart: bool) -> None:
    """With ``apart``, every block learns by itself: no other block affects its gradients."""
    teacher, student = random_model(row), random_model(row)
    pair = BesideTeacher(student, teacher, apart=apart)
    clip = torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(3))
    output, targets, wrong = pair(clip)
    said = distillation_terms(output, student.spec.names, targets)
    assert set(said) == {"teacher_map", "teacher_cc", "d1", "d2", "d3"}
    assert all(abs(float(value.detach())) < 1e-6 for value in (wrong, *said.values()))  # both are still equal
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
    output, targets, wrong = pair(clip)
    sum(distillation_terms(output, student.spec.names, targets).values(), wrong).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    before = block_gradients(pair, 7, clip)
    with torch.no_grad():
        for parameter in student.encoder.features[3].parameters():
            parameter.mul_(2)
    alike = [torch.equal(*each) for each in zip(before, block_gradients(pair, 7, clip), strict=True)]
    assert all(alike) == apart


def test_the_loss_is_the_weighted_sum_of_what_it_weighs() -> None:
    terms = {"ground_truth": torch.tensor(2.0), "d1": torch.tensor(3.0), "d2": torch.tensor(100.0)}
    weights = {"ground_truth": 1.0, "d1": 0.5, "d2": 0.0, "d3": 7.0}
    assert weighted_sum(terms, weights) == 3.5
    assert weighted_sum({"d1": torch.tensor(3.0)}, weights) == 1.5
    assert weighted_sum(terms, PUBLISHED_WEIGHTS) == 5
    assert weighted_sum(terms, {**PUBLISHED_WEIGHTS, "d2": 1.0, "d3": 1.0}) == 105


def test_a_loss_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="TERMS: these data and teachers give none of teacher_map, d1"):
        weighted_sum({"d2": torch.tensor(1.0)}, {"teacher_map": 1.0, "d1": 1.0, "d2": 0.0})


# What the published code computed.


@pytest.fixture(scope="module")
def taught(reference_fill, reference_clip):
    """Labels, and the published teacher's answers for the windows of a 16- or 32-frame clip, computed once for each."""
    teacher = build_teacher()
    shapes = json.loads((REFERENCE / "hd2s_state_dict.json").read_text())["state_dict"]
    load_published_teacher_state(teacher, reference_fill(shapes))

    @cache
    def make(frames: int) -> dict[str, torch.Tensor]:
        clip = reference_clip(batch=2, frames=frames, seed=4)
        # The published timing: the last of the 16 windows ends one frame before the clip does.
        starts = range(16) if frames == 32 else [0]
        # OpenVINO is faster for many windows, and training on a CPU uses it, too.
        device = "openvino" if frames == 32 and find_spec("openvino") else "cpu"
        answer = OpenModel(teacher, "HD2S", device).answer
        answers = [[answer(each[None, :, start : start + 16]) for start in starts] for each in clip]
        fused, conspicuity = (
            torch.from_numpy(np.stack([np.concatenate([window[name] for window in each], axis=1) for each in answers]))
            for name in ("map", "d1")
        )
        label = torch.from_numpy(np.random.RandomState(11).rand(2, 1, 16, 192, 256).astype(np.float32))
        label[1] = 0
        return {"label": label[:, :, -len(starts) :], "map": fused, "d1": conspicuity}

    return make


def published_student(row: str, reference_fill):
    model = build_model(MODEL_SPECS[row])
    shapes = json.loads((REFERENCE / "variants.json").read_text())[row]["state_dict"]
    load_published_state(model, reference_fill(shapes))
    return model


@needs_shared
def test_the_divergence_equals_the_published_one() -> None:
    random = np.random.RandomState(7)
    prediction = torch.from_numpy((random.rand(3, 192, 256) * 0.98 + 0.01).astype(np.float32))
    target = torch.from_numpy(random.rand(3, 192, 256).astype(np.float32))
    assert mean_kl(prediction, target) == pytest.approx(LOSSES["kl_random_rs7"], abs=1e-5)
    target[:, :96] = 0
    assert mean_kl(prediction, target) == pytest.approx(LOSSES["kl_half_zero_target"], abs=1e-5)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(
    ("name", "row", "frames"),
    [
        ("single", "d123s_rc4_rc1T", 16),
        ("single_gt_aux", "d123s_rc4_rc1T", 16),
        ("multi", "d123m_rc4_rc1T", 32),
        ("multi_all", "d123_allM_rc4", 32),
    ],
)
def test_the_terms_equal_the_published_ones(
    name: str, row: str, frames: int, reference_fill, reference_clip, taught
) -> None:
    student = published_student(row, reference_fill).eval()
    with torch.inference_mode():
        output = student(reference_clip(batch=2, frames=frames, seed=3)[:, :, -16:])
    terms = distillation_terms(output, student.spec.decoders, taught(frames))
    auxiliary = 0.5 * (terms["d2_ground_truth"] + terms["d3_ground_truth"]) if name == "single_gt_aux" else 0
    found = {
        "ground_truth": terms["ground_truth"],
        "teacher_map": terms["teacher_map"],
        "intermediate": terms["d1"] + auxiliary,
    }
    assert {term: float(value) for term, value in found.items()} == pytest.approx(
        LOSSES["distillation"][name], rel=0, abs=1e-5
    )


@pytest.mark.slow
@needs_shared
def test_three_steps_of_learning_equal_the_published_ones(reference_fill, reference_clip, taught) -> None:
    recipe = Recipe(model="d123s_rc4_rc1T", labelled="gaze", teachers=("x",))
    student = published_student(recipe.model, reference_fill).train()
    optimiser = build_optimiser(student, recipe)
    clip = reference_clip(batch=2, frames=16, seed=3)
    published = LOSSES["sgd_trajectory_single_rc4_train_mode"]
    for expected, tolerance in zip(published, (1e-6, 1e-5, 1e-4), strict=True):
        terms = distillation_terms(student(clip), recipe.spec.decoders, taught(16))
        found = [float(terms[name].detach()) for name in ("ground_truth", "teacher_map", "d1")]
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
        optimiser.zero_grad()
        weighted_sum(terms, recipe.terms).backward()
        optimiser.step()
