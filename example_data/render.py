"""Render the example clips ``popout.mp4`` and ``pursuit.mp4``: ``python example_data/render.py [FOLDER]``.

Places and lengths are in pixels of the finished frame (x to the right, y down), times in seconds, colours RGB from 0
to 255. A canvas is (720, 1280, 3) uint8, twice the size of a frame, and is drawn on in place.
"""

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.writer import VideoWriter

Floats = NDArray[np.float64]
Pair = tuple[float, float] | Floats
Colour = tuple[float, float, float]

WIDTH, HEIGHT, RATE = 640, 360, Fraction(25)
# Twice as large, and placed to 1 / 2**4 of a pixel: else slow edges shimmer and jump from pixel to pixel.
SCALE, SHIFT = 2, 4
# Whole windows of 16 frames, and the cut in the middle of one (64 to 79), which therefore sees both scenes.
POPOUT_FRAMES, PURSUIT_FRAMES, CUT = 8 * 16, 9 * 16, 72


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the example clips.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="default: %(default)s")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, clip in (("popout", popout), ("pursuit", pursuit)):
        with VideoWriter(folder / f"{name}.mp4", RATE) as film:
            for index, canvas in enumerate(clip(np.random.default_rng(0))):
                film.write(cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), float(index / RATE))


def popout(rng: np.random.Generator) -> Iterator[Image]:
    """A drifting field of bars, one of which is odd: by its colour, then by its orientation, then by its motion."""
    background = to_canvas(128 + 7 * texture(rng, (240, 60, 20)) * np.ones(3))
    # A column to spare on the left: the field drifts to the right, and its edge should not show.
    grid = np.stack(np.meshgrid(np.arange(-1, 6), np.arange(4)), axis=-1).reshape(-1, 2)
    homes = grid * (112, 90) + (40, 45) + rng.uniform(-7, 7, grid.shape)
    tilts, shades = 72 + rng.uniform(-7, 7, len(grid)), rng.uniform(-10, 10, (len(grid), 1))
    by_colour, by_tilt, by_motion = ((grid == cell).all(axis=1) for cell in ((1, 1), (3, 2), (2, 1)))
    for time in np.arange(POPOUT_FRAMES) / float(RATE):
        red, turned, moved = (ease(min(time - a, b - time) / 0.3) for a, b in ((0.3, 1.8), (1.9, 3.4), (3.5, 9)))
        circling = 26 * np.array([np.sin(9 * time), -np.cos(9 * time)])
        centres = homes + (11 * time, 5 * np.sin(1.2 * time)) + moved * np.outer(by_motion, circling)
        angles = tilts + 3 * np.sin(1.5 * time + shades[:, 0]) + 90 * turned * by_tilt
        colours = np.array([84, 122, 140]) + shades
        colours += red * by_colour[:, None] * ((240, 60, 30) - colours)
        canvas = background.copy()
        for centre, angle, colour in zip(centres, np.radians(angles), colours, strict=True):
            half = 21 * np.array([np.cos(angle), -np.sin(angle)])
            spot(canvas, np.add(centre, (2, 5)), (11, 11), (40, 40, 44), 0.6)
            cv2.line(canvas, fixed(centre - half), fixed(centre + half), colour, 17 * SCALE, cv2.LINE_AA, SHIFT)
        yield canvas


def pursuit(rng: np.random.Generator) -> Iterator[Image]:
    """Two scenes with a hard cut between them, a meadow and a lake; in each a face watches what moves."""
    meadow, lake = meadow_background(rng), lake_background(rng)
    for frame in range(PURSUIT_FRAMES):
        yield day(meadow.copy(), frame / float(RATE)) if frame < CUT else dusk(lake.copy(), (frame - CUT) / float(RATE))


def day(canvas: Image, time: float) -> Image:
    """A slow cloud, a quick bird, a bouncing ball, and a face that slides in from the right and watches the ball."""
    for right, down, width in ((0, 0, 44), (-36, 7, 28), (38, 8, 30), (10, -12, 26)):
        spot(canvas, (150 + 14 * time + right, 62 + down), (width, width / 2.6), (255, 255, 255), 0.75)
    bird(canvas, (600 - 210 * time, 96 - 22 * np.sin(1.7 * time)), 30, np.sin(15 * time + 1))
    x, height = 50 + 130 * time, 104 * abs(np.cos(3.6 * time)) * np.exp(-0.22 * time)
    # The shadow of a ball high in the air is wide and pale.
    spot(canvas, (x + 0.35 * height, 309), (17 + 0.12 * height, 5 + 0.03 * height), (14, 36, 10), 0.7 - height / 300)
    for light in np.linspace(0, 1, 12):
        colour = (150 + 105 * light, 18 + 102 * light, 26 + 66 * light)
        ellipse(canvas, (x - 7 * light, 287 - height - 8 * light), (20 - 16 * light, 20 - 16 * light), colour)
    face(canvas, (800 - 262 * ease((time - 0.6) / 1.2), 232 + 2 * np.sin(3 * time)), (x, 287 - height), (70, 96, 150))
    return canvas


