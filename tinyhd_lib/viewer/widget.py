"""The viewer widget: the browser draws and plays; settings, data and exports are here.

    viewer = SaliencyViewer("video.mp4")  # the default model's maps; a folder, array or other model as second argument
    viewer  # as a cell's last line
    viewer.frame = 120
    viewer.observe(print, "frame")

The browser requests parts (`tinyhd_lib.viewer.parts`) as they are needed. Without a kernel (in an executed notebook, or
an exported page), a self-contained page or a contact sheet is shown instead.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Event
from typing import Any, Self

import anywidget
import numpy as np
from IPython import get_ipython
from ipywidgets import DOMWidget, GridBox, Layout
from traitlets import Bool, Dict, Float, Int, List, Unicode, validate

from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.images import as_png
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS
from tinyhd_lib.viewer.drawing import Scene, contact_sheet, write_video
from tinyhd_lib.viewer.page import SCRIPT, STYLE, Shown, page, stand_in, titles
from tinyhd_lib.viewer.parts import BrowserVideo, Parts, browser_video
from tinyhd_lib.viewer.sources import Maps, open_decoders, open_maps
from tinyhd_lib.viewer.state import COMPARING_VIEWS, Settings, State, as_state, read_state


class InCell(DOMWidget):  # type: ignore[misc]
    """A widget of one viewer or of several.

    Attributes:
        interactive: whether the cell shows the widget alone (True), the page alone (False), or the one that fits
            (None): the page if a program executes the notebook, else the widget, with a contact sheet for later, when
            its kernel is gone.
        out: folder of exported files.
    """

    interactive: bool | None = None
    out = Path()

    def viewers(self) -> list[Shown]:
        """Return the viewers that are shown."""
        raise NotImplementedError

    def save_html(self, path: str | Path | None = None) -> Path:
        """Write the viewers as one self-contained page, which needs no Python; return its path.

        Raises:
            OSError: it cannot be written.
        """
        name = titles(self.viewers()).replace(", ", "_")
        return self._written(path, f"{name}.html", page(self.viewers()).encode())

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the cell's output: the widget, and its replacement for when there is no kernel."""
        is_live = _is_watched() if self.interactive is None else self.interactive
        bundle: Any = super()._repr_mimebundle_(**kwargs) if is_live else {}
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if not self.interactive:
            data["text/html"] = stand_in(self.viewers(), is_page=not is_live)
        data["text/plain"] = "\n".join(each.scene.caption(each.settings) for each in self.viewers())
        return bundle

    def _written(self, path: str | Path | None, name: str, content: bytes) -> Path:
        place = self._place(path, name)
        write_atomically(place, content)
        self.send({"said": f"wrote {place}"})
        return place

    def _place(self, path: str | Path | None, name: str) -> Path:
        return self.out / name if path is None else Path(path)


def _is_watched() -> bool:
    """Return whether a person uses the notebook: programs that execute notebooks do not allow cells to ask for input.

    Voila is such a program, but executes the notebook for a person.
    """
    message: Any = getattr(get_ipython(), "get_parent", dict)()
    is_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")
    return is_voila or message.get("content", {}).get("allow_stdin", True)


_KINDS: dict[type, Any] = {int: Int, float: Float, str: Unicode, bool: Bool, list: List}
_TRAITS = {name: _KINDS[type(value)]().tag(sync=True) for name, value in asdict(Settings()).items()}
_MAKING = "making the video"
_PAGE_WIDTH = 640
_EXPORTS = ("save_frame", "save_video", "save_state", "save_html")
_WithSettings: Any = type("_WithSettings", (anywidget.AnyWidget,), dict(_TRAITS))


