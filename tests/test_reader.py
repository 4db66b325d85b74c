"""Random access to frames by number: the same pictures and times as when all frames before them are decoded."""

import random
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import CLIPS, SHARED, moving_dot, needs_shared

from tinyhd_lib import BadInput
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.video import read_frames

pytestmark = pytest.mark.slow

REAL = sorted(path for path in CLIPS.glob("*.*") if path.suffix != ".json" and not path.name.startswith("bad_"))
GAZE = [SHARED / "gaze/dhf1k_002.avi", SHARED / "gaze/talk_071.mp4"]


def in_any_order(path: Path, frames: int | None = None) -> None:
    wanted, times = zip(*((zlib.crc32(frame.image), frame.time) for frame in read_frames(path)), strict=True)
    rng = random.Random(0)
    order = rng.sample(range(len(wanted)), min(8, len(wanted)))
    last = len(wanted) - 1
    with VideoReader(path, frames) as reader:
        assert reader.count == len(wanted)
        np.testing.assert_allclose(reader.times, times, rtol=0, atol=1e-6)
        for index in [*order, last, max(last - 1, 0), 0]:
            assert zlib.crc32(reader[index]) == wanted[index], index


def test_frames_come_in_any_order_with_their_times(video_file: Path) -> None:
    in_any_order(video_file)


@needs_shared
@pytest.mark.parametrize("path", [*REAL, *GAZE], ids=lambda path: path.name)
def test_frames_of_real_films_come_in_any_order_with_their_times(path: Path) -> None:
    in_any_order(path)


@needs_shared
@pytest.mark.parametrize(("name", "frames"), [("bad_corrupted.mp4", 49), ("bad_truncated.mp4", 42)])
def test_damaged_films_are_counted_as_they_decode(name: str, frames: int) -> None:
    in_any_order(CLIPS / name, frames)


def test_a_folder_of_images_is_a_video(tmp_path: Path) -> None:
    for index, image in enumerate(moving_dot(3)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    in_any_order(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no image")
    with VideoReader(tmp_path) as reader, pytest.raises(BadInput, match=r"1\.png: this image does not decode"):
        reader[1]


def test_pictures_are_no_wider_than_wanted_and_keep_their_shape(video_file: Path) -> None:
    with VideoReader(video_file, width=48) as reader:
        assert reader[5].shape == (36, 48, 3)
    with VideoReader(video_file, width=960) as reader:
        assert reader[5].shape == (72, 96, 3)


def test_what_is_kept_stays_bounded(video_file: Path) -> None:
    size = 72 * 96 * 3
    with VideoReader(video_file) as reader:
        reader._most = 4 * size
        for index in (*range(40), *range(39, -1, -1)):
            reader[index]
            assert sum(image.nbytes for image in reader._kept.values()) <= 4 * size


def test_there_is_no_frame_outside_of_the_film(video_file: Path) -> None:
    with VideoReader(video_file) as reader:
        for index in (-1, 40):
            with pytest.raises(IndexError):
                reader[index]


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        VideoReader(tmp_path / "film.mp4")