def dusk(canvas: Image, time: float) -> Image:
    """Two lights over the water, mirrored in it, and a face that turns up from below and watches the warm one."""
    warm = (415 + 150 * np.sin(1.5 * time - 0.9), 118 + 46 * np.sin(2.9 * time))
    cold = (90 + 120 * time, 168 - 30 * np.cos(1.9 * time))
    for (x, y), size, colour in ((warm, 13, (255, 176, 74)), (cold, 8, (130, 190, 255))):
        spot(canvas, (x, 474 - y), (size, 3.2 * size), colour, 0.4)
        for width, tint, alpha in ((3.2, colour, 0.35), (1, colour, 0.9), (0.45, (255, 250, 235), 1)):
            spot(canvas, (x, y), (width * size, width * size), tint, alpha)
    face(canvas, (150, 460 - 204 * ease((time - 0.8) / 0.9)), warm, (98, 48, 66))
    return canvas


def meadow_background(rng: np.random.Generator) -> Image:
    y, x = np.mgrid[: HEIGHT * SCALE, : WIDTH * SCALE][..., None] / SCALE
    picture = layer(np.zeros(3), y + 1, (96, 154, 214), (228, 236, 236), 200)
    picture = layer(picture, y - ridge(x, 176, 20, 150), (150, 176, 192), (176, 196, 196), 50)
    picture = layer(picture, y - ridge(x, 204, 13, 95), (100, 144, 116), (132, 166, 116), 30)
    picture = layer(picture, y - ridge(x, 226, 4, 210), (132, 168, 84), (72, 116, 48), 134)
    # Grass looks coarser towards the viewer, as perspective has it.
    grass = np.clip((y - 222) / 138, 0, 1) ** 0.5 * texture(rng, (60, 9, 4), 2.2)
    return to_canvas(picture + 11 * grass * (1, 1.1, 0.6) + 2 * texture(rng, (120, 3)))


def lake_background(rng: np.random.Generator) -> Image:
    y, x = np.mgrid[: HEIGHT * SCALE, : WIDTH * SCALE][..., None] / SCALE
    picture = layer(np.zeros(3), y + 1, (26, 28, 70), (212, 120, 84), 230)
    picture = layer(picture, y - ridge(x, 196, 18, 120), (58, 44, 70), (50, 38, 62), 40)
    picture = layer(picture, y - 232, (112, 78, 88), (24, 26, 48), 128)
    return to_canvas(picture + 5 * (y > 232) * texture(rng, (90, 24), 7) + 1.5 * texture(rng, (120, 3)))


def bird(canvas: Image, centre: Pair, span: float, beat: float) -> None:
    """A bird that flies to the left; ``beat`` from -1 (wings down) to 1 (wings up)."""
    for tip in ((0.2, -0.8 * beat), (0.65, -beat)):
        outline = np.array([(-0.3, 0), (tip[0] - 0.3, 0.55 * tip[1] - 0.1), tip, (0.35, 0.05)]) * span + centre
        cv2.fillPoly(canvas, [np.array([fixed(point) for point in outline])], (58, 62, 74), cv2.LINE_AA, SHIFT)
    ellipse(canvas, centre, (0.62 * span, 0.17 * span), (44, 46, 56))
    ellipse(canvas, (centre[0] - 0.6 * span, centre[1]), (0.16 * span, 0.14 * span), (44, 46, 56))


