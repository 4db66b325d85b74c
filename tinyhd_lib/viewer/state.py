"""The settings of a viewer as one JSON-ready value, and the state from which a view can be restored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.prediction.options import Drawing

VERSION = 3
"""Version of the format of a state."""

COMPARING_VIEWS = ("wipe", "difference", "grid")
"""Views that compare the map with another one, or show all maps."""

VIEWS = ("overlay", "side-by-side", "map", "contours", *COMPARING_VIEWS)
NORMALISATIONS = {
    "frame": "each frame's own extremes are black and white",
    "clip": "the clip's extremes are black and white",
    "raw": "0 is black, the maximum of the clip is white",
}
COLORMAPS = ("inferno", "magma", "viridis", "cividis", "gray")
"""Colour maps that are offered: perceptually uniform, and readable for the colour-blind."""

SPEEDS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Settings:
    """What is shown.

    Args:
        frame: its number, from 0.
        view: one of `VIEWS`.
        source: the name of the map source.
        other: the name of the map source to compare with, in views that do so.
        alpha: opacity of an overlay, 0 to 1.
        floor: grey level, as a fraction of white, below which it is transparent, 0 to less than 1.
        colormap: a matplotlib colour map.
        normalise: one of `NORMALISATIONS`.
        points: whether gaze points are marked.
        trail: seconds for which the trail of gaze points stays visible.
        observer: number of the observer whose gaze is marked; -1 for all.
        peak: whether the most salient pixel is marked.
        border: position of the border in a wipe, 0 (left) to 1.
        speed: of playback, 1 as filmed.
        loop: whether playback repeats.
        strips: names of the values that are drawn over time.
        start: the first frame of the range that is played and exported.
        stop: its last frame; -1 for the video's last.
        group: viewers of the same group on a page play in step.
        notes: ``{"frame": number, "text": words}`` each.
        regions: ``{"name": words, "keys": [{"frame": number, "points": [[x, y], ...]}, ...]}`` each: polygons, x and y
            as fractions of width and height, interpolated linearly between key frames.

    Raises:
        BadInput: a value is invalid.
    """

    frame: int = 0
    view: str = "overlay"
    source: str = ""
    other: str = ""
    alpha: float = 0.7
    floor: float = 0.1
    colormap: str = "inferno"
    normalise: str = "frame"
    points: bool = False
    peak: bool = False
    border: float = 0.5
    speed: float = 1.0
    loop: bool = False
    strips: list[str] = field(default_factory=list)
    trail: float = 0.0
    observer: int = -1
    start: int = 0
    stop: int = -1
    group: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)
    regions: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, choices in (("view", VIEWS), ("normalise", tuple(NORMALISATIONS)), ("speed", SPEEDS)):
            if getattr(self, name) not in choices:
                raise BadInput(f"{name} {getattr(self, name)!r}: choose from {', '.join(map(str, choices))}")
        if not 0 <= self.border <= 1:
            raise BadInput(f"border {self.border}: 0 (left) to 1 (right)")
        if any(set(note) != {"frame", "text"} for note in self.notes):
            raise BadInput(f"notes {self.notes}: each has a frame and a text")
        needed = "each has a name and keys, which have a frame and as many points [x, y], in parts of the sides, each"
        with refusing(f"regions {self.regions}: {needed}", KeyError, TypeError, ValueError):
            for region in self.regions:
                corners_at(region, self.frame)
        self.drawing  # noqa: B018  # refuses invalid values

    @property
    def drawing(self) -> Drawing:
        """Return how one map is drawn."""
        style: Any = "overlay" if self.view in COMPARING_VIEWS else self.view
        return Drawing(style, self.alpha, self.colormap, self.floor)


def corners_at(region: dict[str, Any], frame: int) -> Map:
    """Return the corners of a region at a frame, (n, 2): x and y as fractions of width and height.

    Raises:
        KeyError: it has no name, or no keys; a key has no frame, or no points.
        ValueError: its keys differ in their number of points, or points are far outside, as pixel coordinates would be.
    """
    keys = sorted(region["keys"], key=lambda key: key["frame"])
    corners = np.array([key["points"] for key in keys], np.float64).reshape(len(keys), -1, 2)
    if not region["name"] or corners.shape[1] < 3 or np.abs(corners).max() > 2:
        raise ValueError("a polygon with a name is needed")
    return np.apply_along_axis(lambda places: np.interp(frame, [key["frame"] for key in keys], places), 0, corners)


def as_state(video: Any, maps: Mapping[str, Any], decoders: Any, scores: Mapping[str, Map]) -> dict[str, Any]:
    """Return the arguments of a viewer, JSON-ready; maps in memory are only stored by name."""
    return {
        "version": VERSION,
        "video": _as_json(video),
        "maps": {name: _as_json(each) for name, each in maps.items()},
        "decoders": _as_json(decoders),
        "scores": {name: known_values(each) for name, each in scores.items()},
    }


State = str | Path | Mapping[str, Any]
"""The result of `as_state` with its ``settings``, or a JSON file of it."""


def read_state(state: State, maps: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the viewer of a state.

    Args:
        state: see `State`.
        maps: the maps that were only in memory, by name.

    Raises:
        BadInput: it is no state, or it needs maps that are not given.
        OSError: the file cannot be read.
    """
    with refusing("state: not the state of a viewer", json.JSONDecodeError, KeyError, TypeError):
        table = state if isinstance(state, Mapping) else json.loads(Path(state).read_bytes())
        if table["version"] != VERSION:
            raise BadInput(f"state: of version {table['version']}, this viewer reads {VERSION}; save it anew")
        sources = {name: _from_json(each) for name, each in table["maps"].items()} | dict(maps)
        scores = {name: np.array(values, float) for name, values in table["scores"].items()}
        again = {"video": _from_json(table["video"]), "decoders": table["decoders"], **table["settings"]}
    absent = next((name for name, source in sources.items() if source is None), None)
    if absent:
        raise BadInput(f"state: the maps {absent!r} were only in memory; give them as maps={{{absent!r}: ...}}")
    return again | {"maps": sources, "scores": scores}


def known_values(values: Map) -> list[float | None]:
    """Return numbers for JSON, with None for NaN."""
    return [None if np.isnan(value) else float(value) for value in values]


def _as_json(source: Any) -> Any:
    """Return the JSON value of a video or of maps: a path, a name of weights, or a data set's video; else None."""
    if isinstance(source, Video):
        return source.as_json()
    if not isinstance(source, str | Path):
        return None
    return str(Path(source).resolve()) if Path(source).exists() else str(source)


def _from_json(value: Any) -> Any:
    return Video.from_json(value) if isinstance(value, dict) else value
