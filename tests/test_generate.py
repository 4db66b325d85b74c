"""``tinyhd generate``: published file names, the workers' shares, and the same bytes after any interruptions."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from conftest import RELEASED, ROOT, SHARED, needs_shared, random_model

from tinyhd_lib import load_model, save_model
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import open_dataset

pytestmark = pytest.mark.slow

MadeUp = Callable[[str], Path]


def generate(kind: str, root: Path, out: Path, weights: Path, *more: str) -> int:
    return main(["generate", kind, str(root), "--weights", str(weights), "--out", str(out), *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.name != "run.json"}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("dhf1k", ["0601/0001.png", "0601/0018.png"]),
        ("hollywood2", ["actioncliptest00001_1/actioncliptest00001_00001.png"]),
        ("kinetics", []),
    ],
)
def test_maps_are_called_as_published(
    tiny: MadeUp, tmp_path: Path, weights_file: Path, kind: str, names: list[str]
) -> None:
    assert generate(kind, tiny(kind), tmp_path, weights_file) == 0
    dataset = open_dataset(kind, tiny(kind))
    videos = dataset.of_split(dataset.kind.evaluated).videos
    assert set(contents(tmp_path)) == {f"{video.name}/{name}.png" for video in videos for name in video.names}
    assert set(names) <= set(contents(tmp_path))


def test_a_submission_has_the_test_split_as_the_authors_take_it(
    tiny: MadeUp,
    tmp_path: Path,
    weights_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "mymethod"
    assert generate("dhf1k", tiny("dhf1k"), out, weights_file, "--submission", "dhf1k") == 0
    videos = open_dataset("dhf1k", tiny("dhf1k"), "test").videos
    assert videos
    with ZipFile(tmp_path / "mymethod.zip") as archive:
        assert archive.namelist() == [f"mymethod/{video.name}/{name}.png" for video in videos for name in video.names]
        assert "mymethod/0701/0001.png" in archive.namelist()
        packed = {name.removeprefix("mymethod/"): archive.read(name) for name in archive.namelist()}
    assert packed == contents(out), "byte for byte, and nothing besides"
    (tmp_path / "mymethod.zip").unlink()
    assert generate("dhf1k", tiny("dhf1k"), out, weights_file, "--submission", "dhf1k") == 0
    assert (tmp_path / "mymethod.zip").exists(), "maps that are there are packed"
    (tmp_path / "mymethod.zip").unlink()
    monkeypatch.chdir(out)
    assert generate("dhf1k", tiny("dhf1k"), Path(), weights_file, "--submission", "dhf1k") == 0
    with ZipFile(tmp_path / "mymethod.zip") as archive:
        assert archive.namelist()[0] == "mymethod/0701/0001.png", "a method is called like the folder that one is in"
    (tmp_path / "mymethod.zip").unlink()
    (tmp_path / "mymethod.zip").mkdir()
    capsys.readouterr()
    assert generate("dhf1k", tiny("dhf1k"), out, weights_file, "--submission", "dhf1k") == 2
    assert f"tinyhd: {tmp_path / 'mymethod.zip'}: " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mymethod", "mymethod.zip"], "and no part of an archive"
    for kind, more in (("ucf", ()), ("dhf1k", ("--split", "validation")), ("dhf1k", ("--maps", "npz"))):
        assert generate(kind, tiny(kind), tmp_path / "no", weights_file, "--submission", "dhf1k", *more) == 2
        assert "--submission dhf1k needs dhf1k's test split and 8-bit PNG" in capsys.readouterr().err
    assert generate("dhf1k", tiny("dhf1k"), tmp_path / "no", weights_file, "--submission", "ucf") == 2
    assert "Expected one of ('dhf1k') (" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_ucf_names_have_the_class_and_the_number(tiny: MadeUp, tmp_path: Path, weights_file: Path) -> None:
    assert generate("ucf", tiny("ucf"), tmp_path, weights_file, "--split", "training") == 0
    folder = tmp_path / "Diving-Side-001"
    assert min(path.name for path in folder.glob("*.png")) == "Diving-Side_001_001.png"


def test_a_single_map_model_does_the_same(tiny: MadeUp, tmp_path: Path) -> None:
    weights = tmp_path / "single.safetensors"
    save_model(random_model("d123s_rc4_rc1T"), weights, {"note": "random weights, for tests"})
    assert not load_model(weights).spec.multi
    assert generate("hollywood2", tiny("hollywood2"), tmp_path / "out", weights) == 0
    assert len(contents(tmp_path / "out")) == 18


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(made_up: MadeUp, tmp_path: Path, weights_file: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert generate("gaze", made_up("gaze"), whole, weights_file, "--stride", "1") == 0  # slow enough to be killed
    command = [sys.executable, "-m", "tinyhd_lib", "generate", "gaze", str(made_up("gaze")), "--out", str(broken)]
    command += ["--weights", str(weights_file), "--stride", "1"]
    for wanted in (1, 25):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(broken.rglob("*.png"))) < wanted and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert 0 < len(list(broken.rglob("*.png"))) < 60, "it was to be killed before its end"
    kept = {path: path.stat().st_mtime_ns for path in broken.rglob("[0-9]*.png")}
    assert generate("gaze", made_up("gaze"), broken, weights_file, "--stride", "1") == 0
    assert contents(broken) == contents(whole)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())


def test_workers_share_the_videos_out(tiny: MadeUp, tmp_path: Path, weights_file: Path) -> None:
    assert generate("hollywood2", tiny("hollywood2"), tmp_path / "one", weights_file) == 0
    assert generate("hollywood2", tiny("hollywood2"), tmp_path / "two", weights_file, "--workers", "2") == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_damaged_video_is_refused_and_the_others_are_done(
    made_up: MadeUp, tmp_path: Path, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "ucf"
    shutil.copytree(made_up("ucf"), root)
    folder = sorted((root / "testing").iterdir())[1]
    sorted((folder / "images").iterdir())[2].write_bytes(b"no image")
    assert generate("ucf", root, tmp_path / "out", weights_file) == 2
    told = capsys.readouterr().err
    assert "does not decode; fetch or make it anew" in told
    assert "1 of 3 videos could not be used; the others are done" in told.strip().splitlines()[-1]
    done = {path.name for path in (tmp_path / "out").iterdir() if any(path.glob("*.png"))}
    assert len(done - {folder.name}) == 2


def test_nothing_is_mixed_with_other_maps(
    made_up: MadeUp, tmp_path: Path, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip_000").mkdir()
    (tmp_path / "clip_000" / "3.png").write_bytes(b"somebody's own")
    assert generate("folder", made_up("folder"), tmp_path, weights_file) == 2
    assert "holds maps of no known run" in capsys.readouterr().err
    assert (tmp_path / "clip_000" / "3.png").read_bytes() == b"somebody's own"
    assert len(list((tmp_path / "clip_001").glob("*.png"))) == 20


@needs_shared
def test_the_published_model_on_real_gaze(tmp_path: Path) -> None:
    """The score of a real video is the figure in docs/evaluation.md."""
    for path in (SHARED / "gaze").glob("talk_071.*"):
        shutil.copy(path, tmp_path)
    maps, scores = tmp_path / "maps", tmp_path / "scores"
    weights = str(RELEASED / "d123m_rc4_rc1T.pth")
    assert main(["generate", "gaze", str(tmp_path), "--weights", weights, "--out", str(maps)]) == 0
    assert (
        main(["evaluate", str(maps), "gaze", str(tmp_path), "--out", str(scores), "--every", "4", "--workers", "1"])
        == 0
    )
    documented = pd.read_csv(ROOT / "docs/results/gaze-m_r4-videos.csv").set_index(["predictor", "video"])
    found = pd.read_csv(scores / "videos.csv").set_index("predictor")
    for name, tolerance in (("NSS", 0.1), ("CC", 0.01), ("AUC-J", 0.003)):
        assert found.loc["prediction", name] == pytest.approx(
            documented.loc[("prediction", "talk_071"), name], abs=tolerance
        )
