"""The three heterogeneous decoders, one class each, with the tables of their blocks, and the upsampling of maps.

Source: the paper's section 3.2; see docs/model.md. L1..L4 are the pyramid's levels, finest first; every decoder
returns logits.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv3dNormActivation

from tinyhd_lib.models.spec import CLIP_FRAMES, ModelSpec

Levels = tuple[Tensor, Tensor, Tensor, Tensor]
Channels = tuple[tuple[int, int], ...]

Triple = tuple[int, int, int]
"""Kernel, stride and padding of a convolution along time."""

# Of a block's depthwise convolution.
_HALVE: Triple = (3, 2, 1)
_BLEND: Triple = (3, 1, 1)
_FRAMEWISE: Triple = (1, 1, 0)

# Input channels of the first block of each of D1's branches, for L1..L4, by the encoder's reduction.
_D1_INPUTS = {1: (28, 24, 136, 130), 2: (14, 12, 68, 65), 4: (7, 6, 34, 130), 8: (8, 12, 68, 65)}
_D3_TAIL: Channels = ((2, 2), (8, 8), (2, 2), (2, 1))


def shuffle_pixels(x: Tensor) -> Tensor:
    """Pixel shuffle x2 of every frame: (N, 4C, T, H, W) -> (N, C, T, 2H, 2W)."""
    # Written out for channels-last memory, which fast convolutions use: one transpose instead of three.
    n, channels, frames, height, width = x.shape
    blocks = x.permute(0, 2, 3, 4, 1).reshape(n, frames, height, width, channels // 4, 2, 2)
    rows = blocks.permute(0, 1, 2, 5, 3, 6, 4).reshape(n, frames, 2 * height, 2 * width, channels // 4)
    return rows.permute(0, 4, 1, 2, 3)


def enlarge(x: Tensor, *, shuffle: bool, lengthen: bool) -> Tensor:
    """Return (N, C, T, H, W) upsampled x2 in space, by pixel shuffle or linearly, and in time if ``lengthen``.

    Linear interpolation has aligned corners; a single frame is repeated.
    """
    longer, larger = (2.0 if lengthen else 1.0), (1.0 if shuffle else 2.0)
    if x.is_cuda and x.requires_grad:
        x = by_products(x, (longer, larger, larger))
    elif lengthen or not shuffle:
        x = F.interpolate(x, scale_factor=(longer, larger, larger), mode="trilinear", align_corners=True)
    return shuffle_pixels(x) if shuffle else x


def by_products(x: Tensor, factors: tuple[float, ...]) -> Tensor:
    """Return (N, C, T, H, W) upsampled linearly by the factors of T, H and W: a matrix product for each but 1.

    On a GPU the gradient of torch's own interpolation uses atomics, so that training would not be deterministic.
    """
    for axis, factor in enumerate(factors, start=2):
        if factor != 1:
            lines = torch.eye(x.shape[axis], device=x.device)[None]
            shares = F.interpolate(lines, scale_factor=factor, mode="linear", align_corners=True)[0]
            x = (x.movedim(axis, -1) @ shares.to(x.dtype)).movedim(-1, axis)
    return x


class DepthwiseConvolution(nn.Conv3d):
    """A depthwise convolution, 3x3 in space and (kernel, stride, padding) in time, with a shortcut for single frames.

    On a single frame all but the middle of its kernel falls on padding. Leaving the rest out is exact, and avoids the
    gradient of a padded axis, which on a CPU takes torch many times longer than all the others together.
    """

    def __init__(self, width: int, time: Triple) -> None:
        kernel, stride, padding = time
        super().__init__(width, width, (kernel, 3, 3), (stride, 1, 1), (padding, 1, 1), groups=width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, T, H, W) to (N, C, T', H, W)."""
        before = int(self.padding[0])
        if x.shape[2] > 1 or not before:
            return super().forward(x)
        kernel = self.weight[:, :, before : before + 1]
        return F.conv3d(x, kernel, None, padding=(0, *map(int, self.padding[1:])), groups=self.groups)


