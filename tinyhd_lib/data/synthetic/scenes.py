"""The content and look of a synthetic clip. Pure functions: a seed decides everything.

A clip is one or more shots with cuts between them: in the first, third, ... a few things wander about; in the second,
fourth, ... one odd item pops out of a grid of others, and nothing moves.

Places are in pixels, (x, y), x to the right and y down; (0, 0) is the centre of the top left pixel, so that a frame
covers -0.5 <= x < W - 0.5 and -0.5 <= y < H - 0.5, and a point belongs to the pixel to which it rounds. Sizes are
(H, W) in pixels, times in seconds since the start of the shot, colours RGB from 0 to 255.

Things are drawn once, enlarged, and placed in every frame over a grainy background. A drawing is (256, 256, 4) float32,
RGB from 0 to 255 and opacity; its unit of length is the radius of a thing.
"""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tinyhd_lib.data.transforms import Image

Floats = NDArray[np.float64]
Pair = tuple[float, ...]
Colour = tuple[float, float, float]

MOVING_SHAPES = ("face", "disc", "square")
_GRID = (3, 5)
_ODD_SHARE = 0.75


@dataclass(frozen=True)
class GazeModel:
    """The gaze behaviour of all observers.

    Attributes:
        spread: standard deviation of the gaze around a thing, as a fraction of the frame's width.
        centre_weight: probability that the gaze goes to the centre instead, 0 to 1.
        centre_spread: standard deviations of the gaze around the centre, as fractions of width and height.
        fixation: mean length of a fixation in seconds.
    """

    spread: float = 0.05
    centre_weight: float = 0.2
    centre_spread: Pair = (0.22, 0.25)
    fixation: float = 0.3


@dataclass(frozen=True)
class SceneObject:
    """A thing that attracts gaze.

    Attributes:
        shape: ``face``, ``disc`` or ``square``.
        colour: its main colour.
        radius: in pixels.
        weight: probability of being looked at; together with the centre's, those of a shot sum to 1.
        home: the point around which it moves.
        swing: amplitude of the motion in x and y, in pixels; (0, 0) for none.
        pace: oscillations per second in x and y.
        phase: phase of these oscillations at the start, 0 to 1.
        roll: amplitude of its rotation, in degrees.
    """

    shape: str
    colour: Colour
    radius: float
    weight: float
    home: Pair
    swing: Pair = (0.0, 0.0)
    pace: Pair = (0.0, 0.0)
    phase: Pair = (0.0, 0.0)
    roll: float = 0.0

    def centre(self, time: float) -> Floats:
        """Return its centre, (2,)."""
        return np.array(self.home) + np.array(self.swing) * self._waves(time)

    def lean(self, time: float) -> float:
        """Return its rotation in degrees."""
        return float(self.roll * self._waves(time)[0])

    def _waves(self, time: float) -> Floats:
        return np.sin(2 * np.pi * (np.array(self.pace) * time + np.array(self.phase)))


@dataclass(frozen=True)
class Shot:
    """The content between two cuts: number of frames, things, and the seed of the background."""

    frames: int
    things: tuple[SceneObject, ...]
    background: int


@dataclass(frozen=True)
class SyntheticVideo:
    """The content of a clip, and how observers look at it."""

    size: tuple[int, int]
    rate: Fraction
    shots: tuple[Shot, ...]
    habits: GazeModel

    @property
    def frames(self) -> int:
        return sum(shot.frames for shot in self.shots)

    def at(self, index: int) -> tuple[Shot, float]:
        """Return the shot of a frame, and the time since that shot began.

        Raises:
            IndexError: the clip has no such frame.
        """
        left = index
        for shot in self.shots:
            if 0 <= left < shot.frames:
                return shot, float(left / self.rate)
            left -= shot.frames
        raise IndexError(f"frame {index} of a clip of {self.frames} frames")


def make_video(seed: int, frames: int | Sequence[int], size: tuple[int, int]) -> SyntheticVideo:
    """Return a random clip of 25 frames per second.

    Args:
        seed: of its content.
        frames: number of frames of the clip, or of each of its shots, with cuts between them.
        size: (H, W).
    """
    rng, habits = np.random.default_rng(seed), GazeModel()
    shots = []
    for number, length in enumerate([frames] if isinstance(frames, int) else frames):
        things = tuple((_popout if number % 2 else _wanderers)(rng, size, 1 - habits.centre_weight))
        shots.append(Shot(length, things, int(rng.integers(2**32))))
    return SyntheticVideo(size, Fraction(25), tuple(shots), habits)


