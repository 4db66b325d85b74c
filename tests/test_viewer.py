"""The viewer without a browser: what it draws, reads, stores and refuses."""

import json
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import moving_dot, random_model

from tinyhd_lib import BadInput, metrics, open_dataset, predict, save_model
from tinyhd_lib.data.gaze import read_gaze
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import own_bounds, to_grey
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import draw
from tinyhd_lib.training.models import open_model
from tinyhd_lib.viewer import SaliencyViewer, SaliencyViewers
from tinyhd_lib.viewer.parts import cuts, motion
from tinyhd_lib.viewer.sources import open_decoders, open_maps
from tinyhd_lib.viewer.state import VIEWS, corners_at

pytestmark = pytest.mark.slow

FRAMES = 40


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """A spot that moves to the right and gets brighter."""
    rows, columns = np.mgrid[:48, :64]
    spots = [np.exp(-((rows - 24) ** 2 + (columns - 10 - n) ** 2) / 40) * (0.2 + 0.02 * n) for n in range(FRAMES)]
    return np.array(spots, np.float32)


@pytest.fixture
def viewer(video_file: Path, maps: np.ndarray, tmp_path: Path) -> SaliencyViewer:
    return SaliencyViewer(video_file, {"spot": maps, "mirror": maps[:, :, ::-1].copy()}, out=tmp_path, floor=0.0)


