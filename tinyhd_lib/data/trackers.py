"""Import gaze that eye trackers exported, as a video of a data set of the kind gaze."""

import logging
import re
import shutil
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

import numpy as np
import pandas as pd

from tinyhd_lib.data.gaze import Gaze, gaze_file
from tinyhd_lib.data.layouts import videos_in
from tinyhd_lib.data.options import GazeImport
from tinyhd_lib.data.video import probe, read_frames
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import sha256, write_atomically

logger = logging.getLogger(__name__)

_LAYOUTS = tomllib.loads(Path(__file__).with_name("trackers.toml").read_text(encoding="utf-8"))
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "μs": 1e-6, "µs": 1e-6, "ns": 1e-9}

_NEEDED = ("time", "x", "y")

_NORMALISED = 2
"""If nearly all x and y are below this, they are fractions of width and height: no picture is so small."""

_NEARLY_ALL = 0.9


def import_gaze(export: GazeImport) -> Gaze:
    """Write a video with its gaze points into a folder; return the points: one per frame and observer, the median.

    Raises:
        BadInput: a file is no such export, or its times or places do not fit the video; the folder holds other gaze at
            this video, or another video of its name.
    """
    video = export.out / export.video.name
    if not export.files:
        raise BadInput("name the files that the eye tracker exported: tinyhd data import FILE ...")
    for twin in (each for each in videos_in(export.out) if each.stem == video.stem):
        if twin.name != video.name or sha256(twin) != sha256(export.video):
            raise BadInput(f"{twin}: another video of that name is there; rename one, or give another `out`")
    shown = [(frame.time, frame.image.shape) for frame in read_frames(export.video, strict=True)]
    times, (height, width, _) = np.array([time for time, _ in shown]), shown[0][1]
    rate = float(probe(export.video).rate)
    points = _during(pd.concat([_read(path, export) for path in export.files]), times[-1] + 1 / rate)
    points[["x", "y"]] = _in_pixels(points[["x", "y"]].to_numpy(), np.array([width, height]), export.screen)
    points = _inside(points, width, height)
    first = np.searchsorted(times, points["time"].clip(0), "right") - 1
    last = np.maximum(np.searchsorted(times, points["end"]) - 1, first)
    points["frame"] = [range(start, end + 1) for start, end in zip(first, last, strict=True)]
    points["observer"] = pd.factorize(points["observer"])[0]
    seen = points.explode("frame").groupby(["frame", "observer"])[["x", "y"]].median().reset_index()
    frame, observer, x, y = seen.to_numpy(float).T
    gaze = Gaze(frame.astype(int), observer.astype(int), x, y, (height, width), len(times))
    points_file, content = video.with_suffix(".npz"), gaze_file(gaze, rate, np.float32)
    if points_file.exists() and points_file.read_bytes() != content:
        raise BadInput(f"{points_file}: holds other gaze; import all observers of a video at once, or remove that file")
    export.out.mkdir(parents=True, exist_ok=True)
    if not video.exists():
        shutil.copyfile(export.video, video)
    write_atomically(points_file, content)
    return gaze


def _read(path: Path, export: GazeImport) -> pd.DataFrame:
    """Return one row per sample or fixation: time and end in seconds of the video, x, y and observer."""
    table, units = _table(path)
    spelling = {str(name).lower(): str(name) for each in _LAYOUTS[export.kind] for name in each.values()}
    spelt = {name: spelling.get(name.lower(), name) for name in table}  # column names match regardless of case
    table, units = table.rename(columns=spelt), units.rename(index=spelt)
    if export.only:
        name, _, value = export.only.partition("=")
        columns = [column for column in table if column.lower() == name.lower()]
        if not columns:
            raise BadInput(f"{path}: no column {name}, which `only` names; there are {', '.join(table)}")
        table = table[table[columns[0]] == value]
    layout = next((each for each in _LAYOUTS[export.kind] if {each[name] for name in _NEEDED} <= set(table)), None)
    if layout is None:
        wanted = ", or ".join(", ".join(each[name] for name in _NEEDED) for each in _LAYOUTS[export.kind])
        raise BadInput(f"{path}: no export of `kind={export.kind}`, which has {wanted}; this has {', '.join(table)}")

    def number(column: str) -> pd.Series:
        return pd.to_numeric(table[layout[column]].str.replace(",", "."), errors="coerce")

    def seconds(column: str) -> pd.Series:
        stated = str(units[layout[column]]).lower()
        return number(column) * _SECONDS[export.unit or (stated if stated in _SECONDS else layout["unit"])]

    points = pd.DataFrame({"time": seconds("time"), "x": number("x"), "y": number("y")})
    points["end"] = points["time"] + (seconds("duration") if layout.get("duration") in table else 0)
    points["observer"] = table[layout["observer"]].fillna("") if layout.get("observer") in table else str(path)
    known = export.start is not None or "from_start" in layout
    began = export.start or 0 if known else points.groupby("observer")["time"].transform("min")
    points[["time", "end"]] = points[["time", "end"]].sub(began, axis=0)
    if "upwards" in layout:
        points["y"] = 1 - points["y"]
    if layout.get("valid") in table:
        points = points[table[layout["valid"]].str.lower().isin(["1", "1.0", "true"])]
    kept = points.notna().all(axis=1)
    if not kept.any():
        raise BadInput(f"{path}: no valid row of {export.only or 'it'} has {', '.join(map(layout.get, _NEEDED))}")
    return _kept(points, kept, "without a time or a place (blinks are)")