def face(canvas: Image, centre: Pair, watched: Pair, shirt: Colour, size: float = 53) -> None:
    """A schematic smiling person, head about two ``size`` high, whose eyes look at the point ``watched``."""
    skin, shaded, hair, white = (238, 190, 158), (206, 150, 122), (124, 72, 40), (250, 250, 246)
    # From back to front, in units of the size; what stands beside the middle comes twice; some are half an ellipse.
    for (right, down), radii, colour, *arc in (
        ((0, 2.3), (1.45, 1.1), shirt),
        ((0, 1.05), (0.3, 0.4), shaded),
        ((0, -0.18), (0.84, 0.96), hair),
        ((0.73, 0.12), (0.13, 0.2), shaded),
        ((0, 0.1), (0.72, 0.93), skin),
        ((0, -0.5), (0.66, 0.4), hair, (180, 360)),
        ((0.3, -0.26), (0.19, 0.05), hair),
        ((0.3, 0), (0.18, 0.13), white),
        ((0, 0.3), (0.09, 0.06), shaded),
        ((0, 0.5), (0.36, 0.3), (136, 34, 40), (0, 180)),
        ((0, 0.5), (0.3, 0.1), white, (0, 180)),
    ):
        for x in {-right, right}:
            ellipse(canvas, np.add(centre, (x * size, down * size)), np.multiply(radii, size), colour, *arc)
    gaze = np.subtract(watched, centre) / (np.hypot(*np.subtract(watched, centre)) + size) * (0.09, 0.05)
    for x, radius, colour in [(x, *iris) for x in (-0.3, 0.3) for iris in ((0.1, (50, 74, 92)), (0.05, (12, 12, 16)))]:
        ellipse(canvas, np.add(centre, size * np.add(gaze, (x, 0))), (radius * size, radius * size), colour)


def ellipse(canvas: Image, centre: Pair, radii: Pair, colour: Colour, arc: tuple[int, int] = (0, 360)) -> None:
    cv2.ellipse(canvas, fixed(centre), fixed(radii), 0, *arc, colour, -1, cv2.LINE_AA, SHIFT)


def spot(canvas: Image, centre: Pair, sigmas: Pair, colour: Colour, alpha: float) -> None:
    """A soft spot, a Gaussian of peak opacity ``alpha``: light if its colour is light, a shadow if it is dark."""
    low, high = (np.clip(np.add(centre, np.multiply(k, sigmas)), 0, (WIDTH, HEIGHT)) * SCALE for k in (-3, 3))
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    patch, (y, x) = canvas[top:bottom, left:right], np.ogrid[top:bottom, left:right]
    across, down = (x / SCALE - centre[0]) / sigmas[0], (y / SCALE - centre[1]) / sigmas[1]
    opacity = alpha * (np.exp(-(down**2) / 2) * np.exp(-(across**2) / 2))[..., None]
    patch[:] = np.rint(patch + opacity * (np.array(colour) - patch))


def texture(rng: np.random.Generator, grains: tuple[int, ...], flat: float = 1) -> Floats:
    """Smooth noise of zero mean and unit variance, (720, 1280, 1): grains so wide, ``flat`` times less high."""
    total = np.zeros((HEIGHT * SCALE, WIDTH * SCALE, 1))
    for grain in grains:
        noise = rng.standard_normal((int(HEIGHT * flat / grain) + 2, WIDTH // grain + 2))
        total += cv2.resize(noise, (WIDTH * SCALE, HEIGHT * SCALE), interpolation=cv2.INTER_CUBIC)[..., None]
    return (total - total.mean()) / total.std()


def ridge(x: Floats, level: float, height: float, length: float) -> Floats:
    """The y of a hilly skyline at ``x``."""
    return level - height * (np.sin(x * 6.28 / length) * np.sin(x / length + 1) + 0.3 * np.sin(x * 15 / length + 2))


def layer(picture: Floats, depth: Floats, far: Colour, near: Colour, reach: float) -> Floats:
    """Cover a picture where ``depth`` is above 0, in one colour there that turns into another by depth ``reach``."""
    return picture + np.clip(depth * SCALE, 0, 1) * (far + ease(depth / reach) * np.subtract(near, far) - picture)


def ease(part: Floats | float) -> Floats:
    """0 up to 0, 1 from 1 on, and a smooth way between them."""
    return np.asarray(np.clip(part, 0, 1) ** 2 * (3 - 2 * np.clip(part, 0, 1)))


def to_canvas(picture: Floats) -> Image:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def fixed(pair: Pair) -> tuple[int, int]:
    """A place or a pair of lengths as OpenCV takes them: on the canvas, in whole 1 / 2**SHIFT of its pixels."""
    x, y = np.rint(np.multiply(pair, SCALE * 2**SHIFT)).astype(int)
    return int(x), int(y)


if __name__ == "__main__":
    main()
