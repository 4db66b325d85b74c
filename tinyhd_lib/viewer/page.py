"""Viewers as a self-contained page: videos, maps, gaze and the code that draws them in one file."""

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

from tinyhd_lib.viewer.drawing import Scene, as_html
from tinyhd_lib.viewer.parts import OF_MAPS, BrowserVideo, Parts
from tinyhd_lib.viewer.state import COLORMAPS, Settings

Key = tuple[str, str, int]
_NAMES = "static/viewer.js", "viewer.css", "page.html"
SCRIPT, STYLE, _PAGE = (files("tinyhd_lib.viewer").joinpath(name).read_text("utf-8") for name in _NAMES)
MOST_IN_A_CELL = 20 * 2**20
_DISTRUSTED = "Trust this notebook to see the viewer here: Trust Notebook, in the File menu or among the commands."


class Shown(NamedTuple):
    """The content of a viewer for a page.

    Attributes:
        scene: its video and maps.
        parts: their data for the browser.
        settings: its initial settings.
        video: makes the browser's video; only called if the maps that are shown leave room for it.
    """

    scene: Scene
    parts: Parts
    settings: Settings
    video: Callable[[], BrowserVideo]


class TooLargeError(Exception):
    """The parts that cannot be left out exceed the allowed size."""


def page(viewers: Sequence[Shown], most_bytes: float = math.inf) -> str:
    """Return an HTML page of viewers, in as many columns as fit its width.

    Args:
        viewers: in their order.
        most_bytes: their largest size together, in equal shares. Map sources that are not shown at first are left out
            if they exceed it.

    Raises:
        TooLargeError: it would be larger all the same.
    """
    content = json.dumps([_content(each, most_bytes / len(viewers)) for each in viewers]).replace("<", "\\u003c")
    return Template(_PAGE).substitute(title=escape(titles(viewers)), style=STYLE, script=SCRIPT, content=content)


def stand_in(viewers: Sequence[Shown], *, is_page: bool) -> str:
    """Return the replacement of viewers in a cell without a kernel: a page, or contact sheets.

    Args:
        viewers: in their order.
        is_page: whether it may be a page; if that would be too large, contact sheets are returned all the same.
    """
    with suppress(TooLargeError):
        if is_page:
            return framed(page(viewers, MOST_IN_A_CELL), titles(viewers))
    return "".join(as_html(each.scene, each.settings) for each in viewers)


def framed(html: str, title: str) -> str:
    """Return a page as an iframe for another page.

    The text in it is what remains if Jupyter removes the element, as it does in a notebook that is not trusted.
    """
    title, html = escape(title), escape(html)
    return f'<iframe title="{title}" srcdoc="{html}" width="100%" height="900" allowfullscreen>{_DISTRUSTED}</iframe>'


def _content(shown: Shown, most_bytes: float) -> dict[str, Any]:
    """Return a viewer's content for js/src/host.ts.

    Raises:
        TooLargeError: it exceeds ``most_bytes``.
    """

    def add(keys: Iterable[Key], part: Callable[[str, str, int], bytes] = shown.parts.part) -> None:
        """Add the parts of these keys, or none of them if they exceed the room that is left."""
        found, room = {}, most_bytes - sum(map(len, kept.values()))
        for kind, name, index in keys:
            found[f"{kind}|{name}|{index}"] = text = base64.b64encode(part(kind, name, index)).decode()
            room -= len(text)
            if room < 0:
                raise TooLargeError
        kept.update(found)

    kept: dict[str, str] = {}
    meta, settings = shown.parts.meta, shown.settings
    sources = list(meta["sources"] if settings.view == "grid" else dict.fromkeys([settings.source, settings.other]))
    for name in sources:
        add(_of_source(shown.parts, name))
    add(_common(shown.parts, settings))
    made = shown.video()
    add((("video", "", chunk) for chunk in range(-1, shown.parts.chunks)), lambda *key: made.part(key[2]))
    for name in [name for name in meta["sources"] if name not in sources]:
        with suppress(TooLargeError):
            add(_of_source(shown.parts, name))
            sources.append(name)
    known = {each: [name for name in meta[each] if name in sources] for each in ("sources", "gaze")}
    return {"meta": meta | known, "settings": asdict(settings) | {"playing": False}, "parts": kept}


def _common(parts: Parts, settings: Settings) -> Iterator[Key]:
    """Yield the keys of the parts that every viewer needs."""
    yield "times", "", 0
    yield "still", "", settings.frame
    yield from (("colours", name, 0) for name in dict.fromkeys([*COLORMAPS, settings.colormap, "PuOr_r"]))
    yield from (("trace", f"{strip}@", 0) for strip in parts.shared)


def _of_source(parts: Parts, name: str) -> Iterator[Key]:
    """Yield the keys of the parts of a map source."""
    yield from (("maps", name, chunk) for chunk in range(parts.chunks))
    yield "bounds", name, 0
    yield from (("trace", f"{strip}@{name}", 0) for strip in parts.strips if strip not in (*parts.shared, *OF_MAPS))
    if name in parts.meta["gaze"]:
        yield from (("points", name, chunk) for chunk in range(parts.chunks))


def titles(viewers: Sequence[Shown]) -> str:
    """Return the names of the videos."""
    return ", ".join(each.scene.video.stem for each in viewers)
