"""Figures that notebooks share: pictures and maps side by side, and a figure that is updated during training."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import defined_in
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tinyhd_lib.notebooks.helpers import as_density, picture_grid


def not_blank(figure: Figure) -> bool:
    """Whether a figure has more than one colour."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bool(np.ptp(np.asarray(canvas.buffer_rgba())[..., :3], axis=(0, 1)).max() > 100)


def test_pictures_and_maps_lie_in_rows_and_columns_with_one_bar() -> None:
    rng = np.random.default_rng(0)
    frames, maps = rng.integers(0, 256, (3, 24, 32, 3), np.uint8), rng.random((3, 24, 32), np.float32)
    figure = picture_grid(
        {"frame": frames, "map": maps}, ["a", "b", "c"], title="title", bar="times", notes={(1, 2): "KL 0.1"}
    )
    assert len(figure.axes) == 2 * 3 + 1
    assert [axes.get_ylabel() for axes in figure.axes] == ["frame", "", "", "map", "", "", "times"]
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert [axes.get_xlabel() for axes in figure.axes[:6]] == ["", "", "", "", "", "KL 0.1"]
    assert not_blank(figure)


def test_pictures_without_maps_need_no_bar() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    figure = picture_grid({"first": frames, "last": frames}, ["0 to 15", "16 to 31"], title="frames")
    assert len(figure.axes) == 4
    assert not_blank(figure)


def test_a_density_is_1_on_average() -> None:
    maps = np.random.default_rng(0).random((3, 2, 4, 5)) + 0.1
    np.testing.assert_allclose(as_density(maps).mean((-2, -1)), 1)
    np.testing.assert_allclose(as_density(3 * maps), as_density(maps))


class Handle:
    """Stands in for IPython's display handle, and records the number of entries of each update."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def update(self, entries: int) -> None:
        self.shown.append(entries)


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Handle:
    handle = Handle()
    monkeypatch.setattr("IPython.display.display", lambda _figure, **_options: handle)
    return handle


@pytest.fixture
def watch(handle: Handle) -> Callable[..., Iterator[Any]]:  # noqa: ARG001 - shown there
    """The function of notebook 02."""
    return defined_in("02_distillation_training.ipynb")["watch"]


def test_what_is_watched_passes_and_ends_in_a_whole_picture(
    handle: Handle, watch: Callable[..., Iterator[Any]]
) -> None:
    assert list(watch(range(9), len)) == list(range(9))
    assert handle.shown == [9]


def test_pictures_come_as_often_as_wanted(handle: Handle, watch: Callable[..., Iterator[Any]]) -> None:
    list(watch(range(4), len, seconds=-1))
    assert handle.shown == [1, 2, 3, 4, 4]


def test_what_is_left_half_way_or_breaks_off_is_shown_as_far_as_it_came(
    handle: Handle, watch: Callable[..., Iterator[Any]]
) -> None:
    closed = []

    def training() -> Iterator[Any]:
        try:
            yield from range(5)
            raise ValueError("not finite")
        finally:
            closed.append(True)

    under_way = training()
    for entry in watch(under_way, len):
        if entry == 2:
            break
    assert (handle.shown, closed) == ([3], [True]), "the training is let go of, though it is still referred to"
    with pytest.raises(ValueError, match="not finite"):
        list(watch(training(), len))
    assert handle.shown == [3, 5]
