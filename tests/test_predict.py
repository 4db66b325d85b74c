"""From a video to maps: the published values, which window gives which frame, and runtimes that agree."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from conftest import REFERENCE, RELEASED, moving_dot, needs_shared, random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyhd_lib import MODEL_SPECS, BadInput, load_model, open_runtime, predict, save_model
from tinyhd_lib.data.transforms import looks
from tinyhd_lib.data.video import Frame, read_frames
from tinyhd_lib.models.spec import Sampling
from tinyhd_lib.prediction.inference import Asked, _batches, frames_of, saliency_maps
from tinyhd_lib.runtime import Runtime


class NamedFrames(Runtime):
    """A runtime whose map of a frame shows the frame's number, which it reads from the clip."""

    name = "named frames"
    digest = ""
    precision = "float32"

    def __init__(self, row: str, batch: int) -> None:
        self.spec, self.batch, self.clips = MODEL_SPECS[row], batch, 0
        self.sampling = Sampling.published(self.spec)

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        self.clips += len(clips)
        numbers = np.stack([clip[0, :, 0, 0] for clip in clips])
        step = 16 // self.spec.outputs
        return np.broadcast_to(numbers[:, step - 1 :: step, None, None], (*numbers[:, ::step].shape, 192, 256))


def numbered(count: int) -> Iterator[Frame]:
    """Frames whose grey level is their number."""
    for index in range(count):
        yield Frame(index, index / 25, np.full((24, 32, 3), index, np.uint8))


def number(saliency: np.ndarray) -> int:
    """The grey level behind a normalised red value."""
    return round(float((saliency[0, 0] * 0.229 + 0.485) * 255))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 40, 64])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("row", "distance"), [("d123m_rc4_rc1T", 0), ("d123s_rc4_rc1T", 0), ("d123_M_8out", 1)])
def test_every_frame_gets_the_map_of_its_own_time(row: str, distance: int, batch: int, count: int) -> None:
    found = list(saliency_maps(numbered(count), NamedFrames(row, batch)))
    assert [frame.index for frame, _ in found] == list(range(count))
    assert all(abs(number(saliency) - frame.index) <= distance for frame, saliency in found)


@pytest.mark.parametrize("row", ["d123m_rc4_rc1T", "d123s_rc4_rc1T"])
def test_windows_of_unwanted_frames_are_not_computed(row: str) -> None:
    runtime = NamedFrames(row, batch=2)
    found = list(saliency_maps(numbered(64), runtime, wanted=lambda index: index >= 40))
    assert [saliency is not None for _, saliency in found] == [index >= 40 for index in range(64)]
    assert runtime.clips == (24 if runtime.spec.outputs == 1 else 2)


def test_frames_whose_maps_appear_meanwhile_do_not_shift_the_others() -> None:
    asked: set[int] = set()

    def wanted(index: int) -> bool:
        """True for the first call with an index, False afterwards."""
        first = index not in asked
        asked.add(index)
        return first

    found = saliency_maps(numbered(40), NamedFrames("d123s_rc4_rc1T", batch=3), wanted=wanted)
    assert [number(saliency) for _, saliency in found] == list(range(40))


S, M = "d123s_rc4_rc1T", "d123m_rc4_rc1T"
counts, numbers = st.integers(1, 70), st.integers(1, 40)


def level(saliency: np.ndarray) -> float:
    """The grey level behind a normalised red value, not rounded."""
    return float((saliency[0, 0] * 0.229 + 0.485) * 255)


@settings(deadline=None, max_examples=40)
@given(counts, numbers, st.integers(1, 5))
def test_between_two_looks_maps_change_in_proportion(count: int, every: int, batch: int) -> None:
    runtime = NamedFrames(S, batch)
    found = list(saliency_maps(numbered(count), runtime, Sampling(every)))
    assert [level(saliency) for _, saliency in found] == pytest.approx(range(count), abs=1e-3)
    assert runtime.clips == len({*range(0, count, every), count - 1})


