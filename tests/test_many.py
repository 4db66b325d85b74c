"""Many videos: each is done once and as if it were alone, whoever else is at work, whatever breaks."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import torchrun
from filelock import FileLock, SoftFileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from test_streaming import Fake

from tinyhd_lib import BadInput, open_runtime
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import videos_below
from tinyhd_lib.prediction import files as files_module
from tinyhd_lib.prediction.files import predict_files
from tinyhd_lib.prediction.jobs import Job
from tinyhd_lib.prediction.many import Outcome, SharedRuntime, predict_many

pytestmark = pytest.mark.slow

M = "d123m_rc4_rc1T"


@pytest.fixture
def films(tmp_path: Path, video_file: Path) -> Path:
    """A folder of three films, one of them a folder below."""
    for name in ("a.mp4", "b.mp4", "deep/er/a.mp4"):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video_file, path)
    return tmp_path / "films"


def jobs_of(films: Path, out: Path, **options: object) -> list[Job]:
    return [Job(path, out / name, **options) for path, name in videos_below(films)]


def outcomes(jobs: list[Job], decoders: int = 1, runtime: object = None) -> list[Outcome]:
    return list(predict_many(jobs, runtime or Fake(M), "fake", decoders))


def contents(folder: Path) -> dict[str, bytes]:
    """Map files and films."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*.[pm][np][g4]")}


# What is a video


