"""Notebook 01: networks opened up, the arithmetic of their maps, and the figures of both."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from test_teachers import wake

from tinyhd_lib import BadInput, TinyHD, build_teacher, save_model
from tinyhd_lib.data.clips import Clip
from tinyhd_lib.figures.levels import (
    frame_pictures,
    level_pictures,
    matching_pictures,
    statistics_lines,
    tap_pictures,
)
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.checkpoints import _collapse_names, _decoder_names
from tinyhd_lib.models.student import count_gmac, count_parameters
from tinyhd_lib.models.teacher import HD2S, LEVELS
from tinyhd_lib.training.inspection import (
    OpenModel,
    centre_bias,
    centred_gaussian,
    cost_table,
    d1_pairs,
    end_to_end,
    level_statistics,
    map_entropy,
    maps_over_time,
    matching_table,
    open_clip,
    open_model,
    tap_table,
    window_frames,
)
from tinyhd_lib.training.models import HD2SModel, StudentModel

SMALL = (32, 32)
S, M, EIGHT = "d123s_rc4_rc1T", "d123m_rc4_rc1T", "d123_M_8out"
NAMES = ["level 1", "level 2", "level 3", "level 4"]

positive_maps = arrays(np.int64, (2, 6, 8), elements=st.integers(1, 100)).map(lambda levels: levels / 100)


def not_blank(figure: Figure) -> bool:
    """Whether a figure has more than one colour."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bool(np.ptp(np.asarray(canvas.buffer_rgba())[..., :3], axis=(0, 1)).max() > 100)


def noise(windows: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (windows, 16, 32, 32, 3), np.uint8)


def awake(network: HD2S | TinyHD) -> HD2S | TinyHD:
    """A network that has learnt nothing, and all the same reacts to what it sees."""
    wake(network, torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0)))
    return network


@cache
def student(row: str) -> OpenModel:
    return OpenModel(awake(random_model(row)), row, size=SMALL)


@cache
def hd2s() -> OpenModel:
    torch.manual_seed(0)
    return OpenModel(awake(build_teacher()), "HD2S", size=SMALL)


def hd2s_state(network: HD2S) -> dict[str, torch.Tensor]:
    """A teacher's numbers under the published names."""
    own = network.state_dict()
    backbone = [values for name, values in own.items() if name.startswith("backbone.")]
    state = {f"featureExtractor.{number}": values for number, values in enumerate(backbone)}
    for group, naming in (("collapse", _collapse_names), ("decoders", _decoder_names)):
        for level in LEVELS:
            values = [each for name, each in own.items() if name.startswith(f"{group}.{level}.")]
            state |= dict(zip(naming(level), values, strict=True))
    return state | {f"last_conv.{name}": own[f"fusion.{name}"] for name in ("weight", "bias")}


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
    # A deviation, a quarter of the side, from the middle: e^-1/2 of what is there.
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
    assert list(table["level"]) == NAMES


# Networks.


@pytest.mark.parametrize("row", [S, M, "d123_allM_rc4"])
def test_an_opened_student_says_what_it_says_as_a_teacher(row: str, tmp_path: Path) -> None:
    path = tmp_path / f"{row}.safetensors"
    save_model(student(row).network, path, {})
    expected = StudentModel(path, size=SMALL, hints=True)(noise()[0])
    said, taps = student(row)(noise()[0]), student(row).taps(noise()[0])
    assert list(said) == ["map", "d1", "d2", "d3"]
    for name in said:
        assert np.ptp(expected[name]) > 0.01, "else it would be equal to anything"
        np.testing.assert_allclose(said[name], expected[name], atol=1e-6)
    for number in range(1, 5):
        np.testing.assert_allclose(taps[f"level {number}"], expected[f"level{number}"], atol=1e-5)


def test_opened_hd2s_says_what_it_says_as_a_teacher_and_shows_five_blocks() -> None:
    said, expected = hd2s()(noise()[0]), HD2SModel(hd2s().network, size=SMALL)(noise()[0])
    for name, values in expected.items():
        np.testing.assert_allclose(said[name], values, atol=1e-6)
    taps = hd2s().taps(noise()[0])
    assert list(taps) == [f"block {number}" for number in range(1, 6)]
    assert [features.shape[0] for features in taps.values()] == [64, 192, 480, 832, 1024]
    assert hd2s().levels == ["level 2", "level 3", "level 4", "level 5"]


