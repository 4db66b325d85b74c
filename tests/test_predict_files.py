"""Map files and films: published files reproduced, runs that are cut off go on, nothing is left in halves."""

import json
import os
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
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.data.video import probe, read_frames
from tinyhd_lib.overlay import Style
from tinyhd_lib.predict_files import Job, Weights, predict_files
from tinyhd_lib.runtime import Runtime


@pytest.fixture(scope="module")
def weights(weights_file: Path) -> Weights:
    return Weights("random", weights_file)


@pytest.fixture(scope="module")
def runtime(weights_file: Path) -> Runtime:
    return open_runtime(weights_file, "cpu")


@pytest.fixture
def job(video_file: Path, tmp_path: Path) -> Job:
    return Job(video_file, tmp_path / "out", film=tmp_path / "film.mp4")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.name != "run.json"}


def interrupt(job: Job, runtime: Runtime, weights: Weights, after: int) -> None:
    """Stop a job after some frames, as Ctrl-C does."""
    running = predict_files(job, runtime, weights)
    for _ in range(after):
        next(running)
    running.close()


def test_a_job_writes_a_map_a_frame_a_film_and_its_record(job: Job, runtime: Runtime, weights: Weights) -> None:
    assert list(predict_files(job, runtime, weights)) == list(range(1, 41))
    assert sorted(path.name for path in job.out.iterdir()) == sorted([*(f"{n}.png" for n in range(40)), "run.json"])
    assert cv2.imread(str(job.out / "7.png"), cv2.IMREAD_UNCHANGED).shape == (72, 96)
    assert (probe(job.film).frames, probe(job.film).rate) == (40, probe(job.video).rate)
    record = json.loads((job.out / "run.json").read_text())
    assert record["complete"]
    assert record["frames"] == record["frames_promised"] == 40
    assert record["key"]["spec"] == runtime.spec.to_dict()
    assert {"hardware", "versions", "seconds", "runtime", "peak_mib"} <= set(record)


def test_a_job_that_is_done_is_not_done_again(job: Job, runtime: Runtime, weights: Weights) -> None:
    list(predict_files(job, runtime, weights))
    before = (job.out / "0.png").stat().st_mtime_ns
    assert list(predict_files(job, runtime, weights)) == []
    assert len(list(predict_files(replace(job, force=True), runtime, weights))) == 40
    assert (job.out / "0.png").stat().st_mtime_ns > before


@pytest.mark.parametrize("maps", ["png", "png16", "npz"])
@pytest.mark.parametrize("after", [1, 20, 39])
def test_an_interrupted_job_goes_on_to_the_same_bytes(
    job: Job, runtime: Runtime, weights: Weights, tmp_path: Path, maps: str, after: int
) -> None:
    broken = replace(job, maps=maps)
    interrupt(broken, runtime, weights, after)
    assert not job.film.exists()
    kept = {path: path.stat().st_mtime_ns for path in job.out.glob("[0-9]*")}
    assert len(kept) >= after
    list(predict_files(broken, runtime, weights))
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    whole = replace(broken, out=tmp_path / "whole", film=tmp_path / "whole.mp4")
    list(predict_files(whole, runtime, weights))
    assert contents(broken.out) == contents(whole.out)
    assert broken.film.read_bytes() == whole.film.read_bytes()


def test_a_film_can_be_asked_for_later(job: Job, runtime: Runtime, weights: Weights) -> None:
    list(predict_files(replace(job, film=None), runtime, weights))
    before = (job.out / "0.png").stat().st_mtime_ns
    list(predict_files(job, runtime, weights))
    assert probe(job.film).frames == 40
    assert (job.out / "0.png").stat().st_mtime_ns == before


def test_results_of_two_runs_do_not_mix(job: Job, runtime: Runtime, weights: Weights) -> None:
    list(predict_files(job, runtime, weights))
    with pytest.raises(BadInput, match=r"another run \(stride 16 then, 4 now\)"):
        next(predict_files(replace(job, stride=4), runtime, weights))
    with pytest.raises(BadInput, match="normalise 'frame' then, 'none' now"):
        next(predict_files(replace(job, normalise="none"), runtime, weights))


