"""Gaze files of eye trackers: every layout gives the same points, and wrong units are reported in one line."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyhd_lib import BadInput
from tinyhd_lib.cli import main
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.gaze import Gaze, read_gaze
from tinyhd_lib.data.options import GazeImport
from tinyhd_lib.data.trackers import import_gaze
from tinyhd_lib.data.writer import VideoWriter

WIDTH, HEIGHT, FRAMES, RATE = 160, 96, 50, 25
EPOCH_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two seconds."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    with VideoWriter(path, Fraction(RATE)) as video:
        for index in range(FRAMES):
            video.write(np.full((HEIGHT, WIDTH, 3), 4 * index, np.uint8), index / RATE)
    return path


def samples(observer: str = "ann", rate: float = 97.3, seconds: float = 2.0) -> pd.DataFrame:
    """Gaze that moves in loops: seconds, x and y in pixels from the top left corner."""
    time = np.arange(0, seconds, 1 / rate) + 0.001
    x = WIDTH * (0.5 + 0.3 * np.cos(3 * time + len(observer)))
    y = HEIGHT * (0.5 + 0.3 * np.sin(2 * time + len(observer)))
    return pd.DataFrame({"time": time, "x": x, "y": y, "observer": observer})


def by_hand(points: pd.DataFrame) -> dict[tuple[int, str], tuple[float, float]]:
    """The median gaze point of each observer in each frame; the origin is the centre of the first pixel."""
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for row in points.itertuples():
        found.setdefault((int(row.time * RATE), row.observer), []).append((row.x - 0.5, row.y - 0.5))
    return {key: tuple(np.median(places, axis=0)) for key, places in found.items()}


def check(gaze: Gaze, expected: dict[tuple[int, str], tuple[float, float]], tolerance: float = 0.05) -> None:
    names = list(dict.fromkeys(observer for _, observer in expected))
    found = dict(zip(zip(gaze.frame, gaze.observer, strict=True), zip(gaze.x, gaze.y, strict=True), strict=True))
    assert found.keys() == {(frame, names.index(observer)) for frame, observer in expected}
    for (frame, observer), place in expected.items():
        assert found[frame, names.index(observer)] == pytest.approx(place, abs=tolerance)


def take(files: list[Path], kind: Any, video: Path, out: Path, **more: Any) -> Gaze:
    return import_gaze(GazeImport(files=tuple(files), kind=kind, video=video, out=out, **more))


# The layout of each tracker -------------------------------------------------------------------------------------------


def tobii(points: pd.DataFrame, path: Path) -> None:
    """Milliseconds since the recording began, media pixels, tabs, and a decimal comma, as in some locales."""
    table = pd.DataFrame({
        "Recording timestamp [ms]": 5000 + 1000 * points["time"],
        "Participant name": points["observer"],
        "Gaze point X [MCS px]": points["x"],
        "Gaze point Y [MCS px]": points["y"],
        "Gaze point X [MCS norm]": points["x"] / WIDTH,
        "Eye movement type": "Fixation",
    })  # fmt: skip
    table.to_csv(path, sep="\t", index=False, decimal=",", encoding="utf-8-sig")


def tobii_micro(points: pd.DataFrame, path: Path) -> None:
    pd.DataFrame({
        "Recording timestamp": 1e6 * points["time"],
        "Participant name": points["observer"],
        "Gaze point X": points["x"],
        "Gaze point Y": points["y"],
    }).to_csv(path, index=False)  # fmt: skip


def pupil_core(points: pd.DataFrame, path: Path) -> None:
    """Fractions of a surface from its bottom left corner; one observer per file."""
    pd.DataFrame({
        "world_timestamp": points["time"] + 100,
        "world_index": 0,
        "gaze_timestamp": points["time"] + 100,
        "x_norm": points["x"] / WIDTH,
        "y_norm": 1 - points["y"] / HEIGHT,
        "on_surf": True,
        "confidence": 0.98,
    }).to_csv(path, index=False)  # fmt: skip


def pupil_cloud(points: pd.DataFrame, path: Path) -> None:
    pd.DataFrame({
        "recording id": points["observer"],
        "timestamp [ns]": EPOCH_NS + (1e9 * points["time"]).astype(int),
        "gaze detected on surface": True,
        "gaze position on surface x [normalized]": points["x"] / WIDTH,
        "gaze position on surface y [normalized]": points["y"] / HEIGHT,
    }).to_csv(path, index=False)  # fmt: skip


def neon(points: pd.DataFrame, path: Path) -> None:
    pd.DataFrame({
        "recording id": points["observer"],
        "timestamp [ns]": EPOCH_NS + (1e9 * points["time"]).astype(int),
        "gaze x [px]": points["x"],
        "gaze y [px]": points["y"],
    }).to_csv(path, index=False)  # fmt: skip


def eyelink_samples(points: pd.DataFrame, path: Path) -> None:
    pd.DataFrame({
        "RECORDING_SESSION_LABEL": points["observer"],
        "TIMESTAMP": 812345 + 1000 * points["time"],
        "AVERAGE_GAZE_X": points["x"],
        "AVERAGE_GAZE_Y": points["y"],
    }).to_csv(path, sep="\t", index=False)  # fmt: skip


def gazepoint(points: pd.DataFrame, path: Path) -> None:
    pd.DataFrame({
        "MEDIA_ID": 0,
        "TIME(2024/05/01 10:00:00.000)": points["time"],
        "FPOGX": points["x"] / WIDTH,
        "FPOGY": points["y"] / HEIGHT,
        "FPOGV": 1,
        "USER": points["observer"],
    }).to_csv(path, index=False)  # fmt: skip


def plain(points: pd.DataFrame, path: Path) -> None:
    points.to_csv(path, index=False, sep=";")


WRITERS: dict[Callable[[pd.DataFrame, Path], None], str] = {
    tobii: "tobii",
    tobii_micro: "tobii",
    pupil_cloud: "pupil",
    neon: "pupil",
    eyelink_samples: "eyelink",
    gazepoint: "gazepoint",
    plain: "csv",
}
every_writer = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)


@every_writer
def test_samples_of_two_observers_in_one_file(
    write: Callable[[pd.DataFrame, Path], None], video: Path, tmp_path: Path
) -> None:
    points = pd.concat([samples("ann"), samples("benjamin", rate=61.7)])
    write(points, tmp_path / "export.txt")
    # Trackers' clocks do not tell when the video starts: the first sample, here at 1 ms, counts as the start.
    starts = {tobii: 5.0, eyelink_samples: 812.345, neon: EPOCH_NS / 1e9, pupil_cloud: EPOCH_NS / 1e9}
    gaze = take([tmp_path / "export.txt"], WRITERS[write], video, tmp_path / "out", start=starts.get(write, 0.0))
    check(gaze, by_hand(points))
    read = read_gaze(tmp_path / "out/video.npz")
    assert (read.size, read.frames) == ((HEIGHT, WIDTH), FRAMES)
    assert sorted(zip(read.frame, read.observer, strict=True)) == sorted(zip(gaze.frame, gaze.observer, strict=True))
    assert (tmp_path / "out/video.mp4").read_bytes() == video.read_bytes()


@every_writer
def test_the_first_sample_is_the_start_where_nothing_else_is_known(
    write: Callable[[pd.DataFrame, Path], None], video: Path, tmp_path: Path
) -> None:
    points = samples()
    write(points, tmp_path / "export.txt")
    gaze = take([tmp_path / "export.txt"], WRITERS[write], video, tmp_path / "out")
    late = 0 if write is plain else 0.001
    check(gaze, by_hand(points.assign(time=points["time"] - late + 1e-9)))


def test_one_file_an_observer_and_a_surface_that_counts_from_the_bottom(video: Path, tmp_path: Path) -> None:
    each = [samples("ann"), samples("benjamin")]
    for points in each:
        pupil_core(points, tmp_path / f"{points['observer'][0]}.csv")
    files = [tmp_path / "ann.csv", tmp_path / "benjamin.csv"]
    check(take(files, "pupil", video, tmp_path / "out", start=100.0), by_hand(pd.concat(each)))


def fixations() -> pd.DataFrame:
    return pd.DataFrame({
        "time": [-0.05, 0.3, 1.0, 1.9], "duration": [0.2, 0.49, 0.03, 0.4],
        "x": [20.0, 90.0, 140.0, 70.0], "y": [30.0, 40.0, 80.0, 20.0], "observer": "ann",
    })  # fmt: skip


def fixated() -> dict[tuple[int, str], tuple[float, float]]:
    """The fixation of every frame that overlaps it in time."""
    return {
        (frame, "ann"): (row.x - 0.5, row.y - 0.5)
        for row in fixations().itertuples()
        for frame in range(FRAMES)
        if row.time < (frame + 1) / RATE - 1e-9 and row.time + row.duration > frame / RATE + 1e-9
    }


def test_fixations_last(video: Path, tmp_path: Path) -> None:
    """In three layouts: a fixation that begins before the video or ends after it counts during the video."""
    table = fixations()
    table.to_csv(tmp_path / "plain.csv", index=False)
    pd.DataFrame({
        "RECORDING_SESSION_LABEL": "ann",
        "CURRENT_FIX_START": 1000 * table["time"],
        "CURRENT_FIX_DURATION": 1000 * table["duration"],
        "CURRENT_FIX_X": table["x"],
        "CURRENT_FIX_Y": table["y"],
    }).to_csv(tmp_path / "eyelink.txt", sep="\t", index=False)  # fmt: skip
    pd.DataFrame({
        "recording id": "ann",
        "start timestamp [ns]": (1e9 * (table["time"] + 7)).round().astype(int),
        "duration [ms]": 1000 * table["duration"],
        "fixation detected on surface": True,
        "fixation x [normalized]": table["x"] / WIDTH,
        "fixation y [normalized]": table["y"] / HEIGHT,
    }).to_csv(tmp_path / "pupil.csv", index=False)  # fmt: skip
    check(take([tmp_path / "plain.csv"], "csv", video, tmp_path / "1"), fixated())
    check(take([tmp_path / "eyelink.txt"], "eyelink", video, tmp_path / "2"), fixated())
    check(take([tmp_path / "pupil.csv"], "pupil", video, tmp_path / "3", start=7.0), fixated())


def test_blinks_and_lost_eyes_are_left_out(video: Path, tmp_path: Path) -> None:
    points = samples()
    shut = (points["time"] > 0.5) & (points["time"] < 0.8)
    expected = by_hand(points[~shut])
    words = points.astype({"x": object}).assign(x=points["x"].astype(object).where(~shut, "."))
    words.to_csv(tmp_path / "dots.csv", index=False)
    check(take([tmp_path / "dots.csv"], "csv", video, tmp_path / "1"), expected)
    points.assign(x=points["x"].where(~shut)).to_csv(tmp_path / "empty.csv", index=False)
    check(take([tmp_path / "empty.csv"], "csv", video, tmp_path / "2"), expected)
    points.assign(valid=~shut).to_csv(tmp_path / "valid.csv", index=False)
    check(take([tmp_path / "valid.csv"], "csv", video, tmp_path / "3"), expected)
    gazepoint(points, tmp_path / "gazepoint.csv")
    table = pd.read_csv(tmp_path / "gazepoint.csv").assign(FPOGV=(~shut).astype(int))
    table.to_csv(tmp_path / "gazepoint.csv", index=False)
    check(take([tmp_path / "gazepoint.csv"], "gazepoint", video, tmp_path / "4", start=0.0), expected)


def test_only_the_rows_of_this_video(video: Path, tmp_path: Path) -> None:
    other = samples().assign(x=5.0, y=5.0, video="other.mp4")
    pd.concat([other, samples().assign(time=lambda each: each["time"] + 9, video="video.mp4")]).to_csv(
        tmp_path / "all.csv", index=False
    )
    gaze = take([tmp_path / "all.csv"], "csv", video, tmp_path / "out", only="video=video.mp4", start=9.0)
    check(gaze, by_hand(samples()))
    with pytest.raises(BadInput, match=r"all\.csv: no valid row of video=absent\.mp4 has time, x, y"):
        take([tmp_path / "all.csv"], "csv", video, tmp_path / "none", only="video=absent.mp4")


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(100, 900), height=st.integers(100, 900), parts=st.booleans())
def test_the_video_is_in_the_middle_of_the_screen(
    video: Path, tmp_path_factory: pytest.TempPathFactory, width: int, height: int, parts: bool
) -> None:
    points = samples()
    zoom = min(width / WIDTH, height / HEIGHT)
    x, y = ((points["x"] - WIDTH / 2) * zoom + width / 2, (points["y"] - HEIGHT / 2) * zoom + height / 2)
    folder = tmp_path_factory.mktemp("screen")
    on_screen = points.assign(x=x / width, y=y / height) if parts else points.assign(x=x, y=y)
    on_screen.to_csv(folder / "screen.csv", index=False)
    gaze = take([folder / "screen.csv"], "csv", video, folder / "out", screen=f"{width}x{height}")
    check(gaze, by_hand(points))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 9999), count=st.integers(30, 200), unit=st.sampled_from(["s", "ms", "us", "ns"]))
def test_any_samples_in_any_unit_are_numpys_medians(
    video: Path, tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, unit: Any
) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, FRAMES, count)
    time = (frame + rng.uniform(0.1, 0.9, count)) / RATE
    time[0] = 1.9
    points = pd.DataFrame({
        "time": time,
        "x": rng.uniform(1, WIDTH - 1, count),
        "y": rng.uniform(1, HEIGHT - 1, count),
        "observer": rng.choice(["ann", "bea", "cleo"], count),
    })  # fmt: skip
    folder = tmp_path_factory.mktemp("units")
    scale = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    points.assign(time=points["time"] * scale).to_csv(folder / "any.csv", index=False)
    check(take([folder / "any.csv"], "csv", video, folder / "out", unit=unit), by_hand(points))


def test_looks_beside_the_picture_are_left_out(video: Path, tmp_path: Path) -> None:
    points = samples()
    away = points["time"] > 1.5
    points.assign(x=points["x"].where(~away, -40.0)).to_csv(tmp_path / "away.csv", index=False)
    check(take([tmp_path / "away.csv"], "csv", video, tmp_path / "out"), by_hand(points[~away]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_headings_may_have_capitals_and_files_two_bytes_a_letter(encoding: str, video: Path, tmp_path: Path) -> None:
    table = samples().rename(columns=str.upper)
    table.to_csv(tmp_path / "unicode.tsv", sep="\t", index=False, encoding=encoding)
    check(take([tmp_path / "unicode.tsv"], "csv", video, tmp_path / "out"), by_hand(samples()))


def test_of_equal_headings_the_first_counts_and_only_knows_no_capitals(video: Path, tmp_path: Path) -> None:
    table = pd.concat([samples("ann"), samples("ben")]).rename(columns={"observer": "Observer"})
    table.assign(Time=0, X="no").to_csv(tmp_path / "twice.csv", index=False)
    for name in ("Observer", "observer", "OBSERVER"):
        out = tmp_path / f"out {name}"
        check(take([tmp_path / "twice.csv"], "csv", video, out, only=f"{name}=ann"), by_hand(samples("ann")))
    with pytest.raises(BadInput, match=r"twice\.csv: no column stimulus, which `only` names; there are time, x, y"):
        take([tmp_path / "twice.csv"], "csv", video, tmp_path / "out", only="stimulus=a")


def test_what_is_left_out_is_counted(video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    points = samples()
    late, away = points.assign(time=points["time"] + 1.9)[-20:], points.assign(x=-40.0)[:10]
    blinks = points.assign(x=np.nan, y=np.nan)[:5]
    pd.concat([points, late, away, blinks]).to_csv(tmp_path / "long.csv", index=False)
    check(take([tmp_path / "long.csv"], "csv", video, tmp_path / "out"), by_hand(points))
    assert caplog.messages == [
        f"left out, for they are without a time or a place (blinks are): 5 of {len(points) + 35} points",
        f"left out, for they are before or after the video: 20 of {len(points) + 30} points",
        f"left out, for they are outside of 160x96: 10 of {len(points) + 10} points",
    ]


# Wrong files and units ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "more", "reason"),
    [
        (lambda p: p.assign(time=1000 * p["time"]), {}, "times run from 1 to 1995 s in a video of 2 s: say by `unit`"),
        (lambda p: p, {"unit": "ms"}, "times run from 1e-06 to 0.001995 s in a video of 2 s"),
        (lambda p: p.assign(time=p["time"] + 60), {}, "or by `start` when the video began"),
        (lambda p: p.assign(x=p["y"], y=p["x"]), {}, "fewer if x and y are swapped"),
        (lambda p: p.assign(x=p["x"] * 12, y=p["y"] * 12), {}, "outside of 160x96: say by `screen`"),
        (lambda p: p.assign(x="."), {}, "no valid row of it has time, x, y"),
        (lambda p: p.drop(columns="y"), {}, "no export of `kind=csv`, which has time, x, y"),
        (lambda p: p, {"screen": "big"}, "`screen=big`: WIDTHxHEIGHT"),
        (lambda p: p, {"kind": "eyelink"}, "no export of `kind=eyelink`, which has CURRENT_FIX_START, CURRENT_FIX_X"),
    ],
)
def test_wrong_units_are_told_in_one_line(
    change: Callable[[pd.DataFrame], pd.DataFrame], more: dict[str, Any], reason: str, video: Path, tmp_path: Path
) -> None:
    change(samples()).to_csv(tmp_path / "wrong.csv", index=False)
    asked = GazeImport(files=(tmp_path / "wrong.csv",), kind="csv", video=video, out=tmp_path / "out")
    with pytest.raises(BadInput) as told:
        import_gaze(replace(asked, **more))
    assert reason in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_who_is_not_named_is_an_observer_too(video: Path, tmp_path: Path) -> None:
    table = pd.concat([samples("ann"), samples("").assign(observer=None)])
    table.to_csv(tmp_path / "half.csv", index=False)
    assert len(set(take([tmp_path / "half.csv"], "csv", video, tmp_path / "out").observer)) == 2


def test_files_that_are_no_tables_are_told(video: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(BadInput, match=r"empty\.csv: not a table that can be read"):
        take([tmp_path / "empty.csv"], "csv", video, tmp_path / "out")
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(BadInput, match=r"noise\.csv: no"):
        take([tmp_path / "noise.csv"], "csv", video, tmp_path / "out")
    (tmp_path / "ragged.csv").write_text("time,x,y\n1,2,3\n1,2,3,4\n")
    with pytest.raises(BadInput, match=r"ragged\.csv: not a table that can be read .*; export it anew") as told:
        take([tmp_path / "ragged.csv"], "csv", video, tmp_path / "out")
    assert "\n" not in str(told.value)
    samples().to_csv(tmp_path / "plain.csv", index=False)
    with pytest.raises(BadInput, match="WIDTHxHEIGHT in pixels"):
        take([tmp_path / "plain.csv"], "csv", video, tmp_path / "out", screen="0x0")
    with pytest.raises(BadInput, match="name the files"):
        take([], "csv", video, tmp_path / "out")


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_imports_and_verifies(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for observer in ("ann", "benjamin"):
        samples(observer).drop(columns="observer").to_csv(tmp_path / f"{observer}.csv", index=False)
    files = [str(tmp_path / "ann.csv"), str(tmp_path / "benjamin.csv")]
    words = ["--kind", "csv", "--video", str(video), "--out", str(tmp_path / "set")]
    assert main(["data", "import", *files, *words]) == 0
    assert "findings: none" in capsys.readouterr().out
    [found] = open_dataset("gaze", tmp_path / "set").videos
    assert found.name == "video"
    assert found.truth(7).fixations.sum() == 2
    assert main(["data", "import", *files, *words]) == 0, "once more, over it"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/video.mp4").write_bytes(video.read_bytes() + b" ")
    kept = [path.read_bytes() for path in sorted((tmp_path / "set").iterdir())]
    assert main(["data", "import", *files, *words, "--video", str(tmp_path / "other/video.mp4")]) == 2
    assert "another video of that name is there; rename one, or give another --out" in capsys.readouterr().err
    assert [path.read_bytes() for path in sorted((tmp_path / "set").iterdir())] == kept
    few = samples()[lambda each: each["time"] < 0.5]
    few.to_csv(tmp_path / "few.csv", index=False)
    words[-1] = str(tmp_path / "few")
    assert main(["data", "import", str(tmp_path / "few.csv"), *words]) == 1, "verify finds frames without a point"
    assert "37 of 50 frames have no point" in capsys.readouterr().out
    samples().assign(x=50.2, y=40.7).to_csv(tmp_path / "still.csv", index=False)
    words[-1] = str(tmp_path / "still")
    assert main(["data", "import", str(tmp_path / "still.csv"), *words]) == 1
    assert "all points are within one pixel" in capsys.readouterr().out
    assert main(["data", "import", files[0], *words, "--unit", "ms"]) == 2
    assert "say by --unit what they are in" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_gaze_that_is_there_is_not_written_over(name: str, video: Path, tmp_path: Path) -> None:
    """By that of another observer, or at another video whose points would lie in a file of the same name."""
    for observer in ("ann", "benjamin"):
        samples(observer).to_csv(tmp_path / f"{observer}.csv", index=False)
    take([tmp_path / "ann.csv", tmp_path / "benjamin.csv"], "csv", video, tmp_path / "set")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    other = tmp_path / name
    other.write_bytes(video.read_bytes())
    refused = "another video of that name" if name == "video.mkv" else "holds other gaze; import all observers"
    with pytest.raises(BadInput, match=refused):
        take([tmp_path / "ann.csv"], "csv", other, tmp_path / "set")
    assert {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()} == kept


def test_its_own_folder_keeps_the_video(video: Path, tmp_path: Path) -> None:
    samples().to_csv(tmp_path / "ann.csv", index=False)
    own = tmp_path / "video.mp4"
    own.write_bytes(video.read_bytes())
    take([tmp_path / "ann.csv"], "csv", own, tmp_path)
    assert own.read_bytes() == video.read_bytes()
    assert (tmp_path / "video.npz").exists()
