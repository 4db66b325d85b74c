"""The encoder: torchvision's MobileNetV2 inflated to three dimensions, and the pyramid made of its features.

Source: the paper's section 3.1; see docs/model.md.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from tinyhd_lib.models.upsampling import enlarge

Triple = tuple[int, int, int]

# Temporal (kernel, stride, padding) of the depthwise convolutions that do not take over their spatial values.
_DEPTHWISE_TIME_S: dict[int, Triple] = {2: (3, 1, 1), 14: (3, 1, 1)}
_DEPTHWISE_TIME_M: dict[int, Triple] = {2: (3, 1, 1), 14: (2, 1, 0), 15: (1, 1, 0), 16: (1, 1, 0), 17: (1, 1, 0)}

# The features 1..18 in groups of equal size in space; the first group is the finest.
_PYRAMID_GROUPS = (slice(1, 2), slice(2, 4), slice(4, 7), slice(7, 14), slice(14, 19))


class Encoder(nn.Module):
    """MobileNetV2 in which every 2-D layer became its 3-D twin, with all channel counts but RGB divided."""

    def __init__(self, reduction: int, *, multi: bool) -> None:
        super().__init__()
        self.reduction = reduction
        with torch.device("meta"):
            self.features = mobilenet_v2().features
        depthwise_time = _DEPTHWISE_TIME_M if multi else _DEPTHWISE_TIME_S
        for index, block in enumerate(self.features):
            for name, layer in list(block.named_modules()):
                if isinstance(layer, nn.Conv2d):
                    time = depthwise_time.get(index) if layer.groups > 1 else None
                    block.set_submodule(name, _inflate_convolution(layer, reduction, time))
                elif isinstance(layer, nn.BatchNorm2d):
                    block.set_submodule(name, nn.BatchNorm3d(layer.num_features // reduction))

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature pyramid of a clip, finest level first.

        Args:
            clip: (N, 3, 16, H, W), H and W multiples of 32.

        Returns:
            Levels 1..4 at 1/2, 1/4, 1/8 and 1/16 of H x W, with 8, 4, 2 and 2 (S) or 1 (M) frames.
        """
        _, *features = accumulate(self.features, lambda x, block: block(x), initial=clip)
        finest, *groups = (torch.cat(features[group], dim=1) for group in _PYRAMID_GROUPS)
        shuffle = self.reduction != 8
        level1, level2, level3, level4 = (enlarge(group, shuffle=shuffle, lengthen=False) for group in groups)
        return torch.cat([finest, level1], dim=1), level2, level3, level4


def _inflate_convolution(layer: nn.Conv2d, reduction: int, time: Triple | None) -> nn.Conv3d:
    """Return the 3-D twin: a k x k kernel gets temporal kernel k, stride and padding alike, unless ``time`` differs."""
    space = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])  # alike in both axes
    kernel, stride, padding = ((along_time, each, each) for along_time, each in zip(time or space, space, strict=True))
    inputs = 3 if layer.in_channels == 3 else layer.in_channels // reduction
    outputs, groups = layer.out_channels // reduction, max(1, layer.groups // reduction)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


def inflated(values: Tensor, shape: torch.Size) -> Tensor:
    """Return a 2-D kernel (O, I, k, k) as a 3-D one of ``shape`` (O', I', t, k, k), or a batch norm's (O,) as (O',).

    A kernel is repeated along time without dividing by t; surplus channels are averaged in blocks of consecutive ones.
    """
    if values.ndim == 4:
        values = values.unsqueeze(2).expand(-1, -1, shape[2], -1, -1)
    return values.reshape(-1, *shape).mean(dim=0)