def test_hd2s_is_opened_from_its_published_file(tmp_path: Path) -> None:
    path = tmp_path / "hd2s.pth"
    torch.save(hd2s_state(hd2s().network), path)
    opened = open_model(f"hd2s:{path}")
    assert opened.name == "HD2S (hd2s.pth)"
    assert opened.digest == hd2s().digest


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("hd2s:absent.pth", r"absent\.pth: no such file; HD2S's weights"),
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
    with pytest.raises(BadInput, match=f"{row}.safetensors: .*{complaint}"):
        open_model(str(path))


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


@pytest.mark.parametrize("pair", [(M, M), (S, M), (S, S), (M, S)], ids="-".join)
def test_d1_is_held_against_what_training_holds_it_against(pair: tuple[str, str], video_file: Path) -> None:
    teacher, learner = map(student, pair)
    target, said = d1_pairs(teacher, learner, open_clip(video_file), Clip(0, 20))
    assert target.shape == said.shape == (4, *SMALL)
    source = open_clip(video_file)
    # A teacher of single maps answers for every frame of an M student's clip, by the windows that end there.
    starts = range(5, 21) if pair == (S, M) else [20]
    expected = np.mean([teacher(source.frames(range(start, start + 16)))["d1"][:, -1] for start in starts], axis=0)
    np.testing.assert_allclose(target, expected, atol=1e-6)
    assert teacher.windows(learner) == len(starts)


# Tables and figures.


@pytest.fixture(scope="module", params=[M, "HD2S"])
def opened(request: pytest.FixtureRequest) -> OpenModel:
    return hd2s() if request.param == "HD2S" else student(request.param)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [Clip(0, 0), Clip(0, 16)]


def test_taps_are_told_and_shown(opened: OpenModel) -> None:
    taps = opened.taps(noise()[0])
    both = {opened.name: taps, "again": taps}
    table = tap_table(both)
    assert list(table["tap"]) == 2 * list(taps)
    assert list(table["numbers"]) == 2 * [features.size for features in taps.values()]
    figure = tap_pictures(both, "taps")
    assert sum(1 for axes in figure.axes if axes.get_title()) == 2 * len(taps)
    assert not_blank(figure)


def test_levels_are_shown_window_by_window_and_their_statistics_as_lines(opened: OpenModel, clips: list[Clip]) -> None:
    windows = noise(2)
    answers = maps_over_time(opened, windows)
    assert {name: answers[name].shape for name in ("map", "d1")} == {"map": (2, *SMALL), "d1": (2, 4, *SMALL)}
    figure = level_pictures(windows, answers, opened.levels, [15, 31], "levels")
    assert len(figure.axes) == 2 * (1 + 4 + 1) + 1, "pictures, maps, and one colour bar"
    assert not_blank(figure)
    assert not_blank(frame_pictures(windows, [15, 31], "frames"))
    statistics = level_statistics(opened, answers, clips)
    assert list(statistics["level"].unique()) == [*opened.levels, "fused"]
    assert list(statistics["frame"].unique()) == [15, 31]
    np.testing.assert_allclose(statistics["entropy"] + statistics["below_uniform"], 10)
    assert statistics["area"].between(0, 1 + 1e-9).all()
    lines = statistics_lines(statistics, SMALL, "statistics")
    assert [text.get_text() for text in lines.axes[1].get_legend().get_texts()] == [*opened.levels, "fused"]
    assert not_blank(lines)


def test_pairs_are_shown_with_their_divergence() -> None:
    target, said = np.random.default_rng(0).random((2, 4, 6, 8), np.float32)
    table = matching_table(NAMES, target, said)
    figure = matching_pictures(noise()[0, 0, :6, :8], target, said, table, "pairs")
    assert [axes.get_xlabel() for axes in figure.axes[6:10]] == [f"KL {kl:.3f} nats" for kl in table["kl"]]
    assert not_blank(figure)


@pytest.mark.parametrize(("teacher", "windows"), [(hd2s, 16), (lambda: student(M), 1)])
def test_a_sample_costs_as_many_windows_as_it_takes(teacher: Callable[[], OpenModel], windows: int) -> None:
    table = cost_table(teacher(), student(M), repeats=1)
    assert list(table["windows"]) == [windows, 1]
    assert list(table["parameters"]) == [count_parameters(teacher().network), count_parameters(student(M).network)]
    assert table["gmac"][1] == pytest.approx(count_gmac(random_model(M), SMALL))
    np.testing.assert_allclose(table["sample_gmac"], table["gmac"] * table["windows"])
    assert (table["milliseconds"] > 0).all()
    assert next(student(M).network.parameters()).device.type == "cpu", "counting must leave the network alone"