class Browser:
    """Stands in for the browser: sends messages to the viewer, and records the answers."""

    def __init__(self, viewer: SaliencyViewer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.viewer, self.told = viewer, []
        monkeypatch.setattr(viewer, "send", lambda content, buffers=None: self.told.append((content, buffers)))

    def sends(self, **content: object) -> None:
        self.viewer._on_message(self.viewer, content, [])

    def hears(self, holds: Callable[[dict], bool]) -> tuple[dict, list[bytes]]:
        """Wait for a message of the viewer that fulfils a condition; return it with its buffers."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for content, buffers in list(self.told):
                if holds(content):
                    return content, buffers
            time.sleep(0.01)
        raise AssertionError(self.told)

    def asks(self, *keys: list) -> list[tuple[bytes, str]]:
        """Request parts; return the bytes and the error message of each."""
        self.told.clear()
        self.sends(ask=list(keys), id=1)
        answers = [self.hears(lambda content, n=n: content.get("place") == n) for n in range(len(keys))]
        return [(buffers[0], content["error"]) for content, buffers in answers]

    def gets(self, *keys: list) -> list[bytes]:
        parts, errors = zip(*self.asks(*keys), strict=True)
        assert not any(errors)
        return list(parts)


@pytest.fixture
def browser(viewer: SaliencyViewer, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return Browser(viewer, monkeypatch)


@pytest.mark.parametrize("view", ["overlay", "side-by-side", "map", "contours"])
def test_it_draws_what_the_overlay_video_draws(
    viewer: SaliencyViewer, video_file: Path, maps: np.ndarray, view: str
) -> None:
    viewer.frame, viewer.view = 17, view
    frame = next(frame for frame in read_frames(video_file) if frame.index == 17)
    grey = to_grey(maps[17], (72, 96), own_bounds(maps[17]))
    np.testing.assert_array_equal(viewer.picture(), draw(frame.image, grey, Drawing(view, viewer.alpha)))


def test_every_view_differs_from_every_other(viewer: SaliencyViewer) -> None:
    seen = []
    for view in VIEWS:
        viewer.view = view
        seen.append(viewer.picture().tobytes())
    assert len(set(seen)) == len(VIEWS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("frame", 20), ("source", "mirror"), ("alpha", 0.2), ("floor", 0.5), ("colormap", "viridis"), ("peak", True)],
)
def test_every_setting_changes_the_picture_and_can_be_observed(
    viewer: SaliencyViewer, name: str, value: object
) -> None:
    before, told = viewer.picture(), []
    viewer.observe(lambda change: told.append((change["name"], change["new"])), name)
    setattr(viewer, name, value)
    assert told == [(name, value)]
    assert getattr(viewer.settings, name) == value
    assert np.abs(viewer.picture().astype(int) - before).max() > 20


def test_the_browser_gets_what_it_asks_for(browser: Browser, maps: np.ndarray) -> None:
    packed, times, still = browser.gets(["maps", "spot", 0], ["times", "", 0], ["still", "", 5])
    rows, columns, frames = struct.unpack("<3H", packed[:6])
    assert (rows, columns, frames) == (48, 64, FRAMES)
    about = np.frombuffer(packed[6 : 6 + 20 * FRAMES], "<f4").reshape(FRAMES, 5)
    np.testing.assert_allclose(about[:, 1], maps.max(axis=(1, 2)))
    np.testing.assert_allclose(about[14, 2:4], [24.5 / 64, 24.5 / 48])
    changes = np.frombuffer(zlib.decompress(packed[6 + 20 * FRAMES :]), np.uint8).reshape(FRAMES, 48, 64)
    levels = changes.cumsum(axis=2, dtype=np.uint8).cumsum(axis=0, dtype=np.uint8)
    span = np.ptp(maps, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(levels, 255 * (maps - maps.min(axis=(1, 2), keepdims=True)) / span, atol=1)
    lowest = [saliency[level == 0].mean() for saliency, level in zip(maps, levels, strict=True)]
    np.testing.assert_allclose(about[:, 4], lowest, rtol=1e-5)
    np.testing.assert_allclose(np.frombuffer(times, "<f8"), np.arange(FRAMES) * 1001 / 30000, atol=1e-6)
    assert cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR).shape == (72, 96, 3)
    trace = json.loads(browser.gets(["trace", "motion@", 0])[0])
    assert len(trace["values"]) == FRAMES
    assert trace["values"][0] is None
    assert all(value > 0 for value in trace["values"][1:])
    bounds = np.frombuffer(browser.gets(["bounds", "spot", 0])[0], "<f8")
    np.testing.assert_allclose(bounds, [maps.min(), maps.max()], rtol=1e-6)


def test_what_is_not_there_is_one_line_and_the_rest_comes(browser: Browser) -> None:
    keys = [["maps", "no such", 0], ["times", "", 0], ["maps", "spot", 7], ["cake", "", 0]]
    answers = browser.asks(*keys)
    assert [bool(error) for _, error in answers] == [True, False, True, True]
    assert "no kind of part" in answers[3][1]
    assert len(answers[1][0]) == 8 * FRAMES


def test_the_video_is_made_when_it_is_asked_for_and_then_played(browser: Browser, tmp_path: Path) -> None:
    assert "is being made" in browser.asks(["video", "", -1])[0][1]
    browser.hears(lambda content: content.get("ready") == "video")
    browser.told.clear()
    head, chunk = browser.gets(["video", "", -1], ["video", "", 0])
    (tmp_path / "chunk.mp4").write_bytes(head + chunk)
    assert len(list(read_frames(tmp_path / "chunk.mp4"))) == FRAMES


def test_buttons_export(browser: Browser, tmp_path: Path) -> None:
    for name, place in (("save_frame", "dot_0.png"), ("save_state", "dot_view.json"), ("save_html", "dot.html")):
        browser.sends(act=name)
        browser.hears(lambda content, place=place: content.get("said", "").endswith(place))
        assert (tmp_path / place).stat().st_size
    browser.sends(act="__init__")  # not an export: ignored
    browser.viewer.start, browser.viewer.stop = 3, 9
    browser.sends(act="save_video")
    browser.hears(lambda content: "dot_overlay.mp4" in content.get("said", ""))
    assert len(list(read_frames(tmp_path / "dot_overlay.mp4"))) == 7


def test_a_video_that_is_being_written_can_be_cancelled(browser: Browser, tmp_path: Path) -> None:
    def send(content: dict, buffers: object = None) -> None:
        browser.told.append((content, buffers))
        if "progress" in content:
            browser.sends(act="cancel")

    browser.viewer.send = send
    browser.sends(act="save_video")
    browser.hears(lambda content: "cancelled, nothing is written" in content.get("said", ""))
    assert not list(tmp_path.glob("*.mp4"))


def test_what_goes_wrong_for_no_reason_that_we_know_is_told_too(browser: Browser, monkeypatch: Any) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(browser.viewer._parts, "part", broken)
    expected = "RuntimeError: out of order (a fault of TinyHD Workbench: please report it)"
    assert browser.asks(["times", "", 0]) == [(b"", expected)]


def test_regions_go_straight_between_key_frames_and_are_drawn(viewer: SaliencyViewer) -> None:
    square = np.array([[0, 0], [0.25, 0], [0.25, 0.5], [0, 0.5]])
    keys = [{"frame": 30, "points": np.add(square, (0.5, 0.25)).tolist()}, {"frame": 10, "points": square.tolist()}]
    region = {"name": "ball", "keys": keys}
    for frame, shift in ((0, 0.0), (10, 0.0), (20, 0.5), (25, 0.75), (30, 1.0), (39, 1.0)):
        np.testing.assert_allclose(corners_at(region, frame), square + shift * np.array([0.5, 0.25]))
    before = viewer.picture()
    viewer.regions = [region]
    changed = (viewer.picture() != before).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.max() <= 40
    assert columns.max() <= 80  # the name is wider than the square
    assert changed[36, :24].mean() > 0.9  # the lower edge of the square


def test_a_grid_shows_every_map_as_an_overlay_of_it(viewer: SaliencyViewer) -> None:
    viewer.view = "grid"
    drawn = viewer.picture()
    tiles = [with_source(viewer, name) for name in ("spot", "mirror")]
    assert drawn.shape == (72, 192, 3)
    np.testing.assert_array_equal(drawn[30:], np.hstack(tiles)[30:])  # the names are above
    assert "grid: spot, mirror" in viewer._scene.caption(viewer.settings)


def test_where_a_video_is_cut_its_colours_change(tmp_path: Path) -> None:
    for index, level in enumerate((40, 42, 200, 198, 60)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((48, 64, 3), level, np.uint8))
    reader = VideoReader(tmp_path)
    np.testing.assert_allclose(cuts(reader)[1:], [0, 1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(motion(reader)[1:], [2, 158, 2, 138], atol=1e-6)
    assert np.isnan(cuts(reader)[0])


def test_observers_are_told_apart(tiny: Callable[[str], Path]) -> None:
    video = open_dataset("gaze", tiny("gaze")).videos[0]
    maps = np.full((len(video.names), 8, 8), 0.5, np.float32)
    viewer = SaliencyViewer(video, maps, points=True)
    observers = viewer.meta["observers"]
    assert observers == sorted(set(read_gaze(video.gaze).observer.tolist()))
    everybody = viewer.picture()
    viewer.observer = observers[0]
    one = viewer.picture()
    assert (one != everybody).any()
    viewer.points = False
    assert 0 < (one != viewer.picture()).any(axis=2).sum() < (everybody != viewer.picture()).any(axis=2).sum()


def test_scores_over_time_are_those_of_the_metrics(tiny: Callable[[str], Path]) -> None:
    video = open_dataset("gaze", tiny("gaze")).videos[0]
    truth = video.truth(3)
    assert truth is not None
    saliency = truth.saliency + np.float32(0.1)
    maps = np.broadcast_to(saliency, (len(video.names), *saliency.shape))
    viewer = SaliencyViewer(video, maps)
    assert viewer.strips == ["NSS"]
    assert viewer._parts.trace("NSS", "map")[3] == pytest.approx(
        float(metrics.nss(saliency, truth.fixations)), rel=1e-5
    )
    assert viewer._parts.trace("CC", "map")[3] == pytest.approx(1)


def test_scales_are_what_they_are_called(viewer: SaliencyViewer, maps: np.ndarray) -> None:
    viewer.view, viewer.colormap = "map", "gray"
    brightest = {}
    for scale in ("frame", "clip", "raw"):
        viewer.normalise = scale
        brightest[scale] = viewer.picture().max()
        assert scale in viewer._scene.caption(viewer.settings)
    assert brightest["frame"] > 245
    assert brightest["clip"] == pytest.approx(255 * maps[0].max() / maps.max(), abs=8)
    assert brightest["raw"] == pytest.approx(255 * maps[0].max() / maps.max(), abs=8)


def test_below_the_floor_the_frame_is_untouched(viewer: SaliencyViewer, video_file: Path, maps: np.ndarray) -> None:
    viewer.floor = 0.5
    frame = next(iter(read_frames(video_file))).image
    low = to_grey(maps[0], (72, 96), own_bounds(maps[0])) < 127
    assert low.mean() > 0.5
    np.testing.assert_allclose(viewer.picture()[low].astype(int), frame[low], atol=1)


def test_a_wipe_shows_one_map_on_each_side(viewer: SaliencyViewer) -> None:
    viewer.other = "mirror"
    first, second = (with_source(viewer, name) for name in ("spot", "mirror"))
    viewer.view, viewer.border = "wipe", 0.5
    wiped = viewer.picture()
    np.testing.assert_array_equal(wiped[:, :44], first[:, :44])
    np.testing.assert_array_equal(wiped[:, 52:], second[:, 52:])


def with_source(viewer: SaliencyViewer, name: str) -> np.ndarray:
    return viewer._scene.draw(replace(viewer.settings, view="overlay", source=name))


def test_a_state_makes_the_same_view_again(viewer: SaliencyViewer, maps: np.ndarray, tmp_path: Path) -> None:
    viewer.frame, viewer.view, viewer.other, viewer.alpha = 9, "difference", "mirror", 0.45
    viewer.notes = [{"frame": 7, "text": "here"}]
    path = viewer.save_state()
    with pytest.raises(BadInput, match="'spot' were only in memory"):
        SaliencyViewer.from_state(path)
    again = SaliencyViewer.from_state(path, {"spot": maps, "mirror": maps[:, :, ::-1].copy()}, out=tmp_path)
    assert again.settings == viewer.settings
    np.testing.assert_array_equal(again.picture(), viewer.picture())


def test_a_state_opens_from_another_folder_with_gaze_and_scores(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny("gaze"))
    video = open_dataset("gaze", Path()).videos[0]
    maps = np.full((len(video.names), 8, 8), 0.5, np.float32)
    scores = np.arange(len(video.names), dtype=float)
    scores[1] = np.nan
    viewer = SaliencyViewer(
        video, {"map": maps, "people": video}, scores={"mine": scores}, strips=["mine"], out=tmp_path
    )
    state = viewer.save_state()
    monkeypatch.chdir(tmp_path)
    again = SaliencyViewer.from_state(state, {"map": maps}, out=tmp_path)
    assert again.settings == viewer.settings
    np.testing.assert_array_equal(again._parts.trace("mine", ""), scores)
    assert list(again._scene.sources) == ["map", "people", "observers"]
    with pytest.raises(BadInput, match="of version 1, this viewer reads 3"):
        SaliencyViewer.from_state({"version": 1})


def test_map_files_are_found_by_their_numbers(video_file: Path, maps: np.ndarray, tmp_path: Path) -> None:
    for first in (0, 1):
        folder = tmp_path / str(first)
        folder.mkdir()
        for index in (0, 3, 20):
            cv2.imwrite(str(folder / f"{index + first:04d}.png"), (255 * maps[index]).astype(np.uint8))
        source = open_maps(folder, video_file)
        assert source.map(1) is None
        for index in (0, 3, 20):
            found = source.map(index)
            assert found is not None
            np.testing.assert_allclose(found, np.floor(255 * maps[index]))
    viewer = SaliencyViewer(video_file, tmp_path / "0", out=tmp_path)
    viewer.frame = 1
    assert "no map of this frame" in viewer._scene.caption(viewer.settings)
    again = SaliencyViewer.from_state(json.loads(viewer.save_state().read_bytes()), out=tmp_path)
    np.testing.assert_array_equal(again.picture(), viewer.picture())


def test_a_model_is_asked_once(video_file: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_maps(weights_file, video_file)
    for frame, _, saliency in predict(video_file, weights_file):
        found = source.map(frame)
        assert found is not None
        np.testing.assert_allclose(found, saliency, atol=1e-3)
    monkeypatch.setattr("tinyhd_lib.viewer.sources.predict", None)
    assert open_maps(weights_file, video_file).count == FRAMES


def test_decoders_have_maps_of_their_own(video_file: Path, tmp_path: Path) -> None:
    save_model(random_model("M-r8"), tmp_path / "m.safetensors", {"note": "random weights, for tests"})
    sources = open_decoders(video_file, tmp_path / "m.safetensors")
    assert list(sources) == ["D1 map 1", "D1 map 2", "D1 map 3", "D1 map 4", "D2", "D3"]
    for source in sources.values():
        assert source.count == FRAMES
        saliency = source.map(FRAMES - 1)
        assert saliency is not None
        assert saliency.shape == (192, 256)
        assert 0 < saliency.min() <= saliency.max() < 1


def test_observers_are_a_map_and_points(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    video = open_dataset("gaze", tiny("gaze")).videos[0]
    truth = video.truth(3)
    assert truth is not None
    viewer = SaliencyViewer(video, np.full((len(video.names), 8, 8), 0.5, np.float32), out=tmp_path, source="observers")
    viewer.frame, viewer.normalise = 3, "raw"
    places = viewer._scene.sources["observers"].points(3)
    assert len(places) == truth.fixations.sum()
    assert truth.fixations[tuple((places[:, :0:-1] * truth.fixations.shape).astype(int).T)].all()
    before = viewer.picture()
    viewer.points = True
    assert (viewer.picture() != before).any()
    points = np.frombuffer(viewer._parts.part("points", "observers", 0), "<f4").reshape(-1, 4)
    np.testing.assert_allclose(points[points[:, 0] == 3][:, 1:], places, rtol=1e-6)


def test_exports_have_the_videos_own_size(viewer: SaliencyViewer, tmp_path: Path) -> None:
    viewer.frame = 5
    saved = cv2.cvtColor(cv2.imread(str(viewer.save_frame())), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(saved, viewer.picture())
    film = viewer.save_video(tmp_path / "films" / "both.mp4", sources=["spot", "mirror"])
    frames = [frame.image.shape for frame in read_frames(film)]
    assert frames == [(72, 192, 3)] * FRAMES


WIDGET = "application/vnd.jupyter.widget-view+json"


def _shown_in_a_cell(viewer: SaliencyViewer | SaliencyViewers) -> dict[str, Any]:
    bundle = viewer._repr_mimebundle_()
    return bundle[0] if isinstance(bundle, tuple) else bundle


def _executed_by(monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]) -> None:
    """Make IPython report a message with this content as the one being handled."""
    shell = SimpleNamespace(get_parent=lambda: {"header": {}, "content": content})
    monkeypatch.setattr("tinyhd_lib.viewer.widget.get_ipython", lambda: shell)


def test_a_cell_shows_the_widget_or_the_page_as_it_is_told(viewer: SaliencyViewer) -> None:
    viewer.interactive = True
    assert set(_shown_in_a_cell(viewer)) == {WIDGET, "text/plain"}
    viewer.interactive = False
    shown = _shown_in_a_cell(viewer)
    assert set(shown) == {"text/html", "text/plain"}
    assert "<iframe" in shown["text/html"]


@pytest.mark.parametrize("content", [{"allow_stdin": True}, {"comm_id": "of a button"}, None])
def test_a_reader_gets_the_widget_and_a_sheet(
    viewer: SaliencyViewer, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any] | None
) -> None:
    """Whether the cell is run, a button is pressed, or there is no kernel at all."""
    if content is not None:
        _executed_by(monkeypatch, content)
    shown = _shown_in_a_cell(viewer)
    assert set(shown) == {WIDGET, "text/html", "text/plain"}
    assert shown["text/html"].startswith("<figure>")


def test_voila_executes_a_notebook_for_a_reader(viewer: SaliencyViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    _executed_by(monkeypatch, {"allow_stdin": False})
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    assert WIDGET in _shown_in_a_cell(viewer)


def test_an_executed_notebook_gets_the_page_alone(viewer: SaliencyViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    _executed_by(monkeypatch, {"allow_stdin": False})
    shown = _shown_in_a_cell(viewer)
    assert set(shown) == {"text/html", "text/plain"}
    assert shown["text/html"].startswith("<iframe")
    monkeypatch.setattr("tinyhd_lib.viewer.page.MOST_IN_A_CELL", 1000)
    assert "<figure>" in _shown_in_a_cell(viewer)["text/html"]


def test_a_cell_shows_several_viewers_and_what_stands_in_for_them(
    viewer: SaliencyViewer, video_file: Path, maps: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = SaliencyViewers([viewer, SaliencyViewer(video_file, maps, group="mine")])
    assert [each.group for each in several.children] == ["together", "mine"]
    shown = _shown_in_a_cell(several)
    assert set(shown) == {WIDGET, "text/html", "text/plain"}
    assert shown["text/html"].count("<figure>") == 2
    assert shown["text/plain"].count("frame 0") == 2
    _executed_by(monkeypatch, {"allow_stdin": False})
    shown = _shown_in_a_cell(several)
    assert set(shown) == {"text/html", "text/plain"}
    assert shown["text/html"].count("<iframe") == 1
    with pytest.raises(BadInput, match="give one or more"):
        SaliencyViewers([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": 40}, "frame 40: 0 to 39"),
        ({"view": "upside-down"}, "view 'upside-down': choose from overlay"),
        ({"source": "no such"}, "source 'no such': there are spot, mirror"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"strips": ["map change", "NSS"]}, "strips 'NSS': there are map change"),
        ({"speed": 3.0}, "speed 3.0"),
        ({"regions": [{"name": "a"}]}, "regions .*each has a name and keys"),
        ({"regions": [{"name": "", "keys": [{"frame": 0, "points": [[0, 0], [1, 0], [1, 1]]}]}]}, "regions "),
        ({"regions": [{"name": "a", "keys": [{"frame": 0, "points": [[0, 0], [1, 0]]}]}]}, "regions "),
        (
            {"regions": [{"name": "a", "keys": [{"frame": 0, "points": [[9, 9], [40, 9], [9, 40]]}]}]},
            "in parts of the sides",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    viewer: SaliencyViewer, change: dict[str, object], message: str
) -> None:
    before = viewer.settings
    ((name, value),) = change.items()
    with pytest.raises(BadInput, match=message):
        setattr(viewer, name, value)
    assert viewer.settings == before


def test_fewer_maps_than_frames_are_told(video_file: Path, maps: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    assert SaliencyViewer(video_file, maps[:3]).frames == 3
    assert "maps of 3 frames, but" in caplog.text


def test_maps_that_do_not_fit_are_refused(video_file: Path, maps: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"map: maps of 41 frames, but .* has 40"):
        SaliencyViewer(video_file, np.concatenate([maps, maps[:1]]))
    with pytest.raises(BadInput, match="no map files in it"):
        SaliencyViewer(video_file, tmp_path)
    with pytest.raises(BadInput, match="numbers are needed"):
        SaliencyViewer(video_file, maps[0])
    with pytest.raises(BadInput, match="there is only one map"):
        SaliencyViewer(video_file, maps, view="wipe")


def test_errors_of_a_button_are_read_in_the_viewer(browser: Browser, tmp_path: Path) -> None:
    browser.viewer.out = tmp_path / "file"
    browser.viewer.out.write_text("in the way")
    browser.sends(act="save_frame")
    browser.hears(lambda content: "file" in content.get("said", ""))


def test_scores_of_another_length_are_refused(video_file: Path, maps: np.ndarray) -> None:
    with pytest.raises(BadInput, match="scores 'NSS': one number a frame, 40, are needed"):
        SaliencyViewer(video_file, maps, scores={"NSS": [1.0, 2.0]})


def test_settings_that_no_viewer_has_are_refused(video_file: Path, maps: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"settings: .*'colour'"):
        SaliencyViewer(video_file, maps, colour="red")
    with pytest.raises(BadInput, match="not the state of a viewer"):
        SaliencyViewer.from_state({"version": 3, "video": str(video_file)})


def test_without_the_extra_one_line_says_what_is_missing() -> None:
    code = "import sys; sys.modules['anywidget'] = None; import tinyhd_lib.viewer"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert re.search(r"needs more \(.*anywidget.*\); pip install -e '.\[notebooks\]' from the checkout\n$", told)


def test_memory_stays_flat_in_a_long_film(video_file: Path, tmp_path: Path) -> None:
    maps = np.lib.stride_tricks.as_strided(np.ones((1, 4, 4), np.float32), (FRAMES, 4, 4), (0, 16, 4))
    viewer = SaliencyViewer(video_file, maps, out=tmp_path)
    viewer._scene.reader._most = 5 * 72 * 96 * 3
    for frame in (*range(FRAMES), *range(FRAMES - 1, -1, -1)):
        viewer._parts.part("still", "", frame)
    kept = viewer._scene.reader._kept
    assert sum(image.nbytes for image in kept.values()) <= viewer._scene.reader._most


def test_models_of_single_maps_have_decoders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In torch: for three windows, converting the model would take longest.
    monkeypatch.setattr("tinyhd_lib.training.models.open_model", lambda name, _device: open_model(name))
    for index, image in enumerate(moving_dot(3)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    save_model(random_model("S-r8-D3"), tmp_path / "s.safetensors", {"note": "random weights, for tests"})
    assert open_decoders(tmp_path, tmp_path / "s.safetensors")["D3"].count == 3
