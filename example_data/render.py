#!/usr/bin/env python
"""Render the example clips, ``popout.mp4`` and ``pursuit.mp4``: ``python example_data/render.py [FOLDER]``.

Places and lengths are in pixels of the finished frame (x to the right, y down), times in seconds, colours RGB from 0
to 255. A canvas is (2 * 360, 2 * 640, 3) uint8, twice the size of a frame, and is drawn on in place.
"""

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.video import VideoWriter

Colour = tuple[float, float, float]
Floats = NDArray[np.float32]

WIDTH, HEIGHT, RATE = 640, 360, Fraction(25)
# Drawn twice as large and averaged down: OpenCV's own anti-aliasing alone shimmers on slow edges.
SCALE = 2
# OpenCV takes whole numbers; four binary digits below the pixel keep slow motion smooth.
SHIFT = 4
# Whole windows of 16 frames, and the cut in the middle of one (64 to 79), where a window sees both scenes.
POPOUT_FRAMES, PURSUIT_FRAMES, CUT = 8 * 16, 9 * 16, 72


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the example clips.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of textures and jitter (default: %(default)s)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    write_film(args.folder / "popout.mp4", popout(np.random.default_rng(args.seed)))
    write_film(args.folder / "pursuit.mp4", pursuit(np.random.default_rng(args.seed)))


def write_film(path: Path, canvases: Iterator[Image]) -> None:
    with VideoWriter(path, RATE) as film:
        for index, canvas in enumerate(canvases):
            film.write(cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), float(index / RATE))


def popout(rng: np.random.Generator) -> Iterator[Image]:
    """A drifting field of bars, one of which is odd: by its colour, then by its orientation, then by its motion."""
    background = to_canvas(128 + 8 * texture(rng, (240, 60, 12, 3)) * np.ones(3))
    # A column to spare on the left: the field drifts to the right, and its edge should not show.
    grid = np.stack(np.meshgrid(np.arange(-1, 9), np.arange(5)), axis=-1).reshape(-1, 2)
    homes = grid * (76, 72) + (40, 36) + rng.uniform(-7, 7, grid.shape)
    tilts = 72 + rng.uniform(-7, 7, len(grid))
    shades = rng.uniform(-10, 10, len(grid))
    odd_colour, odd_tilt, odd_motion = (int(np.flatnonzero((grid == at).all(1))[0]) for at in ((1, 1), (5, 3), (3, 1)))
    for time in np.arange(POPOUT_FRAMES) / float(RATE):
        canvas = background.copy()
        centres = homes + (11 * time, 5 * np.sin(1.2 * time))
        centres[odd_motion] += 20 * during(time, 3.5, 9) * np.array([np.sin(9 * time), -np.cos(9 * time)])
        angles = tilts + 3 * np.sin(1.5 * time + shades)
        angles[odd_tilt] += 90 * during(time, 1.9, 3.4)
        redness = np.zeros(len(grid))
        redness[odd_colour] = during(time, 0.3, 1.8)
        for centre, angle, shade, red in zip(centres, angles, shades, redness, strict=True):
            colour = (1 - red) * (np.array([66, 122, 150]) + shade) + red * np.array([226, 84, 48])
            bar(canvas, centre, angle, tuple(colour))
        yield canvas


def bar(canvas: Image, centre: Floats, angle: float, colour: Colour) -> None:
    """A rounded bar with its shadow, ``angle`` degrees from the horizontal."""
    half = 15 * np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    for part in (-0.8, 0, 0.8):
        spot(canvas, centre + part * half + (2, 4), (7, 7), (40, 40, 44), 0.3)
    ends = [fixed(centre + sign * half) for sign in (-1, 1)]
    cv2.line(canvas, ends[0], ends[1], colour, 11 * SCALE, cv2.LINE_AA, SHIFT)


def pursuit(rng: np.random.Generator) -> Iterator[Image]:
    """Two scenes with a hard cut between them: a meadow by day, a lake at dusk; in each a face watches what moves."""
    meadow, lake = day_background(rng), dusk_background(rng)
    for index in range(PURSUIT_FRAMES):
        if index < CUT:
            yield day(meadow.copy(), index / float(RATE))
        else:
            yield dusk(lake.copy(), (index - CUT) / float(RATE))


def day(canvas: Image, time: float) -> Image:
    """A slow cloud, a quick bird, a bouncing ball, and a face that slides in from the right and follows the ball."""
    for x, y, width in ((0, 0, 44), (-36, 7, 28), (38, 8, 30), (10, -12, 26)):
        spot(canvas, (150 + 14 * time + x, 62 + y), (width, width / 2.6), (255, 255, 255), 0.75)
    bird(canvas, (620 - 215 * time, 96 - 22 * np.sin(1.7 * time)), 27, np.sin(15 * time))
    height = 104 * abs(np.cos(3.6 * time)) * np.exp(-0.22 * time)
    x, floor = 50 + 130 * time, 306
    # A ball high above its shadow leaves a wide and pale one.
    spot(canvas, (x + 0.35 * height, floor + 3), (17 + 0.12 * height, 5 + 0.03 * height), (14, 36, 10), 0.7 - height / 300)
    ball(canvas, (x, floor - 19 - height), 20)
    at = (700 - 165 * ease((time - 0.7) / 1.1), 232 + 2 * np.sin(3 * time))
    face(canvas, at, 52, (x, floor - 19 - height), (70, 96, 150))
    return canvas


