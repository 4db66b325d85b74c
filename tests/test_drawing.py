"""Grey levels, map files and overlays."""

import io
from functools import partial

import cv2
import numpy as np
import PIL.Image
import pytest
from conftest import REFERENCE, RELEASED, needs_shared
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinyhd_lib import BadInput
from tinyhd_lib.data.images import encode_grey
from tinyhd_lib.data.transforms import own_bounds, preprocess, to_grey
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.prediction.jobs import MAP_SUFFIXES, encode_map, read_grey
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import draw

RAMP = np.linspace(0.2, 0.6, 192 * 256, dtype=np.float32).reshape(192, 256)


@needs_shared
def test_preprocessing_equals_the_published_one() -> None:
    with np.load(REFERENCE / "golden/0068_preprocessed.npz") as golden:
        wanted = {int(frame): golden["normalised"][:, n] for n, frame in enumerate(golden["frames"])}
    for frame in read_frames(RELEASED / "0068.AVI"):
        if frame.index in wanted:
            tensor = preprocess(frame.image)
            assert tensor.dtype == np.float32
            np.testing.assert_allclose(tensor[:, ::4, ::4], wanted[frame.index], rtol=0, atol=1e-5)


@given(st.integers(1, 400), st.integers(1, 400))
def test_every_size_of_frame_becomes_the_models_input(height: int, width: int) -> None:
    grey = np.full((height, width, 3), 127, np.uint8)
    tensor = preprocess(grey)
    assert tensor.shape == (3, 192, 256)
    assert np.ptp(tensor, axis=(1, 2)).max() < 1e-5


def test_grey_levels_use_the_whole_range() -> None:
    for levels, white in ((np.uint8, 255), (np.uint16, 65535)):
        grey = to_grey(RAMP, (96, 128), own_bounds(RAMP), levels)
        assert (grey.dtype, grey.shape) == (levels, (96, 128))
        assert grey.min() < 0.02 * white
        assert grey.max() > 0.98 * white


def test_grey_levels_of_given_bounds_are_comparable() -> None:
    assert to_grey(np.full((192, 256), 0.5, np.float32), (10, 10), (0.0, 1.0)).max() == 127


def test_a_flat_map_is_black() -> None:
    assert to_grey(np.full((192, 256), 0.5, np.float32), (10, 10), (0.5, 0.5)).max() == 0


@pytest.mark.parametrize("maps", MAP_SUFFIXES)
def test_a_map_file_gives_its_grey_levels_back(maps: str) -> None:
    grey = partial(to_grey, bounds=(0.1, 0.8))
    content, levels = encode_map(maps, RAMP, (72, 96), grey)
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(read_grey(maps, content, (72, 96), grey), levels)


def test_16_bit_files_have_more_than_256_levels() -> None:
    content, _ = encode_map("png16", RAMP, (192, 256))
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16
    assert len(np.unique(image)) > 1000


@pytest.mark.parametrize("style", ["overlay", "side-by-side", "map", "contours"])
def test_every_style_has_its_size(style: str) -> None:
    image, grey = np.full((20, 30, 3), 90, np.uint8), np.full((20, 30), 128, np.uint8)
    drawn = draw(image, grey, Drawing(style))
    assert drawn.shape == ((20, 60, 3) if style == "side-by-side" else (20, 30, 3))


def test_an_overlay_leaves_black_as_it_is_and_covers_white_by_its_opacity() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    grey = np.array([[0, 255], [0, 255]], np.uint8)
    drawn = draw(image, grey, Drawing(alpha=0.6, colormap="gray")).astype(int)
    assert (drawn[:, 0] == 100).all()
    assert np.abs(drawn[:, 1] - (0.4 * 100 + 0.6 * 255)).max() <= 1
    assert (draw(image, grey, Drawing(alpha=0)) == 100).all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"style": "wipe"}, "choose from overlay"),
        ({"alpha": 1.5}, "opacity from 0 to 1"),
        ({"alpha": float("nan")}, "opacity from 0 to 1"),
        ({"colormap": "infreno"}, "near are inferno"),
    ],
)
def test_a_drawing_that_is_none_is_refused(options: dict, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        Drawing(**options)


@given(
    levels=st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([np.uint8, np.uint16])).flatmap(
        lambda drawn: arrays(drawn[2], drawn[:2])
    )
)
def test_a_png_holds_the_levels_whoever_reads_it(levels: np.ndarray) -> None:
    content = encode_grey(levels)
    assert np.array_equal(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED), levels)
    picture = PIL.Image.open(io.BytesIO(content))
    assert picture.mode == ("L" if levels.dtype == np.uint8 else "I;16")
    assert np.array_equal(np.asarray(picture), levels)
    PIL.Image.open(io.BytesIO(content)).verify()


def test_a_png_is_no_larger_than_opencvs() -> None:
    noise = np.random.default_rng(0).random((192, 256), np.float32)
    saliency = cv2.GaussianBlur(noise, (0, 0), 9)
    grey = to_grey(saliency, (360, 640), own_bounds(saliency))
    assert len(encode_grey(grey)) < 1.1 * len(cv2.imencode(".png", grey)[1])
