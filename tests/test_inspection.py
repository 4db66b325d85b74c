"""Inspection of networks: their inner maps, the arithmetic of maps, and what decoders contribute."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import count, repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import defined_in, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_teachers import hd2s_state, wake

from tinyhd_lib import BadInput, TinyHD, build_teacher, save_model
from tinyhd_lib.data.clips import Clip
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.graph import normalised, planes
from tinyhd_lib.models.teacher import HD2S
from tinyhd_lib.training.inspection import (
    maps_over_time,
    matching_table,
    open_clip,
    window_frames,
)
from tinyhd_lib.training.models import OpenModel, open_model
from tinyhd_lib.training.teachers import WindowTeacher

TEACHER_NOTEBOOK = defined_in("01_teacher_inspection.ipynb")
centre_bias, centred_gaussian = TEACHER_NOTEBOOK["centre_bias"], TEACHER_NOTEBOOK["centred_gaussian"]
map_entropy, end_to_end = TEACHER_NOTEBOOK["map_entropy"], TEACHER_NOTEBOOK["end_to_end"]
milliseconds_in_turns = TEACHER_NOTEBOOK["milliseconds_in_turns"]
ABLATIONS_NOTEBOOK = defined_in("03_decoder_ablations.ipynb")
decoder_maps = ABLATIONS_NOTEBOOK["decoder_maps"]
similarity_table, fusion_weights = ABLATIONS_NOTEBOOK["similarity_table"], ABLATIONS_NOTEBOOK["fusion_weights"]

SMALL = (32, 32)
S, M, EIGHT = "d123s_rc4_rc1T", "d123m_rc4_rc1T", "d123_M_8out"
NAMES = ["level 1", "level 2", "level 3", "level 4"]
D1 = [f"D1 map {number}" for number in range(1, 5)]

positive_maps = arrays(np.int64, (2, 6, 8), elements=st.integers(1, 100)).map(lambda levels: levels / 100)


def noise(windows: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (windows, 16, 32, 32, 3), np.uint8)


def awake(network: HD2S | TinyHD) -> HD2S | TinyHD:
    """An untrained network, with batch norms adapted so that its output depends on its input."""
    wake(network, torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0)))
    return network


@cache
def student(row: str) -> OpenModel:
    return OpenModel(awake(random_model(row)), row, size=SMALL)


@cache
def hd2s() -> OpenModel:
    torch.manual_seed(0)
    return OpenModel(awake(build_teacher()), "HD2S", size=SMALL)


# Arithmetic.


@given(positive_maps, st.floats(0.1, 100))
@settings(deadline=None)
def test_entropy_is_between_a_point_and_a_uniform_map_and_knows_no_scale(maps: np.ndarray, scale: float) -> None:
    bits = map_entropy(maps)
    assert ((bits > 0) & (bits <= np.log2(48) + 1e-9)).all()
    np.testing.assert_allclose(map_entropy(scale * maps), bits)
    np.testing.assert_allclose(map_entropy(maps[:, ::-1, ::-1]), bits, err_msg="where does not matter")


def test_entropy_of_a_patch_is_its_area_in_bits() -> None:
    maps = np.zeros((3, 8, 8))
    maps[0, 3, 5] = 7
    maps[1, :4, :4] = 0.3
    maps[2] = 2
    np.testing.assert_allclose(map_entropy(maps), [0, 4, 6], atol=1e-12)


@given(positive_maps)
@settings(deadline=None)
def test_centre_bias_is_a_correlation_and_does_not_tell_left_from_right(maps: np.ndarray) -> None:
    bias = centre_bias(maps)
    assert (np.abs(bias) <= 1 + 1e-9).all()
    for turned in (maps[:, ::-1], maps[..., ::-1], 3 * maps + 1):
        np.testing.assert_allclose(centre_bias(turned), bias, atol=1e-6)
    np.testing.assert_allclose(centre_bias(2 - maps), -bias, atol=1e-6)


def test_the_centred_gaussian_is_central_whatever_the_frame() -> None:
    gaussian = centred_gaussian((192, 256))
    assert gaussian.shape == (192, 256)
    np.testing.assert_allclose(gaussian, gaussian[::-1, ::-1])
    # One standard deviation (a quarter of the side) from the centre, the value is e^-1/2 of the peak.
    middle = gaussian[95:97, 127:129].mean()
    assert gaussian[95:97, 63:65].mean() / middle == pytest.approx(np.exp(-0.5), abs=1e-3)
    assert gaussian[47:49, 127:129].mean() / middle == pytest.approx(np.exp(-0.5), abs=1e-3)
    np.testing.assert_allclose(centre_bias(gaussian[None]), 1)
    assert centre_bias(np.ones((1, 4, 4))) == 0


@given(positive_maps)
@settings(deadline=None)
def test_divergence_from_a_uniform_map_is_what_entropy_lacks(maps: np.ndarray) -> None:
    table = matching_table(["a", "b"], maps, maps)
    np.testing.assert_allclose(table["kl"], 0, atol=1e-6)
    np.testing.assert_allclose(table["cc"], [1 if np.ptp(each) else np.nan for each in maps], atol=1e-5)
    np.testing.assert_allclose(table["kl_uniform"] / np.log(2), np.log2(48) - map_entropy(maps), atol=1e-6)


def test_matching_is_what_the_loss_computes() -> None:
    target, said = np.random.default_rng(0).random((2, 4, 6, 8), np.float32)
    table = matching_table(NAMES, target, said)
    expected = kl_divergence(torch.from_numpy(said), torch.from_numpy(target))
    np.testing.assert_allclose(table["kl"], expected)
    assert list(table["name"]) == NAMES


def test_matching_is_between_maps_of_one_size() -> None:
    teacher = np.random.default_rng(0).random((2, 8, 12), np.float32)
    same, flat = (matching_table([15, 31], teacher, maps) for maps in (teacher, np.ones((2, 4, 6), np.float32)))
    np.testing.assert_allclose(same["kl"], 0, atol=1e-6)
    np.testing.assert_allclose([*same["cc"], *flat["cc"]], [1, 1, 0, 0], atol=1e-6)
    small = torch.from_numpy(teacher.reshape(2, 4, 2, 6, 2).mean((2, 4)))
    np.testing.assert_allclose(flat["kl"], kl_divergence(torch.ones(2, 4, 6), small), atol=1e-6)


# Networks.


def test_opened_hd2s_shows_five_blocks_and_four_levels() -> None:
    taps = hd2s().taps(noise()[0])
    assert list(taps) == [f"block {number}" for number in range(1, 6)]
    assert [features.shape[0] for features in taps.values()] == [64, 192, 480, 832, 1024]
    assert hd2s().levels == ["level 2", "level 3", "level 4", "level 5"]


@pytest.mark.parametrize("row", [S, M, "d123_allM_rc4"])
def test_the_taps_of_a_student_are_its_pyramid(row: str) -> None:
    with torch.inference_mode():
        levels = student(row).network.encoder(normalised(planes(torch.from_numpy(noise()))))
    said, taps = student(row)(noise()[0]), student(row).taps(noise()[0])
    assert list(said) == ["map", "d1", "d2", "d3"]
    assert student(row).levels == NAMES
    for number, level in enumerate(levels, start=1):
        assert np.ptp(level.numpy()) > 0.01, "else it would be equal to anything"
        np.testing.assert_allclose(taps[f"level {number}"], level[0].numpy(), atol=1e-5)


def test_hd2s_is_opened_from_its_published_file(tmp_path: Path) -> None:
    path = tmp_path / "hd2s.pth"
    torch.save(hd2s_state(hd2s().network), path)
    opened = open_model(f"hd2s:{path}", size=SMALL)
    assert opened.name == "HD2S (hd2s.pth)"
    np.testing.assert_allclose(opened(noise()[0])["map"], hd2s()(noise()[0])["map"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("hd2s:absent.pth", r"absent\.pth: no such file; HD2S's file"),
        ("maps:folder", "maps on disk have no inside to look at"),
        ("absent.safetensors", "absent"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(name: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as refused:
        open_model(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("row", "complaint"), [("d2_S", "no decoder D1"), (EIGHT, "every other frame")])
def test_a_student_without_maps_by_level_is_refused(row: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / f"{row}.safetensors"
    save_model(random_model(row), path, {})
    with pytest.raises(BadInput, match=f"{row}.*: .*{complaint}"):
        _ = open_model(str(path)).levels


@pytest.mark.parametrize(("row", "answers"), [("d2_S", ["map", "d2"]), (EIGHT, ["map", "d1", "d2", "d3"])])
def test_but_its_map_may_be_looked_at(row: str, answers: list[str]) -> None:
    maps = maps_over_time(OpenModel(random_model(row), row, size=SMALL), noise(2))
    assert list(maps) == answers
    assert maps["map"].shape == (2, *SMALL)


def test_windows_lie_end_to_end_and_inside(video_file: Path) -> None:
    source = open_clip(video_file)
    clips = end_to_end(source, 3, 2)
    assert clips == [Clip(0, 3), Clip(0, 19)]
    frames = window_frames(source, clips)
    assert frames.shape == (2, 16, 192, 256, 3)
    np.testing.assert_array_equal(frames[1], source.frames(range(19, 35)))
    for first, windows in ((3, 3), (-1, 1), (0, 0)):
        with pytest.raises(BadInput, match=r"dot: 40 frames, .*lower FIRST or WINDOWS"):
            end_to_end(source, first, windows)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [(M, M), (S, M), (S, S), (M, S)], ids="-".join)
def test_d1_is_held_against_what_training_holds_it_against(pair: tuple[str, str], video_file: Path) -> None:
    teacher, learner = map(student, pair)
    target, said = TEACHER_NOTEBOOK["d1_pairs"](teacher, learner, open_clip(video_file), Clip(0, 20))
    assert target.shape == said.shape == (4, *SMALL)
    source = open_clip(video_file)
    # A single-map teacher gives a map for every frame of an M student's clip, from the window that ends there.
    starts = range(5, 21) if pair == (S, M) else [20]
    expected = np.mean([teacher(source.frames(range(start, start + 16)))["d1"][:, -1] for start in starts], axis=0)
    np.testing.assert_allclose(target, expected, atol=1e-6)
    assert len(WindowTeacher(teacher, single=not learner.multi).windows(Clip(0, 20))) == len(starts)


@pytest.mark.parametrize("opened", [lambda: student(M), hd2s])
def test_levels_have_statistics_window_by_window(opened: Callable[[], OpenModel]) -> None:
    answers = maps_over_time(opened(), noise(2))
    assert {name: answers[name].shape for name in ("map", "d1")} == {"map": (2, *SMALL), "d1": (2, 4, *SMALL)}
    maps = decoder_maps(answers)
    statistics = TEACHER_NOTEBOOK["level_statistics"](maps, [Clip(0, 0), Clip(0, 16)])
    assert list(statistics["level"].unique()) == list(maps)
    assert list(statistics["frame"].unique()) == [15, 31]
    np.testing.assert_allclose(statistics["entropy"] + statistics["below_uniform"], 10)
    assert statistics["area"].between(0, 1 + 1e-9).all()


def test_models_take_turns_to_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake clock is advanced only by the models, one of which slows down."""
    clock, calls = [0.0], []

    def model(name: str, seconds: Iterator[float]) -> Callable[[np.ndarray], None]:
        def look(_frames: np.ndarray) -> None:
            calls.append(name)
            clock[0] += next(seconds)

        return look

    monkeypatch.setitem(TEACHER_NOTEBOOK, "perf_counter", lambda: clock[0])
    times = milliseconds_in_turns([model("a", count(2.0, 2.0)), model("b", repeat(1.0))], noise()[0], 3)
    assert calls == ["a", "b"] * 4
    assert times.tolist() == [6000.0, 1000.0], "of 4, 6 and 8 s; the warm-up of 2 s does not count"