@settings(deadline=None, max_examples=20)
@given(counts, numbers)
def test_or_the_later_map_holds(count: int, every: int) -> None:
    found = saliency_maps(numbered(count), NamedFrames(S, 2), Sampling(every, "hold"))
    expected = [min(-(-index // every) * every, count - 1) for index in range(count)]
    assert [number(saliency) for _, saliency in found] == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(counts, numbers, st.sampled_from([0.0, 0.08, 0.3]), st.sets(st.integers(0, 69)), st.sampled_from([S, M]))
def test_some_frames_get_the_maps_that_they_have_among_all(
    count: int, every: int, smooth: float, some: set[int], row: str
) -> None:
    sampling = Sampling(min(every, 16) if row == M else every, smooth=smooth)
    whole, part = NamedFrames(row, 2), NamedFrames(row, 2)
    expected = dict(enumerate(saliency for _, saliency in saliency_maps(numbered(count), whole, sampling)))
    for frame, saliency in saliency_maps(numbered(count), part, sampling, wanted=some.__contains__):
        assert (saliency is not None) == (frame.index in some)
        if saliency is not None:
            np.testing.assert_allclose(saliency, expected[frame.index], rtol=0, atol=1e-5)
    assert part.clips <= whole.clips


def test_windows_that_lie_far_apart_hold_their_own_frames_only() -> None:
    frames = [Asked(frame, wanted=True, needed=True) for frame in numbered(200)]
    ((_, clips),) = _batches(((window, True) for window in looks(frames, MODEL_SPECS[S], 90)), 4)
    assert clips[0].base.shape[1] == 4 * 16
    last = [[round(float((clip[0, place, 0, 0] * 0.229 + 0.485) * 255)) for place in (0, 15)] for clip in clips]
    assert last == [[0, 0], [75, 90], [165, 180], [184, 199]]


def test_windows_far_from_what_is_wanted_are_not_computed() -> None:
    runtime = NamedFrames(S, 2)
    list(saliency_maps(numbered(200), runtime, Sampling(8, smooth=0.04), wanted=lambda index: index == 100))
    assert runtime.clips == 2, "frames 97 to 103 lie between 96 and 104"


@pytest.mark.parametrize("seconds", [0.04, 0.2, 5.0])
def test_maps_are_smoothed_as_a_gaussian_does(seconds: float) -> None:
    """Compared with a sum over all frames; the levels jump in the middle, and the frame times are uneven."""
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 60))
    levels = np.where(np.arange(60) < 30, 40, 200)
    pictures = np.broadcast_to(levels[:, None, None, None], (60, 24, 32, 3)).astype(np.uint8)
    frames = [Frame(*each) for each in zip(range(60), times.tolist(), pictures, strict=True)]
    found = [level(each) for _, each in saliency_maps(frames, NamedFrames(S, 4), Sampling(1, smooth=seconds))]
    distances = (times[:, None] - times) / seconds
    weights = np.exp(-(distances**2) / 2) * (np.abs(distances) <= 3)
    assert found == pytest.approx(weights @ levels / weights.sum(1), abs=1e-2)


@pytest.mark.parametrize(
    "times",
    [pytest.param(np.zeros(300), marks=pytest.mark.slow), np.arange(300)[::-1]],
    ids=["all at once", "backwards"],
)
def test_whatever_the_times_all_frames_come_and_few_wait(times: np.ndarray) -> None:
    drawn = 0

    def frames() -> Iterator[Frame]:
        nonlocal drawn
        for index, time in enumerate(times):
            drawn = index
            yield Frame(index, float(time), np.zeros((24, 32, 3), np.uint8))

    found = saliency_maps(frames(), NamedFrames(S, 1), Sampling(1, smooth=0.2))
    for index, (frame, saliency) in enumerate(found):
        assert frame.index == index
        assert saliency is not None
        assert drawn - index < 300
    assert index == 299


@pytest.mark.slow
def test_weights_say_how_they_are_used(tmp_path: Path) -> None:
    model = random_model("S-r8-D2")
    frames = [Frame(index, index / 25, image) for index, image in enumerate(moving_dot(9))]
    published = np.stack([each.map for each in predict(frames, model, device="cpu")])
    model.sampling = Sampling(4)
    save_model(model, tmp_path / "own.safetensors", {"note": "random weights, for tests"})
    for own in (tmp_path / "own.safetensors", load_model(tmp_path / "own.safetensors")):
        found = np.stack([each.map for each in predict(frames, own, device="cpu")])
        np.testing.assert_allclose(found[[0, 4, 8]], published[[0, 4, 8]], rtol=0, atol=1e-6)
        np.testing.assert_allclose(found[2], (found[0] + found[4]) / 2, rtol=0, atol=1e-6)
    again = np.stack([each.map for each in predict(frames, own, device="cpu", every=1)])
    np.testing.assert_allclose(again, published, rtol=0, atol=1e-6)


def test_a_time_is_a_number_of_frames(video_file: Path) -> None:
    model = random_model("S-r8-D2")
    of_time = [each.map for each in predict(video_file, model, device="cpu", every="0.4s")]
    of_frames = [each.map for each in predict(video_file, model, device="cpu", every=12)]
    assert np.array_equal(of_time, of_frames)


PICTURES = np.stack(list(moving_dot(3)))


@pytest.mark.parametrize(
    "video",
    [
        PICTURES,
        PICTURES.transpose(0, 3, 1, 2),
        list(PICTURES),
        PICTURES / 255,
        torch.from_numpy(PICTURES).permute(0, 3, 1, 2),
        torch.from_numpy(PICTURES / 255).float(),
        [PIL.Image.fromarray(each).convert("RGBA") for each in PICTURES],
        [Frame(index, 0.0, each) for index, each in enumerate(PICTURES)],
    ],
    ids=lambda video: type(video).__name__,
)
def test_pictures_in_memory_are_a_video(video: Any) -> None:
    assert all(np.array_equal(frame.image, each) for frame, each in zip(frames_of(video), PICTURES, strict=True))
    assert len(list(predict(video, random_model("M-r8-D2"), device="cpu"))) == 3


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        (PICTURES[0], r"a video of shape \(72, 96, 3\): give \(T, H, W, 3\) or"),
        (list(PICTURES[0]), r"picture 0 of a video has the shape \(96, 3\)"),
        (PICTURES[..., :2], r"picture 0 of a video has the shape \(72, 96, 2\)"),
        (PICTURES.astype(float), "picture 0 of a video is float64 from 0 to 2"),
        (PICTURES / 255 * np.nan, "is float64 from nan to nan"),
        (PICTURES.astype(np.int16), "is int16 from"),
        (np.zeros((2, 0, 5, 3)), r"has the shape \(0, 5, 3\)"),
        ([PICTURES[0], PICTURES[1, :40]], r"picture 1 of a video: of shape \(40, 96, 3\), those before are of \(72,"),
        ([], "a video without a picture"),
    ],
)
def test_what_is_no_video_is_one_line(video: Any, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        list(predict(video, random_model("M-r8-D2"), device="cpu"))


@pytest.mark.slow
def test_a_model_in_half_precision_is_taken_as_it_is(video_file: Path) -> None:
    model = random_model("M-r8-D2").half()
    assert len(list(predict(os.fsencode(video_file), model))) == 40
    assert next(model.parameters()).dtype == torch.float16


def test_predict_takes_a_file_a_folder_of_weights_and_frames(video_file: Path, weights_file: Path) -> None:
    of_file = list(predict(video_file, weights_file, device="cpu"))
    assert [prediction.frame for prediction in of_file] == list(range(40))
    assert of_file[1].time == pytest.approx(1001 / 30000)
    assert all(prediction.map.shape == (192, 256) for prediction in of_file)
    frames = (Frame(index, 0.0, image) for index, image in enumerate(moving_dot(1)))
    assert len(list(predict(frames, random_model("S-r8-D2"), device="cpu"))) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch": 0}, "1 to 64 windows"),
        ({"batch": -2}, "1 to 64 windows"),
        ({"batch": 10**9}, "1 to 64 windows"),
        ({"every": 17}, "1 to 16 frames"),
        ({"every": 0}, "a number of frames from 1, or a time under 60s such as 0.3s"),
        ({"every": "often"}, "a number of frames from 1, or a time under 60s such as 0.3s"),
        ({"every": "nans"}, "a number of frames from 1, or a time under 60s such as 0.3s"),
        ({"between": "linear"}, "it is for S"),
        ({"between": "cubic"}, "choose from linear, hold"),
        ({"smooth": -1.0}, "0 to 60 seconds"),
        ({"smooth": float("nan")}, "0 to 60 seconds"),
        ({"device": "gpu"}, "choose from auto, triton, fused, openvino"),
        ({"device": "cuda:99"}, "cannot be used here"),
        ({"device": "meta"}, "computes nothing"),
        ({"device": "compiled"}, "choose from auto, triton, fused, openvino, cpu"),
        ({"model": "d123m"}, "the nearest are"),
    ],
)
def test_bad_options_are_refused_before_anything_is_decoded(options: dict, reason: str, weights_file: Path) -> None:
    with pytest.raises(BadInput, match=reason):
        predict("no_such_video.mp4", **({"model": weights_file} | options))


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("kind", ["m", "s"])
def test_the_reference_video_has_the_published_maps(kind: str) -> None:
    """All frames for M; for S, which needs a pass per frame, every fifth frame and those with full reference maps."""
    with np.load(REFERENCE / f"golden/0068_{kind}_rc4.npz") as golden:
        video, weights = RELEASED / "0068.AVI", RELEASED / f"d123{kind}_rc4_rc1T.pth"
        if kind == "m":
            maps = {prediction.frame: prediction.map for prediction in predict(video, weights)}
            assert list(maps) == list(range(540))
        else:
            some = {*range(0, 540, 5), *golden["frames_full"].tolist()}
            found = saliency_maps(read_frames(video), open_runtime(weights), wanted=some.__contains__)
            maps = {frame.index: saliency for frame, saliency in found if saliency is not None}
            assert maps.keys() == some
        frames, raw = list(maps), np.stack(list(maps.values()))
        np.testing.assert_allclose(raw[:, ::16, ::16], golden["maps"][frames], rtol=0, atol=1e-4)
        for name, values in (("minimum", raw.min((1, 2))), ("maximum", raw.max((1, 2))), ("std", raw.std((1, 2)))):
            np.testing.assert_allclose(values, golden[name][frames], rtol=0, atol=1e-4)
        full = np.stack([maps[frame] for frame in golden["frames_full"]])
        np.testing.assert_allclose(full, golden["full"].astype(np.float32), rtol=1e-3, atol=1e-4)  # stored in float16
