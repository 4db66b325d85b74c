"""Map files and films: published files are reproduced, interrupted runs resume, and no partial file is left."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import REFERENCE, RELEASED, needs_shared

from tinyhd_lib import BadInput, open_runtime, predict
from tinyhd_lib.cli import main
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.data.video import probe, read_frames
from tinyhd_lib.prediction.files import predict_files
from tinyhd_lib.prediction.jobs import Job
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.runtime import Runtime

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runtime(weights_file: Path) -> Runtime:
    return open_runtime(weights_file)


@pytest.fixture
def job(video_file: Path, tmp_path: Path) -> Job:
    return Job(video_file, tmp_path / "out", overlay=tmp_path / "film.mp4")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.name != "run.json"}


def differences(one: Path, other: Path) -> dict[str, object]:
    """Return the files that differ: of pictures, the largest difference in grey levels and how many pixels differ."""
    first, second = contents(one), contents(other)
    found: dict[str, object] = dict.fromkeys(first.keys() ^ second.keys(), "only in one folder")
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            both = [cv2.imdecode(np.frombuffer(each[name], np.uint8), -1) for each in (first, second)]
            known = all(each is not None for each in both)
            apart = np.abs(both[0].astype(int) - both[1]) if known else np.ones(0)
            found[name] = (apart.max(), np.count_nonzero(apart)) if known else "not a picture"
    return found


def interrupt(job: Job, runtime: Runtime, after: int) -> None:
    """Stop a job after some frames, as Ctrl-C does."""
    running = predict_files(job, runtime, "random")
    for _ in range(after):
        next(running)
    running.close()


def test_a_job_writes_a_map_a_frame_a_film_and_its_record(job: Job, runtime: Runtime) -> None:
    assert list(predict_files(job, runtime, "random")) == list(range(1, 41))
    assert sorted(path.name for path in job.out.iterdir()) == sorted([*(f"{n}.png" for n in range(40)), "run.json"])
    assert cv2.imread(str(job.out / "7.png"), cv2.IMREAD_UNCHANGED).shape == (72, 96)
    assert (probe(job.overlay).frames, probe(job.overlay).rate) == (40, probe(job.video).rate)
    record = json.loads((job.out / "run.json").read_text())
    assert record["complete"]
    assert record["what"] == "predict"
    assert record["details"]["frames"] == record["details"]["frames_promised"] == 40
    assert record["key"]["spec"] == runtime.spec.to_dict()
    assert {"hardware", "versions", "started"} <= set(record)
    assert {"seconds", "runtime", "peak_mib"} <= set(record["details"])


def test_a_job_that_is_done_is_not_done_again(job: Job, runtime: Runtime) -> None:
    list(predict_files(job, runtime, "random"))
    before = (job.out / "0.png").stat().st_mtime_ns
    assert list(predict_files(job, runtime, "random")) == []
    assert len(list(predict_files(replace(job, force=True), runtime, "random"))) == 40
    assert (job.out / "0.png").stat().st_mtime_ns > before


@pytest.mark.parametrize("maps", ["png", "png16", "npz"])
@pytest.mark.parametrize("after", [1, 20, 39])
def test_an_interrupted_job_goes_on_to_the_same_bytes(
    job: Job, runtime: Runtime, tmp_path: Path, maps: str, after: int
) -> None:
    broken = replace(job, maps=maps)
    interrupt(broken, runtime, after)
    assert not job.overlay.exists()
    kept = {path: path.stat().st_mtime_ns for path in job.out.glob("[0-9]*")}
    assert len(kept) >= after
    list(predict_files(broken, runtime, "random"))
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    whole = replace(broken, out=tmp_path / "whole", overlay=tmp_path / "whole.mp4")
    list(predict_files(whole, runtime, "random"))
    assert differences(broken.out, whole.out) == {}
    assert broken.overlay.read_bytes() == whole.overlay.read_bytes()


def test_a_forced_run_that_is_cut_off_leaves_nothing_of_the_old_one(job: Job, runtime: Runtime, tmp_path: Path) -> None:
    list(predict_files(job, runtime, "random"))
    interrupt(replace(job, every=4, force=True), runtime, after=3)
    list(predict_files(replace(job, every=4), runtime, "random"))
    fresh = replace(job, every=4, out=tmp_path / "fresh", overlay=tmp_path / "fresh.mp4")
    list(predict_files(fresh, runtime, "random"))
    assert contents(job.out) == contents(fresh.out)


def test_maps_that_were_deleted_are_made_again(job: Job, runtime: Runtime) -> None:
    list(predict_files(job, runtime, "random"))
    lost = (job.out / "17.png").read_bytes()
    (job.out / "17.png").unlink()
    assert len(list(predict_files(job, runtime, "random"))) == 40
    assert (job.out / "17.png").read_bytes() == lost


def test_two_runs_do_not_work_in_one_folder(job: Job, runtime: Runtime) -> None:
    first = predict_files(job, runtime, "random")
    next(first)
    with pytest.raises(BadInput, match="another run is at work there"):
        next(predict_files(job, runtime, "random"))
    first.close()
    assert len(list(predict_files(job, runtime, "random"))) == 40


def test_a_film_of_somebody_else_is_not_overwritten(job: Job, runtime: Runtime) -> None:
    job.overlay.write_text("somebody's film")
    with pytest.raises(BadInput, match="is there already"):
        next(predict_files(job, runtime, "random"))
    assert job.overlay.read_text() == "somebody's film"


def test_a_film_can_be_asked_for_later(job: Job, runtime: Runtime) -> None:
    list(predict_files(replace(job, overlay=None), runtime, "random"))
    before = (job.out / "0.png").stat().st_mtime_ns
    list(predict_files(job, runtime, "random"))
    assert probe(job.overlay).frames == 40
    assert (job.out / "0.png").stat().st_mtime_ns == before


def test_results_of_two_runs_do_not_mix(job: Job, runtime: Runtime) -> None:
    list(predict_files(job, runtime, "random"))
    with pytest.raises(BadInput, match=r"another run \(every 16 then, 4 now\)"):
        next(predict_files(replace(job, every=4), runtime, "random"))
    with pytest.raises(BadInput, match="normalise 'frame' then, 'none' now"):
        next(predict_files(replace(job, normalise="none"), runtime, "random"))


def test_maps_of_no_known_run_are_not_overwritten(job: Job, runtime: Runtime) -> None:
    job.out.mkdir()
    (job.out / "1.png").write_text("somebody's work")
    (job.out / ".notes.part").write_text("somebody's notes")
    with pytest.raises(BadInput, match="maps of no known run"):
        next(predict_files(job, runtime, "random"))
    for content in ("{}", "[]", "no json"):
        (job.out / "run.json").write_text(content)
        with pytest.raises(BadInput, match="not the record of a run"):
            next(predict_files(job, runtime, "random"))
    assert (job.out / "1.png").read_text() == "somebody's work"
    list(predict_files(replace(job, force=True), runtime, "random"))
    assert (job.out / ".notes.part").read_text() == "somebody's notes"


def test_normalising_over_the_clip_makes_frames_comparable(job: Job, runtime: Runtime, weights_file: Path) -> None:
    whole = replace(job, normalise="clip", maps="png16")
    interrupt(whole, runtime, after=5)
    assert not list(job.out.glob(".*"))
    assert len(list(predict_files(whole, runtime, "random"))) == 80
    raw = {prediction.frame: prediction.map for prediction in predict(job.video, weights_file)}
    bounds = min(map(np.min, raw.values())), max(map(np.max, raw.values()))
    for frame, saliency in raw.items():
        levels = cv2.imread(str(job.out / f"{frame}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(levels, to_grey(saliency, (72, 96), bounds, np.uint16))
    assert not list(job.out.glob(".*"))


def test_a_film_alone_leaves_no_maps(job: Job, runtime: Runtime) -> None:
    list(predict_files(replace(job, maps="none", drawing=Drawing("side-by-side")), runtime, "random"))
    assert [path.name for path in job.out.iterdir()] == ["run.json"]
    assert next(read_frames(job.overlay)).image.shape == (72, 192, 3)


def test_a_folder_of_frames_is_a_video_too(runtime: Runtime, video_file: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for frame in read_frames(video_file):
        cv2.imwrite(str(tmp_path / f"frames/{frame.index}.png"), frame.image[..., ::-1])
    job = Job(tmp_path / "frames", tmp_path / "out")
    assert len(list(predict_files(job, runtime, "random"))) == 40


def command(video: Path, weights_file: Path, folder: Path) -> list[str]:
    start = [sys.executable, "-m", "tinyhd_lib", "predict", str(video), "--weights", str(weights_file)]
    return [*start, "--out", str(folder), "--overlay", str(folder / "film.mp4"), "--stride", "1"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_killed_run_goes_on_to_the_same_bytes(video_file: Path, weights_file: Path, tmp_path: Path) -> None:
    started = subprocess.Popen(command(video_file, weights_file, tmp_path / "killed"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed/4.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    started.kill()
    assert started.wait() < 0
    assert (tmp_path / "killed/4.png").exists()
    assert not (tmp_path / "killed/film.mp4").exists()
    for folder in ("killed", "whole"):
        assert main(command(video_file, weights_file, tmp_path / folder)[3:]) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(("limit", "maps"), [(2000, 1), (6000, 40)])
def test_a_full_disk_is_one_line_and_nothing_is_left_in_halves(
    limit: int, maps: int, video_file: Path, weights_file: Path, tmp_path: Path
) -> None:
    """The second map exceeds the smaller limit; only the film exceeds the larger one."""
    limited = (
        "import resource, sys; from tinyhd_lib.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY)); sys.exit(main(sys.argv[1:]))"
    )
    arguments = command(video_file, weights_file, tmp_path / "out")[3:]
    finished = subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "File too large; finished results are kept" in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert "run.json" in left
    assert len(left - {"run.json"}) in range(maps // 4, maps + 1)
    assert all(name[0].isdigit() for name in left - {"run.json"})


@needs_shared
@pytest.mark.parametrize("kind", ["m", "s"])
def test_the_files_of_the_reference_video_are_the_published_ones(kind: str, tmp_path: Path) -> None:
    """Post-processing and writing are compared; another test compares the raw maps of the whole video."""
    released = RELEASED / f"d123{kind}_rc4_rc1T.pth"
    wanted = {int(path.stem): path for path in (REFERENCE / f"golden/0068_{kind}_rc4_png").glob("*.png")}
    runtime = open_runtime(released)
    whole = Job(RELEASED / "0068.AVI", tmp_path / "out")
    if kind == "m":
        list(predict_files(whole, runtime, kind))
    else:
        interrupt(whole, runtime, after=101)
        wanted = {index: path for index, path in wanted.items() if index <= 100}
    assert len(wanted) >= 5
    for index, path in wanted.items():
        ours, theirs = (
            cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(int) for file in (whole.map_path(index), path)
        )
        assert (np.abs(ours - theirs) <= 1).mean() >= 0.999, index
