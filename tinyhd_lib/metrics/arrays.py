"""Shared steps of all metrics: NumPy or torch, one frame or many, checked, and resized to the same size."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from tinyhd_lib.metrics.ranks import PART, Array, Histogram

_STEPS = 10
"""Borji's and the shuffled AUC use the thresholds 0, 0.1, ... 1 of the map scaled to 0..1."""

_LARGE = 1e306
"""A larger range, times ten, could overflow float64."""


class Prepared:
    """Maps with the quantities that several metrics need, each computed on first use and kept.

    Attributes:
        xp: the array library's namespace.
        maps: (H, W) or (N, H, W) floating, as given.
        rows: (N, H * W), the same values.
    """

    def __init__(self, xp: Any, maps: Array) -> None:
        self.xp, self.maps = xp, maps
        self.rows = xp.reshape(maps, (-1, maps.shape[-2] * maps.shape[-1]))
        self._ranked: tuple[Fixations | None, Any] = None, None

    @cached_property
    def low(self) -> Array:
        """Return the least value of each row, (N, 1)."""
        return self.xp.min(self.rows, axis=-1, keepdims=True)

    @cached_property
    def high(self) -> Array:
        """Return the greatest value of each row, (N, 1)."""
        return self.xp.max(self.rows, axis=-1, keepdims=True)

    @property
    def constant(self) -> Array:
        """Return (N,) bool: which rows have a single value."""
        return (self.low == self.high)[:, 0]

    @cached_property
    def total(self) -> Array:
        """Return the sum of each row, (N, 1)."""
        return self.xp.sum(self.rows, axis=-1, keepdims=True)

    @cached_property
    def range(self) -> Array:
        """Return the greatest value of each row less its least, (N, 1); 1 where it is constant."""
        with np.errstate(over="ignore"):
            return self.xp.where(self.constant[:, None], 1.0, self.high - self.low)

    @cached_property
    def deviation(self) -> Array:
        """Return the standard deviation of each row in units of its range, (N, 1); 1 where it is constant."""
        _, centred = self.levelled
        squares = self.xp.vecdot(centred, centred)[:, None]
        return self.xp.where(squares > 0, self.xp.sqrt(squares / max(self.rows.shape[-1] - 1, 1)), 1.0)

    @cached_property
    def levelled(self) -> tuple[Array, Array]:
        """Return each row's mean above its least value (N, 1), and the rows less their means (N, P).

        Both are in units of the rows' ranges, so that squares do not overflow.
        """
        above = self.rows - self.low
        above /= self.range
        level = self.xp.mean(above, axis=-1, keepdims=True)
        above -= level
        return level, above

    @cached_property
    def positive(self) -> tuple[Array | None, Array]:
        """Return the positions (K,) of a single row's positive values, and these (1, K); None and all for more rows."""
        places = self.xp.nonzero(self.rows[0] > 0)[0] if len(self.rows) == 1 else None
        return places, self.taken(places)

    def taken(self, places: Array | None) -> Array:
        """Return the values at these places (K,) of each row, (N, K); all, if they are None."""
        return self.rows if places is None else self.xp.take(self.rows, places, axis=-1)

    def ranks(self, chosen: "Fixations") -> tuple[Array, Array, Array]:
        """Return how many values are below those `at` fixations, how many up to them, and how many reach each level.

        The latest answer is kept, since several metrics ask for the same.

        Returns:
            (N, K), (N, K) and (N, 11): see `below` and `levels`.
        """
        if self._ranked[0] is not chosen:
            less, most = self.below(self.xp.concat([self.at(chosen)[0], self.levels], axis=-1))
            parts = less[:, : chosen.most], most[:, : chosen.most], self.rows.shape[-1] - less[:, chosen.most :]
            self._ranked = chosen, parts
        return self._ranked[1]

    def below(self, values: Array) -> Any:
        """Return, for each of ``values`` (N, K), how many values of its row are less, and how many are not greater."""
        if not isinstance(values, np.ndarray):
            ascending = self.xp.sort(self.rows, axis=-1)
            return [self.xp.searchsorted(ascending, values, side=side) for side in ("left", "right")]
        return np.stack([each.below(row) for each, row in zip(self._histograms, values, strict=True)], axis=1)

    @cached_property
    def _histograms(self) -> list[Histogram]:
        return [Histogram(*row) for row in zip(self.rows, self.low, self.range, strict=True)]

    @cached_property
    def levels(self) -> Array:
        """Return the eleven thresholds from the greatest value of each row to its least, in equal steps, (N, 11)."""
        step = self.xp.flip(self.xp.arange(_STEPS + 1, dtype=self.low.dtype, device=device(self.low)))
        size = self.xp.where(self.range > _LARGE, 16.0, 1.0)  # a range of that size would overflow when multiplied
        low, high = self.low / size, self.high / size
        # Rounding must not raise the highest level above the maximum.
        return self.xp.minimum((low + (high - low) * step / _STEPS) * size, self.high)

    def at(self, chosen: "Fixations") -> tuple[Array, Array]:
        """Return the values at the fixated pixels, ascending (N, K), and the number of fixations of each row (N,).

        Rows with fewer fixations than others are padded with -inf at their start; K is at least 1.
        """
        xp, where = self.xp, device(self.rows)
        place, row, position, counts = chosen.places
        values = xp.full((len(self.rows), chosen.most), -xp.inf, dtype=self.rows.dtype, device=where)
        values[row, position] = xp.reshape(self.rows, (-1,))[place]
        return xp.sort(values, axis=-1, stable=False), xp.astype(counts, self.rows.dtype)


