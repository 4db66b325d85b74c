"""Odd videos, generated after reports of real ones: the decodable frames and their presentation times count."""

import os
import random
import struct
from collections.abc import Iterable
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import moving_dot

from tinyhd_lib import BadInput
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.images import oriented
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.verify import verify
from tinyhd_lib.data.video import count_frames_in, probe, read_frames
from tinyhd_lib.data.writer import VideoWriter

IDENTITY = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


def encode(path: Path, images: Iterable[np.ndarray], codec: str = "libx264", **options: object) -> Path:
    """Write a video; ``options`` are attributes of the codec context."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12", "bf": "2"})
        stream.pix_fmt = "yuv420p"
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for image in images:
            if not stream.width:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def copied(source: Path, path: Path, *, shift: int = 0, stretch: int = 1, **options: str) -> Path:
    """Copy the packets of a video; their times, in frames, are reduced by ``shift``, then multiplied by ``stretch``."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.time_base = Fraction(1, 25 * stretch)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                frame = 1 / 25 / packet.time_base
                packet.pts, packet.dts = (round(time / frame - shift) * stretch for time in (packet.pts, packet.dts))
                packet.time_base, packet.stream = Fraction(1, 25 * stretch), stream
                new.mux(packet)
    return path


def joined(folder: Path) -> Path:
    """Two concatenated transport streams: the timestamps restart in the middle."""
    part = encode(folder / "part.ts", moving_dot(30))
    (folder / "joined.ts").write_bytes(2 * part.read_bytes())
    part.unlink()
    return folder / "joined.ts"


def trimmed(folder: Path) -> Path:
    """A video that begins within a group of pictures, as phones trim: an edit list hides the first frames."""
    whole = encode(folder / "whole.mp4", moving_dot(60))
    path = copied(whole, folder / "trimmed.mp4", shift=28, avoid_negative_ts="disabled")
    whole.unlink()
    return path


def sparse(folder: Path) -> Path:
    """An AVI with 50 frame slots per second, every other one empty, and with B-frames."""
    whole = encode(folder / "whole.avi", moving_dot(32), "mpeg4")
    path = copied(whole, folder / "sparse.avi", stretch=2)
    whole.unlink()
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("make", "count"), [(joined, 60), (trimmed, 32), (sparse, 32)])
def test_what_decodes_is_all_there_is_of_a_video(
    make: object, count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(tmp_path)
    frames = list(read_frames(path, strict=True))
    assert len(frames) == count
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(count) / 25, atol=2e-3)
    assert not caplog.messages, "it is called damaged"
    if make is not sparse:
        assert count_frames_in(path) == count
        assert verify(open_dataset("folder", tmp_path)).findings == ()


@pytest.mark.parametrize("make", [*(pytest.param(make, marks=pytest.mark.slow) for make in (joined, trimmed)), sparse])
def test_every_frame_by_its_number_is_the_one_that_decodes(make: object, tmp_path: Path) -> None:
    path = make(tmp_path)
    wanted = list(read_frames(path))
    order = random.Random(0).sample(range(len(wanted)), len(wanted))
    with VideoReader(path) as reader:
        reader._most = 1
        assert all(np.array_equal(reader[index], wanted[index].image) for index in order)
        np.testing.assert_allclose(reader.times, [frame.time for frame in wanted], atol=1e-6)


