"""Teachers and students looked into: their maps over time, how much these say, and how alike they are."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import entropy
from tqdm.auto import tqdm

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Clip, DecodedSource, Source, decoded, resized
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import count_frames_in
from tinyhd_lib.errors import BadInput
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.training.models import Answers, WindowModel

_SIGMA = 0.25
_D1 = [f"D1 map {number}" for number in range(1, 5)]


def open_clip(path: Path) -> DecodedSource:
    """Open any video as a source of clips, at the models' size.

    Raises:
        BadInput: it cannot be read.
    """
    return decoded(Video(path.stem, "all", path, tuple(map(str, range(count_frames_in(path))))))


def end_to_end(source: Source, first: int, windows: int) -> list[Clip]:
    """Return so many windows of sixteen frames, one after the other.

    Raises:
        BadInput: the video is too short for them.
    """
    end = first + windows * CLIP_FRAMES
    if first < 0 or windows < 1 or end > source.count:
        fit = f"{source.video.name}: {source.count} frames"
        raise BadInput(f"{fit}, but {windows} windows from frame {first} on were wanted: lower FIRST or WINDOWS")
    return [Clip(0, start) for start in range(first, end, CLIP_FRAMES)]


def window_frames(source: Source, clips: Sequence[Clip]) -> Image:
    """Return the frames of several windows, (n, 16, 192, 256, 3) uint8 RGB, decoded in one go."""
    indices = [index for clip in clips for index in clip.indices(source.count)]
    return source.frames(indices).reshape(len(clips), CLIP_FRAMES, *INPUT_SIZE, 3)


def maps_over_time(model: WindowModel, windows: Iterable[Image]) -> Answers:
    """Return what a model says of each window's last frame.

    Args:
        model: whose maps are wanted.
        windows: (16, h, w, 3) uint8 RGB each.

    Returns:
        ``map`` (n, H, W), ``d1`` (n, 4, H, W), and what else there is, (n, H, W).
    """
    answers = [model(frames) for frames in windows]
    last = {name: np.stack([answer[name][:, -1] for answer in answers]) for name in answers[0]}
    return {name: maps if name == "d1" else maps[:, 0] for name, maps in last.items()}


def decoder_maps(answers: Answers) -> dict[str, Map]:
    """Return the answers of `maps_over_time` one by one, (n, H, W) each: D1's four maps, D2, D3, and ``fused`` last."""
    decoders = {name.upper(): maps for name, maps in answers.items() if name not in {"map", "d1"}}
    first = dict(zip(_D1, np.moveaxis(answers["d1"], 1, 0), strict=True)) if "d1" in answers else {}
    return first | decoders | {"fused": answers["map"]}


def fusion_weights(model: TinyHD) -> dict[str, float]:
    """Return what the fusion multiplies each decoder's maps by before it adds them; below 0, a map is turned round."""
    names = [_D1 if name == "d1" else [name.upper()] for name in model.decoders]
    ordered = [*names[1:], names[0]] if model.spec.d1_last else names
    return dict(zip(chain.from_iterable(ordered), model.fusion.weight.detach().flatten().tolist(), strict=True))


def similarity_table(maps: Mapping[str, Map]) -> pd.DataFrame:
    """Return how alike any two maps are, on average over frames, from the least to the most.

    Args:
        maps: (n, H, W) of every decoder by its name.

    Returns:
        a row a pair: ``first``, ``second``, ``cc`` (-1 to 1), ``sim`` (0 to 1), and ``explained``: how much of the one
        map's variance a straight line through the other explains, the mean of CC squared.
    """
    rows = []
    for (first, a), (second, b) in combinations(maps.items(), 2):
        correlations = metrics.cc(a, b)
        means = (np.mean(each) for each in (correlations, metrics.sim(a, b), correlations**2))
        rows.append((first, second, *map(float, means)))
    return pd.DataFrame(rows, columns=["first", "second", "cc", "sim", "explained"]).sort_values(
        "explained", ignore_index=True
    )


def map_entropy(maps: Map) -> Map:
    """Return the Shannon entropy of maps (..., H, W), each divided by its sum, in bits.

    0 where all is in one pixel, log2(H W) where all pixels are alike.
    """
    return np.asarray(entropy(maps.reshape(*maps.shape[:-2], -1).astype(np.float64), base=2, axis=-1))


def centre_bias(maps: Map) -> Map:
    """Return the linear correlation (CC) of maps (n, H, W) with `centred_gaussian`: -1 to 1, 0 for a constant map."""
    centre = centred_gaussian((maps.shape[-2], maps.shape[-1]))
    return np.asarray(metrics.cc(maps.astype(np.float64), np.broadcast_to(centre, maps.shape)))


def centred_gaussian(size: tuple[int, int]) -> Map:
    """Return a Gaussian (H, W) about the frame's middle, its deviations a quarter of the height and of the width."""
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) / _SIGMA for side in size)
    return np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / 2)


def matching_table(names: Sequence[str], target: Map, found: Map) -> pd.DataFrame:
    """Return how far maps are from what they are to be.

    Args:
        names: of the maps: levels, or frames.
        target: (n, h, w) the teacher's.
        found: (n, H, W) the student's.

    Returns:
        for each ``kl``, the divergence that a loss sums up, and ``kl_uniform``, that of a uniform map, both in nats;
        and their correlation ``cc``.
    """
    target = np.ascontiguousarray(resized(target, (found.shape[1], found.shape[2])))
    wanted, maps = torch.from_numpy(target), torch.from_numpy(np.ascontiguousarray(found))
    columns = {"kl": kl_divergence(maps, wanted), "kl_uniform": kl_divergence(torch.ones_like(wanted), wanted)}
    return pd.DataFrame({"name": names, **columns, "cc": metrics.cc(found, target)})


def milliseconds_in_turns(models: Sequence[WindowModel], frames: Image, repeats: int) -> list[float]:
    """Return the median time that each of several models takes for a window, in milliseconds.

    Args:
        models: they take turns, so that all meet the same machine.
        frames: (16, h, w, 3) uint8 RGB.
        repeats: how often each is timed, after a pass to warm up.
    """
    times = [[_milliseconds(model, frames) for model in models] for _ in tqdm(range(repeats + 1), desc="timing")]
    return np.median(times[1:], axis=0).tolist()


def _milliseconds(model: WindowModel, frames: Image) -> float:
    begun = time.perf_counter()
    model(frames)
    return 1e3 * (time.perf_counter() - begun)
