"""The viewer: drawn and played by the browser, with its settings, data and exports here.

    viewer = SaliencyViewer("video.mp4")  # the default model's maps; a folder, array or other model as second argument
    viewer  # as a cell's last line
    viewer.frame = 120
    viewer.observe(print, "frame")

The browser asks for parts (`tinyhd_lib.viewer.parts`) as they are needed. Where no kernel answers (an executed
notebook, an exported page), a page with everything in it, or a sheet of moments, stands in.
"""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Self

import anywidget
import numpy as np
from traitlets import Bool, Dict, Float, Int, List, Unicode, validate

from tinyhd_lib.data.images import as_png
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS
from tinyhd_lib.viewer.browser_video import BrowserVideo, browser_video
from tinyhd_lib.viewer.drawing import Scene, as_html, contact_sheet, write_video
from tinyhd_lib.viewer.page import SCRIPT, STYLE, framed, page
from tinyhd_lib.viewer.parts import VERSION, Parts
from tinyhd_lib.viewer.sources import Maps, open_decoders, open_maps
from tinyhd_lib.viewer.state import COMPARING_VIEWS, Settings

SETTINGS = {name: type(value) for name, value in asdict(Settings()).items()}
_TRAITS: dict[type, Any] = {int: Int, float: Float, str: Unicode, bool: Bool, list: List}
_OBSERVERS = "observers"
_MAKING = "making the video"
_PAGE_WIDTH = 640
_MOST_IN_A_CELL = 20 * 2**20
_EXPORTS = ("save_frame", "save_video", "save_state", "save_html")


_WithSettings: Any = type(
    "_WithSettings",
    (anywidget.AnyWidget,),
    {name: _TRAITS[kind]().tag(sync=True) for name, kind in SETTINGS.items()},
)