def dusk(canvas: Image, time: float) -> Image:
    """Two lights over the water, mirrored in it, and a face that turns up from below and follows the warm one."""
    warm = (415 + 150 * np.sin(1.5 * time - 0.9), 118 + 46 * np.sin(2.9 * time))
    cold = (90 + 120 * time, 168 - 30 * np.cos(1.9 * time))
    for (x, y), size, colour in ((warm, 13, (255, 176, 74)), (cold, 8, (130, 190, 255))):
        spot(canvas, (x, 2 * 232 - y + 10), (size, 3.2 * size), colour, 0.4)
        spot(canvas, (x, y), (3.2 * size, 3.2 * size), colour, 0.35)
        spot(canvas, (x, y), (size, size), colour, 0.9)
        spot(canvas, (x, y), (size / 2.2, size / 2.2), (255, 250, 235), 1)
    face(canvas, (150, 460 - 210 * ease((time - 0.8) / 0.9)), 54, warm, (86, 44, 58))
    return canvas


def day_background(rng: np.random.Generator) -> Image:
    rows, columns = pixels()
    picture = slope((96, 154, 214), (228, 236, 236), rows / 200)
    for level, height, length, far, near in (
        (176, 20, 150, (150, 176, 192), (176, 196, 196)),
        (204, 13, 95, (100, 144, 116), (132, 166, 116)),
        (226, 4, 210, (132, 168, 84), (72, 116, 48)),
    ):
        depth = rows - ridge(columns, level, height, length)
        picture += np.clip(depth * SCALE, 0, 1) * (slope(far, near, depth / 134) - picture)
    # Grass looks coarser towards the viewer, as perspective has it.
    grass = np.clip((rows - 222) / 138, 0, 1) ** 0.5 * texture(rng, (60, 9, 4), 2.2)
    return to_canvas(picture + 11 * grass * (1, 1.1, 0.6) + 2 * texture(rng, (120, 3)))


def dusk_background(rng: np.random.Generator) -> Image:
    rows, columns = pixels()
    picture = slope((30, 32, 72), (212, 120, 84), (rows - 20) / 210)
    hills = np.clip((rows - ridge(columns, 196, 18, 120)) * SCALE, 0, 1)
    picture += hills * (np.array([58, 44, 70]) - picture)
    water = np.clip((rows - 232) * SCALE, 0, 1)
    picture += water * (slope((112, 78, 88), (24, 26, 48), (rows - 232) / 128) - picture)
    return to_canvas(picture + 5 * water * texture(rng, (90, 24), 7) + 1.5 * texture(rng, (120, 3)))


def ball(canvas: Image, centre: tuple[float, float], radius: float) -> None:
    for step in np.linspace(0, 1, 12):
        colour = (1 - step) * np.array([150, 18, 26]) + step * np.array([255, 120, 92])
        at = (centre[0] - 0.34 * step * radius, centre[1] - 0.4 * step * radius)
        ellipse(canvas, at, (radius * (1 - 0.8 * step), radius * (1 - 0.8 * step)), tuple(colour))
    spot(canvas, (centre[0] - 0.38 * radius, centre[1] - 0.45 * radius), (3, 3), (255, 240, 232), 0.8)


def bird(canvas: Image, centre: tuple[float, float], span: float, beat: float) -> None:
    """A bird that flies to the left; ``beat`` from -1 (wings down) to 1 (wings up)."""
    for wing in ((0.25, 1.0), (-0.1, 0.85)):
        tip = (wing[0] + 0.35, -beat * wing[1])
        outline = [(-0.28, -0.02), (0.02 + wing[0] / 2, -0.55 * beat * wing[1] - 0.12), tip, (0.3, 0.06)]
        points = [fixed(np.add(centre, span * np.array(point))) for point in outline]
        cv2.fillPoly(canvas, [np.array(points, np.int32)], (58, 62, 74), cv2.LINE_AA, SHIFT)
    ellipse(canvas, centre, (0.62 * span, 0.17 * span), (44, 46, 56), angle=-4)
    ellipse(canvas, (centre[0] - 0.6 * span, centre[1] - 0.02 * span), (0.16 * span, 0.14 * span), (44, 46, 56))