def _table(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return a file's cells as text, and by column name the units that followed the names in brackets."""
    with path.open("rb") as file:
        begin = file.read(2)
    wide = "utf-16-le" if begin[1:] == b"\0" else "utf-16-be" if begin[:1] == b"\0" else "utf-8-sig"
    encoding = "utf-16" if begin in {BOM_UTF16_LE, BOM_UTF16_BE} else wide
    with path.open(encoding=encoding, errors="replace") as file:
        separator = max("\t;,", key=file.readline().count)
    with refusing(f"{path}: not a table that can be read", ValueError, remedy="export it anew as CSV"):
        table = pd.read_csv(path, sep=separator, dtype=str, encoding=encoding, encoding_errors="replace")
    names = table.columns.str.extract(r"^\s*(.*?)\s*(?:[\[(](.*)[\])])?\s*$")
    names = names[~names[0].str.lower().duplicated()]
    return table.iloc[:, names.index].set_axis(names[0], axis=1), names.set_index(0)[1]


def _during(points: pd.DataFrame, length: float) -> pd.DataFrame:
    """Return the points within a video of this length in seconds."""
    # If gaze ends within the first fiftieth of a video, its times are in another unit.
    within = (points["end"] >= 0) & (points["time"] < length)
    if within.mean() < 0.5 or points["end"].max() < length / 50:
        told = f"times run from {points['time'].min():.4g} to {points['end'].max():.4g} s in a video of {length:.4g} s"
        raise BadInput(f"{told}: say by `unit` what they are in, or by `start` when the video began")
    return _kept(points, within, "before or after the video")


def _kept(points: pd.DataFrame, kept: pd.Series, why: str) -> pd.DataFrame:
    """Return the points that are kept, and log how many are left out."""
    if not kept.all():
        logger.warning("left out, for they are %s: %d of %d points", why, (~kept).sum(), len(kept))
    return points[kept].copy()


def _in_pixels(places: np.ndarray, size: np.ndarray, screen: str | None) -> np.ndarray:
    """Return places (n, 2) in pixels of a video, relative to the centre of its top left pixel.

    Args:
        places: x and y from the top left corner, in pixels or as fractions of the sides.
        size: (width, height) of the video.
        screen: WIDTHxHEIGHT of a screen with the video centred, as large as it fits; None if places are of the video.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", screen or "{}x{}".format(*size))
    if found is None:
        raise BadInput(f"`screen={screen}`: WIDTHxHEIGHT in pixels, such as 1920x1080")
    extent = np.array(found.groups(), float)
    if (np.abs(places) < _NORMALISED).mean() > _NEARLY_ALL:
        places = places * extent
    return (places - extent / 2) / (extent / size).min() + size / 2 - 0.5


def _inside(points: pd.DataFrame, width: int, height: int) -> pd.DataFrame:
    """Return the points inside of the picture; refuse places that are swapped, or in other coordinates."""
    inside, swapped = (
        points[across].between(-0.5, width - 0.5, "left") & points[down].between(-0.5, height - 0.5, "left")
        for across, down in (("x", "y"), ("y", "x"))
    )
    told = f"{1 - inside.mean():.0%} of the points are outside of {width}x{height}"
    if swapped.mean() > max(inside.mean(), _NEARLY_ALL):
        raise BadInput(f"{told}, and fewer if x and y are swapped: give them the right way round")
    if inside.mean() < 0.5:
        raise BadInput(f"{told}: say by `screen` what x and y are of")
    return _kept(points, inside, f"outside of {width}x{height}")
