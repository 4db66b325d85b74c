"""The viewer as a page that needs nothing else: video, maps, gaze and the code that draws them in one file."""

import base64
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

from tinyhd_lib.viewer.browser_video import CHUNK
from tinyhd_lib.viewer.parts import Parts
from tinyhd_lib.viewer.state import COLORMAPS
from tinyhd_lib.viewer.traces import extreme_frames

_FILES = files("tinyhd_lib.viewer")
SCRIPT = _FILES.joinpath("viewer.js").read_text("utf-8")
STYLE = _FILES.joinpath("viewer.css").read_text("utf-8")


def page(parts: Parts, settings: dict[str, Any], most_bytes: int | None = None) -> str | None:
    """Return an HTML page of a viewer.

    Args:
        parts: what it shows; the video must be there.
        settings: what it shows at first.
        most_bytes: that it may take. Map sources that are not on the picture are left out where it would be more.

    Returns:
        The page, None if it would be too large all the same.
    """
    kept = _encoded(parts, _common(parts, settings))
    kept |= _encoded(parts, _thumbs(parts, settings))
    sources = []
    for name in dict.fromkeys([settings["source"], settings["other"], *parts.meta["sources"]]):
        more = _encoded(parts, _of_source(parts, name))
        if most_bytes is None or sum(map(len, (kept | more).values())) < most_bytes:
            kept |= more
            sources.append(name)
    if not {settings["source"], settings["other"]} <= set(sources) or not sources:
        return None
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


def _encoded(parts: Parts, keys: Iterator[tuple[str, str, int]]) -> dict[str, str]:
    return {f"{kind}|{name}|{n}": base64.b64encode(parts.part(kind, name, n)).decode() for kind, name, n in keys}


def _common(parts: Parts, settings: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield the keys of what every viewer shows."""
    yield "times", "", 0
    yield "still", "", settings["frame"]
    yield from (("colours", name, 0) for name in dict.fromkeys([*COLORMAPS, settings["colormap"], "PuOr_r"]))
    yield from (("video", "", chunk) for chunk in range(-1, _chunks(parts)))


def _thumbs(parts: Parts, settings: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield the keys of the pictures beside what is drawn over time at first."""
    values = parts.trace(settings["strip"], settings["source"])
    yield from (("thumb", "", frame) for lowest in (False, True) for frame in extreme_frames(values, lowest=lowest))


def _of_source(parts: Parts, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield the keys of a map source."""
    yield from (("maps", name, chunk) for chunk in range(_chunks(parts)))
    yield "bounds", name, 0
    yield from (("trace", f"{strip}@{name}", 0) for strip in parts.strips)
    if name in parts.meta["gaze"]:
        yield from (("points", name, chunk) for chunk in range(_chunks(parts)))


def _chunks(parts: Parts) -> int:
    return int(-(-parts.meta["frames"] // CHUNK))
