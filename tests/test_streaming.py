"""Frames that arrive at any rate: maps belong to their frames, latency and memory are bounded, and streams end."""

import math
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from conftest import random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from test_predict import number, numbered

from tinyhd_lib import MODEL_SPECS, BadInput, open_runtime
from tinyhd_lib.data.video import Frame, read_frames
from tinyhd_lib.live import Stream
from tinyhd_lib.live.session import eased
from tinyhd_lib.live.stream import Arrival, Latency, LivePrediction, Statistics, passes, summarise
from tinyhd_lib.models.spec import CLIP_FRAMES, Sampling
from tinyhd_lib.overlap import Waiting
from tinyhd_lib.prediction.inference import predict, saliency_maps
from tinyhd_lib.runtime import Runtime

M, S, M_8 = "d123m_rc4_rc1T", "d123s_rc4_rc1T", "d123_M_8out"
SLACK = 1.0  # seconds that a busy machine may add to a bound that is meant to hold


class Fake(Runtime):
    """A runtime that takes a fixed time, and whose map of a frame is the frame's own grey level."""

    name, digest, precision, batch = "fake", "", "float32", 1

    def __init__(self, row: str, seconds: float = 0.0) -> None:
        self.spec, self.seconds, self.passes = MODEL_SPECS[row], seconds, 0
        self.sampling = Sampling.published(self.spec)

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        time.sleep(self.seconds)
        self.passes += 1
        step = CLIP_FRAMES // self.spec.outputs
        return np.repeat(np.repeat(np.stack(list(clips))[:, 0, step - 1 :: step, :1, :1], 192, axis=2), 256, axis=3)


class Camera:
    """Frames at a fixed rate until it is closed, each with its number (below 256) as grey level."""

    def __init__(self, rate: float, frames: int | None = None, size: tuple[int, int] = (24, 32)) -> None:
        self.rate, self.frames, self.size = rate, frames, size
        self.closed, self.released = threading.Event(), False

    def __iter__(self) -> Iterator[Frame]:
        begun = time.monotonic()
        try:
            for index in count() if self.frames is None else range(self.frames):
                if self.closed.wait(max(0.0, begun + index / self.rate - time.monotonic())):
                    return
                yield Frame(index, index / self.rate, np.full((*self.size, 3), index % 256, np.uint8))
        finally:
            self.released = True

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()


# Results


@settings(deadline=None, max_examples=20)
@given(row=st.sampled_from([M, M_8]), frames=st.integers(1, 50), every=st.integers(1, 16), queue=st.integers(1, 20))
def test_without_drops_m_gives_what_predict_gives(row: str, frames: int, every: int, queue: int) -> None:
    expected = list(saliency_maps(numbered(frames), Fake(row), Sampling(every)))
    with Stream(numbered(frames), Fake(row), drop="block", every=every, queue=queue) as stream:
        found = list(stream)
    assert [each.frame for each in found] == list(range(frames))
    for each, (frame, saliency) in zip(found, expected, strict=True):
        assert np.array_equal(each.map, saliency)
        assert (each.time, each.image[0, 0, 0]) == (frame.time, frame.index)


@settings(deadline=None, max_examples=20)
@given(frames=st.integers(1, 50), every=st.integers(1, 30))
def test_s_gives_a_map_for_every_kth_frame_and_the_last(frames: int, every: int) -> None:
    expected = [saliency for _, saliency in saliency_maps(numbered(frames), Fake(S))]
    with Stream(numbered(frames), Fake(S), drop="block", every=every) as stream:
        found = list(stream)
    assert [each.frame for each in found] == sorted({*range(every - 1, frames, every), frames - 1})
    assert all(np.array_equal(each.map, expected[each.frame]) for each in found)


@pytest.mark.slow
@pytest.mark.parametrize(("row", "frames"), [(M, 20), (S, 4)])
def test_a_stream_over_a_file_equals_predict_exactly(row: str, frames: int, video_file: Path) -> None:
    model = random_model(row)
    expected = list(predict(islice(read_frames(video_file), frames), model, device="cpu"))
    with Stream(islice(read_frames(video_file), frames), open_runtime(model, "cpu"), drop="block") as stream:
        found = list(stream)
    for each, prediction in zip(found, expected, strict=True):
        assert (each.frame, each.time) == (prediction.frame, prediction.time)
        np.testing.assert_array_equal(each.map, prediction.map)


@pytest.mark.parametrize(("stride", "chunks"), [(None, [16, 16, 8]), (7, [7] * 5 + [5])])
def test_m_answers_in_chunks_and_at_the_end_for_the_rest(stride: int | None, chunks: list[int]) -> None:
    arrivals, runtime = Waiting[Arrival](40), Fake(M)
    for frame in numbered(40):
        arrivals.put(Arrival(frame, 0.0))
    arrivals.end()
    found = list(passes(arrivals, runtime, stride or CLIP_FRAMES))
    assert [len(maps) for maps in found] == chunks
    assert [number(each.map) for maps in found for each in maps] == list(range(40))
    assert runtime.passes == len(chunks)


