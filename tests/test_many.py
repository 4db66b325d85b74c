"""Many videos: each is processed exactly once with the same result as alone, despite other processes and failures."""

import errno
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import psutil
import pytest
from test_streaming import Fake

from tinyhd_lib import BadInput, open_runtime
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import videos_below
from tinyhd_lib.files import alone_in
from tinyhd_lib.prediction import files as files_module
from tinyhd_lib.prediction.files import Predicted, predict_files, predict_many
from tinyhd_lib.prediction.jobs import Job
from tinyhd_lib.prediction.options import ModelOptions

pytestmark = pytest.mark.slow

M = "d123m_rc4_rc1T"


@pytest.fixture
def films(tmp_path: Path, video_file: Path) -> Path:
    """A folder of three films, one of them in a subfolder."""
    for name in ("a.mp4", "b.mp4", "deep/er/a.mp4"):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video_file, path)
    return tmp_path / "films"


def jobs_of(films: Path, out: Path, **options: object) -> list[Job]:
    return [Job(path, out / name, **options) for name, path in videos_below(films).items()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a fake model that answers immediately."""
    monkeypatch.setattr("tinyhd_lib.prediction.files.opened", lambda _model: Fake(M))


def outcomes(jobs: list[Job], weights: object = "fake") -> list[Predicted]:
    return list(predict_many(jobs, ModelOptions(weights=str(weights))))


def contents(folder: Path) -> dict[str, bytes]:
    """Map files and films."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*.[pm][np][g4]")}


# Which files are videos


