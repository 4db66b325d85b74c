"""Photographs as clips: the view pans, and the fixations stay on what was looked at."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyhd_lib import BadInput
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.gaze import read_gaze
from tinyhd_lib.data.stills import clips_of_stills, gliding
from tinyhd_lib.data.verify import verify

SIZE = (160, 120)
SPOTS = np.array([(40, 30), (80, 60), (120, 90)])


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Six dark photographs with three white spots, at which two observers looked."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(6):
        photograph = np.full((*SIZE[::-1], 3), 12 * number, np.uint8)
        for spot in SPOTS:
            cv2.circle(photograph, spot.tolist(), 4, (255, 255, 255), -1)
        cv2.imwrite(str(folder / f"{number}.png"), photograph)
    image, observer = np.repeat(np.arange(6), 6), np.tile(np.repeat((1, 2), 3), 6)
    x, y = np.tile(SPOTS, (12, 1)).T
    np.savez(folder / "fixations.npz", image=image, observer=observer, x=x, y=y)
    return folder


def test_fixations_stay_on_what_was_looked_at(photographs: Path, tmp_path: Path) -> None:
    paths = list(clips_of_stills(photographs, tmp_path / "out"))
    moved = 0
    for path, video in zip(paths, open_dataset("gaze", tmp_path / "out").videos, strict=True):
        gaze, frames = read_gaze(path.with_suffix(".npz")), list(video.frames())
        assert len(frames) == gaze.frames == len(video.names) == 16
        for frame in frames:
            points = gaze.at(frame.index)
            # The centre of a half-visible spot may be outside, but a point inside is always on a spot.
            assert len(points.x) > 0
            at = np.rint((points.x, points.y)).astype(int)
            assert (frame.image[at[1], at[0]].min(axis=-1) > 200).all()
        moved += np.ptp(gaze.x) > 0 and not np.allclose(gaze.at(0).x, gaze.at(15).x[: len(gaze.at(0).x)])
    assert 0 < moved < 6  # most views pan, and some stand still


def test_they_are_a_data_set_without_faults(photographs: Path, tmp_path: Path) -> None:
    assert main(["data", "stills", str(photographs), str(tmp_path / "out")]) == 0
    dataset = open_dataset("gaze", tmp_path / "out")
    assert verify(dataset).findings == ()


def test_the_seed_decides_how_the_view_moves(photographs: Path, tmp_path: Path) -> None:
    made = [list(clips_of_stills(photographs, tmp_path / name, seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, again, other = ([read_gaze(path.with_suffix(".npz")).x for path in paths] for paths in made)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@given(st.integers(0, 10**6), st.integers(32, 4000), st.integers(32, 4000))
def test_the_view_never_leaves_the_photograph(seed: int, width: int, height: int) -> None:
    views = gliding(np.random.default_rng(seed), (width, height))
    zoom, shift = views[:, 0, 0], views[:, :, 2]
    assert ((zoom >= 1 - 1e-9) & (zoom <= 1 / 0.7 + 1e-9)).all()
    first = -shift / zoom[:, None]
    last = first + np.array((width, height)) / zoom[:, None]
    assert (first >= -1e-6).all()
    assert (last <= np.array((width, height)) + 1e-6).all()


def test_what_is_no_such_folder_is_one_line(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"fixations\.npz"):
        next(clips_of_stills(tmp_path, tmp_path / "out"))
    np.savez(photographs / "fixations.npz", image=[1], observer=[1], x=[3.0])
    with pytest.raises(BadInput, match="has no y; fixations have image, observer, x, y"):
        next(clips_of_stills(photographs, tmp_path / "out"))
    np.savez(photographs / "fixations.npz", image=[77], observer=[1], x=[3.0], y=[3.0])
    with pytest.raises(BadInput, match="no picture is called like a number"):
        next(clips_of_stills(photographs, tmp_path / "out"))
    np.savez(photographs / "fixations.npz", image=[2], observer=[1], x=[3.0], y=[3.0])
    (photographs / "2.png").write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"2\.png: this image does not decode"):
        next(clips_of_stills(photographs, tmp_path / "out"))
