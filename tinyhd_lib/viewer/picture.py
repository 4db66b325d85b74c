"""A picture in a notebook that tells where it is pointed at, and which keys are pressed while it has the focus."""

from importlib.resources import files

import anywidget
import traitlets


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