def test_films_and_folders_of_frames_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("z.MP4", "a/x.avi", "a/b/1.png", "a/b/below/y.mp4", "done/run.json", "done/0.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in (".hidden.mp4", ".cache/x.mp4", "films/x.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = videos_below(tmp_path, [tmp_path / "films"])
    assert list(found) == ["a/b", "a/x", "z"]
    assert [path.relative_to(tmp_path).as_posix() for path in found.values()] == ["a/b", "a/x.avi", "z.MP4"]


def test_names_that_would_mix_and_folders_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no videos and no images"):
        videos_below(tmp_path)
    with pytest.raises(FileNotFoundError):
        videos_below(tmp_path / "nowhere")
    (tmp_path / "mixed").mkdir()
    for name in ("x.mp4", ".hidden.png", "cover.jpg"):
        (tmp_path / "mixed" / name).touch()
        if name == ".hidden.png":
            assert list(videos_below(tmp_path)) == ["mixed/x"]
    with pytest.raises(BadInput, match="holds images and videos; move one or the other away"):
        videos_below(tmp_path)
    shutil.rmtree(tmp_path / "mixed")
    for name in ("x.mp4", "x.avi"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=r"would mix with those of .*rename one of them"):
        videos_below(tmp_path)


# The list


def test_every_video_comes_out_as_if_it_were_alone(films: Path, tmp_path: Path, weights_file: Path) -> None:
    runtime = open_runtime(weights_file)
    for job in jobs_of(films, tmp_path / "alone"):
        assert list(predict_files(job, runtime, "random"))[-1] == 40
    found = outcomes(jobs_of(films, tmp_path / "many"), weights_file)
    assert [(each.frames, each.refused) for each in found] == [(40, None)] * 3
    assert contents(tmp_path / "many") == contents(tmp_path / "alone")
    assert len(contents(tmp_path / "many")) == 120
    assert not list((tmp_path / "many").rglob(".*")), "locks were left"
    again = outcomes(jobs_of(films, tmp_path / "many"), weights_file)
    assert [(each.frames, each.refused) for each in again] == [(0, None)] * 3


@pytest.mark.usefixtures("fake")
def test_a_video_that_has_not_changed_is_not_read_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes(jobs_of(films, tmp_path / "out"))
    read = []
    content = files_module.sha256
    monkeypatch.setattr(files_module, "sha256", lambda path: (read.append(path.name), content(path))[1])
    assert sum(each.frames for each in outcomes(jobs_of(films, tmp_path / "out"))) == 0
    assert read == []
    os.utime(films / "b.mp4", (1, 1))
    assert sum(each.frames for each in outcomes(jobs_of(films, tmp_path / "out"))) == 0, "the content is the same"
    assert read == ["b.mp4"]
    outcomes(jobs_of(films, tmp_path / "out"))
    assert read == ["b.mp4"], "its new date was not learnt"
    (films / "b.mp4").write_bytes((films / "a.mp4").read_bytes() + b"more")
    assert [each.refused is None for each in outcomes(jobs_of(films, tmp_path / "out"))].count(False) == 1


@pytest.mark.usefixtures("fake")
def test_large_ones_come_first_and_a_broken_one_does_not_stop_the_others(films: Path, tmp_path: Path) -> None:
    with (films / "b.mp4").open("ab") as file:
        file.write(bytes(10_000))
    (films / "bad.mp4").write_text("no film")
    found = outcomes([*jobs_of(films, tmp_path / "out"), Job(films / "gone.mp4", tmp_path / "out/gone")])
    assert found[0].job.video.name == "b.mp4"
    refused = {each.job.video.name: each.refused for each in found if each.refused}
    assert set(refused) == {"bad.mp4", "gone.mp4"}
    assert "no such file" in refused["gone.mp4"]
    assert sum(each.frames for each in found) == 120


@pytest.mark.parametrize(("number", "ends"), [(errno.ENOSPC, True), (errno.EIO, False)])
@pytest.mark.usefixtures("fake")
def test_a_full_disk_ends_all_and_another_error_its_video(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, ends: bool
) -> None:
    write = files_module.write_atomically

    def fail(path: Path, content: bytes) -> None:
        if path.name == "17.png" and path.parent.name == "b":
            raise OSError(number, os.strerror(number), str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files_module, "write_atomically", fail)
        if ends:
            with pytest.raises(OSError, match="No space left"):
                outcomes(jobs_of(films, tmp_path / "out"))
        else:
            refused = [each.refused for each in outcomes(jobs_of(films, tmp_path / "out")) if each.refused]
            assert len(refused) == 1
            assert refused[0].endswith(
                "17.png: Input/output error; finished results are kept, run the same command again to resume"
            )
    assert sum(each.frames for each in outcomes(jobs_of(films, tmp_path / "out"))) >= 40
    assert len(contents(tmp_path / "out")) == 120


@pytest.mark.usefixtures("fake")
def test_what_a_power_cut_left_empty_is_made_again(films: Path, tmp_path: Path) -> None:
    outcomes(jobs_of(films, tmp_path / "out"))
    whole = contents(tmp_path / "out")
    (tmp_path / "out/a/7.png").write_bytes(b"")
    assert [each.frames > 0 for each in outcomes(jobs_of(films, tmp_path / "out"))].count(True) == 1
    assert contents(tmp_path / "out") == whole


@pytest.mark.usefixtures("fake")
def test_left_early_all_threads_end_and_the_next_run_goes_on(films: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    steps = []

    def leave_early() -> None:
        steps.append(threading.current_thread())
        if len(steps) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_many(jobs_of(films, tmp_path / "out"), ModelOptions(), None, leave_early))
    assert set(threading.enumerate()) == before
    assert 0 < len(contents(tmp_path / "out")) < 120
    assert sum(each.refused is None for each in outcomes(jobs_of(films, tmp_path / "out"))) == 3
    assert len(contents(tmp_path / "out")) == 120


@pytest.mark.usefixtures("fake")
def test_memory_does_not_grow_with_the_list(tmp_path: Path, video_file: Path) -> None:
    jobs = [Job(video_file, tmp_path / str(number)) for number in range(5)]
    held = []
    tracemalloc.start()
    for each in predict_many(jobs, ModelOptions(weights="fake")):
        assert each.frames == 40
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] - held[0] < 100_000  # half the size of a raw map; each video has forty maps


# Several processes


