"""The viewer without a browser: what it draws, reads, keeps and refuses."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import moving_dot, random_model
from hypothesis import given
from hypothesis import strategies as st

from tinyhd_lib import BadInput, open_dataset, predict, save_model
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.prediction.map_files import own_bounds
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import draw
from tinyhd_lib.viewer import SaliencyViewer, widget
from tinyhd_lib.viewer.drawing import extreme_frames, map_change, map_spread
from tinyhd_lib.viewer.sources import ArrayMaps, open_decoders, open_maps
from tinyhd_lib.viewer.state import VIEWS

pytestmark = pytest.mark.slow

FRAMES = 40


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """A spot that wanders to the right, and grows brighter."""
    rows, columns = np.mgrid[:48, :64]
    spots = [np.exp(-((rows - 24) ** 2 + (columns - 10 - n) ** 2) / 40) * (0.2 + 0.02 * n) for n in range(FRAMES)]
    return np.array(spots, np.float32)


@pytest.fixture
def viewer(video_file: Path, maps: np.ndarray, tmp_path: Path) -> SaliencyViewer:
    return SaliencyViewer(video_file, {"spot": maps, "mirror": maps[:, :, ::-1].copy()}, out=tmp_path, floor=0.0)


def shown(viewer: SaliencyViewer) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(viewer._controls.picture.image, np.uint8), cv2.IMREAD_COLOR)


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
    before, told = shown(viewer), []
    viewer.observe(lambda change: told.append((change["name"], change["new"])), name)
    setattr(viewer, name, value)
    assert told == [(name, value)]
    assert getattr(viewer.settings, name) == value
    assert np.abs(shown(viewer).astype(int) - before).max() > 20


def test_what_the_controls_say_is_done(viewer: SaliencyViewer) -> None:
    controls = viewer._controls
    controls.by_setting["frame"].value = 12
    controls.by_setting["view"].value = "map"
    controls.steps[16].click()
    assert (viewer.frame, viewer.view) == (28, "map")
    controls.notable.value = controls.notable.options[1][1]
    assert viewer.frame == controls.notable.options[1][1]
    controls.strip_picture.pressed = [0.5, 0.5, 1]
    assert viewer.frame == FRAMES // 2


def test_keys_do_what_the_help_says(viewer: SaliencyViewer) -> None:
    def press(key: str) -> None:
        viewer._press_key(key)

    for key, frame in (("ArrowRight", 1), ("ArrowUp", 17), ("ArrowDown", 1), ("ArrowLeft", 0), ("ArrowLeft", 0)):
        press(key)
        assert viewer.frame == frame
    for number, view in enumerate(VIEWS, start=1):
        press(str(number))
        assert viewer.view == view
    press("]")
    assert viewer.alpha == 0.8
    for _ in range(20):
        press("[")
    assert viewer.alpha == 0
    press(" ")
    assert viewer.playing
    press("s")
    assert (viewer._out / "dot_0.png").exists()
    press("?")
    assert viewer._controls._help.layout.display is None


def test_scales_are_what_they_are_called(viewer: SaliencyViewer, maps: np.ndarray) -> None:
    viewer.view, viewer.colormap = "map", "gray"
    brightest = {}
    for scale in ("frame", "clip", "raw"):
        viewer.normalise = scale
        brightest[scale] = viewer.picture().max()
        assert scale in viewer._controls.picture.label
    assert brightest["frame"] > 245
    assert brightest["clip"] == pytest.approx(255 * maps[0].max() / maps.max(), abs=8)
    assert brightest["raw"] == pytest.approx(255 * maps[0].max(), abs=8)


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
    viewer._controls.picture.pressed = [0.25, 0.5, 1]
    assert viewer.border == 0.25


def with_source(viewer: SaliencyViewer, name: str) -> np.ndarray:
    return viewer._scene.draw(replace(viewer.settings, view="overlay", source=name))


def test_pointing_reads_the_map(viewer: SaliencyViewer, maps: np.ndarray) -> None:
    viewer.frame = 14  # whose spot is in the middle of column 24 of 64
    viewer._controls.picture.pointer = [24.5 / 64, 24.5 / 48, 1]
    reading = viewer._scene.read(viewer.settings, 24.5 / 64, 24.5 / 48)
    assert reading is not None
    assert (reading.x, reading.y) == (36, 36)
    assert reading.value == pytest.approx(float(maps[14].max()))
    assert reading.percentile == 100
    assert "x 36, y 36: 0.48, percentile 100.0" in viewer._controls._reading.value
    viewer.view = "side-by-side"  # on the right half is the map of the same place
    viewer._controls.picture.pointer = [0.5 + 24.5 / 128, 24.5 / 48, 2]
    assert "x 36, y 36: 0.48" in viewer._controls._reading.value


def test_a_state_makes_the_same_view_again(viewer: SaliencyViewer, maps: np.ndarray, tmp_path: Path) -> None:
    viewer.frame, viewer.view, viewer.other, viewer.alpha = 9, "difference", "mirror", 0.45
    path = viewer.save_state()
    with pytest.raises(BadInput, match="'spot' were only in memory"):
        SaliencyViewer.from_state(path)
    again = SaliencyViewer.from_state(path, {"spot": maps, "mirror": maps[:, :, ::-1].copy()}, out=tmp_path)
    assert again.settings == viewer.settings
    np.testing.assert_array_equal(again.picture(), viewer.picture())


def test_map_files_are_found_by_their_numbers(video_file: Path, maps: np.ndarray, tmp_path: Path) -> None:
    for first in (0, 1):
        folder = tmp_path / str(first)
        folder.mkdir()
        for index in (0, 3, 20):
            cv2.imwrite(str(folder / f"{index + first:04d}.png"), (255 * maps[index]).astype(np.uint8))
        source = open_maps(folder, video_file)
        assert source.white == 255
        assert source.map(1) is None
        for index in (0, 3, 20):
            found = source.map(index)
            assert found is not None
            np.testing.assert_allclose(found, np.floor(255 * maps[index]))
    viewer = SaliencyViewer(video_file, tmp_path / "0", out=tmp_path)
    viewer.frame = 1
    assert "no map of this frame" in viewer._controls.picture.label
    again = SaliencyViewer.from_state(json.loads(viewer.save_state().read_bytes()), out=tmp_path)
    np.testing.assert_array_equal(again.picture(), viewer.picture())


def test_a_model_is_asked_once(video_file: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_maps(weights_file, video_file)
    for frame, _, saliency in predict(video_file, weights_file):
        found = source.map(frame)
        assert found is not None
        np.testing.assert_allclose(found, saliency, atol=1e-3)
    monkeypatch.setattr("tinyhd_lib.viewer.sources.open_runtime", None)
    assert open_maps(weights_file, video_file).count == FRAMES


def test_decoders_have_maps_of_their_own(video_file: Path, weights_file: Path) -> None:
    sources = open_decoders(video_file, weights_file)
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
    assert truth.fixations[tuple((places[:, ::-1] * truth.fixations.shape).astype(int).T)].all()
    before = shown(viewer)
    viewer.points = True
    assert (shown(viewer) != before).any()


def test_exports_have_the_videos_own_size(viewer: SaliencyViewer, tmp_path: Path) -> None:
    viewer.frame = 5
    saved = cv2.cvtColor(cv2.imread(str(viewer.save_frame())), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(saved, viewer.picture())
    film = viewer.save_video(tmp_path / "films" / "both.mp4", sources=["spot", "mirror"])
    frames = [frame.image.shape for frame in read_frames(film)]
    assert frames == [(72, 192, 3)] * FRAMES


def test_where_nobody_is_there_a_sheet_and_a_video_stand_in(
    viewer: SaliencyViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parent, watched in (({"metadata": {"cellId": "a"}}, True), ({"metadata": {}}, False), (None, False)):
        shell = SimpleNamespace(get_parent=lambda parent=parent: parent)
        monkeypatch.setattr(widget, "get_ipython", lambda shell=shell: shell)
        bundle = viewer._repr_mimebundle_()
        assert ("application/vnd.jupyter.widget-view+json" in bundle) == watched
        assert ("video/mp4;base64" in bundle.get("text/html", "")) != watched


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": 40}, "frame 40: 0 to 39"),
        ({"view": "upside-down"}, "view 'upside-down': choose from overlay"),
        ({"source": "no such"}, "source 'no such': there are spot, mirror"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"strip": "NSS"}, "strip 'NSS': there are map change"),
        ({"speed": 3.0}, "speed 3.0"),
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


def test_errors_of_a_button_are_read_in_the_viewer(viewer: SaliencyViewer, tmp_path: Path) -> None:
    viewer._out = tmp_path / "file"
    viewer._out.write_text("in the way")
    viewer._controls.save_frame.click()
    assert "file" in viewer._controls._status.value


def test_changes_are_the_mass_that_moves() -> None:
    still, left, right = np.zeros((3, 48, 64), np.float32)
    still += 1
    left[:, :32], right[:, 32:] = 1, 1
    change = map_change(ArrayMaps(np.stack([still, still, left, right])))
    assert np.isnan(change[0])
    np.testing.assert_allclose(change[1:], [0, 0.5, 1], atol=1e-6)


@given(st.integers(1, 48), st.integers(1, 64))
def test_spread_is_the_part_of_the_frame_that_is_covered(height: int, width: int) -> None:
    saliency = np.zeros((1, 48, 64), np.float32)
    saliency[:, :height, :width] = 0.3
    assert map_spread(ArrayMaps(saliency))[0] == pytest.approx(100 * height * width / (48 * 64), rel=1e-4)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=200))
def test_frames_of_note_are_extreme_and_apart(values: list[float]) -> None:
    array = np.array([np.nan, *values])
    highest, lowest = extreme_frames(array), extreme_frames(array, lowest=True)
    assert array[highest[0]] == np.nanmax(array)
    assert array[lowest[0]] == np.nanmin(array)
    assert 0 not in highest + lowest
    apart = max(1, len(array) // 40)
    assert all(after - before >= apart for before, after in pairwise(sorted(highest)))


def test_settings_that_no_viewer_has_are_refused(video_file: Path, maps: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"settings: .*'colour'"):
        SaliencyViewer(video_file, maps, colour="red")
    with pytest.raises(BadInput, match="not the state of a viewer"):
        SaliencyViewer.from_state({"video": str(video_file)})


def test_without_the_extra_one_line_says_what_is_missing() -> None:
    code = "import sys; sys.modules['anywidget'] = None; import tinyhd_lib.viewer"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert told.endswith(
        "the viewer needs anywidget, which is not installed; pip install -e '.[notebooks]' from the checkout\n"
    )


def test_memory_stays_flat_in_a_long_film(video_file: Path, tmp_path: Path) -> None:
    maps = np.lib.stride_tricks.as_strided(np.ones((1, 4, 4), np.float32), (FRAMES, 4, 4), (0, 16, 4))
    viewer = SaliencyViewer(video_file, maps, out=tmp_path)
    viewer._scene.reader._most = 5 * 72 * 96 * 3
    for frame in (*range(FRAMES), *range(FRAMES - 1, -1, -1)):
        viewer.frame = frame
    kept = viewer._scene.reader._kept
    assert sum(image.nbytes for image in kept.values()) <= viewer._scene.reader._most


def test_models_of_single_maps_have_decoders_too(tmp_path: Path) -> None:
    for index, image in enumerate(moving_dot(3)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    save_model(random_model("rc8_S"), tmp_path / "s.safetensors", {"note": "random weights, for tests"})
    assert open_decoders(tmp_path, tmp_path / "s.safetensors")["D3"].count == 3
