"""Draw a saliency map with its frame. Pure functions: overlay videos and the viewer draw with the same code."""

from functools import lru_cache

import cv2
import matplotlib as mpl
import numpy as np

from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.prediction.options import Drawing

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def draw(image: Image, grey: Image, drawing: Drawing) -> Image:
    """Draw a frame with its map.

    Args:
        image: (H, W, 3) RGB.
        grey: (H, W) grey levels of the map.
        drawing: how to draw.

    Returns:
        (H, W, 3) RGB, or (H, 2W, 3) side by side.
    """
    if drawing.style == "contours":
        return _contours(image, grey, drawing)
    if drawing.style == "overlay":
        opacity = drawing.alpha * ((np.arange(256) / 255 - drawing.floor) / (1 - drawing.floor)).clip(0)
        return _mixed(image, grey, drawing.colormap, opacity)
    coloured = cv2.applyColorMap(grey, colours_of(drawing.colormap))
    return coloured if drawing.style == "map" else np.hstack([image, coloured])


def draw_difference(image: Image, first: Image, second: Image, alpha: float) -> Image:
    """Draw a frame with where two maps differ: orange and ``+`` where the first has more, purple and ``-`` the second.

    Args:
        image: (H, W, 3) RGB.
        first: (H, W) grey levels.
        second: likewise.
        alpha: opacity where they are half of white apart, or more.
    """
    signed = first.astype(np.int16) - second
    shifted = (signed + 128).clip(0, 255).astype(np.uint8)
    drawn = _mixed(image, shifted, "PuOr_r", alpha * np.abs(np.arange(256) - 128) / 128)
    for sign, place in (("+", signed.argmax()), ("-", signed.argmin())):
        row, column = divmod(int(place), signed.shape[1])
        if signed[row, column]:
            write(drawn, sign, (column, row))
    return drawn


def wipe(left: Image, right: Image, place: float) -> Image:
    """Join two pictures of one size: the left part of the first, the right part of the second, and a line between.

    Args:
        left: (H, W, 3).
        right: likewise.
        place: of the line, 0 (all the second) to 1 (all the first).
    """
    column = round(place * left.shape[1])
    drawn = np.hstack([left[:, :column], right[:, column:]])
    cv2.line(drawn, (column, 0), (column, drawn.shape[0]), _BLACK, 3)
    cv2.line(drawn, (column, 0), (column, drawn.shape[0]), _WHITE, 1)
    return drawn


def mark_points(image: Image, points: Map) -> Image:
    """Return the picture with a ring around each point, (n, 2) of x and y in pixels."""
    drawn = image.copy()
    radius = max(3, image.shape[1] // 160)
    for column, row in np.rint(points).astype(int):
        cv2.circle(drawn, (column, row), radius + 1, _BLACK, 1, cv2.LINE_AA)
        cv2.circle(drawn, (column, row), radius, _WHITE, 1, cv2.LINE_AA)
    return drawn


def mark_peak(image: Image, place: Map) -> None:
    """Mark a place of a picture with a cross, (2,) x and y in pixels: where its map is greatest."""
    column, row = map(int, place)
    size = max(12, image.shape[1] // 40)
    cv2.drawMarker(image, (column, row), _BLACK, cv2.MARKER_CROSS, size, 3, cv2.LINE_AA)
    cv2.drawMarker(image, (column, row), _WHITE, cv2.MARKER_CROSS, size, 1, cv2.LINE_AA)


def mark_region(image: Image, corners: Map, name: str) -> None:
    """Mark a picture with the outline of a polygon, (n, 2) x and y in pixels, and its name."""
    places = np.rint(corners).astype(np.int32)
    for colour, width in ((_BLACK, 3), (_WHITE, 1)):
        cv2.polylines(image, [places], True, colour, width, cv2.LINE_AA)  # noqa: FBT003
    write(image, name, tuple(places[places[:, 1].argmin()] + (4, 22)))


def _mixed(image: Image, grey: Image, colormap: str, opacity: Map) -> Image:
    """Blend the colours of grey levels over a picture, with the opacity (256,) of each level."""
    opaque = opacity.reshape(256, 1, 1)
    glow = np.round(colours_of(colormap) * opaque).astype(np.uint8)
    dimming = np.repeat(np.round(255 * (1 - opaque)), 3, axis=2).astype(np.uint8)
    dimmed = cv2.multiply(image, cv2.applyColorMap(grey, dimming), scale=1 / 255)
    return cv2.add(dimmed, cv2.applyColorMap(grey, glow))


def _contours(image: Image, grey: Image, drawing: Drawing) -> Image:
    drawn = image.copy()
    for width, level in enumerate((0.25, 0.5, 0.75), start=1):  # of the way to white: the higher, the thicker
        value = round(255 * level)
        lines, _ = cv2.findContours((grey >= value).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(drawn, lines, -1, _BLACK, width + 2, cv2.LINE_AA)
        cv2.drawContours(drawn, lines, -1, colours_of(drawing.colormap)[value, 0].tolist(), width, cv2.LINE_AA)
    return drawn


def write(image: Image, text: str, place: tuple[int, int], scale: float = 0.8, width: int = 2) -> None:
    """Write text on a picture, from x and y in pixels: white lines of ``width`` pixels with a black edge."""
    for colour, lines in ((_BLACK, width + 2), (_WHITE, width)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, lines, cv2.LINE_AA)


@lru_cache
def colours_of(colormap: str) -> Image:
    """Return (256, 1, 3): the colour of every grey level."""
    rgba = mpl.colormaps[colormap](np.arange(256), bytes=True)
    return np.ascontiguousarray(rgba[:, np.newaxis, :3])
