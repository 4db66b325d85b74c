"""From a video to maps: the published numbers, the windows' bookkeeping, and runtimes that agree."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import REFERENCE, RELEASED, moving_dot, needs_shared, random_model

from tinyhd_lib import MODEL_SPECS, BadInput, predict
from tinyhd_lib.data.video import Frame
from tinyhd_lib.prediction.inference import saliency_maps


class NamedFrames:
    """A runtime whose map of a frame is the frame's own number, which it reads in the clip."""

    name = "named frames"
    digest = ""
    precision = "float32"

    def __init__(self, row: str, batch: int) -> None:
        self.spec, self.batch, self.clips = MODEL_SPECS[row], batch, 0

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
        """Yes when it is asked first, no ever after."""
        first = index not in asked
        asked.add(index)
        return first

    found = saliency_maps(numbered(40), NamedFrames("d123s_rc4_rc1T", batch=3), wanted=wanted)
    assert [number(saliency) for _, saliency in found] == list(range(40))


def test_a_stride_saves_windows() -> None:
    runtime = NamedFrames("d123s_rc4_rc1T", batch=1)
    assert len(list(saliency_maps(numbered(64), runtime, stride=4))) == 64
    assert runtime.clips == 16


def test_predict_takes_a_file_a_folder_of_weights_and_frames(video_file: Path, weights_file: Path) -> None:
    of_file = list(predict(video_file, weights_file, device="cpu"))
    assert [prediction.frame for prediction in of_file] == list(range(40))
    assert of_file[1].time == pytest.approx(1001 / 30000)
    assert all(prediction.map.shape == (192, 256) for prediction in of_file)
    frames = (Frame(index, 0.0, image) for index, image in enumerate(moving_dot(1)))
    assert len(list(predict(frames, random_model("d123s_rc4_rc1T"), device="cpu"))) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch": 0}, "1 to 64 windows"),
        ({"batch": -2}, "1 to 64 windows"),
        ({"batch": 10**9}, "1 to 64 windows"),
        ({"stride": 17}, "1 to 16 frames"),
        ({"device": "gpu"}, "choose from auto, fused, openvino"),
        ({"device": "cuda:99"}, "cannot be used here"),
        ({"device": "meta"}, "computes nothing"),
        ({"device": "compiled:gpu"}, "cannot be used here"),
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
    with np.load(REFERENCE / f"golden/0068_{kind}_rc4.npz") as golden:
        maps = list(predict(RELEASED / "0068.AVI", RELEASED / f"d123{kind}_rc4_rc1T.pth"))
        assert [prediction.frame for prediction in maps] == list(range(540))
        raw = np.stack([prediction.map for prediction in maps])
        np.testing.assert_allclose(raw[:, ::16, ::16], golden["maps"], rtol=0, atol=1e-4)
        for name, values in (("minimum", raw.min((1, 2))), ("maximum", raw.max((1, 2))), ("std", raw.std((1, 2)))):
            np.testing.assert_allclose(values, golden[name], rtol=0, atol=1e-4)
        full = raw[golden["frames_full"]]
        np.testing.assert_allclose(full, golden["full"].astype(np.float32), rtol=1e-3, atol=1e-4)  # kept in float16
