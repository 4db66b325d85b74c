"""Evaluation: maps are paired with the right frames, figures are reproducible, and interrupted runs lose nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import psutil
import pytest
from conftest import SHARED, needs_shared, video_settings
from scipy.io import savemat

from tinyhd_lib import metrics
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.synthetic import synthesise
from tinyhd_lib.data.synthetic.observers import density
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.options import PROTOCOLS, EvaluateOptions
from tinyhd_lib.evaluation.predictions import find_maps
from tinyhd_lib.evaluation.scores import METRICS
from tinyhd_lib.evaluation.tasks import CENTRE_SIZE
from tinyhd_lib.records import RunRecord, check_same

MadeUp = Callable[[str], Path]
NAMES = [metric.name for metric in METRICS]


def densities(root: Path, video: Video) -> Iterator[tuple[str, np.ndarray]]:
    """The best possible prediction: the density that the simulated viewers follow, as grey levels."""
    clip = video_settings(root)[video.name].clip()
    for index, name in enumerate(video.names):
        probability = density(clip, index)
        yield name, (probability / probability.max() * 255).astype(np.uint8)


def write_maps(dataset: Dataset, out: Path) -> Path:
    for video in dataset.videos:
        (out / video.name).mkdir(parents=True)
        for name, grey in densities(dataset.root, video):
            cv2.imwrite(str(out / video.name / f"{name}.png"), grey)
    return out


@pytest.fixture(autouse=True)
def _quick_where_nobody_looks(request: pytest.FixtureRequest) -> None:
    """Draw no plots, except in tests marked slow, which compare whole pages, and in `scored`, which is made earlier."""
    if not request.node.get_closest_marker("slow"):
        request.getfixturevalue("quick_pages")


@pytest.fixture(scope="module")
def gaze(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("gaze")
    list(synthesise("gaze", root, frames=10))
    return open_dataset("gaze", root)


@pytest.fixture(scope="module")
def maps(gaze: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map for every frame of the made-up gaze set. Tests share them and must not change them."""
    return write_maps(gaze, tmp_path_factory.mktemp("maps") / "density")


def evaluate(predictions: Path, dataset: Dataset, out: Path, *more: object) -> int:
    arguments = ["evaluate", predictions, dataset.kind.name, dataset.root, "--out", out, "--workers", 1, *more]
    return main([str(argument) for argument in arguments])


def table_of(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "frames.parquet")


def results(out: Path) -> dict[str, bytes]:
    """All files that an evaluation writes, except the record of when and where it ran."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file() and path.name != "run.json"}


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def scored(maps: Path, gaze: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of these maps. Tests share it and must not change it."""
    out = tmp_path_factory.mktemp("scores") / "scores"
    assert evaluate(maps, gaze, out) == 0
    return out


def test_every_frame_is_scored_as_the_metrics_say(scored: Path, maps: Path, gaze: Dataset) -> None:
    table = table_of(scored)
    rows = table[table["predictor"] == "prediction"]
    assert len(rows) == sum(len(video.names) for video in gaze.videos)
    video = gaze.videos[1]
    row = rows[(rows["video"] == video.name) & (rows["index"] == 7)].iloc[0]
    truth = video.truth(7)
    prediction = cv2.imread(str(maps / video.name / "7.png"), cv2.IMREAD_UNCHANGED)
    assert truth is not None
    expected = {
        "AUC-J": metrics.auc_judd(prediction, truth.fixations),
        "AUC": metrics.auc_rank(prediction, truth.fixations),
        "AUC-B": metrics.auc_borji(prediction, truth.fixations),
        "CC": metrics.cc(prediction, truth.saliency),
        "SIM": metrics.sim(prediction, truth.saliency),
        "NSS": metrics.nss(prediction, truth.fixations),
        "KL": metrics.kl_div(prediction, truth.saliency),
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected, abs=1e-12)
    assert 0 <= row["sAUC"] <= 1
    assert row["fixations"] == truth.fixations.sum()


def test_knowing_more_scores_better(scored: Path) -> None:
    """The true density beats the centre bias, which beats chance, whose scores are known exactly."""
    means = table_of(scored).groupby("predictor", observed=True)[NAMES].mean()
    chance = means.loc["chance"]
    assert chance[["AUC-J", "AUC-B", "sAUC", "CC", "NSS"]].tolist() == [0.5, 0.5, 0.5, 0, 0]
    for name in ("AUC-J", "CC", "NSS"):
        assert means.loc["prediction", name] > means.loc["centre bias", name] + 0.05
        assert means.loc["centre bias", name] > chance[name]
    assert means.loc["prediction", "NSS"] > means.loc["half of the observers", "NSS"], "the density itself has no noise"