class DecoderBlock(nn.Sequential):
    """MobileNetV2's inverted residual with expansion 2 and no residual: (N, C, T, H, W) -> (N, C', T', H, W)."""

    def __init__(self, in_channels: int, out_channels: int, time: Triple) -> None:
        hidden = 2 * in_channels
        super().__init__(
            Conv3dNormActivation(in_channels, hidden, kernel_size=1, activation_layer=nn.ReLU6),
            nn.Sequential(DepthwiseConvolution(hidden, time), nn.BatchNorm3d(hidden), nn.ReLU6()),
            nn.Conv3d(hidden, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm3d(out_channels),
        )


class Decoder(nn.Module):
    """The base of the three decoders: their blocks, and the doubling of frames in multi-map decoders.

    Attributes:
        channels: (input, output) of every block, by the encoder's reduction.
        times: one letter per block, by the decoder's number of maps, for its convolution in time: halves the frames
            (d); framewise in S and blending in M models (k); halving in S and blending in M models (s); blending (b).

    Args:
        spec: of the model.
        maps: the decoder's maps per clip: 1, or as many as the model's outputs.
    """

    channels: ClassVar[dict[int, Channels]]
    times: ClassVar[dict[int, str]]

    def __init__(self, spec: ModelSpec, maps: int) -> None:
        super().__init__()
        self.reduction, self.multi, self.full_length = spec.reduction, maps > 1, maps == CLIP_FRAMES
        keep, halve_in_s = (_BLEND, _BLEND) if spec.multi else (_FRAMEWISE, _HALVE)
        triples = {"d": _HALVE, "k": keep, "s": halve_in_s, "b": _BLEND}
        blocks = zip(self.channels[spec.reduction], self.times[maps], strict=True)
        self.blocks = nn.ModuleList(DecoderBlock(*pair, time=triples[time]) for pair, time in blocks)

    def shuffle(self, x: Tensor) -> Tensor:
        """Upsample by pixel shuffle, and double the frames in a multi-map decoder."""
        return enlarge(x, shuffle=True, lengthen=self.multi)


class HierarchicalDecoder(Decoder):
    """D1: an independent map from every level, to be matched to the teacher's conspicuity maps."""

    # A branch of four blocks for each level; only its first block's input depends on the encoder's reduction.
    channels: ClassVar[dict[int, Channels]] = {
        reduction: (
            *((inputs[0], 24), (24, 48), (12, 24), (24, 1)),
            *((inputs[1], 56), (14, 56), (14, 28), (28, 1)),
            *((inputs[2], 56), (14, 56), (14, 56), (14, 1)),
            *((inputs[3], 136), (34, 136), (34, 136), (34, 1)),
        )
        for reduction, inputs in _D1_INPUTS.items()
    }
    times: ClassVar[dict[int, str]] = {1: "dkdddkdkdkkkskkk", 16: "b" * 16}

    def forward(self, levels: Levels) -> Tensor:
        """Return logits (N, 4, T, H, W), from L1 to L4."""
        level1, level2, level3, level4 = levels
        b = self.blocks
        map1 = b[3](b[2](self.shuffle(b[1](b[0](level1)))))
        map2 = b[7](b[6](self.shuffle(b[5](self.shuffle(b[4](level2))))))
        map3 = b[11](self.shuffle(b[10](self.shuffle(b[9](self.shuffle(b[8](level3)))))))
        coarse = enlarge(level4, shuffle=self.reduction != 4, lengthen=self.multi)
        map4 = b[15](self.shuffle(b[14](self.shuffle(b[13](self.shuffle(b[12](coarse)))))))
        return torch.cat([map1, map2, map3, map4], dim=1)


class UNetDecoder(Decoder):
    """D2: from coarse to fine, adding the level of the same size at each step, as U-Net does."""

    channels: ClassVar[dict[int, Channels]] = {
        1: ((520, 544), (136, 96), (24, 24), (24, 112), (28, 28), (28, 28), (28, 28), (7, 1)),
        2: ((260, 272), (68, 48), (12, 12), (12, 56), (14, 14), (14, 14), (14, 14), (14, 1)),
        4: ((130, 136), (34, 24), (6, 6), (6, 28), (7, 7), (7, 7), (7, 7), (7, 1)),
        8: ((260, 272), (68, 48), (12, 12), (12, 32), (8, 8), (8, 8), (8, 8), (8, 1)),
    }
    times: ClassVar[dict[int, str]] = {1: "kkdkdddd", 8: "b" * 8, 16: "b" * 8}

    def forward(self, levels: Levels) -> Tensor:
        """Return logits (N, 1, T, H, W)."""
        level1, level2, level3, level4 = levels
        b = self.blocks
        x = self.shuffle(b[0](level4)) + level3
        x = self.shuffle(b[1](x)) + b[2](level2)
        x = self.shuffle(b[3](x)) + b[5](b[4](level1))
        return b[7](enlarge(b[6](x), shuffle=self.reduction == 1, lengthen=self.full_length))


class AggregationDecoder(Decoder):
    """D3: neighbouring levels are merged pairwise until one is left, as in deep layer aggregation."""

    channels: ClassVar[dict[int, Channels]] = {
        1: ((28, 6), (24, 34), (136, 130), (6, 8), (34, 32), (130, 128), (7, 2), (6, 8), (34, 32), *_D3_TAIL),
        2: ((14, 12), (12, 68), (68, 260), (12, 8), (68, 32), (260, 128), (14, 2), (12, 8), (68, 32), *_D3_TAIL),
        4: ((7, 6), (6, 34), (34, 130), (6, 8), (34, 32), (130, 128), (7, 2), (6, 8), (34, 32), *_D3_TAIL),
        8: ((8, 12), (12, 68), (68, 260), (12, 8), (68, 32), (260, 128), (8, 2), (12, 8), (68, 32), *_D3_TAIL),
    }
    times: ClassVar[dict[int, str]] = {1: "ddkkkdddddddk", 8: "dddbbbbbbbbbb", 16: "b" * 13}

    def forward(self, levels: Levels) -> Tensor:
        """Return logits (N, 1, T, H, W)."""
        b = self.blocks
        finer = [b[0](levels[0]), b[1](levels[1]), b[2](levels[2])]
        a = [enlarge(level, shuffle=self.reduction == 1, lengthen=self.full_length) for level in levels]
        # Out of place: under force_multi the coarsest level has one frame where its finer neighbour has two.
        a[1:] = [large + fine for large, fine in zip(a[1:], finer, strict=True)]
        c = [self.shuffle(b[3 + j](a[j + 1])) + b[6 + j](a[j]) for j in range(3)]
        e = [self.shuffle(c[j + 1]) + b[9 + j](c[j]) for j in range(2)]
        return b[12](self.shuffle(e[1]) + b[11](e[0]))


DECODER_CLASSES = {"d1": HierarchicalDecoder, "d2": UNetDecoder, "d3": AggregationDecoder}

BLOCK_COUNTS = {name: len(kind.channels[1]) for name, kind in DECODER_CLASSES.items()}
"""Number of blocks of each decoder; the published checkpoints number all blocks consecutively."""