def test_films_and_folders_of_frames_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("z.MP4", "a/x.avi", "a/b/1.png", "a/b/below/y.mp4", "done/run.json", "done/0.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in (".hidden.mp4", ".cache/x.mp4", "films/x.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = videos_below(tmp_path, [tmp_path / "films"])
    assert [each.name for each in found] == ["a/b", "a/x", "z"]
    assert [each.path.relative_to(tmp_path).as_posix() for each in found] == ["a/b", "a/x.avi", "z.MP4"]


def test_names_that_would_mix_and_folders_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no videos and no images"):
        videos_below(tmp_path)
    with pytest.raises(FileNotFoundError):
        videos_below(tmp_path / "nowhere")
    (tmp_path / "mixed").mkdir()
    for name in ("x.mp4", ".hidden.png", "cover.jpg"):
        (tmp_path / "mixed" / name).touch()
        if name == ".hidden.png":
            assert [each.name for each in videos_below(tmp_path)] == ["mixed/x"]
    with pytest.raises(BadInput, match="holds images and videos; move one or the other away"):
        videos_below(tmp_path)
    shutil.rmtree(tmp_path / "mixed")
    for name in ("x.mp4", "x.avi"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=r"would mix with those of .*rename one of them"):
        videos_below(tmp_path)


# One model for several threads


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=5))
def test_threads_that_share_a_runtime_get_their_own_maps(sizes: list[list[int]]) -> None:
    class Small:
        name, digest, precision, batch, spec, sampling = "small", "", "float32", 4, Fake(M).spec, Fake(M).sampling
        largest, inside = 0, 0

        def __call__(self, clips: list[np.ndarray]) -> np.ndarray:
            self.inside += 1
            assert self.inside == 1, "two passes at a time"
            self.largest = max(self.largest, len(clips))
            time.sleep(0.0005)
            self.inside -= 1
            return np.stack(clips) * 2

    runtime = Small()
    shared, wrong = SharedRuntime(runtime), []

    def ask(thread: int) -> None:
        for turn, size in enumerate(sizes[thread]):
            clips = [np.array([thread, turn, number]) for number in range(size)]
            if not np.array_equal(shared(clips), np.stack(clips) * 2):
                wrong.append((thread, turn))

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(len(sizes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert runtime.largest <= max(4, *map(max, sizes))


def test_what_waits_goes_into_one_batch_and_an_error_reaches_all_who_asked() -> None:
    begun, go, seen = threading.Event(), threading.Event(), []

    class Slow(Fake):
        batch = 3

        def __call__(self, clips: list[int]) -> np.ndarray:
            seen.append(list(clips))
            if len(seen) == 1:
                begun.set()
                go.wait(10)
            if 13 in clips:
                raise RuntimeError("broken")
            return np.array(clips)

    shared, failed = SharedRuntime(Slow(M)), []

    def ask(clip: int) -> None:
        try:
            assert shared([clip]) == [clip]
        except RuntimeError:
            failed.append(clip)

    threads = [threading.Thread(target=ask, args=(clip,)) for clip in (1, 11, 12, 13, 14)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
        deadline = time.monotonic() + 10
        while len(shared._waiting) < threads.index(thread) and time.monotonic() < deadline:
            time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join()
    assert seen == [[1], [11, 12, 13], [14]]
    assert sorted(failed) == [11, 12, 13]


# The list


@pytest.mark.parametrize("decoders", [1, 3])
def test_every_video_comes_out_as_if_it_were_alone(
    films: Path, tmp_path: Path, weights_file: Path, decoders: int
) -> None:
    runtime = open_runtime(weights_file)
    for job in jobs_of(films, tmp_path / "alone"):
        assert list(predict_files(job, runtime, "random"))[-1] == 40
    found = outcomes(jobs_of(films, tmp_path / "many"), decoders, runtime)
    assert [(each.frames, each.refused) for each in found] == [(40, None)] * 3
    assert contents(tmp_path / "many") == contents(tmp_path / "alone")
    assert len(contents(tmp_path / "many")) == 120
    assert not list((tmp_path / "many").rglob(".*")), "locks were left"
    again = outcomes(jobs_of(films, tmp_path / "many"), decoders, runtime)
    assert [(each.frames, each.refused) for each in again] == [(0, None)] * 3


def test_a_video_that_has_not_changed_is_not_read_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes(jobs_of(films, tmp_path / "out"))
    read = []
    content = files_module._content
    monkeypatch.setattr(files_module, "_content", lambda video: (read.append(video.name), content(video))[1])
    assert sum(each.frames for each in outcomes(jobs_of(films, tmp_path / "out"))) == 0
    assert read == []
    os.utime(films / "b.mp4", (1, 1))
    assert sum(each.frames for each in outcomes(jobs_of(films, tmp_path / "out"))) == 0, "the content is the same"
    assert read == ["b.mp4"]
    outcomes(jobs_of(films, tmp_path / "out"))
    assert read == ["b.mp4"], "its new date was not learnt"
    (films / "b.mp4").write_bytes((films / "a.mp4").read_bytes() + b"more")
    assert [each.refused is None for each in outcomes(jobs_of(films, tmp_path / "out"))].count(False) == 1


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
def test_a_full_disk_ends_all_and_another_error_its_video(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, ends: bool
) -> None:
    write = files_module.write_atomically

    def fail(path: Path, content: bytes) -> None:
        if path.name == "17.png" and path.parent.name == "b":
            raise OSError(number, os.strerror(number), str(path))
        write(path, content)

    monkeypatch.setattr(files_module, "write_atomically", fail)
    if ends:
        with pytest.raises(OSError, match="No space left"):
            outcomes(jobs_of(films, tmp_path / "out"), decoders=2)
    else:
        refused = [each.refused for each in outcomes(jobs_of(films, tmp_path / "out"), decoders=2) if each.refused]
        assert len(refused) == 1
        assert refused[0].endswith(
            "17.png: Input/output error; what was finished is kept, the same command goes on from there"
        )
    monkeypatch.undo()
    assert sum(each.frames for each in outcomes(jobs_of(films, tmp_path / "out"))) >= 40
    assert len(contents(tmp_path / "out")) == 120


def test_a_lock_that_cannot_be_made_is_its_videos_own_matter(films: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/deep").write_text("in the way")
    refused = [each.refused for each in outcomes(jobs_of(films, tmp_path / "out")) if each.refused]
    assert len(refused) == 1
    assert "out/deep" in refused[0]
    assert len(contents(tmp_path / "out")) == 80


def test_without_locks_it_is_said(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyhd_lib.prediction.many.FileLock", SoftFileLock)
    assert all("knows no locks" in each.refused for each in outcomes(jobs_of(films, tmp_path / "out")))


def test_what_a_power_cut_left_empty_is_made_again(films: Path, tmp_path: Path) -> None:
    outcomes(jobs_of(films, tmp_path / "out"))
    whole = contents(tmp_path / "out")
    (tmp_path / "out/a/7.png").write_bytes(b"")
    assert [each.done for each in outcomes(jobs_of(films, tmp_path / "out"))].count(True) == 1
    assert contents(tmp_path / "out") == whole


def test_left_early_all_threads_end_and_the_next_run_goes_on(films: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    steps = []

    def leave_early() -> None:
        steps.append(threading.current_thread())
        if len(steps) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_many(jobs_of(films, tmp_path / "out"), Fake(M, 1.0), "fake", 2, leave_early))
    assert set(threading.enumerate()) == before
    assert 0 < len(contents(tmp_path / "out")) < 120
    assert sum(each.refused is None for each in outcomes(jobs_of(films, tmp_path / "out"))) == 3
    assert len(contents(tmp_path / "out")) == 120


def test_memory_does_not_grow_with_the_list(tmp_path: Path, video_file: Path) -> None:
    def peak(count: int) -> int:
        jobs = [Job(video_file, tmp_path / str(count) / str(number)) for number in range(count)]
        tracemalloc.start()
        outcomes(jobs)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # what is imported on the way
    assert peak(12) < 1.3 * peak(3)


@pytest.mark.parametrize("decoders", [0, 33])
def test_no_decoders_and_too_many_are_refused(decoders: int) -> None:
    with pytest.raises(BadInput, match="1 to 32 videos at once"):
        list(predict_many([], Fake(M), "fake", decoders))


# Several processes


def test_what_another_has_is_left_to_it_and_taken_over_when_it_is_gone(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    order: list[str] = []
    with FileLock(out / ".a.lock"):
        done = predict_many(jobs_of(films, out), Fake(M), "fake", 1)
        order += [next(done).job.out.relative_to(out).as_posix() for _ in range(2)]
        assert not (out / "a").exists()
    order += [each.job.out.relative_to(out).as_posix() for each in done]
    assert order == ["b", "deep/er/a", "a"]
    assert len(contents(out)) == 120


def start(films: Path, out: Path, weights: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tinyhd_lib", "predict", str(films), "--out", str(out)]
    command += ["--weights", str(weights), "--decoders", "2", "--stride", "2", *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_processes_share_a_list_and_one_that_is_killed_is_made_up_for(
    films: Path, tmp_path: Path, weights_file: Path, video_file: Path
) -> None:
    for number in range(2):
        shutil.copyfile(video_file, films / f"more{number}.mp4")
    runtime = open_runtime(weights_file)
    for job in jobs_of(films, tmp_path / "alone", every=2):
        list(predict_files(job, runtime, "random"))
    out = tmp_path / "out"
    victim = start(films, out, weights_file)
    deadline = time.monotonic() + 60
    while len(contents(out)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    others = [start(films, out, weights_file, *more) for more in ([], ["--json", str(tmp_path / "summary.json")])]
    victim.kill()
    victim.communicate()
    assert len(contents(out)) < 200, "it was to be killed before its end"
    for process in others:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    assert contents(out) == contents(tmp_path / "alone")
    assert not list(out.rglob(".*")), "locks were left"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert len(summary["videos"]) == 5
    assert 0 < summary["frames"] == sum(each["frames"] for each in summary["videos"]) <= 200


def test_torchruns_processes_divide_the_list(films: Path, tmp_path: Path, weights_file: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--weights", str(weights_file), "--device", "cpu"]
    finished = torchrun("predict", str(films), *options, "--json", str(tmp_path / "summary.json"))
    assert finished.returncode == 0, finished.stderr
    summaries = [json.loads((tmp_path / f"summary-{rank}.json").read_text()) for rank in (0, 1)]
    assert [each["rank"] for each in summaries] == [0, 1]
    assert sum(each["frames"] for each in summaries) == 120, "one was done twice"
    assert all(len(each["videos"]) == 3 for each in summaries)
    assert len(contents(tmp_path / "out")) == 120


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
    assert {"hardware", "runtime", "frames_per_second", "peak_mib", "decoders"} <= set(summary)
    assert [Path(each["video"]).name for each in summary["videos"] if each["refused"]] == ["bad.avi"]
    assert summary["frames"] == 120


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
    assert [0 < each["frames"] < 18 for each in summary["videos"] if each["refused"]] == [True]
    files = [
        *tmp_path.glob("seen/**/*.mp4"),
        *(path for path in tmp_path.glob("out/**/*.*") if path.parent.name == "a"),
    ]
    assert summary["bytes"] == sum(path.stat().st_size for path in files)


def test_to_do_all_anew_is_for_one_process(
    films: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert main(["predict", str(films), "--weights", str(weights_file), "--force"]) == 2
    assert "every process would do all videos anew" in capsys.readouterr().err
    assert main(["predict", str(films), "--weights", str(weights_file), "--out", str(films)]) == 2
    assert "holds the videos; give another --out" in capsys.readouterr().err


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
    assert main(["predict", "a.mp4", "--json", "x.json", "--weights", str(weights_file)]) == 2
