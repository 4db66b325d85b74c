"""What all metrics share: one code for NumPy and torch, one frame or many, checked and brought to the same size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

Array = Any
"""A NumPy array or a torch tensor."""


class Frames(NamedTuple):
    """Predictions and their ground truths, flattened.

    Attributes:
        xp: the array library's namespace.
        saliency: (N, H * W) floating.
        truths: the ground truths, (N, H * W) each; floating, or boolean for fixations.
        single: whether one frame was given without a batch axis.
    """

    xp: Any
    saliency: Array
    truths: list[Array]
    single: bool

    def answer(self, values: Array) -> Array:
        """Scores (N,) as they are to be returned: a float for one NumPy frame, a scalar tensor for a torch one."""
        if not self.single:
            return values
        return float(values[0]) if isinstance(values, np.ndarray) else values[0]


def with_fixations(saliency: Array, *fixations: Array, what: str = "saliency") -> Frames:
    """Return a prediction, called ``what`` in errors, with boolean maps of fixations.

    Raises:
        ValueError: shapes, types or values that no metric can use.
    """
    for each in fixations:
        if "bool" not in str(each.dtype):
            raise ValueError(f"fixations are a boolean map, got {each.dtype} (write fixations > 0)")
    return _frames(saliency, fixations, what)


def with_maps(saliency: Array, ground_truth: Array) -> Frames:
    """Return a prediction with another saliency map.

    Raises:
        ValueError: shapes or values that no metric can use.
    """
    frames = _frames(saliency, [ground_truth], "saliency")
    truth = frames.xp.astype(frames.truths[0], frames.saliency.dtype, copy=False)
    _check_finite(frames.xp, truth, "ground truth")
    return frames._replace(truths=[truth])


def is_constant(xp: Any, values: Array) -> Array:
    """Return (N,) bool: which rows of (N, P) have a single value."""
    return xp.max(values, axis=-1) == xp.min(values, axis=-1)


def _frames(saliency: Array, truths: Sequence[Array], what: str) -> Frames:
    if any(isinstance(each, np.ma.MaskedArray) or "complex" in str(each.dtype) for each in (saliency, *truths)):
        raise ValueError(f"{what} and ground truths are arrays of real numbers, without a mask")
    # What is more than an array to NumPy, as a matrix is, is none here.
    saliency, *truths = (np.asarray(each) if isinstance(each, np.ndarray) else each for each in (saliency, *truths))
    try:
        xp = array_namespace(saliency, *truths)
    except TypeError as error:
        raise ValueError(f"{what} and ground truths are all NumPy arrays, or all torch tensors") from error
    shape = tuple(truths[0].shape)
    if len(shape) not in {2, 3} or any(tuple(each.shape) != shape for each in truths):
        shapes = ", ".join(str(tuple(each.shape)) for each in truths)
        raise ValueError(f"ground truths are (H, W) or (N, H, W), all alike, got {shapes}")
    if tuple(saliency.shape[:-2]) != shape[:-2] or len(saliency.shape) != len(shape):
        raise ValueError(f"{what} {tuple(saliency.shape)} does not fit a ground truth {shape}: one map for each")
    if 0 in saliency.shape or 0 in shape:
        raise ValueError(f"{what} {tuple(saliency.shape)} for a ground truth {shape}: there is nothing in it")
    # Apple's GPUs compute in float32 at most.
    saliency = xp.astype(saliency, xp.float32 if "mps" in str(device(saliency)) else xp.float64, copy=False)
    _check_finite(xp, saliency, what)
    if tuple(saliency.shape) != shape:
        saliency = resize(saliency, shape[-2:])
    rows = (-1, shape[-2] * shape[-1])
    flat = [xp.reshape(each, rows) for each in truths]
    return Frames(xp, xp.reshape(saliency, rows), flat, single=len(shape) == 2)


def _check_finite(xp: Any, values: Array, what: str) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        total = xp.sum(values)  # which a single one decides, at a third of the cost of asking each
    if not bool(xp.isfinite(total)):
        raise ValueError(f"{what} holds NaN or infinite values")


def resize(saliency: Array, size: tuple[int, int]) -> Array:
    """Return a map (..., h, w) at another size (H, W): bicubic, antialiased, held to the map's own range.

    The filter is that of MATLAB's imresize (Keys, a = -1/2). At the edges, where MATLAB mirrors the picture, this one
    uses what there is.
    """
    import torch
    from torch.nn.functional import interpolate

    numpy = isinstance(saliency, np.ndarray)
    # torch warns of arrays that it may not write to, though it does not.
    given = torch.from_numpy(np.require(saliency, requirements=["C", "W"])) if numpy else saliency
    planes = given.reshape(-1, 1, *given.shape[-2:])
    low, high = planes.amin((-2, -1), keepdim=True), planes.amax((-2, -1), keepdim=True)
    # PyTorch's antialiased filter is the one with Keys' a = -1/2; its plain one has -3/4.
    large = interpolate(planes, size, mode="bicubic", antialias=True).clamp(low, high).reshape(*given.shape[:-2], *size)
    return large.numpy() if numpy else large
