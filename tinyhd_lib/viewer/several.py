"""Several viewers that go through time together, in one cell or on one page."""

from collections.abc import Sequence
from pathlib import Path

from ipywidgets import GridBox, Layout

from tinyhd_lib.errors import BadInput
from tinyhd_lib.viewer.in_cell import InCell
from tinyhd_lib.viewer.page import Shown
from tinyhd_lib.viewer.widget import SaliencyViewer

_COLUMNS = "repeat(auto-fit, minmax(min(100%, 520px), 1fr))"  # as viewer.css has it


class SaliencyViewers(InCell, GridBox):  # type: ignore[misc]
    """Viewers beside each other, in as many columns as there is room for: of several videos, or of one in several ways.

    Those that have no ``group`` are given one, so that they go through time together.

    Args:
        viewers: in their order.
        out: folder of what is exported.

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
        """Return what is shown."""
        return [shown for viewer in self.children for shown in viewer.viewers()]
