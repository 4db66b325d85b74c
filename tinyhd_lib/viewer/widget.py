"""The viewer: controls around a picture, for JupyterLab.

    viewer = SaliencyViewer("video.mp4")  # the default model's maps; a folder, array or other model as second argument
    viewer  # as a cell's last line
    viewer.frame = 120
    viewer.observe(print, "frame")

Where nobody is there to press buttons (papermill, an exported page), a sheet of moments and a small video are shown.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Self

import ipywidgets
import numpy as np
import traitlets
from IPython import get_ipython

from tinyhd_lib.data.images import as_jpeg, as_png
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS
from tinyhd_lib.viewer.controls import STEPS_OF_KEYS, Controls
from tinyhd_lib.viewer.drawing import STRIPS, Scene, as_html, contact_sheet, draw_strip, extreme_frames, write_video
from tinyhd_lib.viewer.sources import Maps, open_decoders, open_maps
from tinyhd_lib.viewer.state import COMPARING_VIEWS, VIEWS, Settings

SETTINGS = [each.name for each in fields(Settings)]
_ALPHA_STEP = 0.1


class SaliencyViewer(ipywidgets.VBox):  # type: ignore[misc]
    """Saliency laid over a video.

    Every entry of `Settings` is a trait: set it (``viewer.frame = 120``), or observe it. Keys act while the picture has
    the focus; ``?`` lists them.

    Args:
        video: a video file, a folder of images, or a video of a data set, with where people looked.
        maps: its maps (`Maps`), or several by name, the main one first.
        decoders: weights whose decoders' maps are to be looked at as well.
        scores: values by name, one a frame, such as a metric, to be drawn over time.
        out: folder of what is exported.
        width: of the picture, at most; exports have the video's own.
        interactive: whether there is somebody to press buttons; asked of the notebook if None.
        settings: entries of `Settings` to begin with.

    Raises:
        BadInput: the video, the maps or a setting cannot be used.
    """

    frame = traitlets.Int()
    view = traitlets.Unicode()
    source = traitlets.Unicode()
    other = traitlets.Unicode()
    alpha = traitlets.Float()
    floor = traitlets.Float()
    colormap = traitlets.Unicode()
    normalise = traitlets.Unicode()
    points = traitlets.Bool()
    peak = traitlets.Bool()
    border = traitlets.Float()
    speed = traitlets.Float()
    loop = traitlets.Bool()
    strip = traitlets.Unicode()
    playing = traitlets.Bool(default_value=False)

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
        sources = dict(maps) if isinstance(maps, Mapping) else {_name_of(maps): maps}
        opened = {name: open_maps(source, path) for name, source in sources.items()}
        if isinstance(video, Video) and video.has_truth:
            opened["observers"] = open_maps(video, path)
        if decoders is not None:
            opened |= open_decoders(path, decoders)
        self._again = {
            "video": str(path),
            "maps": {name: str(each) if isinstance(each, str | Path) else None for name, each in sources.items()},
            "decoders": None if decoders is None else str(decoders),
        }
        self._scene = Scene(path, opened, width)
        self._out = Path(out)
        self._interactive = interactive
        self._computed: dict[tuple[str, str], Map] = {}
        self._scores = {name: np.asarray(values, float) for name, values in (scores or {}).items()}
        names = list(opened)
        strips = [*self._scores, *STRIPS]
        start = {"source": names[0], "other": names[-1], "strip": strips[0]} | settings
        try:
            self._shown = self._checked(Settings(**start))
        except TypeError as error:
            raise BadInput(f"settings: {error}") from error
        self._controls = Controls(self._shown, names, strips, self._scene.reader)
        super().__init__([self._controls.box], **asdict(self._shown))
        self._connect()
        self._redraw_strip()
        self._redraw()

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
        self.frame = min(max(self.frame + frames, 0), self.frames - 1)

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
        """Write the clip as it is shown as an mp4 at the video's own size; answers where.

        Args:
            path: of the video; named after the video and the view if None.
            sources: names of map sources to be shown side by side, instead of the one that is.

        Raises:
            BadInput: there is no map of that name.
            OSError: it cannot be written.
        """
        place = self._place(path, f"{self._stem}_{self.view}.mp4")
        shown = [self._checked(replace(self._shown, source=name)) for name in sources] or [self._shown]
        for done in write_video(self._whole(), shown, place):
            self._controls.tell_progress(done, self.frames)
        self._controls.tell(f"wrote {place}")
        return place

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
            sources = {**table["maps"], **(maps or {})}
            absent = next((name for name, source in sources.items() if source is None), None)
            if absent:
                raise BadInput(f"state: the maps {absent!r} were only in memory; give them as maps={{{absent!r}: ...}}")
            return cls(table["video"], sources, decoders=table["decoders"], **table["settings"], **changes)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise BadInput(f"state: not the state of a viewer ({error})") from error

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return what the notebook shows: the widget, or, where nobody can use it, a sheet of moments and a video."""
        if _is_watched() if self._interactive is None else self._interactive:
            return super()._repr_mimebundle_(**kwargs)
        return {"text/html": as_html(self._scene, self._shown), "text/plain": self._scene.caption(self._shown)}

    def _checked(self, settings: Settings) -> Settings:
        """Settings that this video and its maps allow.

        Raises:
            BadInput: they do not.
        """
        if not 0 <= settings.frame < self.frames:
            raise BadInput(f"frame {settings.frame}: 0 to {self.frames - 1}")
        for what, name in (("source", settings.source), ("other", settings.other)):
            if name not in self._scene.sources:
                raise BadInput(f"{what} {name!r}: there are {', '.join(self._scene.sources)}")
        if settings.strip not in {*self._scores, *STRIPS}:
            raise BadInput(f"strip {settings.strip!r}: there are {', '.join([*self._scores, *STRIPS])}")
        if settings.view in COMPARING_VIEWS and len(self._scene.sources) == 1:
            raise BadInput(f"view {settings.view!r}: there is only one map; give several, maps={{name: ...}}")
        return settings

    @traitlets.validate(*SETTINGS)
    def _validate(self, proposal: Any) -> Any:
        value = proposal["value"]
        self._checked(replace(self._shown, **{proposal["trait"].name: value}))
        return value

    def _connect(self) -> None:
        controls = self._controls
        for name, control in controls.by_setting.items():
            traitlets.link((self, name), (control, "value"))
        traitlets.link((self, "playing"), (controls.play, "playing"))
        traitlets.link((self, "loop"), (controls.play, "repeat"))
        self.observe(self._on_setting, SETTINGS)
        controls.picture.observe(self._on_pointer, "pointer")
        controls.picture.observe(self._on_pressed, "pressed")
        controls.picture.on_msg(lambda _widget, content, _buffers: self._press_key(content["key"]))
        controls.strip_picture.observe(self._on_strip, "pressed")
        controls.notable.observe(self._on_notable, "value")
        for frames, button in controls.steps.items():
            button.on_click(lambda _button, frames=frames: self.step(frames))
        for button, save in (
            (controls.save_frame, self.save_frame),
            (controls.save_video, self.save_video),
            (controls.save_state, self.save_state),
        ):
            button.on_click(lambda _button, save=save: self._attempt(save))

    def _on_setting(self, change: Any) -> None:
        self._shown = replace(self._shown, **{change["name"]: change["new"]})
        if change["name"] in {"strip", "source"}:
            self._redraw_strip()
        if change["name"] == "speed":
            self._controls.set_speed(change["new"])
        self._redraw()

    def _redraw(self) -> None:
        controls = self._controls
        controls.picture.label = self._scene.caption(self._shown)
        controls.picture.image = as_jpeg(self._scene.draw(self._shown))
        controls.strip_picture.cursor = (self.frame + 0.5) / self.frames
        controls.tell_caption(controls.picture.label)
        self._on_pointer()

    def _redraw_strip(self) -> None:
        values, unit = self._values(self.strip)
        self._controls.strip_picture.image = as_jpeg(draw_strip(values, self.strip, unit))
        self._controls.strip_picture.label = f"{self.strip} over time, from frame 0 to {self.frames - 1}"
        self._controls.offer(extreme_frames(values), extreme_frames(values, lowest=True), values)

    def _values(self, strip: str) -> tuple[Map, str]:
        if strip in self._scores:
            return self._scores[strip], ""
        compute, unit = STRIPS[strip]
        key = (strip, "" if strip == "motion" else self.source)
        if key not in self._computed:
            self._computed[key] = compute(self._scene, self.source)
        return self._computed[key], unit

    def _on_pointer(self, _change: Any = None) -> None:
        pointer = self._controls.picture.pointer
        reading = self._scene.read(self._shown, *self._in_frame(pointer)) if pointer else None
        self._controls.tell_reading(reading)

    def _on_pressed(self, change: Any) -> None:
        if self.view == "wipe":
            self.border = change["new"][0]
        else:
            self._controls.picture.pointer = change["new"]

    def _in_frame(self, place: Sequence[float]) -> tuple[float, float]:
        """Return a place in the picture as one in the frame."""
        x, y = place[:2]
        return (2 * x % 1 if self.view == "side-by-side" else x), y

    def _on_strip(self, change: Any) -> None:
        self.frame = min(int(change["new"][0] * self.frames), self.frames - 1)

    def _on_notable(self, change: Any) -> None:
        if change["new"] is not None:
            self.frame = change["new"]

    def _press_key(self, key: str) -> None:
        """Do what a key stands for; see `KEYS`."""
        if key in STEPS_OF_KEYS:
            self.step(STEPS_OF_KEYS[key])
        elif key.isdecimal():
            self._attempt(lambda: setattr(self, "view", VIEWS[int(key) - 1]))
        elif key in "[]":
            change = _ALPHA_STEP if key == "]" else -_ALPHA_STEP
            self.alpha = min(max(round(self.alpha + change, 2), 0.0), 1.0)
        elif key == " ":
            self.playing = not self.playing
        elif key == "s":
            self._attempt(self.save_frame)
        elif key == "?":
            self._controls.toggle_help()

    def _attempt(self, action: Callable[[], Any]) -> None:
        """Do something, and say what went wrong where the reader looks."""
        try:
            action()
        except (BadInput, OSError) as error:
            self._controls.tell(str(error))

    def _whole(self) -> Scene:
        return Scene(self._scene.video, self._scene.sources, width=None)

    def _written(self, path: str | Path | None, name: str, content: bytes) -> Path:
        place = self._place(path, name)
        write_atomically(place, content)
        self._controls.tell(f"wrote {place}")
        return place

    def _place(self, path: str | Path | None, name: str) -> Path:
        place = self._out / name if path is None else Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    @property
    def _stem(self) -> str:
        return self._scene.video.stem


def _name_of(source: Maps) -> str:
    return Path(source).stem if isinstance(source, str | Path) else "map"


def _is_watched() -> bool:
    """Return whether somebody sees the cell that runs: JupyterLab and its kin tell the kernel which one it is."""
    shell = get_ipython()
    return shell is not None and "cellId" in (shell.get_parent() or {}).get("metadata", {})