class SaliencyViewer(_WithSettings):  # type: ignore[misc]
    """Saliency laid over a video.

    Every entry of `Settings` is a trait: set it (``viewer.frame = 120``), or observe it. Keys act while the viewer has
    the focus; ``?`` lists them.

    Args:
        video: a video file, a folder of images, or a video of a data set, with where people looked.
        maps: its maps (`Maps`), or several by name, the main one first.
        decoders: weights whose decoders' maps are to be looked at as well.
        scores: values by name, one a frame, such as a metric, to be drawn over time.
        out: folder of what is exported.
        width: of the picture, at most; exports have the video's own.
        interactive: whether the cell shows the widget alone (True), the page alone (False), or both, of which a front
            end takes the widget while its kernel is there (None).
        settings: entries of `Settings` to begin with.

    Raises:
        BadInput: the video, the maps, the scores or a setting cannot be used.
    """

    _esm = SCRIPT
    _css = STYLE

    meta = Dict().tag(sync=True)
    playing = Bool(default_value=False).tag(sync=True)

    def __init__(  # noqa: PLR0913
        self,
        video: str | Path | Video,
        maps: Maps | Mapping[str, Maps] = DEFAULT_WEIGHTS,
        *,
        decoders: str | Path | None = None,
        scores: Mapping[str, Sequence[float] | Map] | None = None,
        out: str | Path = ".",
        width: int = 960,
        interactive: bool | None = None,
        **settings: Any,
    ) -> None:
        path = video.source if isinstance(video, Video) else Path(video)
        name = Path(maps).stem if isinstance(maps, str | Path) else "map"
        sources = dict(maps) if isinstance(maps, Mapping) else {name: maps}
        opened = {name: open_maps(source, path) for name, source in sources.items()}
        known = isinstance(video, Video) and video.has_truth
        if known:
            opened[_OBSERVERS] = open_maps(video, path)
        if decoders is not None:
            opened |= open_decoders(path, decoders)
        self._scene = Scene(path, opened, width)
        count = self._scene.reader.count
        values = {name: np.asarray(each, float) for name, each in (scores or {}).items()}
        for name, each in values.items():
            if each.shape != (count,):
                raise BadInput(f"scores {name!r}: one number a frame, {count}, are needed, got {each.shape}")
        self._again = {
            "version": VERSION,
            "video": _as_json(video),
            "maps": {name: _as_json(each) for name, each in sources.items()},
            "decoders": None if decoders is None else str(decoders),
            "scores": {name: [None if np.isnan(v) else float(v) for v in each] for name, each in values.items()},
        }
        self._out, self._interactive, self._width = Path(out), interactive, width
        self._parts = Parts(self._scene, values, _OBSERVERS if known else None)
        self._quick, self._slow = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._is_video_asked, self._cancelled = False, Event()
        start = {"source": next(iter(opened)), "other": list(opened)[-1], "strips": self._parts.strips[:1]} | settings
        try:
            self._shown = self._checked(Settings(**start))
        except TypeError as error:
            raise BadInput(f"settings: {error}") from error
        super().__init__(meta=self._parts.meta, **asdict(self._shown))
        self.observe(self._on_setting, list(SETTINGS))
        self.on_msg(self._on_message)

    @property
    def settings(self) -> Settings:
        """Return what is shown, as one value."""
        return self._shown

    @property
    def frames(self) -> int:
        """Return how many there are."""
        return self._scene.reader.count

    def picture(self) -> Image:
        """Return what is shown, (H, W, 3) RGB at the video's own size."""
        return self._whole().draw(self._shown)

    def step(self, frames: int) -> None:
        """Go forward by so many frames, or back; not beyond an end."""
        self.frame = min(max(self._shown.frame + frames, 0), self.frames - 1)

    def save_frame(self, path: str | Path | None = None) -> Path:
        """Write what is shown as a PNG at the video's own size; answers where.

        Raises:
            OSError: it cannot be written.
        """
        return self._written(path, f"{self._stem}_{self.frame}.png", as_png(self.picture()))

    def save_sheet(self, path: str | Path | None = None) -> Path:
        """Write evenly spaced moments as they are shown as one PNG; answers where.

        Raises:
            OSError: it cannot be written.
        """
        return self._written(path, f"{self._stem}_moments.png", as_png(contact_sheet(self._scene, self._shown)))

    def save_video(self, path: str | Path | None = None, sources: Sequence[str] = ()) -> Path:
        """Write the chosen range as it is shown as an mp4 at the video's own size; answers where.

        Args:
            path: of the video; named after the video and the view if None.
            sources: names of map sources to be shown side by side, instead of the one that is.

        Raises:
            BadInput: there is no map of that name.
            OSError: it cannot be written.
        """
        place = self._place(path, f"{self._stem}_{self.view}.mp4")
        shown = [self._checked(replace(self._shown, source=name)) for name in sources] or [self._shown]
        last = self.frames - 1 if self.stop < 0 else self.stop
        frames = range(self.start, max(last, self.start) + 1)
        self._cancelled.clear()
        for done in write_video(self._whole(), shown, place, frames):
            self._tell_progress("writing the video", done, len(frames))
            if self._cancelled.is_set():
                raise BadInput(f"{place}: cancelled, nothing is written")
        self.send({"said": f"wrote {place}"})
        return place

    def save_html(self, path: str | Path | None = None) -> Path:
        """Write the viewer as a page that opens anywhere, without Python; answers where.

        Raises:
            OSError: it cannot be written.
        """
        return self._written(path, f"{self._stem}.html", (self._page() or "").encode())

    def save_state(self, path: str | Path | None = None) -> Path:
        """Write the state as JSON, from which `from_state` makes the same view; answers where.

        Raises:
            OSError: it cannot be written.
        """
        content = json.dumps(self.state(), indent=2).encode()
        return self._written(path, f"{self._stem}_view.json", content)

    def state(self) -> dict[str, Any]:
        """Return what makes this view again: video, maps, settings; maps in memory are named, not kept."""
        return {**self._again, "settings": asdict(self._shown)}

    @classmethod
    def from_state(
        cls, state: str | Path | Mapping[str, Any], maps: Mapping[str, Maps] | None = None, **changes: Any
    ) -> Self:
        """Return the view of a state.

        Args:
            state: what `state` gives, or the file that `save_state` writes.
            maps: those that were only in memory, by name.
            changes: other arguments of a viewer, such as ``out``.

        Raises:
            BadInput: it is no state, or what it names is not there.
            OSError: the file cannot be read.
        """
        try:
            table = state if isinstance(state, Mapping) else json.loads(Path(state).read_bytes())
            if table["version"] != VERSION:
                raise BadInput(f"state: of version {table['version']}, this viewer reads {VERSION}; save it anew")
            named = {name: _from_json(each) for name, each in table["maps"].items()}
            sources: dict[str, Any] = {**named, **(maps or {})}
            absent = next((name for name, source in sources.items() if source is None), None)
            if absent:
                raise BadInput(f"state: the maps {absent!r} were only in memory; give them as maps={{{absent!r}: ...}}")
            scores = {name: np.array(values, float) for name, values in table["scores"].items()}
            again = {"decoders": table["decoders"], "scores": scores, **table["settings"], **changes}
            return cls(_from_json(table["video"]), sources, **again)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise BadInput(f"state: not the state of a viewer ({error})") from error

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return what the notebook shows: the widget, and what stands in for it where no kernel answers."""
        bundle: Any = {} if self._interactive is False else super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if not self._interactive:
            data["text/html"] = self._stand_in()
        data["text/plain"] = self._scene.caption(self._shown)
        return bundle

    def _stand_in(self) -> str:
        """Return a page, or, where it would be too large, a sheet of moments.

        A Jupyter server drops what is said faster than 1 MB a second: where one started the kernel, the sheet it is.
        """
        is_served = "JPY_SESSION_NAME" in os.environ and self._interactive is None
        content = None if is_served else self._page(_MOST_IN_A_CELL)
        return as_html(self._scene, self._shown) if content is None else framed(content, self._stem)

    def _page(self, most_bytes: float = math.inf) -> str | None:
        video = partial(self._browser_video, min(_PAGE_WIDTH, self._width))
        return page(self._parts, video, asdict(self._shown) | {"playing": False}, most_bytes)

    def _browser_video(self, width: int) -> BrowserVideo:
        return browser_video(self._scene.reader, width, partial(self._tell_progress, _MAKING))

    def _checked(self, settings: Settings) -> Settings:
        """Return settings that this video and its maps allow.

        Raises:
            BadInput: they do not.
        """
        for what, frame in (("frame", settings.frame), ("start", settings.start), ("stop", max(settings.stop, 0))):
            if not 0 <= frame < self.frames:
                raise BadInput(f"{what} {frame}: 0 to {self.frames - 1}")
        for what, name in (("source", settings.source), ("other", settings.other)):
            if name not in self._scene.sources:
                raise BadInput(f"{what} {name!r}: there are {', '.join(self._scene.sources)}")
        for strip in settings.strips:
            if strip not in self._parts.strips:
                raise BadInput(f"strips {strip!r}: there are {', '.join(self._parts.strips)}")
        if settings.view in COMPARING_VIEWS and len(self._scene.sources) == 1:
            raise BadInput(f"view {settings.view!r}: there is only one map; give several, maps={{name: ...}}")
        return settings

    @validate(*SETTINGS)
    def _validate(self, proposal: Any) -> Any:
        value = proposal["value"]
        self._checked(replace(self._shown, **{proposal["trait"].name: value}))
        return value

    def _on_setting(self, change: Any) -> None:
        self._shown = replace(self._shown, **{change["name"]: change["new"]})

    def _on_message(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Do what the browser asks for, beside the kernel's main thread: parts, or an export."""
        if content.get("act") == "cancel":
            self._cancelled.set()
        elif content.get("act") in _EXPORTS:
            self._slow.submit(self._attempt, getattr(self, content["act"]))
        elif "ask" in content:
            keys = content["ask"]
            if ["video", "", -1] in keys and not self._is_video_asked:
                self._is_video_asked = True
                self._slow.submit(self._attempt, self._make_video)
            is_slow = any(kind in {"trace", "bounds"} for kind, _name, _index in keys)
            (self._slow if is_slow else self._quick).submit(self._answer, content["id"], keys)

    def _answer(self, number: int, keys: list[tuple[str, str, int]]) -> None:
        errors, buffers = {}, []
        for place, key in enumerate(keys):
            try:
                buffers.append(self._parts.part(*key))
            except Exception as error:  # noqa: BLE001 - whatever it is, the browser waits for an answer
                errors[place] = _one_line(error)
                buffers.append(b"")
        self.send({"id": number, "errors": errors}, buffers)

    def _make_video(self) -> None:
        self._parts.video = self._browser_video(self._width)
        self._tell_progress(_MAKING, self.frames, self.frames)
        self.send({"ready": "video"})

    def _tell_progress(self, what: str, done: int, total: int) -> None:
        if done == total or done % max(1, total // 20) == 0:
            self.send({"progress": [what, done, total]})

    def _attempt(self, action: Callable[[], Any]) -> None:
        """Do something, and say what went wrong where the reader looks."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not get lost in a thread
            self.send({"said": _one_line(error)})

    def _whole(self) -> Scene:
        return Scene(self._scene.video, self._scene.sources, width=None)

    def _written(self, path: str | Path | None, name: str, content: bytes) -> Path:
        place = self._place(path, name)
        write_atomically(place, content)
        self.send({"said": f"wrote {place}"})
        return place

    def _place(self, path: str | Path | None, name: str) -> Path:
        place = self._out / name if path is None else Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    @property
    def _stem(self) -> str:
        return self._scene.video.stem


def _one_line(error: Exception) -> str:
    if isinstance(error, BadInput | OSError):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of TinyHD Workbench: please report it)"


def _as_json(source: Maps) -> Any:
    """Return what a state says of a video or of maps: a path, the name of weights, or a video of a data set."""
    if isinstance(source, Video):
        return source.as_json()
    if not isinstance(source, str | Path):
        return None
    return str(Path(source).resolve()) if Path(source).exists() else str(source)


def _from_json(value: Any) -> Any:
    return Video.from_json(value) if isinstance(value, dict) else value