def test_frames_of_the_size_at_which_a_centre_bias_is_learnt_have_their_own_chance(tmp_path: Path) -> None:
    list(synthesise("gaze", tmp_path / "set", videos=2, frames=5, size=CENTRE_SIZE))
    dataset = open_dataset("gaze", tmp_path / "set")
    maps = write_maps(dataset, tmp_path / "maps")
    assert evaluate(maps, dataset, tmp_path / "out") == 0
    means = table_of(tmp_path / "out").groupby("predictor")[NAMES].mean()
    assert means.loc["chance", ["AUC-J", "AUC-B", "CC", "NSS"]].tolist() == [0.5, 0.5, 0, 0]
    assert means.loc["centre bias", "NSS"] != 0


def test_the_outputs_agree_with_one_another(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    summary = json.loads((scored / "summary.json").read_bytes())
    table = table_of(scored)
    mean = table[table["predictor"] == "prediction"]["NSS"].mean()
    figure = summary["figures"]["prediction"]["NSS"]
    assert figure["mean"] == pytest.approx(mean)
    assert figure["low"] <= figure["mean"] <= figure["high"]
    assert f"{mean:.3f}" in (scored / "table.tex").read_text()
    page = (scored / "report.html").read_text()
    assert f"{mean:.3f}" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page), "the page needs no other file"
    assert page.count("data:image/jpeg") >= 3
    videos = pd.read_csv(scored / "videos.csv")
    assert len(videos) == 4 * 3
    assert videos["frames"].sum() == len(table)
    assert json.loads((scored / "run.json").read_bytes()).keys() >= {"hardware", "versions", "key"}