def test_maps_of_no_known_run_are_not_overwritten(job: Job, runtime: Runtime, weights: Weights) -> None:
    job.out.mkdir()
    (job.out / "0.png").write_text("somebody's work")
    with pytest.raises(BadInput, match="maps of no known run"):
        next(predict_files(job, runtime, weights))
    (job.out / "run.json").write_text("{}")
    with pytest.raises(BadInput, match="not the record of a run"):
        next(predict_files(job, runtime, weights))
    assert (job.out / "0.png").read_text() == "somebody's work"


def test_normalising_over_the_clip_makes_frames_comparable(job: Job, runtime: Runtime, weights: Weights) -> None:
    whole = replace(job, normalise="clip", maps="png16")
    interrupt(whole, runtime, weights, after=5)
    list(predict_files(whole, runtime, weights))
    raw = {prediction.frame: prediction.map for prediction in predict(job.video, weights.path, device="cpu")}
    bounds = min(map(np.min, raw.values())), max(map(np.max, raw.values()))
    for frame, saliency in raw.items():
        levels = cv2.imread(str(job.out / f"{frame}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(levels, to_grey(saliency, (72, 96), bounds, np.uint16))
    assert not list(job.out.glob(".*"))


def test_a_film_alone_leaves_no_maps(job: Job, runtime: Runtime, weights: Weights) -> None:
    list(predict_files(replace(job, maps="none", style=Style("side-by-side")), runtime, weights))
    assert [path.name for path in job.out.iterdir()] == ["run.json"]
    assert next(read_frames(job.film)).image.shape == (72, 192, 3)


def test_a_folder_of_frames_is_a_video_too(
    runtime: Runtime, weights: Weights, video_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    for frame in read_frames(video_file):
        cv2.imwrite(str(tmp_path / f"frames/{frame.index}.png"), frame.image[..., ::-1])
    job = Job(tmp_path / "frames", tmp_path / "out")
    assert len(list(predict_files(job, runtime, weights))) == 40


def command(video: Path, weights_file: Path, folder: Path) -> list[str]:
    start = [sys.executable, "-m", "tinyhd_lib", "predict", str(video), "--weights", str(weights_file)]
    return [*start, "--out", str(folder), "--overlay", str(folder / "film.mp4"), "--device", "cpu", "--stride", "8"]


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
        subprocess.run(command(video_file, weights_file, tmp_path / folder), check=True, stderr=subprocess.DEVNULL)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_line_and_nothing_is_left_in_halves(
    video_file: Path, weights_file: Path, tmp_path: Path
) -> None:
    limited = (
        "import resource, sys; from tinyhd_lib.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY)); sys.exit(main(sys.argv[1:]))"
    )
    arguments = command(video_file, weights_file, tmp_path / "out")[3:]
    finished = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert finished.returncode == 2
    assert "File too large; what was finished is kept" in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left <= {"run.json"}


@needs_shared
@pytest.mark.parametrize("kind", ["m", "s"])
def test_the_files_of_the_reference_video_are_the_published_ones(kind: str, tmp_path: Path) -> None:
    """Post-processing and writing; the raw maps are compared on the whole video elsewhere."""
    released = RELEASED / f"d123{kind}_rc4_rc1T.pth"
    wanted = {int(path.stem): path for path in (REFERENCE / f"golden/0068_{kind}_rc4_png").glob("*.png")}
    runtime = open_runtime(released)
    whole = Job(RELEASED / "0068.AVI", tmp_path / "out")
    if kind == "m":
        list(predict_files(whole, runtime, Weights(kind, released)))
    else:
        interrupt(whole, runtime, Weights(kind, released), after=101)
        wanted = {index: path for index, path in wanted.items() if index <= 100}
    assert len(wanted) >= 5
    for index, path in wanted.items():
        ours, theirs = (
            cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(int) for file in (whole.map_path(index), path)
        )
        assert (np.abs(ours - theirs) <= 1).mean() >= 0.999, index
