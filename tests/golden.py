"""Reference outputs of every model in the table, for checkouts without the published outputs.

``python tests/golden.py`` writes them. The numbers are our own: the code that computed them reproduced all published
outputs, and they guard against later changes.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

from tinyhd_lib import MODEL_SPECS, build_model

GOLDEN_FILE = Path(__file__).with_name("golden.json")
_SIZE = (64, 96)


def wave(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean 0 and variance 1 that depend only on a name and a shape, not on the machine."""
    steps = np.arange(np.prod(shape, dtype=int))
    return np.sqrt(2) * np.sin(1.7 * steps + 0.01 * steps**1.3 + zlib.crc32(name.encode()) % 1000).reshape(shape)


def reference_outputs(row: str) -> dict[str, list[float]]:
    """Five numbers for the fused map and for each decoder's maps: mean, standard deviation and three samples."""
    model = build_model(MODEL_SPECS[row]).eval()
    for name, tensor in model.state_dict().items():
        kind = name.rpartition(".")[2]
        if kind == "num_batches_tracked":
            continue
        noise = wave(name, tuple(tensor.shape))
        if kind == "running_var":
            noise = 1 + 0.2 * np.abs(noise)
        elif kind in {"running_mean", "bias"}:
            noise = 0.1 * noise
        elif tensor.ndim == 1:
            noise = 1 + 0.1 * noise
        else:
            noise = noise * np.sqrt(2 / np.prod(tensor.shape[1:]))
        tensor.copy_(torch.from_numpy(noise))
    with torch.no_grad():
        fused, side_maps = model(torch.from_numpy(wave("clip", (1, 3, 16, *_SIZE))).float())
    return {name: _sample(maps) for name, maps in (("map", fused), *zip(model.spec.names, side_maps, strict=True))}


def _sample(maps: torch.Tensor) -> list[float]:
    quarter = maps.numel() // 4
    return [float(maps.mean()), float(maps.std()), *maps.flatten()[quarter::quarter].tolist()]


if __name__ == "__main__":
    outputs = {row: reference_outputs(row) for row in MODEL_SPECS}
    GOLDEN_FILE.write_text(json.dumps(outputs, indent=1) + "\n")
