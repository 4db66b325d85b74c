"""Whether a model's decoders say different things: their maps, how the fusion weighs them, and how alike they are."""

from collections.abc import Mapping
from itertools import chain, combinations

import numpy as np
import pandas as pd
import torch

from tinyhd_lib import metrics
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.models.student import TinyHD
from tinyhd_lib.training.models import normalised

_MAPS_OF = {"d1": [f"D1 map {number}" for number in range(1, 5)], "d2": ["D2"], "d3": ["D3"]}


def fusion_weights(model: TinyHD) -> dict[str, float]:
    """What the fusion multiplies each decoder's maps by before it adds them up; a negative weight turns a map round."""
    names = [_MAPS_OF[name] for name in model.decoders]
    ordered = [*names[1:], names[0]] if model.spec.d1_last else names
    return dict(zip(chain.from_iterable(ordered), model.fusion.weight.detach().flatten().tolist(), strict=True))


@torch.inference_mode()
def decoder_maps(model: TinyHD, windows: Image) -> dict[str, Map]:
    """What a model's decoders say of each window's last frame, D1's four maps one by one, and the fusion last.

    Args:
        model: in evaluation mode.
        windows: (n, 16, H, W, 3) uint8 RGB.

    Returns:
        (n, H, W) by name; a decoder of one map a clip says the same of all its frames.
    """
    outputs = [model(normalised(torch.from_numpy(frames)[None])) for frames in windows]
    said = [np.concatenate([maps[0, :, -1] for maps in output.side_maps]) for output in outputs]
    names = chain.from_iterable(_MAPS_OF[name] for name in model.decoders)
    fused = np.stack([output.map.reshape(-1, *output.map.shape[-2:])[-1] for output in outputs])
    return dict(zip(names, np.stack(said, axis=1), strict=True)) | {"fused": fused}


def similarity_table(maps: Mapping[str, Map]) -> pd.DataFrame:
    """How alike any two decoders' maps are, on average over frames, from the least to the most.

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
    table = pd.DataFrame(rows, columns=["first", "second", "cc", "sim", "explained"])
    return table.sort_values("explained", ignore_index=True)
