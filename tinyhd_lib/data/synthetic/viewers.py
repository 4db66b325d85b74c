"""Where the viewers of a made-up clip look, and with what probability. Pure: a seed decides everything.

In every frame a viewer's gaze is drawn from a mixture of Gaussians, one around each thing and a wide one around the
middle, restricted to the frame. Hence a metric's expected value can be computed, and a measured one be checked against
it. Places are in pixels, as in `scenes`.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from tinyhd_lib.data.gaze import Gaze
from tinyhd_lib.data.synthetic.scenes import Clip, Floats


class Gaussians(NamedTuple):
    """A mixture: how often each component is looked at (K,), its middle (K, 2) and its deviations (K, 2), (x, y)."""

    weights: Floats
    centres: Floats
    deviations: Floats


def components(clip: Clip, index: int) -> Gaussians:
    """What the gaze at a frame is drawn from, before it is restricted to the frame: things first, the middle last."""
    shot, time = clip.at(index)
    (height, width), habits = clip.size, clip.habits
    around_things = np.full((len(shot.things), 2), habits.spread * width)
    around_middle = np.array(habits.centre_spread) * (width, height)
    return Gaussians(
        np.array([*(thing.weight for thing in shot.things), habits.centre_weight]),
        np.array([*(thing.centre(time) for thing in shot.things), ((width - 1) / 2, (height - 1) / 2)]),
        np.vstack([around_things, around_middle]),
    )


def density(clip: Clip, index: int) -> Floats:
    """How probable it is that a viewer who looks at a frame looks at this pixel of it.

    Returns:
        (H, W), sum 1. Not the Gaussians' values at the pixels' centres but their integrals over the pixels: exact
        however narrow they are.
    """
    weights, centres, deviations = components(clip, index)
    down, across = (
        np.diff(ndtr((np.arange(length + 1) - 0.5 - centres[:, axis, None]) / deviations[:, axis, None]))
        for axis, length in ((1, clip.size[0]), (0, clip.size[1]))
    )
    seen: Floats = np.einsum("k,ky,kx->yx", weights, down, across)
    return seen / seen.sum()


def simulate_viewers(clip: Clip, viewers: int, seed: int) -> Gaze:
    """Let viewers watch a clip, each for himself.

    At the start of a fixation a viewer picks a component and an offset from its middle, and keeps to both, following
    what moves. How long that lasts does not depend on what was picked, and at a cut all pick anew; hence in every
    frame the gaze has the mixture's distribution exactly. Gaze outside of the frame is dropped, as real data sets do,
    which leaves that distribution restricted to the frame: `density`, if points are rounded to pixels. So a viewer
    can have no point in a frame.

    Args:
        clip: what they watch.
        viewers: how many.
        seed: decides where they look; the same number as the clip's seed will do.

    Returns:
        at most one point a viewer and frame, ordered by frame, then by viewer (from 1); not rounded to pixels.
    """
    # A stream of its own: with the clip's, gaze would depend on where things happen to be.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    height, width = clip.size
    starts = accumulate((shot.frames for shot in clip.shots), initial=0)
    seen = [_watch(rng, clip, range(start, end), viewers) for start, end in pairwise(starts)]
    x, y = np.concatenate(seen, axis=1).T
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    frame, viewer = np.nonzero(inside)
    return Gaze(frame, viewer + 1, x[inside], y[inside], clip.size, clip.frames)


def _watch(rng: np.random.Generator, clip: Clip, shot: range, viewers: int) -> Floats:
    """(viewers, frames, 2): the gaze during the frames of one shot."""
    count, mean = len(shot), clip.habits.fixation * float(clip.rate)
    mixtures = [components(clip, index) for index in shot]
    # Real lengths are skewed like this. A fixation lasts a frame at least, so one for each frame is always enough.
    lengths = np.maximum(np.rint(rng.gamma(4, mean / 4, (viewers, count))).astype(int), 1)
    ends = np.minimum(np.cumsum(lengths, axis=1), count)
    ended = np.zeros((viewers, count + 1), int)
    np.add.at(ended, (np.arange(viewers)[:, None], ends), 1)
    fixation = np.cumsum(ended, axis=1)[:, :-1]
    weights, _, deviations = mixtures[0]
    picked = rng.choice(len(weights), (viewers, count), p=weights)
    offsets = rng.standard_normal((viewers, count, 2)) * deviations[picked]
    component = np.take_along_axis(picked, fixation, axis=1)
    offset = np.take_along_axis(offsets, fixation[..., None], axis=1)
    centres = np.stack([mixture.centres for mixture in mixtures])
    gaze: Floats = centres[np.arange(count), component] + offset
    return gaze