@pytest.mark.slow
def test_the_report_shows_its_pictures_in_a_browser(scored: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium")
    switches = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--window-size=1200,2000",
    ]
    picture = tmp_path / "page.png"
    command = [browser, *switches, f"--user-data-dir={tmp_path / 'user'}", f"--screenshot={picture}"]
    subprocess.run([*command, (scored / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    shown = cv2.imread(str(picture))
    strips = [strip.std() for strip in np.array_split(shown[:1600], 8)]
    assert min(strips) > 1, "no part of the page is blank"


@pytest.mark.parametrize("form", ["png16", "npz", "mp4", "numbers from 1", "jpg"])
def test_maps_may_come_in_many_forms(scored: Path, gaze: Dataset, tmp_path: Path, form: str) -> None:
    out, first = tmp_path / "maps", []
    for video in gaze.videos:
        folder = out / video.name
        folder.mkdir(parents=True)
        grey = {int(name): level for name, level in densities(gaze.root, video)}
        if form == "mp4":
            folder.rmdir()
            with VideoWriter(out / f"{video.name}.mp4", Fraction(25)) as film:
                for index, each in grey.items():
                    film.write(np.repeat(each[..., None], 3, 2), index / 25)
            continue
        for index, each in grey.items():
            if form == "npz":
                np.savez(folder / f"{index}.npz", saliency=each / 255)
            elif form == "png16":
                cv2.imwrite(str(folder / f"{index}.png"), each.astype(np.uint16) * 257)
            elif form == "jpg":
                cv2.imwrite(str(folder / f"{index}.jpg"), each, [cv2.IMWRITE_JPEG_QUALITY, 99])
            else:
                first = ["--first", 1]
                cv2.imwrite(str(folder / f"map_{index + 1:05d}.png"), each)
    assert evaluate(out, gaze, tmp_path / "scores", *first) == 0
    found, expected = table_of(tmp_path / "scores"), table_of(scored)
    if form in {"mp4", "jpg"}:  # lossy formats change dark pixels most, to which KL is sensitive
        assert (found[NAMES] - expected[NAMES]).drop(columns="KL").abs().max().max() < 0.15
    else:
        pd.testing.assert_frame_equal(found[list(expected)], expected, rtol=1e-9)
        assert set(found) - set(expected) == (set() if form == "numbers from 1" else {"IG", "LL"})


def test_a_map_of_another_size_is_resized(maps: Path, gaze: Dataset, scored: Path, tmp_path: Path) -> None:
    shutil.copytree(maps, tmp_path / "maps")
    for path in (tmp_path / "maps").rglob("*.png"):
        grey = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR))
    assert evaluate(tmp_path / "maps", gaze, tmp_path / "scores") == 0
    for name, tolerance in (("NSS", 0.05), ("AUC-J", 0.01), ("CC", 0.01)):
        assert table_of(tmp_path / "scores")[name].mean() == pytest.approx(table_of(scored)[name].mean(), abs=tolerance)


@pytest.mark.slow
def test_several_processes_give_the_same_bytes(scored: Path, maps: Path, gaze: Dataset, tmp_path: Path) -> None:
    assert evaluate(maps, gaze, tmp_path / "scores", "--workers", 2) == 0
    assert results(tmp_path / "scores") == results(scored)


@pytest.mark.slow
def test_killed_at_any_moment_its_workers_end_and_it_goes_on_to_the_same_bytes(
    scored: Path, maps: Path, gaze: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    command = [sys.executable, "-m", "tinyhd_lib", "evaluate", str(maps), "gaze", str(gaze.root), "--out", str(out)]
    command += ["--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((out / ".parts").glob("*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    children = _children(process.pid)
    process.kill()
    process.wait()
    assert len(children) >= 2
    deadline = time.monotonic() + 20
    while any(map(_runs, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, children))
    kept = {path: path.stat().st_mtime_ns for path in (out / ".parts").glob("*.parquet")}
    assert kept
    assert not (out / "summary.json").exists(), "it was to be killed before its end"
    (out / ".parts" / ".half.parquet.tinyhd-part").write_bytes(b"PAR1")
    assert evaluate(maps, gaze, out) == 0
    assert results(out) == results(scored)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items()), "what was scored is kept"
    assert not list((out / ".parts").glob(".*"))


def _children(pid: int) -> set[int]:
    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_map_that_changes_is_scored_again(maps: Path, gaze: Dataset, tmp_path: Path) -> None:
    copy, out = tmp_path / "maps", tmp_path / "scores"
    shutil.copytree(maps, copy)
    assert evaluate(copy, gaze, out) == 0
    before = table_of(out)
    path = copy / gaze.videos[0].name / "4.png"
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    assert evaluate(copy, gaze, out) == 0
    changed = (table_of(out)["CC"] != before["CC"]).to_numpy().nonzero()[0]
    assert len(changed) == 1
    assert table_of(out).loc[changed[0], ["video", "index"]].tolist() == [gaze.videos[0].name, 4]


def test_averaging_names_its_way(made_up: MadeUp, tmp_path: Path) -> None:
    """With videos of unequal length, the mean over all frames differs from the mean of the videos' means."""
    ucf = open_dataset("ucf", made_up("ucf"))
    predictions = write_maps(ucf.of_split("testing"), tmp_path / "maps")
    found = {}
    for averaging in ("pooled", "per-video"):
        out = tmp_path / averaging
        assert evaluate(predictions, ucf, out, "--averaging", averaging) == 0
        found[averaging] = json.loads((out / "summary.json").read_bytes())["figures"]["prediction"]["NSS"]["mean"]
    rows = table_of(tmp_path / "pooled").query("predictor == 'prediction'")
    assert found["pooled"] == pytest.approx(rows["NSS"].mean())
    assert found["per-video"] == pytest.approx(rows.groupby("video")["NSS"].mean().mean())
    assert found["pooled"] != pytest.approx(found["per-video"], abs=1e-6)


def test_the_published_protocol_has_its_own_kl_and_averaging(maps: Path, gaze: Dataset, tmp_path: Path) -> None:
    assert evaluate(maps, gaze, tmp_path / "scores", "--protocol", "published", "--table", "csv") == 0
    assert json.loads((tmp_path / "scores/summary.json").read_bytes())["settings"]["averaging"] == "per-video"
    rows = pd.read_csv(tmp_path / "scores/frames.csv")
    assert np.isinf(rows[rows["predictor"] == "half of the observers"]["KL"]).any()


def test_missing_maps_are_an_error_unless_allowed_by_name(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, video = tmp_path / "maps", gaze.videos[0].name
    shutil.copytree(maps, copy)
    (copy / video / "3.png").unlink()
    assert evaluate(copy, gaze, tmp_path / "scores") == 2
    assert "1 of 10 frames have no map, the first is 3; make them, or allow it by name" in last_line(capsys)
    assert evaluate(copy, gaze, tmp_path / "scores", "--allow-missing", f"{video}/3") == 0
    assert f"1 frames had no map ({video})" in capsys.readouterr().out
    shutil.rmtree(copy / video)
    assert evaluate(copy, gaze, tmp_path / "others") == 2
    assert f"{video}: not there" in last_line(capsys)
    assert evaluate(copy, gaze, tmp_path / "others", "--allow-missing", video) == 0
    assert table_of(tmp_path / "others")["video"].nunique() == 2


def _unreadable(folder: Path) -> None:
    (folder / "3.png").write_bytes(b"no image")


def _unknown(folder: Path) -> None:
    (folder / "10.png").write_bytes((folder / "3.png").read_bytes())


def _twice(folder: Path) -> None:
    np.savez(folder / "3.npz", saliency=np.ones((4, 4)))


def _not_finite(folder: Path) -> None:
    (folder / "3.png").unlink()
    np.savez(folder / "3.npz", saliency=np.full((4, 4), np.nan))


def _negative(folder: Path) -> None:
    (folder / "3.png").unlink()
    np.savez(folder / "3.npz", saliency=np.full((4, 4), -2.0))


def _coloured(folder: Path) -> None:
    grey = cv2.imread(str(folder / "3.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(folder / "3.png"), cv2.applyColorMap(grey, cv2.COLORMAP_JET))


def _two_films(folder: Path) -> None:
    _short_film(folder)
    shutil.copy(folder.with_suffix(".mp4"), folder.with_suffix(".mkv"))


def _not_a_map(folder: Path) -> None:
    (folder / "3.png").unlink()
    np.savez(folder / "3.npz", saliency=np.ones((2, 4, 4)))


def _short_film(folder: Path) -> None:
    shutil.rmtree(folder)
    with VideoWriter(folder.with_suffix(".mp4"), Fraction(25)) as film:
        for index in range(9):
            film.write(np.full((96, 160, 3), index, np.uint8), index / 25)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_unreadable, "3.png: this image does not decode"),
        (_unknown, "10.png: belongs to no frame; they are called 0 to 9 here"),
        (_twice, "3.png: a second map of the frame of 3.npz"),
        (_not_finite, "3.npz: holds NaN or infinite values"),
        (_negative, "3.npz: has negative values; of a log density, save its exp"),
        (_coloured, "3.png: a colour picture"),
        (_two_films, "a second source of maps beside"),
        (_not_a_map, "3.npz: a map is (height, width) numbers, got (2, 4, 4)"),
        (_short_film, "9 maps, but the video has 10 frames"),
    ],
)
def test_bad_maps_get_one_line_and_lose_nothing(
    maps: Path,
    gaze: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    message: str,
) -> None:
    copy, out = tmp_path / "maps", tmp_path / "scores"
    shutil.copytree(maps, copy)
    damage(copy / gaze.videos[1].name)
    assert evaluate(copy, gaze, out) == 2
    assert message in last_line(capsys)
    if damage is _unreadable:
        assert len(list((out / ".parts").glob("*.parquet"))) == 1, "the video before it was scored, and is kept"


def test_what_cannot_be_scored_is_said(
    maps: Path, gaze: Dataset, made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dhf1k, out = open_dataset("dhf1k", made_up("dhf1k")), tmp_path / "scores"
    assert evaluate(maps, dhf1k, out, "--split", "test") == 2
    assert "0701: where people looked is not known" in last_line(capsys)
    assert evaluate(tmp_path / "absent", gaze, out) == 2
    assert "no such folder; tinyhd generate makes one" in last_line(capsys)
    assert evaluate(maps, gaze, out, "--min-fixations", 10_000) == 2
    assert "no frame has 10000 fixations" in last_line(capsys)
    assert evaluate(maps, gaze, out, "--every", 0) == 2
    assert "--every 0: at least 1" in last_line(capsys)
    (tmp_path / "file").write_text("in the way")
    assert evaluate(maps, gaze, tmp_path / "file") == 2
    assert "a file is in the way" in last_line(capsys)


def test_another_evaluation_is_not_written_over(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    assert evaluate(maps, gaze, out, "--every", 5) == 0
    before = results(out)
    assert evaluate(maps, gaze, out, "--every", 4) == 2
    assert "holds the results of another run (every 5 then, 4 now); give another --out, or --force" in last_line(capsys)
    assert results(out) == before
    assert evaluate(maps, gaze, out, "--every", 4, "--force") == 0
    assert results(out) != before
    then, now = RunRecord("x", {"every": 4, "digest": "0" * 64}), RunRecord("x", {"every": 5, "digest": "1" * 64})
    with pytest.raises(BadInput, match=r"another run \(another digest, every 4 then, 5 now\)"):
        check_same(out, then, now)


def test_the_centre_bias_is_learnt_from_the_training_split(made_up: MadeUp, tmp_path: Path) -> None:
    dhf1k = open_dataset("dhf1k", made_up("dhf1k"))
    predictions = write_maps(dhf1k.of_split("validation"), tmp_path / "maps")
    assert evaluate(predictions, dhf1k, tmp_path / "scores") == 0
    said = json.loads((tmp_path / "scores/summary.json").read_bytes())["settings"]
    assert said["centre_bias"] == "learnt from 3 videos of train"
    assert said["split"] == "validation"
    alone = tmp_path / "dhf1k"
    shutil.copytree(dhf1k.root, alone)
    for path in (alone / "video").glob("0*.AVI"):
        path.unlink()
    assert evaluate(predictions, open_dataset("dhf1k", alone), tmp_path / "alone") == 0
    said = json.loads((tmp_path / "alone/summary.json").read_bytes())["settings"]
    assert said["centre_bias"] == "learnt from the other videos"


def test_the_benchmarks_frames_are_drawn_once_for_all(
    maps: Path, gaze: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = PROTOCOLS["dhf1k"]._replace(most_frames=17)
    monkeypatch.setitem(PROTOCOLS, "dhf1k", few)
    for seed in (0, 0, 1):
        out = tmp_path / f"scores{seed}"
        assert evaluate(maps, gaze, out, "--seed", seed) == 0
    first, second = (table_of(tmp_path / f"scores{seed}") for seed in (0, 1))
    assert len(first) == 4 * 17
    assert first[["video", "index"]].drop_duplicates().shape == (17, 2)
    assert not first[["video", "index"]].equals(second[["video", "index"]])


@pytest.fixture(scope="module")
def worse(maps: Path, gaze: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of the same maps, turned upside down."""
    folder = tmp_path_factory.mktemp("worse")
    shutil.copytree(maps, folder / "maps")
    for path in (folder / "maps").rglob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::-1])
    assert evaluate(folder / "maps", gaze, folder / "scores") == 0
    return folder / "scores"


def test_two_evaluations_are_compared_in_pairs(
    scored: Path, worse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["compare", str(scored), str(worse), "--json", str(tmp_path / "both.json")]) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "both.json").read_bytes())
    (first, second), names = (each["NSS"] for each in found["mean"].values()), list(found["mean"])
    apart, p = found["difference"][names[1]]["NSS"], found["p"][names[1]]["NSS"]
    assert apart["mean"] == pytest.approx(second - first)
    assert apart["low"] < apart["mean"] < apart["high"]
    assert apart["mean"] < 0
    assert p <= found["holm"][names[1]]["NSS"] <= 1
    assert p == 0.25, "three videos that all agree: two of eight sign patterns are as extreme"
    assert f"{apart['mean']:+.3f}" in printed
    assert found["headline"] == "3 videos, 30 frames that all have"


def _frames_of(folder: Path) -> list[np.ndarray]:
    paths = sorted(folder.glob("*.png"), key=lambda path: int(path.stem))
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]


def _each(write: Callable[[Path, np.ndarray], object], suffix: str) -> Callable[[Path], None]:
    """Write one file per frame in another format."""

    def change(folder: Path) -> None:
        for index, saliency in enumerate(_frames_of(folder)):
            write(folder / f"{index}{suffix}", saliency)
            (folder / f"{index}.png").unlink()

    return change


def _whole(write: Callable[[Path, np.ndarray], object], suffix: str) -> Callable[[Path], None]:
    """Write one array per video."""

    def change(folder: Path) -> None:
        write(folder.with_suffix(suffix), np.array(_frames_of(folder)))
        shutil.rmtree(folder)

    return change


def _flat(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.rename(folder.with_name(f"{folder.name}_{path.name}"))
    folder.rmdir()


def _deeper(folder: Path) -> None:
    (folder / "maps").mkdir()
    for path in list(folder.glob("*.png")):
        path.rename(folder / "maps" / path.name)


def _npz(path: Path, saliency: np.ndarray) -> None:
    np.savez(path, saliency=saliency)


def _mat(path: Path, saliency: np.ndarray) -> None:
    savemat(path, {"saliency": saliency})


FORMATS: dict[str, Callable[[Path], None]] = {
    "npy": _each(np.save, ".npy"),
    "npz": _each(_npz, ".npz"),
    "mat": _each(_mat, ".mat"),
    "an npy a video": _whole(np.save, ".npy"),
    "an npz a video": _whole(_npz, ".npz"),
    "a mat a video": _whole(_mat, ".mat"),
    "files side by side": _flat,
    "a folder maps": _deeper,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_maps_in_another_format_have_the_same_scores(
    kind: str, scored: Path, maps: Path, gaze: Dataset, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(maps, copy)
    for folder in sorted(copy.iterdir()):
        FORMATS[kind](folder)
    assert evaluate(copy, gaze, tmp_path / "scores") == 0
    pd.testing.assert_frame_equal(table_of(tmp_path / "scores"), table_of(scored))


def test_maps_of_a_video_in_a_subfolder_may_lie_side_by_side(gaze: Dataset, maps: Path, tmp_path: Path) -> None:
    for called, stored in (("clip", "clip"), ("007", "007"), ("007", "7")):
        video, folder = replace(gaze.videos[0], name=f"{stored} here/{called}"), tmp_path / f"{stored} here/{stored}"
        shutil.copytree(maps / gaze.videos[0].name, folder)
        _flat(folder)
        found = find_maps(tmp_path, video, None, optional=False)
        names = {index: f"{stored}_{name}.png" for index, name in enumerate(video.names)}
        assert {index: path.name for index, path in found.files.items()} == names
        folder.with_suffix(".npy").touch()
        with pytest.raises(BadInput, match=rf"{stored}\.npy"):
            find_maps(tmp_path, video, None, optional=False)


@pytest.mark.parametrize("second", ["clip.npy", "clip.mp4"])
def test_a_second_source_of_maps_is_refused(second: str, gaze: Dataset, maps: Path, tmp_path: Path) -> None:
    video = replace(gaze.videos[0], name="clip")
    shutil.copytree(maps / gaze.videos[0].name, tmp_path / "clip")
    (tmp_path / "clip_000.npy").touch()  # of another video
    assert len(find_maps(tmp_path, video, None, optional=False).files) == len(video.names)
    (tmp_path / second).touch()
    with pytest.raises(BadInput, match=f"{second}: a second source of maps beside clip; keep one of them"):
        find_maps(tmp_path, video, None, optional=False)


def test_a_folder_of_files_that_are_no_maps_says_what_it_holds(gaze: Dataset, tmp_path: Path) -> None:
    video = gaze.videos[0]
    (tmp_path / video.name).mkdir()
    for number in range(3):
        (tmp_path / video.name / f"{number}.webp").touch()
    with pytest.raises(BadInput, match=r"holds no map \(found: 3 \.webp\); maps are \.bmp, \.jpeg, "):
        find_maps(tmp_path, video, None, optional=False)


def test_maps_of_every_fifth_frame_are_enough_where_no_others_are_scored(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(maps, copy)
    for path in copy.rglob("*.png"):
        if int(path.stem) % 5:
            path.unlink()
    assert evaluate(copy, gaze, tmp_path / "scores", "--every", 5) == 0
    assert set(table_of(tmp_path / "scores")["index"]) == {0, 5}
    capsys.readouterr()
    assert evaluate(copy, gaze, tmp_path / "all") == 2
    assert "8 of 10 frames have no map" in last_line(capsys)


def test_frames_without_ground_truth_need_no_map(made_up: MadeUp, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(made_up("dhf1k"), root)
    whole = open_dataset("dhf1k", root, "validation")
    maps = write_maps(whole, tmp_path / "maps")
    for path in [*(root / "annotation").rglob("*.*"), *maps.rglob("*.png")]:
        if int(path.stem) % 5 != 1:
            path.unlink()
    assert evaluate(maps, open_dataset("dhf1k", root, "validation"), tmp_path / "scores") == 0
    assert set(table_of(tmp_path / "scores")["index"] % 5) == {0}


def test_a_choice_that_there_is_not_is_refused_in_python_too(maps: Path) -> None:
    with pytest.raises(BadInput, match='`averaging="foo"`: choose from pooled, per-video'):
        EvaluateOptions(predictions=maps, kind="gaze", averaging="foo")


def test_shots_of_few_movies_are_few(made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = open_dataset("hollywood2", made_up("hollywood2"), "testing")
    assert evaluate(write_maps(dataset, tmp_path / "maps"), dataset, tmp_path / "scores", "--split", "testing") == 0
    count = len({video.name.rpartition("_")[0] for video in dataset.videos})
    assert count < len(dataset.videos)
    assert f"With only {count} videos" in capsys.readouterr().out


def test_where_no_maps_fit_what_is_there_is_told(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(maps, copy)
    for folder in sorted(copy.iterdir()):
        folder.rename(folder.with_name(f"{folder.name}.maps.old"))
    assert evaluate(copy, gaze, tmp_path / "scores") == 2
    assert re.search(
        r"clip_000: not there, nor clip_000.mp4 or .npy; the folder holds 3 .old, such as clip_000", last_line(capsys)
    )


def test_where_people_look_at_zeros_a_line_says_so(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of every map is black, and people look everywhere."""
    half = tmp_path / "half"
    shutil.copytree(maps, half)
    for path in half.rglob("*.png"):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image[:, : image.shape[1] // 2] = 0
        cv2.imwrite(str(path), image)
    assert evaluate(half, gaze, tmp_path / "scores") == 0
    assert re.search(r"In \d+% of the frames people looked at zeros, which dominate KL", capsys.readouterr().out)
    table = table_of(tmp_path / "scores")
    assert table["at_zeros"].mean() > 0.5
    video = gaze.videos[0]
    row = table[(table["predictor"] == "prediction") & (table["video"] == video.name)].iloc[0]
    saliency = cv2.imread(str(half / video.name / f"{row['index']}.png"), cv2.IMREAD_UNCHANGED)
    truth = video.truth(int(row["index"]))
    assert truth is not None
    assert row["at_zeros"] == bool((saliency[truth.fixations] == 0).any())


def test_frames_whose_ground_truth_is_the_same_everywhere_are_told(
    made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "set"
    shutil.copytree(made_up("dhf1k"), root)
    dataset = open_dataset("dhf1k", root, "validation")
    out = write_maps(dataset, tmp_path / "maps")
    assert evaluate(out, dataset, tmp_path / "before", "--every", 10) == 0
    assert "have no CC" not in capsys.readouterr().out
    annotation, _ = dataset.videos[0].truth_files(0) or pytest.fail("has no annotation")
    cv2.imwrite(str(annotation), np.zeros_like(cv2.imread(str(annotation))))
    assert evaluate(out, dataset, tmp_path / "after", "--every", 10) == 0
    assert (
        "1 frames have no CC, for their ground truth is empty (then no SIM and KL) or flat." in capsys.readouterr().out
    )


def test_only_what_was_scored_alike_is_compared(
    scored: Path, maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(maps, gaze, tmp_path / "other", "--sigma", 2) == 0
    capsys.readouterr()
    assert main(["compare", str(scored), str(tmp_path / "other")]) == 2
    assert "gaze_maps" in last_line(capsys)
    assert main(["compare", str(scored), str(tmp_path)]) == 2
    assert "holds no evaluation; make one with tinyhd evaluate" in last_line(capsys)
    for edited, reason in (
        ("{}", "not the summary of an evaluation"),
        ('{"settings": {}}', "its settings have no averaging"),
    ):
        (tmp_path / "summary.json").write_text(edited)
        assert main(["compare", str(scored), str(tmp_path)]) == 2
        assert reason in last_line(capsys)


@pytest.mark.slow
@needs_shared
def test_real_gaze_is_scored(tmp_path: Path) -> None:
    """Half of the viewers predict the other half far better than a centre bias does."""
    dataset = open_dataset("gaze", SHARED / "gaze")
    for video in dataset.videos:
        (tmp_path / "maps" / video.name).mkdir(parents=True)
        for index in range(0, len(video.names), 60):
            truth = video.truth(index)
            np.savez(tmp_path / "maps" / video.name / f"{index}.npz", saliency=truth.saliency)
    assert evaluate(tmp_path / "maps", dataset, tmp_path / "scores", "--allow-missing", "*") == 0
    means = table_of(tmp_path / "scores").groupby("predictor", observed=True)["NSS"].mean()
    assert means["chance"] == 0
    assert means["centre bias"] + 2 < means["half of the observers"] < means["prediction"]


def test_infinite_scores_have_no_difference(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published KL is infinite where people looked at a zero, and maps in grey levels have many zeros."""
    for name in ("one", "other"):
        assert evaluate(maps, gaze, tmp_path / name, "--protocol", "published") == 0
    summary = json.loads((tmp_path / "one/summary.json").read_bytes())
    assert summary["figures"]["half of the observers"]["KL"] == {"mean": "inf", "low": None, "high": None}
    frames = pd.read_parquet(tmp_path / "one/frames.parquet")
    frames.loc[frames["predictor"] == "prediction", "KL"] = np.inf
    frames.to_parquet(tmp_path / "one/frames.parquet")
    capsys.readouterr()
    folders = str(tmp_path / "one"), str(tmp_path / "other")
    assert main(["compare", *folders, "--json", str(tmp_path / "both.json")]) == 0
    found = json.loads((tmp_path / "both.json").read_bytes())
    one = f"{maps} (1)"
    assert found["mean"][one]["KL"] == "inf"
    assert found["difference"][one]["KL"] == {"mean": None, "low": None, "high": None}
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(one)]
    assert rows[0][-2:] == ["inf", "best"], "so are those of the other one, and none is less"
    assert rows[1][-1] == "-"


def test_a_centre_bias_without_a_source_says_so(made_up: MadeUp, tmp_path: Path) -> None:
    """There is none with annotations of the validation split alone, which is common, or with a single video."""
    root = tmp_path / "dhf1k"
    shutil.copytree(made_up("dhf1k"), root)
    predictions = write_maps(open_dataset("dhf1k", root, "validation"), tmp_path / "maps")
    for path in (root / "annotation").glob("000?"):
        shutil.rmtree(path)
    assert evaluate(predictions, open_dataset("dhf1k", root), tmp_path / "scores") == 0
    said = json.loads((tmp_path / "scores/summary.json").read_bytes())
    assert said["settings"]["centre_bias"] == "learnt from the other videos"
    assert said["figures"]["centre bias"]["sAUC"]["mean"] is None, "it would say nothing"
    for path in (root / "video").glob("60[23].AVI"):
        path.unlink()
    assert evaluate(predictions, open_dataset("dhf1k", root), tmp_path / "one") == 0
    said = json.loads((tmp_path / "one/summary.json").read_bytes())
    assert said["settings"]["centre_bias"] == "uniform, for there is nothing to learn it from"
    assert said["figures"]["centre bias"]["NSS"]["mean"] == pytest.approx(0, abs=1e-12)


def test_videos_that_cannot_be_opened_are_named_in_the_table(
    made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "dhf1k"
    shutil.copytree(made_up("dhf1k"), root)
    predictions = write_maps(open_dataset("dhf1k", root, "validation"), tmp_path / "maps")
    (root / "video/602.AVI").write_bytes(b"")
    (root / "video/603.AVI").unlink()
    (root / "video/603.AVI").symlink_to("nowhere")
    assert evaluate(predictions, open_dataset("dhf1k", root), tmp_path / "scores") == 0
    assert "could not be opened, and are not in the set: 602.AVI, 603.AVI" in capsys.readouterr().out


def test_which_frames_are_scored_does_not_depend_on_what_is_missing(maps: Path, gaze: Dataset, tmp_path: Path) -> None:
    copy = tmp_path / "maps"
    shutil.copytree(maps, copy)
    (copy / gaze.videos[0].name / "0.png").unlink()
    for predictions in (maps, copy):
        out = tmp_path / predictions.name
        assert evaluate(predictions, gaze, out, "--every", 2, "--allow-missing", "*") == 0
    assert set(table_of(tmp_path / "maps")["index"]) <= set(range(0, 20, 2))
    assert len(table_of(tmp_path / "density")) - len(table_of(tmp_path / "maps")) == 4


def test_a_switch_of_table_leaves_no_old_one(maps: Path, worse: Path, gaze: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    assert evaluate(maps, gaze, out) == 0
    assert evaluate(worse.parent / "maps", gaze, out, "--table", "csv", "--force") == 0
    assert not (out / "frames.parquet").exists()


def test_nobodys_files_are_written_over(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.tex").write_text("mine")
    assert evaluate(maps, gaze, tmp_path) == 2
    assert "table.tex: was not written by an evaluation" in last_line(capsys)
    assert (tmp_path / "table.tex").read_text() == "mine"


def test_other_ground_truth_is_not_compared(
    scored: Path, maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "gaze"
    shutil.copytree(gaze.root, root)
    path = min(root.glob("*.npz"))
    with np.load(path) as file:
        arrays = dict(file)
    arrays["x"] = arrays["x"][::-1]
    np.savez(path, **arrays)
    assert evaluate(maps, open_dataset("gaze", root), tmp_path / "scores") == 0
    capsys.readouterr()
    assert main(["compare", str(scored), str(tmp_path / "scores")]) == 2
    assert "differ in their ground truth" in last_line(capsys)


def test_a_mistyped_permission_is_refused(
    maps: Path, gaze: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(maps, gaze, tmp_path / "scores", "--allow-missing", "clip_0ll") == 2
    assert "--allow-missing 'clip_0ll': there is no such video or frame" in last_line(capsys)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.slow
def test_an_impatient_interruption_ends_at_once(maps: Path, gaze: Dataset, tmp_path: Path) -> None:
    # A process that some shells start in the background ignores SIGINT, and so do its children.
    heeds = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    starts = "from tinyhd_lib.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", heeds + starts, "evaluate", str(maps), "gaze", str(gaze.root)]
    command += ["--out", str(tmp_path / "scores"), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(_children(process.pid)) < 2 and process.poll() is None:
        time.sleep(0.01)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.4)
    _, told = process.communicate(timeout=60)
    assert process.returncode in {130, 1, -signal.SIGINT}, told  # the second signal may arrive while it exits


def _shuffle_npy(path: Path, counts: np.ndarray) -> Path:
    np.save(path.with_suffix(".npy"), counts)
    return path.with_suffix(".npy")


def _shuffle_npz(path: Path, counts: np.ndarray) -> Path:
    np.savez(path.with_suffix(".npz"), shuffled=counts)
    return path.with_suffix(".npz")


def _shuffle_mat(path: Path, counts: np.ndarray) -> Path:
    savemat(path.with_suffix(".mat"), {"map": counts})
    return path.with_suffix(".mat")


def _shuffle_png(path: Path, counts: np.ndarray) -> Path:
    cv2.imwrite(str(path.with_suffix(".png")), counts.astype(np.uint8))
    return path.with_suffix(".png")


def _shuffle_bool(path: Path, counts: np.ndarray) -> Path:
    return _shuffle_npy(path, counts > 0)


@pytest.mark.parametrize("write", [_shuffle_npy, _shuffle_npz, _shuffle_mat, _shuffle_png, _shuffle_bool])
def test_false_alarms_may_come_from_a_file(
    write: Callable[[Path, np.ndarray], Path],
    maps: Path,
    gaze: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = gaze.videos[1]
    truth = video.truth(8)
    assert truth is not None
    counts = np.random.default_rng(0).poisson(0.01, truth.fixations.shape).astype(float)
    shuffle = write(tmp_path / "shuffled", counts)
    assert evaluate(maps, gaze, tmp_path / "scores", "--every", 8, "--shuffle", shuffle) == 0
    assert f"sAUC: false alarms of {shuffle}." in capsys.readouterr().out
    rows = table_of(tmp_path / "scores").query("index == 8")
    row = rows[(rows["video"] == video.name) & (rows["predictor"] == "prediction")].iloc[0]
    prediction = cv2.imread(str(maps / video.name / "8.png"), cv2.IMREAD_UNCHANGED)
    assert row["sAUC"] == pytest.approx(metrics.auc_shuffled(prediction, truth.fixations, counts > 0))
    assert rows[rows["predictor"] == "centre bias"]["sAUC"].notna().all(), "it was not learnt from these"


def test_false_alarms_of_another_size_are_brought_to_the_frames(maps: Path, gaze: Dataset, tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(0.01, (192, 320))
    for name, each in (("large", counts), ("small", counts.reshape(96, 2, 160, 2).max(axis=(1, 3)))):
        shuffle = _shuffle_npy(tmp_path / name, each)
        assert evaluate(maps, gaze, tmp_path / f"{name}_scores", "--every", 8, "--shuffle", shuffle) == 0
    large, small = (table_of(tmp_path / f"{name}_scores")["sAUC"] for name in ("large", "small"))
    pd.testing.assert_series_equal(large, small)


def test_a_file_without_false_alarms_is_refused(
    maps: Path, gaze: Dataset, scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = _shuffle_npy(tmp_path / "empty", np.zeros((4, 4)))
    assert evaluate(maps, gaze, tmp_path / "scores", "--shuffle", empty) == 2
    assert "empty.npy: holds no fixation; --shuffle takes a map" in last_line(capsys)
    assert evaluate(maps, gaze, tmp_path / "scores", "--shuffle", tmp_path / "absent.npy") == 2
    assert "absent.npy" in last_line(capsys)
    one = _shuffle_npy(tmp_path / "one", np.eye(9))
    assert evaluate(maps, gaze, tmp_path / "other", "--shuffle", one) == 0
    capsys.readouterr()
    assert main(["compare", str(scored), str(tmp_path / "other")]) == 2
    assert "shuffle None in the one" in last_line(capsys)
