"""Gaze at a synthetic clip: a density in closed form, and simulated observers who follow it."""

from itertools import accumulate, pairwise

import numpy as np
from scipy.special import ndtr

from tinyhd_lib.data.gaze import Gaze
from tinyhd_lib.data.synthetic.scenes import Floats, SyntheticVideo

Gaussians = tuple[Floats, Floats, Floats]
"""A mixture: weight (K,), centre (K, 2) and standard deviations (K, 2) of each component, (x, y)."""


def components(clip: SyntheticVideo, index: int) -> Gaussians:
    """Return the mixture that gaze at a frame is drawn from, not yet cut off at its edges: things, then the centre."""
    shot, time = clip.at(index)
    (height, width), habits = clip.size, clip.habits
    around_things = np.full((len(shot.things), 2), habits.spread * width)
    around_middle = np.array(habits.centre_spread) * (width, height)
    weights = np.array([*(thing.weight for thing in shot.things), habits.centre_weight])
    centres = np.array([*(thing.centre(time) for thing in shot.things), ((width - 1) / 2, (height - 1) / 2)])
    return weights, centres, np.vstack([around_things, around_middle])


def density(clip: SyntheticVideo, index: int) -> Floats:
    """Return the probability of each pixel of a frame to be looked at by an observer who looks at the frame.

    Returns:
        (H, W), sum 1. It has the Gaussians' integrals over the pixels, not their values at the pixels' centres, and so
        is exact however narrow they are.
    """
    weights, centres, deviations = components(clip, index)
    down, across = (
        np.diff(ndtr((np.arange(length + 1) - 0.5 - centres[:, axis, None]) / deviations[:, axis, None]))
        for axis, length in ((1, clip.size[0]), (0, clip.size[1]))
    )
    seen = np.einsum("k,ky,kx->yx", weights, down, across)
    return seen / seen.sum()


def simulate_observers(clip: SyntheticVideo, observers: int, seed: int) -> Gaze:
    """Return the gaze of simulated observers, independent of one another, at a clip.

    At the start of a fixation an observer picks a component and an offset from its centre, and keeps both while the
    component moves. A fixation's length does not depend on the pick, and all pick anew at a cut; hence in every frame
    the gaze follows the mixture exactly. Gaze outside of the frame is dropped, as in real data sets, which leaves the
    distribution restricted to the frame: `density`, if points are rounded to pixels. So an observer can have no point
    in a frame.

    Args:
        clip: what they watch.
        observers: number of observers.
        seed: of the gaze; it may equal the clip's seed.

    Returns:
        at most one point per observer and frame, ordered by frame, then by viewer (from 1); not rounded to pixels.
    """
    # A random stream of its own: with the clip's, gaze would depend on the draws that placed the things.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    starts = accumulate((shot.frames for shot in clip.shots), initial=0)
    seen = [_watch(rng, clip, range(start, end), observers) for start, end in pairwise(starts)]
    x, y = np.concatenate(seen, axis=1).T
    frame, observer = (each.ravel() for each in np.indices(x.shape))
    gaze = Gaze(frame, observer + 1, x.ravel(), y.ravel(), clip.size, clip.frames)
    return gaze.select(gaze.inside())


def _watch(rng: np.random.Generator, clip: SyntheticVideo, shot: range, observers: int) -> Floats:
    """Return (observers, frames, 2): the gaze during the frames of one shot."""
    count, mean = len(shot), clip.habits.fixation * float(clip.rate)
    mixtures = [components(clip, index) for index in shot]
    # Real lengths are skewed like this. A fixation lasts at least a frame, so one draw for each frame is enough.
    lengths = np.maximum(np.rint(rng.gamma(4, mean / 4, (observers, count))).astype(int), 1)
    numbers = [np.repeat(np.arange(count), each)[:count] for each in lengths]
    fixation = np.array(numbers, int).reshape(lengths.shape)  # of no observers, too
    weights, _, deviations = mixtures[0]
    picked = rng.choice(len(weights), (observers, count), p=weights)
    offsets = rng.standard_normal((observers, count, 2)) * deviations[picked]
    component = np.take_along_axis(picked, fixation, axis=1)
    offset = np.take_along_axis(offsets, fixation[..., None], axis=1)
    centres = np.stack([middles for _, middles, _ in mixtures])
    return centres[np.arange(count), component] + offset
