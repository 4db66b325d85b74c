"""The arithmetic of windows: every frame has exactly one map, and the published policies follow the general rule."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyhd_lib import MODEL_SPECS
from tinyhd_lib.data.transforms import Window, looks, windows, windows_ending
from tinyhd_lib.models.spec import Sampling

counts = st.integers(1, 200)
strides = st.integers(1, 16)


@given(counts, strides)
def test_every_frame_is_owned_once_and_in_order(count: int, stride: int) -> None:
    assert [index for window in windows(range(count), stride) for index in window.owned] == list(range(count))


@given(counts, strides)
def test_a_window_is_16_neighbouring_frames_that_hold_those_it_owns(count: int, stride: int) -> None:
    for window in windows(range(count), stride):
        assert window.clip == [max(0, window.start + position) for position in range(16)]
        assert window.start <= window.owned[0]
        assert window.owned[-1] <= window.clip[-1] < count


@given(counts, strides, st.sampled_from([1, 8, 16]))
def test_an_owned_frame_has_an_output_of_the_model(count: int, stride: int, outputs: int) -> None:
    for window in windows(range(count), stride):
        for index in window.owned:
            output = window.output(index, outputs)
            assert 0 <= output < outputs
            first = output * 16 // outputs
            assert index in range(window.start + first, window.start + first + 16 // outputs)


def published(row: str, count: int) -> Iterator[Window[int]]:
    spec = MODEL_SPECS[row]
    return looks(range(count), spec, Sampling.published(spec).every)


@given(counts)
def test_published_s_sees_the_16_frames_that_end_at_each_frame(count: int) -> None:
    assert [(window.clip[-1], window.owned) for window in published("d123s_rc4_rc1T", count)] == [
        (index, range(index, index + 1)) for index in range(count)
    ]


@given(st.integers(16, 200))
def test_published_m_goes_on_by_16_and_the_later_window_wins(count: int) -> None:
    starts = [*range(0, count - 15, 16), *([count - 16] if count % 16 else [])]
    owner = {index: start for start in starts for index in range(start, start + 16)}
    found = {index: window.start for window in published("d123m_rc4_rc1T", count) for index in window.owned}
    assert found == owner


@given(counts, st.integers(1, 80))
def test_windows_end_on_the_first_on_every_nth_and_on_the_last_frame(count: int, every: int) -> None:
    found = list(looks(range(count), MODEL_SPECS["d123s_rc4_rc1T"], every))
    assert [window.owned[-1] for window in found] == sorted({*range(0, count, every), count - 1})
    assert [index for window in found for index in window.owned] == list(range(count))
    for window in found:
        assert window.clip == [max(0, window.owned[-1] - 15 + position) for position in range(16)]
        assert window.start == window.owned[-1] - 15


@given(counts, strides)
def test_no_more_than_a_window_and_two_strides_are_held(count: int, stride: int) -> None:
    drawn = 0

    def frames() -> Iterator[int]:
        nonlocal drawn
        for index in range(count):
            drawn = index + 1
            yield index

    for window in windows(frames(), stride):
        assert drawn - window.clip[0] <= 16 + stride


def test_a_video_without_frames_has_no_windows() -> None:
    assert list(windows([], 16)) == list(windows_ending([], bool)) == []


@pytest.mark.parametrize("stride", [0, -1, 17])
def test_a_stride_that_leaves_frames_out_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match="stride is 1 to 16"):
        next(windows(range(5), stride))
