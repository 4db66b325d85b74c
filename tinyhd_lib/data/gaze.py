"""Ground truth read from files: saliency maps, fixation maps and gaze points."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import numpy as np

from tinyhd_lib.data.images import images_in, most_pixels, read_grey
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.errors import BadInput, refusing


def read_fixations(path: Path) -> Image:
    """Return a fixation map (H, W) bool from a PNG, or from the variable ``I`` of a .mat file.

    Raises:
        BadInput: it cannot be read.
    """
    if path.suffix != ".mat":
        return read_grey(path) > 0
    (fixations,) = read_fields(path, ["I"], "fixation maps")
    if fixations.ndim != 2:
        raise BadInput(f"{path}: I is a map (height, width), got {fixations.shape}")
    return fixations > 0


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an .npz or a .mat, sparse ones in full, or the one of an .npy, which has no name.

    Raises:
        BadInput: it cannot be read, or holds pickled objects.
    """
    try:
        if path.suffix.lower() == ".mat":
            from scipy.io import loadmat  # both are slow to import
            from scipy.sparse import issparse

            found = {name: array for name, array in loadmat(path).items() if not name.startswith("__")}
            return {name: array.toarray() if issparse(array) else array for name, array in found.items()}
        if path.suffix.lower() == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            size = sum(entry.file_size for entry in arrays.zip.infolist())
            if size <= 8 * most_pixels():
                return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # a damaged or foreign archive makes its readers raise all kinds
        newer = path.suffix == ".mat" and isinstance(error, NotImplementedError)
        remedy = "save it with -v7" if newer else "fetch or make it anew"
        raise BadInput(f"{path}: not an {path.suffix} that can be read ({error}); {remedy}") from error
    raise BadInput(f"{path}: unpacks to {size:,} bytes, which are too many; see TINYHD_MOST_PIXELS")


def read_fields(path: Path, names: Sequence[str], what: str) -> list[np.ndarray]:
    """Return the arrays of these names from an .npz or a .mat that holds ``what``, as errors call it.

    Raises:
        BadInput: it cannot be read, or one of them is missing.
    """
    arrays = read_arrays(path)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise BadInput(f"{path}: has no {missing[0]}; {what} have {', '.join(names)}")
    return [arrays[name] for name in names]


class GroundTruth(NamedTuple):
    """The ground truth of one frame.

    Attributes:
        saliency: (H, W) float32 saliency map, a density up to a factor.
        fixations: (H, W) bool fixation map.
    """

    saliency: Map
    fixations: Image


FIELDS_OF_POINTS = ("frame", "viewer", "x", "y")
FIELDS_OF_VIDEO = ("frames", "width", "height")
ASSUMED_WIDTH_DEGREES = 32.0
"""Width of a picture in degrees of visual angle that is assumed for data sets that do not state it."""

# Upper bound of a width, height or number of frames.
_MOST = 2**31


@dataclass(frozen=True)
class Viewing:
    """The visual angle of a picture for its observers, and the Gaussian that turns gaze points into a saliency map.

    Attributes:
        pixels_per_degree: of visual angle.
        assumed: whether that follows from `ASSUMED_WIDTH_DEGREES`.
        sigma_degrees: standard deviation of the Gaussian at every gaze point.
    """

    pixels_per_degree: float
    assumed: bool
    sigma_degrees: float = 1.0

    @property
    def sigma(self) -> float:
        """Return the standard deviation in pixels."""
        return self.sigma_degrees * self.pixels_per_degree

    def __str__(self) -> str:
        sure = f" (assumed: a picture {ASSUMED_WIDTH_DEGREES:g} degrees wide)" if self.assumed else ""
        return f"sigma {self.sigma_degrees:g} degrees = {self.sigma:.1f} pixels{sure}"