def test_frames_of_a_video_with_a_pause_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.2, 0.4, 0.6, *(50 + 0.04 * n for n in range(20))]
    with VideoWriter(tmp_path / "film.mp4", Fraction(25, 51)) as film:
        for time, image in zip(times, moving_dot(len(times)), strict=True):
            film.write(image, time)
    np.testing.assert_allclose([each.time for each in read_frames(tmp_path / "film.mp4")], times, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_the_overlay_of_joined_recordings_is_as_long_as_they_are(tmp_path: Path, weights_file: Path) -> None:
    command = ["predict", str(joined(tmp_path)), "--out", str(tmp_path / "maps"), "--overlay", str(tmp_path / "o.mp4")]
    assert main([*command, "--weights", str(weights_file)]) == 0
    assert [frame.time for frame in read_frames(tmp_path / "o.mp4")][-1] == pytest.approx(59 / 25, abs=2e-3)


# Rotation and mirroring


def transforms() -> list[tuple[int, int, int, int]]:
    """The eight matrices (a, b, c, d) of rotations and reflections."""
    return [(x, 0, 0, y) for x, y in product((1, -1), repeat=2)] + [(0, y, x, 0) for x, y in product((1, -1), repeat=2)]


def shown(image: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """The picture that a player shows: pixel (x, y) goes to (a x + c y, b x + d y), shifted to positive coordinates."""
    y, x = np.indices(image.shape[:2])
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    turned = np.zeros((down.max() + 1, across.max() + 1, *image.shape[2:]), image.dtype)
    turned[down, across] = image
    return turned


@pytest.mark.parametrize("way", transforms())
def test_pictures_are_turned_and_mirrored_as_players_do(way: tuple[int, int, int, int], tmp_path: Path) -> None:
    a, b, c, d = way
    image = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    matrix = np.array([[a, b, 0], [c, d, 0], [0, 0, 1]]) * 65536
    np.testing.assert_array_equal(oriented(image, matrix), shown(image, *way))
    path = encode(tmp_path / "film.mp4", moving_dot(3))
    upright = next(read_frames(path)).image
    content = path.read_bytes()
    assert IDENTITY in content[content.index(b"tkhd") :]
    place = content.index(IDENTITY, content.index(b"tkhd"))
    turned = struct.pack(">9i", a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:place] + turned + content[place + len(turned) :])
    np.testing.assert_array_equal(next(read_frames(path)).image, shown(upright, *way))
    with VideoReader(path) as reader:
        np.testing.assert_array_equal(reader[0], shown(upright, *way))


@pytest.mark.slow
def test_the_overlay_has_the_shape_that_pixels_give_the_video(tmp_path: Path, weights_file: Path) -> None:
    path = encode(tmp_path / "film.mp4", moving_dot(3), sample_aspect_ratio=Fraction(4, 3))
    assert probe(path).pixel_aspect == Fraction(4, 3)
    command = ["predict", str(path), "--out", str(tmp_path / "maps"), "--overlay", str(tmp_path / "o.mp4")]
    assert main([*command, "--weights", str(weights_file)]) == 0
    assert probe(tmp_path / "o.mp4").pixel_aspect == Fraction(4, 3)


def test_of_several_pictures_the_default_one_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, is_default in zip(streams, (False, True), strict=True):
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            stream.disposition = av.stream.Disposition.default if is_default else av.stream.Disposition(0)
        for stream, level in zip(streams, (20, 200), strict=True):
            image = np.full((64, 64, 3), level, np.uint8)
            for packet in (stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")), stream.encode(None)):
                container.mux(packet)
    assert next(read_frames(path)).image.mean() > 150


def as_pq(picture: np.ndarray) -> np.ndarray:
    """An SDR picture (H, W, 3), 0 to 1, as it is stored in HDR (PQ), with white at 203 nits."""
    light = (203 * picture**2.2 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * light) / (1 + 18.6875 * light)) ** 78.84375


def as_hlg(picture: np.ndarray) -> np.ndarray:
    light = (203 * picture**2.2 / 1000) ** (1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), bright)


@pytest.mark.parametrize(("stored", "number", "name"), [(as_pq, 16, "PQ"), (as_hlg, 18, "HLG")])
def test_a_high_dynamic_range_becomes_the_usual_one(stored: object, number: int, name: str, tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 0.8, 64)[None, :, None], 64, axis=0).repeat(3, axis=2)
    ramp[40:60, 20:40] = 0.7
    levels = np.rint(65535 * stored(ramp)).astype(np.uint16)
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gbrp16le"
        stream.codec_context.color_trc = number
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels[..., [1, 2, 0]]), format="gbrp16le")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(path).tone == name
    seen = next(read_frames(path)).image / 255
    assert np.abs(seen - ramp).max() < 0.06
    assert np.corrcoef(seen.ravel(), ramp.ravel())[0, 1] > 0.995


# What is not a video


def test_what_cannot_be_a_video_is_one_line_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        probe(tmp_path / "pipe.mp4")


def test_a_systems_own_files_are_no_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0001.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "._0001.png").write_bytes(b"\\0\\5\\26\\7")
    assert len(list(read_frames(tmp_path))) == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_a_name_that_is_no_text_is_a_name(tmp_path: Path, weights_file: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    encode(tmp_path / "plain.mp4", moving_dot(3)).rename(path)
    assert main(["predict", str(path), "--out", str(tmp_path / "maps"), "--weights", str(weights_file)]) == 0
    assert len(list((tmp_path / "maps").glob("*.png"))) == 3
    assert open_dataset("folder", tmp_path).videos[0].source == path
