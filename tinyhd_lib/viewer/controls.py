"""What is pressed, drawn and read in a viewer: plain widgets with labels and tooltips, in their places."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

import anywidget
import ipywidgets as widgets
import traitlets

from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.transforms import Map
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.viewer.drawing import Reading
from tinyhd_lib.viewer.state import COLORMAPS, NORMALISATIONS, SPEEDS, VIEWS, Settings

KEYS = {
    "space": "play, pause",
    "← →": "a frame back, on",
    "↓ ↑": "16 frames back, on",
    "[ ]": "opacity",
    f"1 ... {len(VIEWS)}": ", ".join(VIEWS),
    "s": "save the frame as a PNG",
    "?": "show or hide this",
}
STEPS_OF_KEYS = {"ArrowLeft": -1, "ArrowRight": 1, "ArrowDown": -CLIP_FRAMES, "ArrowUp": CLIP_FRAMES}

_KEY_NAMES = [*STEPS_OF_KEYS, " ", "[", "]", *(str(n) for n in range(1, len(VIEWS) + 1)), "s", "?"]
_SHORTEST_INTERVAL = 10
_WRAPPED = widgets.Layout(flex_flow="row wrap")
_NARROW = widgets.Layout(width="auto", max_width="230px")


class Picture(anywidget.AnyWidget):
    """A picture; the browser's half is ``picture.js``.

    Attributes:
        image: the content of an image file.
        format: its MIME type.
        name: what it is, for screen readers.
        label: what is seen on it, in words.
        hint: how it is used.
        taken: keys that it takes, by JavaScript's names; ``on_msg`` gets ``{"key": name}`` of each.
        cursor: where a line is drawn from top to bottom, 0 (left) to 1; none if it is negative.
        pointer: [x, y, n] where the pointer is, in parts of the width and height; n grows with everything that is told.
        pressed: [x, y, n] where it was pressed, or is dragged to.
    """

    _esm = files("tinyhd_lib.viewer").joinpath("picture.js").read_text()
    _css = files("tinyhd_lib.viewer").joinpath("picture.css").read_text()

    image = traitlets.Bytes().tag(sync=True)
    format = traitlets.Unicode("image/jpeg").tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    taken = traitlets.List(traitlets.Unicode()).tag(sync=True)
    cursor = traitlets.Float(-1.0).tag(sync=True)
    pointer = traitlets.List(traitlets.Float()).tag(sync=True)
    pressed = traitlets.List(traitlets.Float()).tag(sync=True)


class Controls:
    """The widgets of a viewer.

    Args:
        settings: what they show at first.
        sources: names of the map sources.
        strips: names of what can be drawn over time.
        reader: the video.
    """

    def __init__(self, settings: Settings, sources: Sequence[str], strips: Sequence[str], reader: VideoReader) -> None:
        last = reader.count - 1
        self._rate = float(reader.rate)
        self.picture = Picture(
            name="Video with its saliency map",
            hint="Click here, then use the keys; ? lists them",
            taken=_KEY_NAMES,
        )
        self.strip_picture = Picture(name="Timeline", hint="Click to go to that frame")
        self.play = widgets.Play(min=0, max=last, show_repeat=False, repeat=settings.loop)
        self.set_speed(settings.speed)
        slider = widgets.IntSlider(
            settings.frame, 0, last, tooltip="Frame", readout=False, layout={"flex": "1 1 200px"}
        )
        jump = widgets.BoundedIntText(settings.frame, 0, last, tooltip="Go to frame", layout={"width": "80px"})
        widgets.jslink((self.play, "value"), (slider, "value"))
        widgets.jslink((slider, "value"), (jump, "value"))
        self.steps = {
            -CLIP_FRAMES: _button("-16", "16 frames back (↓)"),
            -1: _button("-1", "A frame back (←)"),
            1: _button("+1", "A frame on (→)"),
            CLIP_FRAMES: _button("+16", "16 frames on (↑)"),
        }
        back, on = list(self.steps.values())[:2], list(self.steps.values())[2:]
        self.by_setting: dict[str, widgets.ValueWidget] = {
            "frame": slider,
            "view": widgets.ToggleButtons(
                options=VIEWS,
                value=settings.view,
                tooltips=[f"{name} (key {n})" for n, name in enumerate(VIEWS, start=1)],
                style={"button_width": "auto"},
            ),
            "source": _choice("map", sources, settings.source, "Which map is shown"),
            "other": _choice("against", sources, settings.other, "Which map wipe and difference hold it against"),
            "normalise": _choice("scale", tuple(NORMALISATIONS), settings.normalise, "What is black and white"),
            "colormap": _choice("colours", _with(COLORMAPS, settings.colormap), settings.colormap, "Colour map"),
            "alpha": _fraction("opacity", settings.alpha, 1.0, "Opacity of what is most salient ([ and ])"),
            "floor": _fraction("floor", settings.floor, 0.95, "Below this part of white nothing is laid over"),
            "speed": _choice("speed", SPEEDS, settings.speed, "Times the video's own speed"),
            "loop": _switch("loop", settings.loop, "Begin again at the end"),
            "points": _switch("gaze points", settings.points, "Ring every place where somebody looked"),
            "peak": _switch("peak", settings.peak, "Mark the most salient pixel with a cross"),
            "strip": _choice("over time", strips, settings.strip, "What the timeline shows"),
        }
        self.notable = widgets.Dropdown(
            description="frames", tooltip="Frames of the highest and lowest values", layout=_NARROW
        )
        self.save_frame = _button("PNG", "Save this frame (s)")
        self.save_video = _button("mp4", "Save the clip as it is shown")
        self.save_state = _button("JSON", "Save the view, to open it again with SaliencyViewer.from_state")
        self._help_button = _button("?", "Keys (?)")
        self._help_button.on_click(lambda _button: self.toggle_help())
        self._caption, self._reading, self._status = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._progress = widgets.IntProgress(description="video", max=reader.count, layout={"visibility": "hidden"})
        self._help = widgets.HTML(_keys_table(), layout={"display": "none"})
        by = self.by_setting
        self.box = widgets.VBox(
            [
                by["view"],
                self.picture,
                self._caption,
                self._reading,
                widgets.HBox([self.play, *back, slider, *on, jump, by["speed"], by["loop"]], layout=_WRAPPED),
                self.strip_picture,
                widgets.HBox([by["strip"], self.notable], layout=_WRAPPED),
                widgets.HBox([by["source"], by["other"], by["normalise"], by["colormap"]], layout=_WRAPPED),
                widgets.HBox([by["alpha"], by["floor"], by["points"], by["peak"]], layout=_WRAPPED),
                widgets.HBox(
                    [self.save_frame, self.save_video, self.save_state, self._help_button, self._progress],
                    layout=_WRAPPED,
                ),
                self._status,
                self._help,
            ]
        )

    def set_speed(self, speed: float) -> None:
        """Play so many times as fast as filmed."""
        self.play.interval = max(round(1000 / (self._rate * speed)), _SHORTEST_INTERVAL)

    def offer(self, highest: Sequence[int], lowest: Sequence[int], values: Map) -> None:
        """List frames to go to."""
        options: list[tuple[str, int | None]] = [("go to ...", None)]
        for word, frames in (("highest", highest), ("lowest", lowest)):
            options += [(f"{word}: {values[frame]:.3g} at {frame}", frame) for frame in frames]
        self.notable.options = options
        self.notable.index = 0

    def tell_caption(self, text: str) -> None:
        """Say what is seen."""
        self._caption.value = f"<b>{escape(text)}</b>"

    def tell_reading(self, reading: Reading | None) -> None:
        """Say what is known of the place that is pointed at."""
        self._reading.value = (
            "point at the picture to read the map"
            if reading is None
            else f"x {reading.x}, y {reading.y}: {reading.value:.4g}, percentile {reading.percentile:.1f} of the frame"
        )

    def tell(self, text: str) -> None:
        """Say what was done, or what went wrong; read aloud where that is wanted."""
        self._status.value = f'<span role="status" aria-live="polite">{escape(text)}</span>'

    def tell_progress(self, done: int, total: int) -> None:
        """Say how much of a video is written."""
        self._progress.value = done
        self._progress.layout.visibility = "hidden" if done >= total else "visible"

    def toggle_help(self) -> None:
        """Show the keys, or hide them."""
        self._help.layout.display = None if self._help.layout.display == "none" else "none"


def _button(text: str, tooltip: str) -> widgets.Button:
    return widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto"))


def _choice(label: str, options: Sequence[object], value: object, tooltip: str) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, value=value, description=label, tooltip=tooltip, layout=_NARROW)


def _fraction(label: str, value: float, most: float, tooltip: str) -> widgets.FloatSlider:
    return widgets.FloatSlider(value, min=0.0, max=most, step=0.05, description=label, tooltip=tooltip)


def _switch(label: str, value: bool, tooltip: str) -> widgets.Checkbox:  # noqa: FBT001
    return widgets.Checkbox(value, description=label, tooltip=tooltip, indent=False, layout=_NARROW)


def _with(options: Sequence[str], value: str) -> list[str]:
    return list(dict.fromkeys([*options, value]))


def _keys_table() -> str:
    rows = "".join(f"<tr><td><kbd>{escape(key)}</kbd></td><td>{escape(what)}</td></tr>" for key, what in KEYS.items())
    return f"<table><caption>Keys, while the picture has the focus</caption>{rows}</table>"