@dataclass(frozen=True)
class Gaze:
    """The gaze points of one video.

    Attributes:
        frame: (n,) frame of each point, from 0, ascending.
        observer: (n,) number of each point's observer.
        x: (n,) pixels from the centre of the leftmost pixel.
        y: (n,) pixels from the centre of the topmost pixel.
        size: (height, width) of the video.
        frames: of the video.
    """

    frame: np.ndarray
    observer: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: tuple[int, int]
    frames: int

    def at(self, index: int) -> Self:
        """Return the points of one frame."""
        first, last = np.searchsorted(self.frame, (index, index + 1))
        return self.select(slice(first, last))

    def of(self, observers: np.ndarray) -> Self:
        """Return the points of some observers."""
        return self.select(np.isin(self.observer, observers))

    def select(self, chosen: Any) -> Self:
        frame, observer, x, y = (points[chosen] for points in (self.frame, self.observer, self.x, self.y))
        return replace(self, frame=frame, observer=observer, x=x, y=y)

    def inside(self) -> Image:
        """Return (n,) bool: whether a point's nearest pixel is in the picture; False for NaN."""
        row, column = np.rint(self.y), np.rint(self.x)
        return (row >= 0) & (row < self.size[0]) & (column >= 0) & (column < self.size[1])

    def counts(self) -> Map:
        """Return (H, W) float32: how many points fall on each pixel; points outside of the picture are left out."""
        inside = self.inside()
        places = (np.rint(self.y[inside]) * self.size[1] + np.rint(self.x[inside])).astype(int)
        flat = np.bincount(places, minlength=self.size[0] * self.size[1])
        return flat.reshape(self.size).astype(np.float32)


