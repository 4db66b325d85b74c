"""What a notebook's cell shows of viewers and keeps of them, and the files that they write."""

import os
from pathlib import Path
from typing import Any

from ipywidgets import DOMWidget

from tinyhd_lib.files import write_atomically
from tinyhd_lib.viewer.page import Shown, names, page, stand_in


class InCell(DOMWidget):  # type: ignore[misc]
    """A widget of one viewer or of several.

    Attributes:
        interactive: whether the cell shows the widget alone (True), the page alone (False), or both, of which a front
            end takes the widget while its kernel is there (None).
        out: folder of what is exported.
    """

    interactive: bool | None = None
    out = Path()

    def viewers(self) -> list[Shown]:
        """Return what is shown."""
        raise NotImplementedError

    def save_html(self, path: str | Path | None = None) -> Path:
        """Write what is shown as one page that opens anywhere, without Python; answers where.

        Raises:
            OSError: it cannot be written.
        """
        name = names(self.viewers()).replace(", ", "_")
        return self._written(path, f"{name}.html", page(self.viewers()).encode())

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return what the notebook shows: the widget, and what stands in for it where no kernel answers."""
        bundle: Any = {} if self.interactive is False else super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if not self.interactive:
            is_served = "JPY_SESSION_NAME" in os.environ and self.interactive is None
            data["text/html"] = stand_in(self.viewers(), is_served=is_served)
        data["text/plain"] = "\n".join(each.scene.caption(each.settings) for each in self.viewers())
        return bundle

    def _written(self, path: str | Path | None, name: str, content: bytes) -> Path:
        place = self._place(path, name)
        write_atomically(place, content)
        self.send({"said": f"wrote {place}"})
        return place

    def _place(self, path: str | Path | None, name: str) -> Path:
        return self.out / name if path is None else Path(path)
