"""The teacher HD2S: an S3D backbone, four conspicuity decoders, and their fusion.

Source: Bellitto et al., Hierarchical Domain-Adapted Feature Learning for Video Saliency Prediction, IJCV 2021; see
docs/model.md.
"""

from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.video import s3d
from torchvision.ops import Conv2dNormActivation, Conv3dNormActivation

from tinyhd_lib.models.student import SaliencyOutput

# The slices of torchvision's S3D features that are the backbone's five blocks.
_BLOCKS = (slice(0, 2), slice(2, 5), slice(5, 8), slice(8, 14), slice(14, 16))
_NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 1e-3}
_HALVING: dict[str, Any] = {"kernel_size": (3, 1, 1), "stride": (2, 1, 1), "padding": (1, 0, 0)}


class Level(NamedTuple):
    """A conspicuity level: backbone channels, temporal halvings, and the decoder's stages as (width, depth)."""

    channels: int
    halvings: int
    stages: tuple[tuple[int, int], ...]


LEVELS = {
    2: Level(192, 3, ((128, 2), (64, 2), (3, 2))),
    3: Level(480, 2, ((256, 2), (128, 2), (64, 2), (3, 2))),
    4: Level(832, 1, ((512, 3), (256, 3), (128, 2), (64, 2), (3, 2))),
    5: Level(1024, 1, ((512, 3), (256, 3), (128, 2), (64, 2), (3, 2))),
}


class HD2S(nn.Module):
    """The teacher network; create it with `build_teacher`. 29,795,597 parameters."""

    def __init__(self) -> None:
        super().__init__()
        features = s3d().features
        self.backbone = nn.ModuleList(features[block] for block in _BLOCKS)
        self.collapse = nn.ModuleDict({str(level): _collapse_time(row) for level, row in LEVELS.items()})
        self.decoders = nn.ModuleDict({str(level): _conspicuity_decoder(row) for level, row in LEVELS.items()})
        self.fusion = nn.Conv2d(len(LEVELS), 1, kernel_size=1)

    def taps(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's output after each of its five blocks, (N, C, T, H, W) each."""
        _, *taps = accumulate(self.backbone, lambda x, block: block(x), initial=clip)
        return tuple(taps)

    def forward(self, clip: Tensor) -> SaliencyOutput:
        """Return the saliency of the clip's last frame.

        Args:
            clip: (N, 3, 16, H, W), RGB 0..255 mapped to [-1, 1] by (2x - 255) / 255; 128x192 is the teacher's own
                size, TinyHD feeds it 192x256.
        """
        taps = self.taps(clip)
        conspicuity = tuple(
            self.decoders[str(level)](self.collapse[str(level)](taps[level - 1]).squeeze(2)).sigmoid()
            for level in LEVELS
        )
        return SaliencyOutput(self.fusion(torch.cat(conspicuity[::-1], dim=1)).sigmoid(), conspicuity)


def build_teacher() -> HD2S:
    """Return a freshly initialised HD2S, in training mode."""
    return HD2S()


def _collapse_time(level: Level) -> nn.Sequential:
    """Return temporal convolutions that halve the frames until one is left."""
    norm, width = partial(nn.BatchNorm3d, **_NORM), level.channels
    halvings = [Conv3dNormActivation(width, width, norm_layer=norm, **_HALVING) for _ in range(level.halvings)]
    return nn.Sequential(*halvings)


def _conspicuity_decoder(level: Level) -> nn.Sequential:
    """Return stages of one full and some separable convolutions with x2 upsampling, and a 1x1 convolution to a map."""
    layers: list[nn.Module] = []
    channels = level.channels
    for width, depth in level.stages:
        layers.append(Conv2dNormActivation(channels, width, kernel_size=3, norm_layer=partial(nn.BatchNorm2d, **_NORM)))
        for _ in range(depth - 1):
            layers.append(Conv2dNormActivation(width, width, kernel_size=3, groups=width))
            layers.append(Conv2dNormActivation(width, width, kernel_size=1))
        layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, kernel_size=1))
