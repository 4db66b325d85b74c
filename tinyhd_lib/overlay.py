"""How a saliency map is shown with its frame. Pure functions: the film and the viewer draw with the same code."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

import cv2
import matplotlib as mpl
import numpy as np

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.errors import BadInput

VIEWS = ("overlay", "side-by-side", "map")


@dataclass(frozen=True)
class Style:
    """How to draw.

    Args:
        view: ``overlay`` (colour laid over the frame, the stronger the more salient), ``side-by-side`` (the frame,
            then the coloured map) or ``map`` (the coloured map alone).
        alpha: opacity of the most salient grey level in an overlay, 0 to 1.
        colormap: the name of a matplotlib colour map.

    Raises:
        BadInput: a value is none of these.
    """

    view: str = "overlay"
    alpha: float = 0.7
    colormap: str = "inferno"

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise BadInput(f"style {self.view!r}: choose from {', '.join(VIEWS)}")
        if not 0 <= self.alpha <= 1:
            raise BadInput(f"alpha {self.alpha}: an opacity from 0 to 1")
        if self.colormap not in mpl.colormaps:
            nearest = get_close_matches(self.colormap, mpl.colormaps) or ["inferno", "viridis", "turbo"]
            raise BadInput(f"colormap {self.colormap!r}: no such matplotlib colour map; near are {', '.join(nearest)}")


def draw(image: Image, grey: Image, style: Style) -> Image:
    """A frame with its map.

    Args:
        image: (H, W, 3) RGB.
        grey: (H, W) grey levels of the map.
        style: how to draw.

    Returns:
        (H, W, 3) RGB, or (H, 2W, 3) side by side.
    """
    if style.view == "overlay":
        glow, dimming = _overlay_tables(style.colormap, style.alpha)
        dimmed = cv2.multiply(image, cv2.applyColorMap(grey, dimming), scale=1 / 255)
        return cv2.add(dimmed, cv2.applyColorMap(grey, glow))
    coloured = cv2.applyColorMap(grey, _colours(style.colormap))
    return coloured if style.view == "map" else np.hstack([image, coloured])


@lru_cache
def _colours(colormap: str) -> Image:
    """(256, 1, 3): the colour of every grey level."""
    rgba = mpl.colormaps[colormap](np.arange(256), bytes=True)
    return np.ascontiguousarray(rgba[:, np.newaxis, :3])


@lru_cache
def _overlay_tables(colormap: str, alpha: float) -> tuple[Image, Image]:
    """(256, 1, 3) each: for every grey level, the light that is laid over and what is left of the frame's own."""
    opacity = alpha * np.arange(256).reshape(256, 1, 1) / 255
    glow = np.round(_colours(colormap) * opacity).astype(np.uint8)
    dimming = np.repeat(np.round(255 * (1 - opacity)), 3, axis=2).astype(np.uint8)
    return glow, dimming