def _wanderers(rng: np.random.Generator, size: tuple[int, int], share: float) -> Iterator[SceneObject]:
    """Yield two or three moving things; together they are looked at this ``share`` of the time."""
    height, width = size
    count, hue = int(rng.integers(2, 4)), rng.random()
    weights = rng.uniform(1, 2, count)
    for number, weight in enumerate(share * weights / weights.sum()):
        radius = min(size) * rng.uniform(0.12, 0.17)
        swing = rng.uniform(0.12, 0.24, 2) * (width, height)
        low, high = swing + radius, np.array([width, height]) - 1 - swing - radius
        yield SceneObject(
            shape=MOVING_SHAPES[number],
            colour=_colour(hue + number / count),
            radius=radius,
            weight=weight,
            home=tuple(rng.uniform(low, high)),
            swing=tuple(swing),
            pace=tuple(rng.uniform(0.3, 0.7, 2)),
            phase=tuple(rng.random(2)),
            roll=12.0 if MOVING_SHAPES[number] == "face" else 80.0,
        )


def _popout(rng: np.random.Generator, size: tuple[int, int], share: float) -> Iterator[SceneObject]:
    """Yield a grid of equal things, one of which differs in colour or shape."""
    cell = np.array(size[::-1]) / _GRID[::-1]
    places = np.stack(np.meshgrid(np.arange(_GRID[1]), np.arange(_GRID[0])), axis=-1).reshape(-1, 2) + 0.5
    homes = (places + rng.uniform(-0.12, 0.12, places.shape)) * cell - 0.5
    odd, hue, radius = int(rng.integers(len(homes))), rng.random(), 0.3 * cell.min()
    shapes = rng.permutation(("disc", "square"))
    common = SceneObject(str(shapes[0]), _colour(hue), radius, share * (1 - _ODD_SHARE) / (len(homes) - 1), (0.0, 0.0))
    look: dict[str, Any] = {"colour": _colour(hue + 0.5)} if rng.random() < 0.5 else {"shape": str(shapes[1])}
    unlike = replace(common, weight=share * _ODD_SHARE, **look)
    for number, home in enumerate(homes):
        yield replace(unlike if number == odd else common, home=tuple(home))


def _colour(hue: float) -> Colour:
    """Return a bright colour; hues are cyclic with period 1."""
    return colorsys.hsv_to_rgb(hue % 1, 0.75, 0.95 * 255)


# Things are drawn this large, to 1 / 2**4 of a pixel, and then shrunk, which makes their edges smooth.
_DRAWN, _SHIFT = 256, 4
# Size of a sprite relative to its thing: a truncated edge would show when it is rotated.
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
        # The sprite's side is a whole number; scaling it here keeps the thing's size exact to a fraction of a pixel.
        turning = cv2.getRotationMatrix2D((middle, middle), thing.lean(time), side / len(sprite))
        placing = np.asarray(turning, np.float64)
        placing[:, 2] += thing.centre(time) - middle
        layer = cv2.warpAffine(sprite, placing, (width, height))
        canvas = canvas * (1 - layer[..., 3:]) + layer[..., :3]
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _background(seed: int, height: int, width: int) -> Image:
    """Return noise of three grain sizes over a gradient from one dull colour to another."""
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
    """Return x (1, S) and y (S, 1) of each pixel of a drawing, relative to the centre."""
    steps = (np.arange(_DRAWN) - (_DRAWN - 1) / 2) * 2 * _MARGIN / _DRAWN
    return steps[None], steps[:, None]


def _ellipse(drawn: Image, centre: Pair, radii: Pair, colour: Colour, arc: tuple[int, int] = (0, 360)) -> None:
    unit = _DRAWN / (2 * _MARGIN)
    middle, axes = (
        tuple(int(value) for value in np.rint((np.multiply(pair, unit) + shift) * 2**_SHIFT))
        for pair, shift in ((centre, (_DRAWN - 1) / 2), (radii, 0))
    )
    cv2.ellipse(drawn, middle, axes, 0, *arc, (*colour, 1), -1, cv2.LINE_8, _SHIFT)