# What decoders contribute.


@pytest.mark.parametrize("row", [S, M, "d1d2d3_M_lt", EIGHT, "d2_S", "d123_force_multi"])
def test_the_fusion_is_the_weighed_sum_of_the_decoders_maps(row: str) -> None:
    model = student(row)
    maps, weights = decoder_maps(maps_over_time(model, noise())), fusion_weights(model.network)
    assert list(maps) == ["D2", "fused"] if row == "d2_S" else [*D1, "D2", "D3", "fused"]
    total = sum(weights[name] * maps[name] for name in weights) + model.network.fusion.bias.item()
    assert maps["fused"] == pytest.approx(1 / (1 + np.exp(-total)), abs=1e-5)


def test_likeness_knows_copies_negatives_and_strangers() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((3, 40, 50)), rng.random((3, 40, 50))
    table = similarity_table({"a": one, "copy": 2 * one + 1, "negative": 1 - one, "stranger": other})
    pairs = table.set_index(["first", "second"])
    assert pairs.loc[("a", "copy"), ["cc", "sim", "explained"]].tolist() == pytest.approx([1, 1, 1])
    assert pairs.loc[("a", "negative"), ["cc", "explained"]].tolist() == pytest.approx([-1, 1])
    assert abs(pairs.loc[("a", "stranger"), "cc"]) < 0.1
    assert len(table) == 6
    assert table["explained"].is_monotonic_increasing