def blur(counts: Map, sigma: float) -> Map:
    """Return a saliency map (H, W) float32: a Gaussian of ``sigma`` pixels at each fixation, reflected at the edges."""
    rows, columns = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0))
    if not 0 < 4 * len(rows) <= len(counts):
        return cv2.GaussianBlur(counts, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    # Few points: the same sums, as a product of a Gaussian for each row and one for each column that has points.
    down, across = (
        np.stack([_gaussian(int(place), length, sigma) for place in places])
        for places, length in zip((rows, columns), counts.shape, strict=True)
    )
    return down.T @ (counts[np.ix_(rows, columns)] @ across)


@lru_cache(maxsize=2048)  # the same places recur, in other frames and for subsets of observers
def _gaussian(place: int, length: int, sigma: float) -> Map:
    """Return (length,) float32: a Gaussian at a place, truncated and reflected as OpenCV's blur does."""
    point = np.zeros((1, length), np.float32)
    point[0, place] = 1
    return cv2.GaussianBlur(point, (0, 1), sigma, borderType=cv2.BORDER_REFLECT)[0]


def read_gaze(path: Path) -> Gaze:
    """Read an .npz with frame, viewer, x, y of every point, and frames, width, height of the video; or AViMoS' JSON.

    Raises:
        BadInput: it is no such file.
    """
    return _read_gaze(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _read_gaze(path: Path, _written: int) -> Gaze:
    if path.suffix == ".json":
        return _read_lists(path)
    fields = read_fields(path, FIELDS_OF_POINTS + FIELDS_OF_VIDEO, "gaze points")
    given, sizes = fields[: len(FIELDS_OF_POINTS)], fields[len(FIELDS_OF_POINTS) :]
    if any(each.ndim != 1 or each.dtype.kind not in "fiu" or len(each) != len(given[0]) for each in given):
        raise BadInput(f"{path}: {', '.join(FIELDS_OF_POINTS)} are as many numbers each")
    if any(each.ndim or each.dtype.kind not in "iuf" or not 1 <= each < _MOST or each % 1 for each in sizes):
        raise BadInput(f"{path}: {', '.join(FIELDS_OF_VIDEO)} are whole numbers from 1")
    if not (np.isfinite(given[0]).all() and (given[0] % 1 == 0).all()):
        raise BadInput(f"{path}: frame holds values that are no whole numbers; frames count from 0")
    order = np.argsort(given[0], kind="stable")
    frame, observer, x, y = (each[order] for each in given)
    frames, width, height = map(int, sizes)
    return Gaze(frame.astype(int), observer.astype(int), x.astype(float), y.astype(float), (height, width), frames)


def _read_lists(path: Path) -> Gaze:
    """Read a JSON list with the points [x, y] of every frame, in pixels; without observers, so all have the same."""
    kinds = ValueError, TypeError, OverflowError, RecursionError
    with refusing(f"{path}: not a list with the points [x, y] of every frame", *kinds, remedy="fetch it anew"):
        lists = [np.array(points, float).reshape(len(points), 2) for points in json.loads(path.read_bytes())]
        x, y = np.concatenate(lists).T
    frame = np.repeat(np.arange(len(lists)), [len(points) for points in lists])
    return Gaze(frame, np.zeros_like(frame), x, y, size_beside(path), len(lists))


def size_beside(path: Path) -> tuple[int, int]:
    """Return (height, width) of the fixation maps beside AViMoS' JSON, which are as large as the video.

    Raises:
        BadInput: they are missing.
    """
    height, width = read_grey(images_in(path.with_name("fixations"))[0]).shape
    return height, width


def gaze_file(gaze: Gaze, fps: float, kind_of_places: type[np.floating[Any]] = np.float16) -> bytes:
    """Return an .npz of gaze, ordered by observer, in the compact types of published files, wider where necessary.

    Args:
        gaze: of a video.
        fps: of the video.
        kind_of_places: type of x and y; float16, as published, moves points by up to a pixel if a picture is wider than
            512.
    """
    order = np.argsort(gaze.observer, kind="stable")
    height, width = gaze.size
    fields: dict[str, Any] = {"width": width, "height": height, "frames": gaze.frames, "fps": fps}
    for name, counts, kind in (("frame", gaze.frame, np.int16), ("viewer", gaze.observer, np.int8)):
        needed = np.min_scalar_type(-int(counts.max(initial=1)))
        fields[name] = counts[order].astype(np.promote_types(kind, needed))
    for name, places, end in (("x", gaze.x, width - 0.5), ("y", gaze.y, height - 0.5)):
        # Rounding may move a point near the right or the lower edge out of the frame.
        most = np.nextafter(kind_of_places(end), kind_of_places(0))
        fields[name] = np.minimum(places[order].astype(kind_of_places), most)
    file = io.BytesIO()
    np.savez_compressed(file, **fields)
    return file.getvalue()


def read_viewing(root: Path, name: str, width: int) -> Viewing:
    """Return a video's viewing conditions from GAZE.json, or the assumed ones.

    Raises:
        BadInput: GAZE.json exists, and cannot be read.
    """
    path = root / "GAZE.json"
    wrong = f"{path}: not a JSON object with an entry for each video"
    with refusing(wrong, ValueError, AttributeError, TypeError):
        stated = json.loads(path.read_bytes()).get(name, {}).get("pixels_per_degree") if path.exists() else None
        return Viewing(float(stated or width / ASSUMED_WIDTH_DEGREES), assumed=not stated)


def truth_of(points: Gaze, viewing: Viewing | None) -> GroundTruth:
    """Return the ground truth that gaze points make."""
    assert viewing is not None
    counts = points.counts()
    return GroundTruth(blur(counts, viewing.sigma), counts > 0)


def places_of(fixations: Image) -> np.ndarray:
    """Return the centres of a map's fixated pixels: (n, 2), row and column as fractions of height and width."""
    return (np.argwhere(fixations) + 0.5) / fixations.shape


def as_fixations(places: np.ndarray, size: tuple[int, ...]) -> Image:
    """Return a fixation map (H, W) bool of any size, from places (n, 2) as fractions of height and width."""
    fixations = np.zeros(size, bool)
    fixations[tuple((places * size).astype(int).T)] = True
    return fixations
