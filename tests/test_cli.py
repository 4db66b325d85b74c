"""The command line: what it writes, and a clear one-line message for every mistake of a user."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import pytest
from conftest import CLIPS, needs_shared, published_file, write_sound

from tinyhd_lib import MODEL_SPECS, BadInput, load_model
from tinyhd_lib.cache import Cache
from tinyhd_lib.cli import _COMMANDS, _parse, main
from tinyhd_lib.data.video import probe
from tinyhd_lib.models.weights import list_models
from tinyhd_lib.prediction.options import Drawing, ModelOptions


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
        (["{video}", "--stride", "0"], "--every 0: a number of frames from 1"),
        (["{video}", "--every", "17"], "1 to 16 frames"),
        (["{video}", "--between", "linear"], "it is for S"),
        (
            ["{video}", "--between", "cubic"],
            "invalid choice 'cubic' for argument '--between'. Expected one of (",
        ),
        (["{video}", "--bacth", "3"], "Unrecognized options: --bacth, 3; perhaps --batch INT (tinyhd predict --help)"),
        (["{video}", "--batch", "x"], "Error parsing --batch: "),
        (["{video}", "--device", "tpu"], "choose from auto"),
        (["{video}", "--alpha", "7"], "opacity"),
        (["{video}", "--colormap", "viridiss"], "near are viridis"),
        (["{video}", "--maps", "none"], "nothing to write"),
        (["{video}", "--overlay", "film.avi"], "an overlay video is an .mp4 file"),
        (["{video}", "--overlay", "{video}"], "would be overwritten by its own results"),
        (["{video}", "--overlay", "{folder}.mp4"], "a folder is in the way of the overlay video"),
        (["{frames}", "--out", "{frames}"], "would be overwritten by its own results"),
        (["{video}", "{video}"], "several videos are called 'dot'"),
        (["{video}", "{text}", "--overlay", "film.mp4"], "names a folder of overlay videos"),
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
    # The arguments of the case come last: if an option is given twice, the last one counts.
    status = main(["predict", "--out", str(out), *map(str, usual), *(a.format(**places) for a in arguments)])
    assert status == 2
    assert reason in last_line(capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistake_is_one_line_where_only_ascii_can_be_shown() -> None:
    program = "from tinyhd_lib.cli import main; main(['predict', 'video.mp4', '--bacth', '3'])"
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    told = "Unrecognized options: --bacth, 3; perhaps --batch INT (tinyhd predict --help)"
    assert finished.stderr == f"tinyhd: {told}\n"


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


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(("name", "kept"), [("bad_truncated.mp4", 42), ("bad_corrupted.mp4", 49)])
def test_of_a_damaged_clip_the_rest_is_kept_with_a_warning(
    name: str, kept: int, weights_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert predict(CLIPS / name, "--weights", weights_file, "--out", out, "--overlay", tmp_path / "film.mp4") == 0
    assert f"{kept} of its" in caplog.text
    assert len(list(out.glob("*.png"))) == probe(tmp_path / "film.mp4").frames == kept


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(
    "name", ["three_frames_rotated.mov", "twelve_frames.mp4", "rotated_90.mp4", "odd_size_444.mp4", "h265_10bit.mp4"]
)
def test_an_awkward_clip_works_from_end_to_end(name: str, weights_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(CLIPS / name, "--weights", weights_file, "--out", out, "--overlay", tmp_path / "film.mp4") == 0
    assert len(list(out.glob("*.png"))) == probe(tmp_path / "film.mp4").frames


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
    assert main(["weights", "convert", str(weights_file)]) == 2  # already in our format
    assert "a .safetensors file already" in last_line(capsys)
    assert main(["weights", "get", str(weights_file)]) == 2
    assert "not the name of published weights" in last_line(capsys)
    assert main(["weights", "convert", str(weights_file), "--out", str(tmp_path / "x.pth")]) == 2
    assert "a .safetensors file" in last_line(capsys)


OPTIONS = {
    "predict": "VIDEO a --out x --maps png16 --overlay x.mp4 --style side-by-side --alpha 0.5 --floor 0.1 "
    "--colormap viridis --normalise clip --weights x --device cpu --precision bfloat16 --every 2 "
    "--between linear --smooth 0.2 --batch 2 --workers 2 --cluster x --json x --force",
    "view": "VIDEO --maps x --weights x --html x",
    "live": "SOURCE --weights x --device cpu --precision float16 --every 2 --smooth 0.1 --drop block --queue 3 "
    "--serve localhost:1 --out x --overlay x.mp4 --style map --alpha 0.5 --floor 0.1 --colormap viridis --seconds 2 "
    "--speed 0 --idle 3 --json x",
    "weights list": "--markdown",
    "weights get": "NAME",
    "weights convert": "FILE --out x",
    "export": "NAME --to torch --input frames --out x --force",
    "data import": "A B --kind tobii --video x --out x --only a=b --unit ms --start 1.5 --screen 640x360",
    "data stills": "FOLDER OUT --seed 4",
    "data synthesise": "KIND DIR --videos 1 --frames 2 --size 64x48 --observers 3 --seed 4",
    "data verify": "KIND DIR --split x --complete --json x --workers 2 --cluster x",
    "generate": "KIND DIR --out x --split x --submission dhf1k --maps npz --weights x --device cpu "
    "--precision float16 --every 2 --between linear --smooth 0.2 --batch 2 --workers 2 --cluster x --json x --force",
    "evaluate": "PREDICTIONS KIND DIR --split x --out x --shuffle x --matched --protocol published --every 2 "
    "--averaging per-video --min-fixations 2 --sigma 2 --first 1 --allow-missing a --allow-missing b/* --table csv "
    "--seed 1 --workers 2 --cluster x --force",
    "compare": "A B C --json x --latex x --html x",
    "train": "--recipe x --list --out x --tensorboard --set A=1 --set B=2 --device cpu --loaders 2 --force",
    "experiment": "decoders --budget smoke --data gaze=x --seeds 0 1 --out x --set A=1 --set B=2 --device cpu "
    "--loaders 2 --force --workers 2 --cluster x",
    "notebooks list": "--notebooks x",
    "notebooks copy": "DIR",
    "notebooks run": "01 02 -f smoke -f x.yaml -p A 1 -p B 2 --out x --timeout 3 --workers 2 --cluster x --force "
    "--notebooks x",
    "cache show": "",
    "cache clear": "plans --days 3",
}
"""Every option there is, as people type it: what was once accepted stays accepted."""


def test_the_table_has_every_command() -> None:
    assert set(_COMMANDS) == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_accepted_and_in_the_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = OPTIONS[name].split()
    command = resolve_name(f"tinyhd_lib.cli.{_COMMANDS[name][0]}")
    assert callable(_parse(command, name, words))
    with pytest.raises(SystemExit, match="0"):
        main([*name.split(), "--help"])
    shown = capsys.readouterr().out
    assert f"usage: tinyhd {name}" in shown
    missing = {word for word in words if word.startswith("-") and word not in shown}
    assert not missing


def test_options_reach_the_library_as_they_are_typed() -> None:
    def options(name: str, words: str) -> dict:
        return _parse(resolve_name(f"tinyhd_lib.cli.{_COMMANDS[name][0]}"), name, words.split()).keywords

    given = options("predict", "a b --style map --maps none --stride 4")
    assert (given["videos"], given["drawing"].style, given["writing"].maps) == (("a", "b"), "map", "none")
    assert (given["model"], given["drawing"].alpha) == (ModelOptions(), Drawing.alpha)
    assert given["writing"].every == 4
    assert options("notebooks run", "--jobs 3")["workers"] == 3
    assert options("train", "--workers 3")["running"].loaders == 3
    assert options("live", "0 --every=8")["stream"].every == 8
    scoring = options("evaluate", "maps gaze --allow-missing a --allow-missing b")["scoring"]
    assert (scoring.kind, scoring.dir, scoring.allow_missing) == ("gaze", None, ("a", "b"))
    assert options("notebooks run", "-p A 1 -p B [2]")["parameter"] == (("A", "1"), ("B", "[2]"))
    assert options("train", "--set A=1 --set B=2")["set"] == ("A=1", "B=2")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("give another `out`, or `force=True` to replace it", "give another --out, or --force to replace it"),
        ('`device="cpu"` can do it', "--device cpu can do it"),
        ("alone (`depth=1`) it needs less, see `open_runtime`", "alone (depth=1) it needs less, see open_runtime"),
    ],
)
def test_parameters_are_told_as_flags_of_the_command_that_has_them(
    message: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> None:
        raise BadInput(message)

    monkeypatch.setattr("tinyhd_lib.prediction.jobs.jobs_of", fail)
    assert predict("video.mp4") == 2
    assert last_line(capsys) == f"tinyhd: {told}"


def test_an_interruption_is_a_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyhd_lib.prediction.jobs.jobs_of", interrupt)
    assert predict("video.mp4") == 130
    assert "run the same command again to resume" in last_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--version"], 0, "tinyhd 0."),
        (["--help"], 0, "notebooks copy"),
        (["weights", "--help"], 0, "weights convert"),
        ([], 2, "usage: tinyhd"),
        (["weights"], 2, "weights convert"),
        (["pridect"], 2, "near are predict"),
        (["weights", "gte"], 2, "weights get"),
        (["bench"], 2, "no such command"),
    ],
)
def test_what_is_no_command(arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert told in (captured.err if status else captured.out)


def test_help_is_there_without_torch() -> None:
    """All commands share one process, so a failure names the first command that imports a heavy module."""
    program = f"""