def face(canvas: Image, centre: tuple[float, float], size: float, watched: tuple[float, float], shirt: Colour) -> None:
    """A schematic smiling person, head about two ``size`` high, whose eyes look at the point ``watched``."""
    gaze = np.subtract(watched, centre)
    gaze = gaze / (np.linalg.norm(gaze) + size)
    skin, shaded, hair = (238, 190, 158), (206, 150, 122), (70, 44, 32)

    def part(x: float, y: float, radii: tuple[float, float], colour: Colour, arc: tuple[int, int] = (0, 360)) -> None:
        ellipse(canvas, (centre[0] + x * size, centre[1] + y * size), (radii[0] * size, radii[1] * size), colour, arc=arc)

    spot(canvas, (centre[0], centre[1] + 1.6 * size), (1.5 * size, 0.9 * size), (20, 24, 24), 0.4)
    part(0, 2.3, (1.45, 1.1), shirt)
    part(0, 1.1, (0.34, 0.5), shaded)
    part(0, -0.18, (0.84, 0.96), hair)
    for side in (-1, 1):
        part(0.73 * side, 0.12, (0.13, 0.2), shaded)
    part(0, 0.1, (0.72, 0.93), skin)
    part(0, -0.5, (0.66, 0.4), hair, arc=(180, 360))
    for side in (-1, 1):
        spot(canvas, (centre[0] + 0.42 * side * size, centre[1] + 0.4 * size), (9, 7), (232, 120, 104), 0.35)
        part(0.3 * side, -0.26, (0.19, 0.05), hair)
        part(0.3 * side, 0, (0.18, 0.13), (250, 250, 248))
        part(0.3 * side + 0.09 * gaze[0], 0.05 * gaze[1], (0.095, 0.105), (50, 74, 92))
        part(0.3 * side + 0.1 * gaze[0], 0.055 * gaze[1], (0.05, 0.055), (12, 12, 16))
    part(0, 0.3, (0.09, 0.06), shaded)
    part(0, 0.5, (0.36, 0.3), (136, 34, 40), arc=(0, 180))
    part(0, 0.5, (0.3, 0.1), (250, 248, 244), arc=(0, 180))


def ellipse(
    canvas: Image,
    centre: tuple[float, float],
    radii: tuple[float, float],
    colour: Colour,
    angle: float = 0,
    arc: tuple[int, int] = (0, 360),
) -> None:
    cv2.ellipse(canvas, fixed(centre), fixed(radii), angle, *arc, colour, -1, cv2.LINE_AA, SHIFT)


def spot(canvas: Image, centre: tuple[float, float], sigmas: tuple[float, float], colour: Colour, alpha: float) -> None:
    """A soft spot, a Gaussian of peak opacity ``alpha``: light if its colour is light, a shadow if it is dark."""
    spans, bells = [], []
    for middle, sigma, length in zip(centre, sigmas, (WIDTH, HEIGHT), strict=True):
        first, last = np.clip([(middle - 3 * sigma) * SCALE, (middle + 3 * sigma) * SCALE], 0, length * SCALE).astype(int)
        spans.append(slice(first, last))
        bells.append(np.exp(-(((np.arange(first, last) + 0.5) / SCALE - middle) ** 2) / (2 * sigma**2)))
    opacity = alpha * np.outer(bells[1], bells[0])[..., None]
    patch = canvas[spans[1], spans[0]]
    patch[:] = np.rint(patch + opacity * (np.array(colour) - patch))


def fixed(pair: tuple[float, float] | Floats) -> tuple[int, int]:
    """As OpenCV's drawing functions take places and lengths, on the canvas and in whole numbers."""
    x, y = np.rint(np.asarray(pair) * SCALE * 2**SHIFT).astype(int)
    return int(x), int(y)


def texture(rng: np.random.Generator, grains: tuple[int, ...], flat: float = 1) -> Floats:
    """Smooth noise of zero mean and unit variance, (720, 1280, 1): grains so wide, ``flat`` times less high."""
    total = np.zeros((HEIGHT * SCALE, WIDTH * SCALE))
    for grain in grains:
        noise = rng.standard_normal((int(HEIGHT * flat / grain) + 2, WIDTH // grain + 2))
        total += cv2.resize(noise, total.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return ((total - total.mean()) / total.std())[..., None]


def pixels() -> tuple[Floats, Floats]:
    """The y and x of every pixel of a canvas, (720, 1, 1) and (1, 1280, 1)."""
    return np.arange(HEIGHT * SCALE)[:, None, None] / SCALE, np.arange(WIDTH * SCALE)[None, :, None] / SCALE


def ridge(x: Floats, level: float, height: float, length: float) -> Floats:
    """The y of a hilly skyline at ``x``."""
    return level - height * (np.sin(x * 6.28 / length) * np.sin(x / length + 1) + 0.3 * np.sin(x * 15 / length + 2))


def slope(start: Colour, end: Colour, part: Floats) -> Floats:
    """From one colour (part 0) to another (part 1)."""
    return np.array(start) + ease(part) * np.subtract(end, start)


def ease(part: Floats) -> Floats:
    """0 up to 0, 1 from 1 on, and a smooth way between them."""
    part = np.clip(part, 0, 1)
    return part * part * (3 - 2 * part)


def during(time: float, start: float, end: float) -> float:
    """1 between two times, 0 outside, with 0.3 s of easing inside either end."""
    return float(ease((time - start) / 0.3) * ease((end - time) / 0.3))


def to_canvas(picture: Floats) -> Image:
    return np.broadcast_to(np.clip(np.rint(picture), 0, 255), (HEIGHT * SCALE, WIDTH * SCALE, 3)).astype(np.uint8)


if __name__ == "__main__":
    main()