class SaliencyViewer(InCell, _WithSettings):  # type: ignore[misc]
    """Saliency maps over a video.

    Every entry of `Settings` is a trait: set it (``viewer.frame = 120``), or observe it. Keyboard shortcuts work while
    the viewer has the focus; ``?`` lists them.

    Args:
        video: a video file, a folder of images, or a video of a data set, whose gaze is then shown, too.
        maps: its maps (`Maps`), or several by name, the main one first.
        decoders: weights whose decoders' maps are to be shown as well.
        scores: values by name, one per frame, such as a metric, to be drawn over time.
        out: folder of exported files.
        width: maximum width of the picture; exports have the video's own.
        interactive: whether the cell shows the widget alone (True), the page alone (False), or the one that fits
            (None): the page if a program executes the notebook, else the widget, with a contact sheet for later, when
            its kernel is gone.
        settings: initial entries of `Settings`.

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
        path = video.pictures if isinstance(video, Video) else Path(video)
        name = Path(maps).stem if isinstance(maps, str | Path) else "map"
        sources = dict(maps) if isinstance(maps, Mapping) else {name: maps}
        opened = {name: open_maps(source, path) for name, source in sources.items()}
        gaze = {"observers": open_maps(video, path)} if isinstance(video, Video) and video.has_truth else {}
        decoded = {} if decoders is None else open_decoders(path, decoders)
        self._scene = Scene(path, opened | gaze | decoded, width)
        values = {name: np.asarray(each, float) for name, each in (scores or {}).items()}
        for name, each in values.items():
            if each.shape != (self.frames,):
                raise BadInput(f"scores {name!r}: one number a frame, {self.frames}, are needed, got {each.shape}")
        self._again = as_state(video, sources, decoders, values)
        self.out, self.interactive, self._width, self._stem = Path(out), interactive, width, path.stem
        self._parts = Parts(self._scene, values, next(iter(gaze), None))
        self._quick, self._slow = ThreadPoolExecutor(1), ThreadPoolExecutor(2)
        self._make_video, self._cancelled = lru_cache(1)(self._have_video), Event()
        names = list(self._scene.sources)
        start = {"source": names[0], "other": names[-1], "strips": self._parts.strips[:1]} | settings
        with refusing("settings: not those of a viewer", TypeError):
            shown = self._checked(Settings(**start))
        super().__init__(meta=self._parts.meta, **asdict(shown))
        self.on_msg(self._on_message)

    @property
    def settings(self) -> Settings:
        """Return the current settings as one value."""
        return Settings(**{name: getattr(self, name) for name in _TRAITS})

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self._scene.reader.count

    def picture(self) -> Image:
        """Return the current picture, (H, W, 3) RGB at the video's own size."""
        return self._whole().draw(self.settings)

    def save_frame(self, path: str | Path | None = None) -> Path:
        """Write the current picture as a PNG at the video's own size; return its path.

        Raises:
            OSError: it cannot be written.
        """
        return self._written(path, f"{self._stem}_{self.frame}.png", as_png(self.picture()))

    def save_sheet(self, path: str | Path | None = None) -> Path:
        """Write a contact sheet of evenly spaced frames, drawn with the current settings, as a PNG; return its path.

        Raises:
            OSError: it cannot be written.
        """
        return self._written(path, f"{self._stem}_moments.png", as_png(contact_sheet(self._scene, self.settings)))

    def save_video(self, path: str | Path | None = None, sources: Sequence[str] = ()) -> Path:
        """Write the chosen range, drawn with the current settings, as an mp4 at the video's own size; return its path.

        Args:
            path: of the video; named after the video and the view if None.
            sources: names of map sources to show side by side, instead of the current one.

        Raises:
            BadInput: there is no map of that name.
            OSError: it cannot be written.
        """
        place = self._place(path, f"{self._stem}_{self.view}.mp4")
        shown = [self._checked(replace(self.settings, source=name)) for name in sources] or [self.settings]
        last = self.frames - 1 if self.stop < 0 else self.stop
        frames = range(self.start, max(last, self.start) + 1)
        self._cancelled.clear()
        for done in write_video(self._whole(), shown, place, frames):
            self._tell_progress("writing the video", done, len(frames))
            if self._cancelled.is_set():
                raise BadInput(f"{place}: cancelled, nothing is written")
        self.send({"said": f"wrote {place}"})
        return place

    def save_state(self, path: str | Path | None = None) -> Path:
        """Write the state as JSON, from which `from_state` restores the view; return its path.

        Raises:
            OSError: it cannot be written.
        """
        return self._written(path, f"{self._stem}_view.json", json.dumps(self.state(), indent=2).encode())

    def state(self) -> dict[str, Any]:
        """Return the state that restores this view: video, maps, settings; maps in memory are only stored by name."""
        return {**self._again, "settings": asdict(self.settings)}

    @classmethod
    def from_state(cls, state: State, maps: Mapping[str, Maps] | None = None, **changes: Any) -> Self:
        """Restore the view of a state.

        Args:
            state: the result of `state`, or the file that `save_state` writes.
            maps: the maps that were only in memory, by name.
            changes: other arguments of a viewer, such as ``out``.

        Raises:
            BadInput: it is no state, or files that it names are missing.
            OSError: the file cannot be read.
        """
        return cls(**(read_state(state, maps or {}) | changes))

    def viewers(self) -> list[Shown]:
        """Return this viewer as a list."""
        video = partial(self._browser_video, min(_PAGE_WIDTH, self._width))
        return [Shown(self._scene, self._parts, self.settings, video)]

    def _browser_video(self, width: int) -> BrowserVideo:
        return browser_video(self._scene.reader, width, partial(self._tell_progress, _MAKING))

    def _checked(self, settings: Settings) -> Settings:
        """Return settings after checking them against the video and its maps.

        Raises:
            BadInput: a frame, map source or strip does not exist.
        """
        for what, frame in (("frame", settings.frame), ("start", settings.start), ("stop", max(settings.stop, 0))):
            if not 0 <= frame < self.frames:
                raise BadInput(f"{what} {frame}: 0 to {self.frames - 1}")
        sources, strips = self._scene.sources, self._parts.strips
        names = [("source", settings.source, sources), ("other", settings.other, sources)]
        for what, name, known in (*names, *(("strips", strip, strips) for strip in settings.strips)):
            if name not in known:
                raise BadInput(f"{what} {name!r}: there are {', '.join(known)}")
        if settings.view in COMPARING_VIEWS and len(self._scene.sources) == 1:
            raise BadInput(f"view {settings.view!r}: there is only one map; give several, maps={{name: ...}}")
        return settings

    @validate(*_TRAITS)
    def _validate(self, proposal: Any) -> Any:
        self._checked(replace(self.settings, **{proposal["trait"].name: proposal["value"]}))
        return proposal["value"]

    def _on_message(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Handle a request of the browser for parts or an export, outside of the kernel's main thread."""
        if content.get("act") == "cancel":
            self._cancelled.set()
        elif content.get("act") in _EXPORTS:
            self._slow.submit(self._attempt, getattr(self, content["act"]))
        elif "ask" in content:
            keys = content["ask"]
            if ["video", "", -1] in keys:
                self._slow.submit(self._attempt, self._make_video)
            (self._slow if content.get("later") else self._quick).submit(self._answer, content["id"], keys)

    def _answer(self, number: int, keys: list[tuple[str, str, int]]) -> None:
        """Send each part as soon as it is computed."""
        for place, key in enumerate(keys):
            try:
                part, wrong = self._parts.part(*key), ""
            except Exception as error:  # noqa: BLE001 - whatever it is, the browser waits for an answer
                part, wrong = b"", _one_line(error)
            self.send({"id": number, "place": place, "error": wrong}, [part])

    def _have_video(self) -> None:
        self._parts.video = self._browser_video(self._width)
        self._tell_progress(_MAKING, self.frames, self.frames)
        self.send({"ready": "video"})

    def _tell_progress(self, what: str, done: int, total: int) -> None:
        if done == total or done % max(1, total // 20) == 0:
            self.send({"progress": [what, done, total]})

    def _attempt(self, action: Callable[[], Any]) -> None:
        """Run an action, and show any error in the viewer."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not get lost in a thread
            self.send({"said": _one_line(error)})

    def _whole(self) -> Scene:
        return Scene(self._scene.video, self._scene.sources, width=None)


_COLUMNS = "repeat(auto-fit, minmax(min(100%, 520px), 1fr))"  # as viewer.css has it


class SaliencyViewers(InCell, GridBox):  # type: ignore[misc]
    """Viewers side by side, in as many columns as fit: of several videos, or of one with different settings.

    Those without a ``group`` get a common one, so that they play in step.

    Args:
        viewers: in their order.
        out: folder of exported files.

    Raises:
        BadInput: there are none.
    """

    def __init__(self, viewers: Sequence[SaliencyViewer], out: str | Path = ".") -> None:
        if not viewers:
            raise BadInput("viewers: give one or more, SaliencyViewers([SaliencyViewer(...), ...])")
        for viewer in viewers:
            viewer.group = viewer.group or "together"
        super().__init__(viewers, layout=Layout(grid_template_columns=_COLUMNS))
        self.out = Path(out)

    def viewers(self) -> list[Shown]:
        """Return all viewers."""
        return [shown for viewer in self.children for shown in viewer.viewers()]


def _one_line(error: Exception) -> str:
    fault = f"{type(error).__name__}: {error} (a fault of TinyHD Workbench: please report it)"
    return str(error) if isinstance(error, BadInput | OSError) else fault