import contextlib, io, sys
from tinyhd_lib.cli import main
for name in {["", *OPTIONS]}:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*name.split(), "--help"])
    assert "usage: tinyhd" in shown.getvalue(), name
    assert not {{"torch", "pandas", "matplotlib", "cv2"}} & set(sys.modules), name
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


EXTRAS = [
    *("adjustText", "anywidget", "ipykernel", "ipywidgets", "jupyter_client", "nbclient", "onnx"),
    *("onnxruntime", "onnxscript", "papermill", "tensorboard"),
]

COMMANDS = {
    "predict {video} --weights {weights} --out {here}/maps --overlay {here}/seen.mp4": "",
    "live {video} --weights {weights} --speed 0": "",
    "generate gaze {gaze} --weights {weights} --out {here}/generated": "",
    "evaluate {here}/generated gaze {gaze} --out {here}/scores --workers 1": "",
    "compare {here}/scores {here}/scores": "",
    "weights list": "",
    "weights convert {published} --out {here}/own.safetensors": "",
    "export {weights} --to torch --out {here}/m.pt2": "",
    "export {weights} --to onnx --out {here}/m.onnx": "pip install -e '.[export]' from the checkout",
    "data synthesise gaze {here}/made --videos 1 --frames 2": "",
    "data verify gaze {gaze} --workers 1": "",
    "train --list": "",
    "train --recipe multi_rc --out {here}/run --tensorboard": "pip install -e '.[tensorboard]' from the checkout",
    "notebooks list": "",
    "notebooks copy {here}/notebooks": "",
    "notebooks run 05 -f smoke --out {here}/run": "pip install -e '.[notebooks]' from the checkout",
    "cache show": "",
    "cache clear nothing_of_this_kind": "",
}
"""Commands one after the other, and what they say where an extra is missing."""