# Overload


@pytest.mark.slow
@pytest.mark.parametrize(("row", "stride"), [(S, None), (S, 1), (M, None), (M, 4)])
def test_a_camera_too_fast_for_the_machine_gets_bounded_latency_and_counted_drops(row: str, stride: int | None) -> None:
    rate, forward, frames = 500.0, 0.1, 500
    with Stream(Camera(rate, frames), Fake(row, forward), every=stride) as stream:
        found = list(stream)
    summary, step = stream.summary(), stride or CLIP_FRAMES
    queue, chunk = max(2, step), step if row == M else 1
    # A frame waits for the running pass, for the passes of the frames before it in the queue, for its chunk to fill up,
    # and then for its own pass.
    bound = (2 + queue / step) * forward + chunk / rate + SLACK
    assert max(each.latency.total for each in found) < bound
    assert frames / step * forward - frames / rate > bound  # the last frame's wait if no frame were dropped
    assert summary.frames == frames
    assert summary.dropped > frames / 4
    if row == M:
        assert summary.maps == summary.frames - summary.dropped
    order = [each.frame for each in found]
    assert order == sorted(set(order))
    assert order[-1] == frames - 1
    assert all(number(each.map) == each.frame % 256 for each in found)


def test_what_s_drops_by_default_its_window_would_have_forgotten() -> None:
    arrivals = Waiting[Arrival](CLIP_FRAMES, drops=True)
    camera = numbered(200)
    windows: list[list[int]] = []

    class Busy(Fake):
        """A runtime of five passes; 30 more frames arrive during each but the last."""

        def __call__(self, clips: np.ndarray) -> np.ndarray:
            windows.append([number(clips[0][0, position]) for position in range(CLIP_FRAMES)])
            arrive(30) if len(windows) < 5 else arrivals.end()
            return super().__call__(clips)

    def arrive(frames: int) -> None:
        for frame in islice(camera, frames):
            arrivals.put(Arrival(frame, 0.0))

    arrive(20)
    found = [each.frame.index for maps in passes(arrivals, Busy(S), None) for each in maps]
    assert found == [19, 49, 79, 109, 139]
    assert arrivals.dropped == 4 + 4 * 14
    assert windows == [list(range(last - 15, last + 1)) for last in found]


def test_block_drops_nothing_however_slow_the_machine() -> None:
    with Stream(Camera(2000, 200), Fake(S, 0.002), drop="block") as stream:
        assert [each.frame for each in stream] == list(range(200))
    assert stream.summary().dropped == 0


def test_memory_is_flat() -> None:
    size, stride = (540, 960), 4
    image = size[0] * size[1] * 3

    def peaks() -> Iterator[int]:
        """The peak of allocated memory in each interval of about 100 frames."""
        with Stream(Camera(1000, 600, size), Fake(M, 0.01), every=stride) as stream:
            tracemalloc.reset_peak()
            for each in stream.watch(0.1):
                if isinstance(each, Statistics):
                    yield tracemalloc.get_traced_memory()[1]
                    tracemalloc.reset_peak()

    tracemalloc.start()
    try:
        found = list(peaks())
    finally:
        tracemalloc.stop()
    # Frames held by the queue, the worker, the waiting pass and the consumer; the ring buffer, and arrays made from it.
    ring = 3 * CLIP_FRAMES * 192 * 256 * 4
    assert max(found) < (2 + 4) * stride * image + 4 * ring
    assert len(found) > 3
    assert max(found[-2:]) < 1.5 * max(found[:3])


# How it ends


def test_leaving_stops_while_the_camera_still_delivers() -> None:
    camera = Camera(200)
    with Stream(camera, Fake(S)) as stream:
        assert len(list(islice(stream, 5))) == 5
    assert camera.released


def test_a_generator_that_is_left_early_is_closed() -> None:
    closed = []

    def source() -> Iterator[Frame]:
        try:
            yield from numbered(200)
        finally:
            closed.append(threading.current_thread().name)

    with Stream(source(), Fake(S), drop="block") as stream:
        next(iter(stream))
    assert closed == ["tinyhd-source"]


def test_end_lets_out_what_has_arrived() -> None:
    with Stream(Camera(200), Fake(M)) as stream:
        found = []
        for each in stream:
            found.append(each.frame)
            if len(found) == 16:
                stream.end()
    assert found == list(range(len(found)))
    assert stream.summary().frames - stream.summary().dropped == len(found)


@pytest.mark.parametrize("failure", [BadInput("camera 0: gone"), OSError("no such device\nat all"), KeyError()])
def test_an_error_of_the_source_comes_after_the_maps_before_it(failure: Exception) -> None:
    def source() -> Iterator[Frame]:
        yield from numbered(20)
        raise failure

    found: list[int] = []
    with Stream(source(), Fake(M), drop="block") as stream, pytest.raises(BadInput) as caught:
        found.extend(each.frame for each in stream)
    assert found == list(range(20))
    assert "\n" not in str(caught.value)
    assert str(failure).partition("\n")[0] in str(caught.value)


