"""The viewer as a page that needs nothing else: video, maps, gaze and the code that draws them in one file."""

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator
from html import escape
from importlib.resources import files
from itertools import chain
from typing import Any

from tinyhd_lib.viewer.browser_video import CHUNK, BrowserVideo
from tinyhd_lib.viewer.parts import Parts
from tinyhd_lib.viewer.state import COLORMAPS
from tinyhd_lib.viewer.traces import OF_MAPS

Key = tuple[str, str, int]
SCRIPT, STYLE = (files("tinyhd_lib.viewer").joinpath(name).read_text("utf-8") for name in ("viewer.js", "viewer.css"))


def page(
    parts: Parts, video: Callable[[], BrowserVideo], settings: dict[str, Any], most_bytes: float = math.inf
) -> str | None:
    """Return an HTML page of a viewer.

    Args:
        parts: what it shows.
        video: makes the one that is played; called when the maps on the picture leave room for it.
        settings: what it shows at first.
        most_bytes: that it may take. Map sources that are not on the picture are left out where it would be more.

    Returns:
        The page, None if it would be too large all the same.
    """

    def add(keys: Iterable[Key], part: Callable[[str, str, int], bytes] = parts.part) -> bool:
        """Keep the parts of these keys, or, as soon as they take more room than there is, none of them."""
        found, room = {}, most_bytes - sum(map(len, kept.values()))
        for kind, name, index in keys:
            found[f"{kind}|{name}|{index}"] = text = base64.b64encode(part(kind, name, index)).decode()
            room -= len(text)
            if room < 0:
                return False
        kept.update(found)
        return True

    kept: dict[str, str] = {}
    pair = dict.fromkeys([settings["source"], settings["other"]])
    sources = list(parts.meta["sources"] if settings["view"] == "grid" else pair)
    if not add(chain(*(_of_source(parts, name) for name in sources), _common(parts, settings))):
        return None
    made = video()
    if not add((("video", "", chunk) for chunk in range(-1, _chunks(parts))), lambda *key: made.part(key[2])):
        return None
    sources += [name for name in parts.meta["sources"] if name not in sources and add(_of_source(parts, name))]
    meta = parts.meta | {"sources": [name for name in parts.meta["sources"] if name in sources]}
    meta["gaze"] = [name for name in parts.meta["gaze"] if name in sources]
    content = json.dumps({"meta": meta, "settings": settings, "parts": kept}).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(meta["name"])}: saliency</title>
<style>{STYLE} body {{ margin: 0; padding: 4px; }}</style>
<div id="viewer"></div>
<script type="application/json" id="page">{content}</script>
<script type="module">{SCRIPT}
mount(document.getElementById("viewer"), JSON.parse(document.getElementById("page").textContent));
if (window.frameElement)
  new ResizeObserver(() => (window.frameElement.style.height = document.body.offsetHeight + 12 + "px"))
    .observe(document.body);
</script></html>
"""


def framed(html: str, title: str) -> str:
    """Return a page as an element of another page, as high as it is."""
    title, html = escape(title), escape(html)
    return f'<iframe title="{title}" srcdoc="{html}" width="100%" height="900" allowfullscreen></iframe>'


def _common(parts: Parts, settings: dict[str, Any]) -> Iterator[Key]:
    """Yield the keys of what every viewer shows."""
    yield "times", "", 0
    yield "still", "", settings["frame"]
    yield from (("colours", name, 0) for name in dict.fromkeys([*COLORMAPS, settings["colormap"], "PuOr_r"]))
    yield from (("trace", f"{strip}@", 0) for strip in parts.shared)


def _of_source(parts: Parts, name: str) -> Iterator[Key]:
    """Yield the keys of a map source."""
    yield from (("maps", name, chunk) for chunk in range(_chunks(parts)))
    yield "bounds", name, 0
    yield from (("trace", f"{strip}@{name}", 0) for strip in parts.strips if strip not in (*parts.shared, *OF_MAPS))
    if name in parts.meta["gaze"]:
        yield from (("points", name, chunk) for chunk in range(_chunks(parts)))


def _chunks(parts: Parts) -> int:
    return int(-(-parts.meta["frames"] // CHUNK))
