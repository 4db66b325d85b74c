"""What a made-up clip looks like: its things, drawn large once and placed in every frame, before a grainy background.

A drawing is (256, 256, 4) float32, RGB from 0 to 255 and opacity; its unit is the radius of a thing.
"""

from functools import lru_cache

import cv2
import numpy as np

from tinyhd_lib.data.synthetic.scenes import Colour, Floats, Pair, SyntheticVideo
from tinyhd_lib.data.transforms import Image

# Things are drawn this large, to 1 / 2**4 of a pixel, and then shrunk, which makes their edges smooth.
_DRAWN, _SHIFT = 256, 4
# How much larger than the thing a sprite is: an edge that is cut off would show when it is turned.
_MARGIN = 1.15
_SKIN, _DARK, _WHITE, _LIPS = (240.0, 196.0, 164.0), (26.0, 26.0, 34.0), (250.0, 250.0, 246.0), (150.0, 40.0, 46.0)


def render(clip: SyntheticVideo, index: int) -> Image:
    """Return a frame of a clip, (H, W, 3) uint8 RGB.

    Raises:
        IndexError: the clip has no such frame.
    """
    shot, time = clip.at(index)
    height, width = clip.size
    canvas = _background(shot.background, height, width)
    # The first thing, which is the face where there is one, comes last and is never hidden.
    for thing in reversed(shot.things):
        side = 2 * _MARGIN * thing.radius
        sprite = _sprite(thing.shape, thing.colour, max(3, round(side)))
        middle = (len(sprite) - 1) / 2
        # The side is rounded, the rest of its size is made up here: things keep their size to a part of a pixel.
        turning = cv2.getRotationMatrix2D((middle, middle), thing.lean(time), side / len(sprite))
        placing = np.asarray(turning, np.float64)
        placing[:, 2] += thing.centre(time) - middle
        layer = cv2.warpAffine(sprite, placing, (width, height))
        canvas = canvas * (1 - layer[..., 3:]) + layer[..., :3]
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _background(seed: int, height: int, width: int) -> Image:
    """Grain of three sizes over a slope from one dull colour to another."""
    rng = np.random.default_rng(seed)
    top, bottom = rng.uniform(60, 130, (2, 3))
    canvas = top + (bottom - top) * np.linspace(0, 1, height)[:, None, None] * np.ones((height, width, 1))
    for grain, contrast in ((width // 3, 14), (width // 10, 11), (3, 6)):
        noise = rng.standard_normal((height // grain + 3, width // grain + 3))
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
        canvas = canvas + contrast * noise[..., None] * rng.uniform(0.7, 1.3, 3)
    return canvas.astype(np.float32)


@lru_cache(maxsize=64)
def _sprite(shape: str, colour: Colour, side: int) -> Image:
    drawn = np.zeros((_DRAWN, _DRAWN, 4), np.float32)
    {"face": _draw_face, "disc": _draw_disc, "square": _draw_square}[shape](drawn, colour)
    return cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)


def _draw_disc(drawn: Image, colour: Colour) -> None:
    """Draw a striped ball."""
    _ellipse(drawn, (0, 0), (1, 1), _DARK)
    _ellipse(drawn, (0, 0), (0.9, 0.9), colour)
    across, down = _coordinates()
    inside = np.hypot(across, down) < 0.9
    drawn[inside & (np.sin(9 * (across + 0.4 * down)) > 0.4), :3] *= 0.55


def _draw_square(drawn: Image, colour: Colour) -> None:
    """Draw a chequered box, as large in area as the ball."""
    across, down = _coordinates()
    reach = np.maximum(abs(across), abs(down)) / (np.sqrt(np.pi) / 2)
    drawn[reach < 1] = (*_DARK, 1)
    drawn[reach < 0.9] = (*colour, 1)
    drawn[(reach < 0.9) & (np.sin(9 * across) * np.sin(9 * down) > 0), :3] *= 0.6


def _draw_face(drawn: Image, colour: Colour) -> None:
    """Draw a smiling face; the colour is that of the hair."""
    _ellipse(drawn, (0, 0), (0.86, 1), _DARK)
    _ellipse(drawn, (0, 0), (0.8, 0.94), _SKIN)
    _ellipse(drawn, (0, -0.32), (0.8, 0.62), colour, (180, 360))
    for side in (-0.34, 0.34):
        _ellipse(drawn, (side, 0), (0.2, 0.15), _WHITE)
        _ellipse(drawn, (side, 0), (0.1, 0.12), _DARK)
    _ellipse(drawn, (0, 0.24), (0.08, 0.08), (206, 150, 122))
    _ellipse(drawn, (0, 0.42), (0.4, 0.3), _LIPS, (0, 180))


def _coordinates() -> tuple[Floats, Floats]:
    """Return how far each pixel of a drawing is to the right of, and below, the centre: (1, S) and (S, 1)."""
    steps = (np.arange(_DRAWN) - (_DRAWN - 1) / 2) * 2 * _MARGIN / _DRAWN
    return steps[None], steps[:, None]


def _ellipse(drawn: Image, centre: Pair, radii: Pair, colour: Colour, arc: tuple[int, int] = (0, 360)) -> None:
    unit = _DRAWN / (2 * _MARGIN)
    middle, axes = (
        tuple(int(value) for value in np.rint((np.multiply(pair, unit) + shift) * 2**_SHIFT))
        for pair, shift in ((centre, (_DRAWN - 1) / 2), (radii, 0))
    )
    cv2.ellipse(drawn, middle, axes, 0, *arc, (*colour, 1), -1, cv2.LINE_8, _SHIFT)