def start(films: Path, out: Path, weights: Path, *more: str) -> subprocess.Popen:
    # A process that a shell starts in the background ignores SIGINT unless it sets a handler.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from tinyhd_lib.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "predict", str(films), "--out", str(out)]
    command += ["--weights", str(weights), "--every", "4", *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def children_of(process: subprocess.Popen) -> list[int]:
    """The worker processes of a process."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [each.pid for each in below if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_workers_make_the_same_bytes_though_they_are_killed(
    films: Path, tmp_path: Path, weights_file: Path, video_file: Path
) -> None:
    for number in range(2):
        shutil.copyfile(video_file, films / f"more{number}.mp4")
    (films / "bad.mp4").write_text("no film")
    runtime = open_runtime(weights_file)
    for job in jobs_of(films, tmp_path / "alone", every=4):
        if job.video.name != "bad.mp4":
            list(predict_files(job, runtime, "random"))
    out = tmp_path / "out"
    running = start(films, out, weights_file, "--workers", "2", "--json", str(tmp_path / "summary.json"))
    deadline = time.monotonic() + 60
    while len(contents(out)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(children_of(running)[0], signal.SIGKILL)
    assert len(contents(out)) < 200, "it was to be killed before its end"
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 2, said
    assert said.strip().splitlines()[-1] == "tinyhd: 1 of 6 videos could not be used; the others are done"
    assert contents(out) == contents(tmp_path / "alone")
    assert not list(out.rglob(".*")), "locks were left"
    videos = json.loads((tmp_path / "summary.json").read_text())["videos"]
    assert {Path(each["job"]).name for each in videos if each["refused"]} == {"bad.mp4"}
    assert len(videos) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interruption_ends_the_workers_and_the_same_command_goes_on(
    films: Path, tmp_path: Path, weights_file: Path
) -> None:
    out = tmp_path / "out"
    running = start(films, out, weights_file, "--every", "1", "--workers", "2")
    deadline = time.monotonic() + 60
    while len(contents(out)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    workers = children_of(running)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    kept = len(contents(out))
    assert 0 < kept < 120
    assert main(["predict", str(films), "--out", str(out), "--weights", str(weights_file), "--every", "1"]) == 0
    assert len(contents(out)) == 120


def test_two_runs_into_one_folder_keep_out_of_each_others_way(
    films: Path, tmp_path: Path, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with alone_in(out / "a"):
        assert main(["predict", str(films), "--out", str(out), "--weights", str(weights_file)]) == 2
    assert "out/a: another run is at work there" in capsys.readouterr().err
    assert len(contents(out)) == 80


# The command


def test_a_folder_gives_a_tree_of_results(
    films: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(films.parent)
    (films / "bad.avi").write_text("no film")
    command = ["predict", "films", "--overlay", "seen", "--weights", str(weights_file), "--json", "summary.json"]
    assert main(command) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "tinyhd: 1 of 4 videos could not be used; the others are done"
    assert len(list(Path("films_saliency/deep/er/a").glob("*.png"))) == 40
    assert {path.as_posix() for path in Path("seen").rglob("*.mp4")} == {
        "seen/a.mp4",
        "seen/b.mp4",
        "seen/deep/er/a.mp4",
    }
    summary = json.loads(Path("summary.json").read_text())
    assert {"hardware", "versions", "seconds"} <= set(summary)
    assert [Path(each["job"]).name for each in summary["videos"] if each["refused"]] == ["bad.avi"]
    assert sum(each["frames"] for each in summary["videos"]) == 120


def test_what_is_refused_half_way_is_no_result(
    films: Path, tmp_path: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = files_module.write_atomically

    def fail(path: Path, content: bytes) -> None:
        if path.name == "17.png" and path.parent.name == "b":
            raise OSError(errno.EIO, "Input/output error", str(path))
        write(path, content)

    monkeypatch.setattr(files_module, "write_atomically", fail)
    command = ["predict", str(films), "--out", str(tmp_path / "out"), "--overlay", str(tmp_path / "seen")]
    command += ["--weights", str(weights_file), "--json", str(tmp_path / "new/summary.json")]
    assert main(command) == 2
    assert "2 videos done, 0 were done already" in caplog.messages
    summary = json.loads((tmp_path / "new/summary.json").read_text())
    (refused,) = (each for each in summary["videos"] if each["refused"])
    assert (refused["frames"], Path(refused["job"]).name) == (0, "b.mp4")
    assert {path.relative_to(tmp_path / "seen").as_posix() for path in tmp_path.glob("seen/**/*.mp4")} == {
        "a.mp4",
        "deep/er/a.mp4",
    }


def test_results_within_the_folder_are_no_videos(films: Path, weights_file: Path) -> None:
    command = ["predict", str(films), "--out", str(films / "maps"), "--overlay", str(films / "seen")]
    for _ in range(2):
        assert main([*command, "--weights", str(weights_file)]) == 0
    assert len(list((films / "seen").rglob("*.mp4"))) == 3


def test_a_list_is_a_file_with_a_video_a_line(
    films: Path, tmp_path: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(films)
    (tmp_path / "list.txt").write_text("# tonight\na.mp4\n\n  b.mp4 \n")
    assert main(["predict", f"@{tmp_path / 'list.txt'}", "--weights", str(weights_file), "--maps", "npz"]) == 0
    assert sorted(path.name for path in Path("saliency").glob("[!.]*")) == ["a", "b"]
    (tmp_path / "list.txt").write_text("a.mp4\ndeep/er/a.mp4\n")
    assert main(["predict", f"@{tmp_path / 'list.txt'}", "--weights", str(weights_file)]) == 2
    assert "several videos are called 'a'" in capsys.readouterr().err
    assert main(["predict", "@nowhere.txt"]) == 2
    assert "nowhere.txt" in capsys.readouterr().err
    assert main(["predict", "a.mp4", "--json", "x.json", "--weights", str(weights_file)]) == 0
    assert [each["frames"] for each in json.loads(Path("x.json").read_text())["videos"]] == [40]
