"""Viewers as a page that needs nothing else: videos, maps, gaze and the code that draws them in one file."""

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
_FILES = files("tinyhd_lib.viewer")
SCRIPT, STYLE, _PAGE = (_FILES.joinpath(name).read_text("utf-8") for name in ("viewer.js", "viewer.css", "page.html"))
MOST_IN_A_CELL = 20 * 2**20
_DISTRUSTED = "Trust this notebook to see the viewer here: Trust Notebook, in the File menu or among the commands."


class Shown(NamedTuple):
    """A viewer as a page takes it.

    Attributes:
        scene: its video and maps.
        parts: what is sent of them.
        settings: what it shows at first.
        video: makes the one that is played; called when the maps on the picture leave room for it.
    """

    scene: Scene
    parts: Parts
    settings: Settings
    video: Callable[[], BrowserVideo]


class TooLargeError(Exception):
    """There is no room for what cannot be left out."""


def page(viewers: Sequence[Shown], most_bytes: float = math.inf) -> str:
    """Return an HTML page of viewers, in as many columns as it is wide enough for.

    Args:
        viewers: in their order.
        most_bytes: that they may take together, each as much as every other. Map sources that are not on the picture
            are left out where it would be more.

    Raises:
        TooLargeError: it would be more all the same.
    """
    content = json.dumps([_content(each, most_bytes / len(viewers)) for each in viewers]).replace("<", "\\u003c")
    return Template(_PAGE).substitute(title=escape(titles(viewers)), style=STYLE, script=SCRIPT, content=content)


def stand_in(viewers: Sequence[Shown], *, is_page: bool) -> str:
    """Return what stands in for viewers in a cell: a page, or sheets of moments.

    Args:
        viewers: in their order.
        is_page: whether it may be a page; one that would be too large is sheets all the same.
    """
    with suppress(TooLargeError):
        if is_page:
            return framed(page(viewers, MOST_IN_A_CELL), titles(viewers))
    return "".join(as_html(each.scene, each.settings) for each in viewers)


def framed(html: str, title: str) -> str:
    """Return a page as an element of another page, as high as it is.

    The words in it are what is left where Jupyter takes elements out, as it does in a notebook that is not trusted.
    """
    title, html = escape(title), escape(html)
    return f'<iframe title="{title}" srcdoc="{html}" width="100%" height="900" allowfullscreen>{_DISTRUSTED}</iframe>'


def _content(shown: Shown, most_bytes: float) -> dict[str, Any]:
    """Return a viewer as js/src/host.ts reads it.

    Raises:
        TooLargeError: it takes more than so many bytes.
    """

    def add(keys: Iterable[Key], part: Callable[[str, str, int], bytes] = shown.parts.part) -> None:
        """Keep the parts of these keys, or, as soon as they take more room than there is, none of them."""
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
    """Yield the keys of what every viewer shows."""
    yield "times", "", 0
    yield "still", "", settings.frame
    yield from (("colours", name, 0) for name in dict.fromkeys([*COLORMAPS, settings.colormap, "PuOr_r"]))
    yield from (("trace", f"{strip}@", 0) for strip in parts.shared)


def _of_source(parts: Parts, name: str) -> Iterator[Key]:
    """Yield the keys of a map source."""
    yield from (("maps", name, chunk) for chunk in range(parts.chunks))
    yield "bounds", name, 0
    yield from (("trace", f"{strip}@{name}", 0) for strip in parts.strips if strip not in (*parts.shared, *OF_MAPS))
    if name in parts.meta["gaze"]:
        yield from (("points", name, chunk) for chunk in range(parts.chunks))


def titles(viewers: Sequence[Shown]) -> str:
    """Return what the videos are called."""
    return ", ".join(each.scene.video.stem for each in viewers)