@pytest.fixture(scope="module")
def without_extras(
    tmp_path_factory: pytest.TempPathFactory, video_file: Path, weights_file: Path, made_up: Callable[[str], Path]
) -> dict[str, tuple[int, str]]:
    """The exit status and the messages of each command if no optional dependency is installed."""
    here = tmp_path_factory.mktemp("bare")
    published = published_file(here / "published.pth")
    places = {"here": here, "video": video_file, "weights": weights_file, "published": published}
    lines = {line: line.format(**places, gaze=made_up("gaze")).split() for line in COMMANDS}
    program = f"""
import contextlib, io, json, sys, traceback
sys.modules.update(dict.fromkeys({EXTRAS}))
from tinyhd_lib.cli import main
found = {{}}
for line, words in {lines}.items():
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(words)
        except BaseException:
            status = traceback.format_exc()
    found[line] = status, said.getvalue()
print(json.dumps(found))
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(finished.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_works_without_the_extras_or_says_which_is_missing(
    line: str, without_extras: dict[str, tuple[int, str]]
) -> None:
    status, said = without_extras[line]
    assert status == (2 if COMMANDS[line] else 0), said
    assert not COMMANDS[line] or COMMANDS[line] in said.splitlines()[-1]


def test_the_cache_is_shown_and_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Cache("kept_for_a_test")
    kept.write("key", b"content")
    assert main(["cache", "show"]) == 0
    assert "kept_for_a_test" in capsys.readouterr().out
    assert main(["cache", "clear", "kept_for_a_test", "--days", "1"]) == 0
    assert kept.read("key") == b"content"
    assert main(["cache", "clear", "kept_for_a_test"]) == 0
    assert kept.read("key") is None


@pytest.mark.slow
def test_the_public_face_is_there_without_the_extras() -> None:
    program = (
        "import sys; sys.modules['anywidget'] = None; import tinyhd_lib as t\n"
        "print(t.__version__, [getattr(t, name) for name in dir(t) if name != 'SaliencyViewer'])\n"
        "try: t.SaliencyViewer\nexcept t.BadInput as error: print(error)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install -e '.[notebooks]' from the checkout" in finished.stdout.splitlines()[-1]
