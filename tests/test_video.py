"""Reading and writing videos: real, unusual and broken clips, and the ways in which writing can fail."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from conftest import CLIPS, RELEASED, moving_dot, needs_shared, write_sound

from tinyhd_lib import BadInput
from tinyhd_lib.data.video import _rate, probe, read_frames
from tinyhd_lib.data.writer import VideoWriter


def write_film(path: Path, images: list[np.ndarray], rate: Fraction = Fraction(25)) -> Path:
    with VideoWriter(path, rate) as film:
        for index, image in enumerate(images):
            film.write(image, float(index / rate))
    return path


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2)])
def test_a_film_keeps_its_exact_rate_and_frames(tmp_path: Path, rate: Fraction) -> None:
    path = write_film(tmp_path / "film.mp4", list(moving_dot(20)), rate)
    assert (probe(str(path)).rate, probe(path).frames) == (rate, 20)
    times = [frame.time for frame in read_frames(path)]
    np.testing.assert_allclose(times, [float(index / rate) for index in range(20)], atol=1e-9)


def test_a_film_is_what_browsers_play(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", list(moving_dot(5)))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_film_of_odd_size_is_padded(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", list(moving_dot(3, height=71, width=95)))
    assert next(read_frames(path)).image.shape == (72, 96, 3)


def test_a_film_has_the_colours_that_were_written(tmp_path: Path) -> None:
    colours = np.array([[200, 40, 40], [40, 180, 60], [50, 60, 200], [128, 128, 128]], np.uint8)
    image = np.repeat(np.repeat(colours[None], 64, axis=0), 32, axis=1)
    seen = next(read_frames(write_film(tmp_path / "film.mp4", [image]))).image
    centres = seen[32, 16::32].astype(int)
    assert np.abs(centres - colours).max() <= 6


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.2, 0.24]
    with VideoWriter(tmp_path / "film.mp4", Fraction(25)) as film:
        for time, image in zip(times, moving_dot(5), strict=True):
            film.write(image, time)
    np.testing.assert_allclose([frame.time for frame in read_frames(tmp_path / "film.mp4")], times, atol=1e-9)


def test_an_error_while_a_film_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("old")

    def fail() -> None:
        with VideoWriter(path, Fraction(25)) as film:
            film.write(next(moving_dot(1)), 0.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [found.name for found in tmp_path.iterdir()] == ["film.mp4"]
    assert path.read_text() == "old"


def test_a_film_without_frames_is_not_written(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "film.mp4", Fraction(25)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    assert [int(frame.image[0, 0, 0]) for frame in read_frames(tmp_path)] == [9, 10, 100]
    assert probe(tmp_path).frames == 3


def test_an_unreadable_image_is_passed_over_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "1.png").write_bytes(b"")
    assert len(list(read_frames(tmp_path))) == 1
    assert "1 of its 2 frames can be decoded" in caplog.text


def test_images_of_several_sizes_are_refused_by_name(tmp_path: Path) -> None:
    for number, size in enumerate((8, 9)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((size, 8, 3), np.uint8))
    with pytest.raises(BadInput, match=r"1\.png: 8x9, but the images before it are 8x8"):
        list(read_frames(tmp_path))


def encode(path: Path, codec: str, pixels: str, format_name: str) -> None:
    """Write a short video in a codec that the film writer does not use."""
    with av.open(str(path), "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 72, pixels
        for image in moving_dot(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("codec", "pixels", "container"),
    [
        ("libx265", "yuv420p10le", "mp4"),
        ("libx264", "gray", "matroska"),
        ("libvpx-vp9", "yuv420p", "webm"),
        ("libvpx", "yuv420p", "webm"),
        ("libsvtav1", "yuv420p", "mp4"),
        ("mpeg4", "yuv420p", "avi"),
        ("gif", "rgb8", "gif"),
        ("mjpeg", "yuvj420p", "mov"),
    ],
)
def test_codecs_of_every_kind_are_read(tmp_path: Path, codec: str, pixels: str, container: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec} encoder")
    path = tmp_path / f"video.{container}"
    encode(path, codec, pixels, container)
    frames = list(read_frames(path))
    assert len(frames) == 6
    assert frames[0].image.shape == (72, 96, 3)
    expected = next(moving_dot(1)).mean(axis=2)
    assert np.corrcoef(frames[0].image.mean(axis=2).ravel(), expected.ravel())[0, 1] > 0.8


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a film")
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("missing.mp4", "no such file"),
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "not a video that can be read"),
        ("folder", "no images in this folder"),
    ):
        with pytest.raises(BadInput, match=reason) as refusal:
            probe(tmp_path / name)
        assert str(tmp_path / name) in str(refusal.value)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    write_sound(path)
    with pytest.raises(BadInput, match="no picture in it, only sound"):
        probe(path)


@pytest.mark.parametrize(("codec", "suffix"), [("aac", "mp4"), ("pcm_s16le", "mkv")])
def test_a_film_takes_over_the_sound(tmp_path: Path, codec: str, suffix: str) -> None:
    source = tmp_path / f"source.{suffix}"
    write_sound(source, pictures=25, codec=codec)
    assert probe(source).has_audio
    with VideoWriter(tmp_path / "film.mp4", Fraction(25), sound_of=source) as film:
        for frame in read_frames(source):
            film.write(frame.image, frame.time)
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "aac"
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
    assert len(heard) / 48000 == pytest.approx(1, abs=0.1)
    assert np.abs(heard).max() > 0.5


def test_sound_that_outlasts_the_pictures_is_cut(tmp_path: Path) -> None:
    write_sound(tmp_path / "source.mp4", pictures=5)
    with VideoWriter(tmp_path / "film.mp4", Fraction(25), sound_of=tmp_path / "source.mp4") as film:
        for frame in read_frames(tmp_path / "source.mp4"):
            film.write(frame.image, frame.time)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert float(container.duration / av.time_base) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("rate", [6000, 11024, 192000])
def test_sound_of_any_rate_is_taken_over(tmp_path: Path, rate: int) -> None:
    write_sound(tmp_path / "source.mkv", pictures=25, codec="pcm_s16le", rate=rate)
    with VideoWriter(tmp_path / "film.mp4", Fraction(25), sound_of=tmp_path / "source.mkv") as film:
        for frame in read_frames(tmp_path / "source.mkv"):
            film.write(frame.image, frame.time)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def test_joined_recordings_whose_sound_begins_anew_do_not_end_the_film(tmp_path: Path) -> None:
    write_sound(tmp_path / "part.ts", pictures=25)
    (tmp_path / "joined.ts").write_bytes(2 * (tmp_path / "part.ts").read_bytes())
    with VideoWriter(tmp_path / "film.mp4", Fraction(25), sound_of=tmp_path / "joined.ts") as film:
        for index, frame in enumerate(read_frames(tmp_path / "joined.ts")):
            film.write(frame.image, index / 25)
    assert probe(tmp_path / "film.mp4").frames == index + 1


def test_a_rate_too_precise_for_a_film_is_rounded(tmp_path: Path) -> None:
    rate = _rate(SimpleNamespace(average_rate=Fraction(540000001, 18000007), guessed_rate=None))
    assert rate == 30
    assert probe(write_film(tmp_path / "film.mp4", list(moving_dot(5)), rate)).rate == 30


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_video_that_was_cut_off_is_called_damaged(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = tmp_path / f"whole.{suffix}"
    with av.open(str(whole), "w", options={"movflags": "+faststart"} if suffix == "mp4" else {}) as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for image in moving_dot(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert len(list(read_frames(whole))) == 60
    assert not caplog.records
    content = whole.read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) * 6 // 10])
    kept = len(list(read_frames(tmp_path / f"cut.{suffix}")))
    assert 10 < kept < 60
    assert f"{kept}" in caplog.text
    assert "damaged" in caplog.text
    with pytest.raises(BadInput, match=r"damaged, .* frames can be decoded; fetch or make it anew"):
        list(read_frames(tmp_path / f"cut.{suffix}", strict=True))
    assert len(list(read_frames(whole, strict=True))) == 60


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_film(Path("12:30 ünï.mp4"), list(moving_dot(3)))
    assert len(list(read_frames(Path("12:30 ünï.mp4")))) == 3


@needs_shared
def test_the_reference_video_is_decoded_as_published() -> None:
    with np.load(RELEASED.parent / "golden/0068_preprocessed.npz") as golden:
        means = np.array([frame.image.mean(axis=(0, 1)) for frame in read_frames(RELEASED / "0068.AVI")])
        np.testing.assert_allclose(means, golden["rgb_means"], atol=1e-9)


AWKWARD = {
    "rotated_90.mp4": (17, (480, 270, 3)),
    "three_frames_rotated.mov": (3, (568, 320, 3)),
    "odd_size_444.mp4": (25, (241, 321, 3)),
    "h265_10bit.mp4": (30, (200, 200, 3)),
    "twelve_frames.mp4": (12, (112, 200, 3)),
    "flower_vp9.webm": (150, (540, 960, 3)),
    "part_0.mp4": (32, (256, 340, 3)),
    "makeup.avi": (164, (240, 320, 3)),
}


@needs_shared
@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_clip_is_read_upright_whole_and_in_time(name: str) -> None:
    frames = list(read_frames(CLIPS / name))
    assert (len(frames), frames[0].image.shape) == AWKWARD[name]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert frames[0].time == 0
    assert (np.diff([frame.time for frame in frames]) > 0).all()


@needs_shared
@pytest.mark.parametrize(("name", "kept", "promised"), [("bad_truncated.mp4", 42, 247), ("bad_corrupted.mp4", 49, 50)])
def test_of_a_damaged_clip_the_frames_that_decode_are_kept(
    name: str, kept: int, promised: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(list(read_frames(CLIPS / name))) == kept
    assert f"{kept} of its {promised} frames can be decoded and were kept" in caplog.text
    with pytest.raises(BadInput, match="damaged"):
        list(read_frames(CLIPS / name, strict=True))


PLAYER = """<video id="film" src="film.mp4" muted autoplay></video><pre id="said">nothing yet</pre><script>
const film = document.getElementById("film"), said = document.getElementById("said");
const tell = () => {
  const shown = film.getVideoPlaybackQuality().totalVideoFrames;
  said.textContent = film.error ? film.error.message : `${film.videoWidth}x${film.videoHeight} ${shown > 3}`;
};
film.ontimeupdate = tell; film.onerror = tell;
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_film_plays_in_a_browser(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", list(moving_dot(50)))
    (tmp_path / "player.html").write_text(PLAYER)
    switches = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    switches += ["--autoplay-policy=no-user-gesture-required", "--virtual-time-budget=5000", "--dump-dom"]
    page = subprocess.run(
        ["chromium", *switches, (tmp_path / "player.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert '<pre id="said">96x72 true</pre>' in page.stdout


def test_metadata_that_is_no_utf8_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "titled.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "TITLETITLE"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(next(moving_dot(1)), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"TITLETITLE" in content
    path.write_bytes(content.replace(b"TITLETITLE", b"\xe9\xff\xfe\xe8TITLE!"))
    assert len(list(read_frames(path))) == 1