class Fixations:
    """Boolean fixation maps with the positions of their fixations, computed on first use and kept.

    Attributes:
        xp: the array library's namespace.
        maps: (H, W) or (N, H, W) boolean, as given.
    """

    def __init__(self, xp: Any, maps: Array) -> None:
        self.xp, self.maps = xp, maps

    @cached_property
    def places(self) -> tuple[Array, Array, Array, Array]:
        """Return, of each of M fixated pixels, its flat index, its map and its rank there; and each map's count."""
        xp, where, pixels = self.xp, device(self.maps), self.maps.shape[-2] * self.maps.shape[-1]
        flat = xp.reshape(self.maps, (-1,))
        (place,) = xp.nonzero(flat)
        maps = xp.arange(flat.shape[0] // pixels + 1, device=where)
        edges, row = xp.searchsorted(place, maps * pixels), place // pixels
        return place, row, xp.arange(place.shape[0], device=where) - edges[row], edges[1:] - edges[:-1]

    @cached_property
    def most(self) -> int:
        """Return the greatest number of fixated pixels in a map, at least 1."""
        return max(1, int(self.xp.max(self.places[-1])))


def summed(xp: Any, term: Callable[..., Array], *maps: Array) -> Array:
    """Return the sums (N,) of a term over all pixels; on a CPU in blocks that fit its cache.

    Args:
        xp: the array library's namespace.
        term: computes the terms (N, K) from K values of each of the maps.
        maps: of one size, (N, P) each.
    """
    count, pixels = maps[0].shape
    step = max(2**10, PART // count) if str(device(maps[0])) == "cpu" else pixels
    parts = ([each[:, start : start + step] for each in maps] for start in range(0, pixels, step))
    return sum(xp.sum(term(*part), axis=-1) for part in parts)


class Frames(NamedTuple):
    """Predictions and their ground truths.

    Attributes:
        saliency: the predictions, N of them.
        truths: the ground truths: `Fixations`, or maps.
        single: whether one frame was given without a batch axis.
    """

    saliency: Prepared
    truths: list[Any]
    single: bool

    def answer(self, values: Array) -> Array:
        """Return scores (N,) as a metric returns them: for a single frame, a float or a scalar tensor."""
        if not self.single:
            return values
        return float(values[0]) if isinstance(values, np.ndarray) else values[0]


def prepare(maps: Array | Prepared, size: tuple[int, int] | None = None, what: str = "saliency") -> Prepared:
    """Return checked maps, which several metrics can take, so that shared quantities are computed once.

    Args:
        maps: (H, W) or (N, H, W); prepared ones stay as they are.
        size: (height, width) to which they are resized; their own if None.
        what: their name in errors.

    Raises:
        ValueError: shapes, types or values that no metric can use.
    """
    if not isinstance(maps, Prepared):
        maps = _plain(maps, what)
        # Apple's GPUs compute in float32 at most.
        xp, kind = array_namespace(maps), "float32" if "mps" in str(device(maps)) else "float64"
        maps = Prepared(xp, xp.astype(maps, getattr(xp, kind), copy=False))
        with np.errstate(invalid="ignore", over="ignore"):
            total = xp.sum(maps.total)  # a single bad value makes it non-finite, at a third of the cost of testing each
        if not bool(xp.isfinite(total)):
            raise ValueError(f"{what} holds NaN or infinite values, or some so large that their sum is infinite")
    return maps if size in {None, maps.maps.shape[-2:]} else Prepared(maps.xp, resize(maps.maps, size))


def prepare_fixations(fixations: Array | Fixations) -> Fixations:
    """Return checked boolean maps, which several metrics can take, so that fixations are found once.

    Args:
        fixations: (H, W) or (N, H, W) boolean; prepared ones stay as they are.

    Raises:
        ValueError: shapes or types that no metric can use.
    """
    if isinstance(fixations, Fixations):
        return fixations
    plain = _plain(fixations, "fixations")
    if "bool" not in str(plain.dtype):
        raise ValueError(f"fixations are a boolean map, got {plain.dtype} (write fixations > 0)")
    return Fixations(array_namespace(plain), plain)


def with_fixations(saliency: Array | Prepared, *fixations: Array | Fixations, what: str = "saliency") -> Frames:
    """Return a prediction, named ``what`` in errors, with fixation maps as its ground truths.

    Raises:
        ValueError: shapes, types or values that no metric can use.
    """
    truths = [prepare_fixations(each) for each in fixations]
    prediction = _fitting(prepare(saliency, what=what), [each.maps for each in truths], what)
    return Frames(prediction, truths, single=len(truths[0].maps.shape) == 2)


def with_maps(saliency: Array | Prepared, ground_truth: Array | Prepared) -> Frames:
    """Return a prediction with a saliency map as its ground truth.

    Raises:
        ValueError: shapes or values that no metric can use.
    """
    truth = prepare(ground_truth, what="ground truth")
    prediction = _fitting(prepare(saliency), [truth.maps], "saliency")
    return Frames(prediction, [truth], single=len(truth.maps.shape) == 2)


def _plain(array: Array, what: str) -> Array:
    """Return a checked array as a plain ndarray, without a subclass such as ``matrix``; tensors stay."""
    if not hasattr(array, "dtype"):
        raise ValueError(f"{what} is a NumPy array or a torch tensor, got {type(array).__name__}")
    is_real = getattr(array.dtype, "kind", "f") in "biuf" and "complex" not in str(array.dtype)
    if isinstance(array, np.ma.MaskedArray) or not is_real:
        raise ValueError(f"{what} is an array of real numbers, without a mask, got {array.dtype}")
    if len(array.shape) not in {2, 3} or 0 in array.shape:
        raise ValueError(f"{what} is (H, W) or (N, H, W), with something in it, got {tuple(array.shape)}")
    return np.asarray(array) if isinstance(array, np.ndarray) else array


def _fitting(prediction: Prepared, truths: Sequence[Array], what: str) -> Prepared:
    """Return a prediction at the size of its ground truths."""
    try:
        array_namespace(prediction.maps, *truths)
    except TypeError as error:
        raise ValueError(f"{what} and ground truths are all NumPy arrays, or all torch tensors") from error
    given, shape = tuple(prediction.maps.shape), tuple(truths[0].shape)
    if any(tuple(each.shape) != shape for each in truths):
        raise ValueError(f"ground truths are all alike, got {', '.join(str(tuple(each.shape)) for each in truths)}")
    if given[:-2] != shape[:-2]:
        raise ValueError(f"{what} {given} does not fit a ground truth {shape}: one map for each")
    return prepare(prediction, shape[-2:])


def resize(saliency: Array, size: tuple[int, int]) -> Array:
    """Return a map (..., h, w) at another size (H, W): bicubic, antialiased, clipped to the map's own range.

    The filter is that of MATLAB's imresize (Keys, a = -1/2). At the edges, where MATLAB mirrors the picture, this one
    is truncated and renormalised.
    """
    import torch
    from torch.nn.functional import interpolate

    numpy = isinstance(saliency, np.ndarray)
    # torch warns about read-only arrays, though it does not write.
    given = torch.from_numpy(np.require(saliency, requirements=["C", "W"])) if numpy else saliency
    planes = given.reshape(-1, 1, *given.shape[-2:])
    low, high = planes.amin((-2, -1), keepdim=True), planes.amax((-2, -1), keepdim=True)
    # PyTorch's antialiased filter is the one with Keys' a = -1/2; its plain one has -3/4.
    resized = interpolate(planes, size, mode="bicubic", antialias=True).clamp_(low, high)
    large = resized.reshape(*given.shape[:-2], *size)
    return large.numpy() if numpy else large
