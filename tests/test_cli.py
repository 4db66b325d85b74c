"""The command line: what it writes, and one clear line for everything that a user can get wrong."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from conftest import CLIPS, needs_shared, published_file, write_sound

from tinyhd_lib import MODEL_SPECS, load_model
from tinyhd_lib.cli import _parser, main
from tinyhd_lib.data.video import probe
from tinyhd_lib.export import FORMATS, INPUTS
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS, list_models
from tinyhd_lib.prediction.files import NORMALISATIONS
from tinyhd_lib.prediction.map_files import MAP_FORMATS
from tinyhd_lib.prediction.overlay import VIEWS, Style


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


def test_predict_writes_maps_film_and_record(video_file: Path, weights_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(video_file, "--weights", weights_file, "--out", out, "--overlay", tmp_path / "film.mp4") == 0
    assert len(list(out.glob("*.png"))) == 40
    assert probe(tmp_path / "film.mp4").frames == 40
    assert json.loads((out / "run.json").read_text())["complete"]


def test_a_video_alone_is_enough(
    video_file: Path, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert predict(video_file, "--weights", weights_file) == 0
    assert len(list((tmp_path / "dot_saliency").glob("*.png"))) == 40


def test_several_videos_get_a_folder_each_and_a_bad_one_does_not_stop_the_others(
    video_file: Path, weights_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.mp4").write_text("no film")
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video_file.read_bytes())
    videos = [video_file, tmp_path / "bad.mp4", copy]
    status = predict(*videos, "--weights", weights_file, "--out", tmp_path / "out", "--overlay", tmp_path / "films")
    assert status == 2
    assert "1 of 3 videos could not be used; the others are done" in last_line(capsys)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["copy", "dot"]
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == ["copy.mp4", "dot.mp4"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{missing}"], "no such file"),
        (["{empty}"], "the file is empty"),
        (["{text}"], "not a video that can be read"),
        (["{folder}"], "holds no videos and no images"),
        (["{video}", "--weights", "d123m_rc4_rc1"], "the nearest are d123m_rc4_rc1T"),
        (["{video}", "--weights", "mine.pth"], "no such weights file"),
        (["{video}", "--weights", "{text}"], "not a checkpoint"),
        (["{video}", "--batch", "0"], "1 to 64 windows"),
        (["{video}", "--batch", "-3"], "1 to 64 windows"),
        (["{video}", "--stride", "0"], "1 to 16 frames"),
        (["{video}", "--device", "tpu"], "choose from auto"),
        (["{video}", "--alpha", "7"], "opacity"),
        (["{video}", "--colormap", "viridiss"], "near are viridis"),
        (["{video}", "--maps", "none"], "nothing to write"),
        (["{video}", "--overlay", "film.avi"], "a film is an .mp4 file"),
        (["{video}", "--overlay", "{video}"], "would be overwritten by its own results"),
        (["{video}", "--overlay", "{folder}.mp4"], "a folder is in the way of the film"),
        (["{frames}", "--out", "{frames}"], "would be overwritten by its own results"),
        (["{video}", "{video}"], "several videos are called 'dot'"),
        (["{video}", "{text}", "--overlay", "film.mp4"], "names a folder of films"),
    ],
)
def test_bad_input_is_one_line_status_2_and_nothing_written(
    arguments: list[str], reason: str, video_file: Path, weights_file: Path, tmp_path: Path, capsys
) -> None:
    places = {name: tmp_path / f"{name}.mp4" for name in ("missing", "empty", "text")}
    places |= {"video": video_file, "folder": tmp_path / "folder"}
    places["empty"].write_bytes(b"")
    places["text"].write_text("no film")
    places["folder"].mkdir()
    places["frames"] = tmp_path / "frames"
    places["frames"].mkdir()
    (places["frames"] / "0.png").write_bytes(b"no image")
    Path(f"{places['folder']}.mp4").mkdir()
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / "out"
    usual = ["--weights", weights_file] if "--weights" not in arguments else []
    # The arguments of the case come last, since the last of two equal options counts.
    status = main(["predict", "--out", str(out), *map(str, usual), *(a.format(**places) for a in arguments)])
    assert status == 2
    assert reason in last_line(capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_sound_alone_is_refused(weights_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "sound.mp4")
    assert predict(tmp_path / "sound.mp4", "--weights", weights_file, "--out", tmp_path / "out") == 2
    assert "only sound" in last_line(capsys)


def test_a_file_in_the_place_of_the_folder_is_refused(
    video_file: Path, weights_file: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "out").write_text("a file")
    assert predict(video_file, "--weights", weights_file, "--out", tmp_path / "out") == 2
    assert "a file is in the way" in last_line(capsys)


@needs_shared
@pytest.mark.parametrize("name", ["bad_empty.mp4", "bad_text.mp4"])
def test_a_broken_clip_is_refused(name: str, weights_file: Path, tmp_path: Path, capsys) -> None:
    assert predict(CLIPS / name, "--weights", weights_file, "--out", tmp_path / "out") == 2
    assert name in last_line(capsys)
    assert not (tmp_path / "out").exists()


@needs_shared
@pytest.mark.parametrize(("name", "kept"), [("bad_truncated.mp4", 42), ("bad_corrupted.mp4", 49)])
def test_of_a_damaged_clip_the_rest_is_kept_with_a_warning(
    name: str, kept: int, weights_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert predict(CLIPS / name, "--weights", weights_file, "--out", out, "--overlay", tmp_path / "film.mp4") == 0
    assert f"{kept} of its" in caplog.text
    assert len(list(out.glob("*.png"))) == probe(tmp_path / "film.mp4").frames == kept


@needs_shared
@pytest.mark.parametrize(
    "name", ["three_frames_rotated.mov", "twelve_frames.mp4", "rotated_90.mp4", "odd_size_444.mp4", "h265_10bit.mp4"]
)
def test_an_awkward_clip_works_from_end_to_end(name: str, weights_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(CLIPS / name, "--weights", weights_file, "--out", out, "--overlay", tmp_path / "film.mp4") == 0
    assert len(list(out.glob("*.png"))) == probe(tmp_path / "film.mp4").frames


def test_the_choices_are_those_of_the_library() -> None:
    given = _parser().parse_args(["predict", "video", "--out", "out"])
    assert (given.weights, given.style, given.alpha, given.colormap) == (
        DEFAULT_WEIGHTS,
        Style().view,
        Style().alpha,
        Style().colormap,
    )
    accepted = {"--maps": [*MAP_FORMATS, "none"], "--style": VIEWS, "--normalise": NORMALISATIONS}
    for option, values in accepted.items():
        for value in values:
            _parser().parse_args(["predict", "video", "--out", "out", option, value])
        with pytest.raises(SystemExit):
            _parser().parse_args(["predict", "video", "--out", "out", option, "other"])
    for to, takes in product(FORMATS, INPUTS):
        _parser().parse_args(["export", "name", "--to", to, "--input", takes])


def test_the_list_of_weights_names_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in list_models())
    assert "without a licence" in listed


def test_convert_writes_beside_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published_file(tmp_path / "mine.pth")
    assert main(["weights", "convert", str(tmp_path / "mine.pth")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine.safetensors'}: M r4\n"
    assert load_model(tmp_path / "mine.safetensors").spec == MODEL_SPECS["d123m_rc4_rc1T"]


def test_what_convert_and_get_cannot_do(weights_file: Path, tmp_path: Path, capsys) -> None:
    assert main(["weights", "convert", str(weights_file)]) == 2  # one of ours already
    assert "a .safetensors file already" in last_line(capsys)
    assert main(["weights", "get", str(weights_file)]) == 2
    assert "not the name of published weights" in last_line(capsys)
    assert main(["weights", "convert", str(weights_file), "--out", str(tmp_path / "x.pth")]) == 2
    assert "a .safetensors file" in last_line(capsys)


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["bench", "--help"]])
def test_help_is_there_without_torch(arguments: list[str]) -> None:
    program = (
        "import sys; from tinyhd_lib.cli import main\n"
        f"try: main({arguments})\nfinally: assert 'torch' not in sys.modules"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "usage: tinyhd" in finished.stdout