def test_an_error_of_the_model_is_one_line_and_ends_the_source() -> None:
    class Breaks(Fake):
        def __call__(self, clips: np.ndarray) -> np.ndarray:
            if self.passes == 3:
                raise RuntimeError("out of memory\nwith a long explanation")
            return super().__call__(clips)

    camera = Camera(200)
    with (
        Stream(camera, Breaks(S), every=1) as stream,
        pytest.raises(BadInput, match=r"^the model failed \(RuntimeError\): out of memory$"),
    ):
        list(stream)
    assert camera.released


@pytest.mark.parametrize(
    ("row", "options", "reason"),
    [
        (M, {"every": 17}, "1 to 16 frames"),
        (M, {"every": 0}, "1 to 16 frames"),
        (S, {"every": 0}, "at least 1 frame"),
        (S, {"drop": "oldest"}, "choose from latest, block"),
        (S, {"queue": 0}, "at least 1 frame"),
    ],
)
def test_bad_options_are_refused(row: str, options: dict, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        Stream(numbered(1), Fake(row), **options)


def test_a_stream_that_was_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="with Stream"):
        list(Stream(numbered(1), Fake(S)))


# The statistics


latencies = st.lists(st.builds(Latency, *[st.floats(1e-3, 100)] * 3), max_size=60)


@given(every=latencies)
def test_statistics_are_those_of_their_latencies(every: list[Latency]) -> None:
    found = summarise(2.0, 2 * len(every), len(every), len(every), every, queued=3)
    counts = (found.seconds, found.frames, found.dropped, found.maps, found.queued)
    assert counts == (2.0, 2 * len(every), len(every), len(every), 3)
    assert found.maps_per_second == pytest.approx(len(every) / 2, abs=0.01)
    if every:
        for quantile, milliseconds in ((50, found.latency_p50_ms), (95, found.latency_p95_ms)):
            exact = np.percentile([1e3 * each.total for each in every], quantile, method="inverted_cdf")
            assert milliseconds == pytest.approx(exact, abs=0.051)
        assert found.latency_max_ms == pytest.approx(1e3 * max(each.total for each in every), abs=0.051)
        assert found.waiting_p50_ms is not None
    else:
        assert found.latency_max_ms is found.latency_p50_ms is None
        assert str(found).endswith("no map")


def test_statistics_come_every_second_also_when_nothing_else_does() -> None:
    with Stream(Camera(4, 3), Fake(S)) as stream:
        items = list(stream.watch(0.1))
    seconds = [each for each in items if isinstance(each, Statistics)]
    assert sum(each.maps for each in seconds) == 3
    assert sum(each.frames for each in seconds) == 3
    assert any(each.maps == 0 for each in seconds)
    assert stream.summary().maps == 3


def test_latency_as_stated() -> None:
    with Stream(Camera(100, 48), Fake(M, 0.02)) as stream:
        found = list(stream)
    assert stream.stated_latency() == pytest.approx(0.15 + 0.02, abs=0.1)
    assert max(each.latency.waiting for each in found) >= 0.14
    for stride, waits in ((None, 1 / 50), (4, 0)):
        with Stream(Camera(50, 12), Fake(S, 0.01), every=stride) as stream:
            list(stream)
        assert stream.stated_latency() == pytest.approx(waits + 0.01, abs=0.01)


def test_a_full_queue_keeps_the_newest_or_makes_the_source_wait() -> None:
    frames = list(numbered(5))
    newest = Waiting[Frame](2, drops=True)
    assert all(newest.put(frame) for frame in frames)
    assert (newest.arrived, newest.dropped, len(newest)) == (5, 3, 2)
    newest.end()
    assert not newest.put(frames[0])
    assert list(newest) == frames[3:]
    waits = Waiting[Frame](2)
    thread = threading.Thread(target=lambda: [waits.put(frame) for frame in frames])
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert (waits.arrived, waits.dropped, len(waits)) == (2, 0, 2)
    assert list(islice(waits, 5)) == frames
    thread.join()


def test_maps_fade_in_those_that_follow() -> None:
    latency = Latency(0.0, 0.0, 0.0)
    levels, times = (1.0, 0.0, 0.0, 1.0), (0.0, 0.1, 0.3, 0.4)
    given = [
        LivePrediction(n, time, np.full((2, 2), level, np.float32), latency, np.zeros((2, 2, 3), np.uint8))
        for n, (level, time) in enumerate(zip(levels, times, strict=True))
    ]
    found = [float(each.map[0, 0]) for each in eased(given, 0.2)]
    fades = math.exp(-0.5), math.exp(-1.5), math.exp(-2)
    assert found == pytest.approx([1, fades[0], fades[1], fades[2] + 1 - math.exp(-0.5)], abs=1e-6)
    assert [float(each.map[0, 0]) for each in eased(given, 0)] == list(levels)
