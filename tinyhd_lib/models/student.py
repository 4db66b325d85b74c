"""TinyHD: encoder, pyramid, heterogeneous decoders and fusion, in the order of the paper's figure 2.

The encoder is torchvision's MobileNetV2 inflated to three dimensions. Source: the paper's section 3.1; docs/model.md.
"""

from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenet_v2

from tinyhd_lib.models.decoders import DECODER_CLASSES, Levels, Triple, enlarge
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE, ModelSpec, Sampling

# Temporal (kernel, stride, padding) of the depthwise convolutions that differ from their spatial ones.
_DEPTHWISE_TIME_S: dict[int, Triple] = {2: (3, 1, 1), 14: (3, 1, 1)}
_DEPTHWISE_TIME_M: dict[int, Triple] = {2: (3, 1, 1), 14: (2, 1, 0), 15: (1, 1, 0), 16: (1, 1, 0), 17: (1, 1, 0)}

# The features 1..18 in groups of equal spatial size; the first group is the finest.
_PYRAMID_GROUPS = (slice(1, 2), slice(2, 4), slice(4, 7), slice(7, 14), slice(14, 19))


class Encoder(nn.Module):
    """MobileNetV2 with every 2-D layer inflated to 3-D, and all channel counts but RGB divided by the reduction."""

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

    def forward(self, clip: Tensor) -> Levels:
        """Return the feature pyramid of a clip, finest level first.

        Args:
            clip: (N, 3, 16, H, W), H and W multiples of 32.

        Returns:
            Levels 1..4 at 1/2, 1/4, 1/8 and 1/16 of H x W, with 8, 4, 2 and 2 (S) or 1 (M) frames.
        """
        return self.pyramid(self.blocks(clip))

    def blocks(self, clip: Tensor) -> list[Tensor]:
        """Return the outputs of the blocks 0..18, each (N, C, T', H', W')."""
        _, *features = accumulate(self.features, lambda x, block: block(x), initial=clip)
        return features

    def pyramid(self, features: list[Tensor]) -> Levels:
        """Return the levels of the pyramid from the outputs of the blocks 0..18."""
        finest, *groups = (torch.cat(features[group], dim=1) for group in _PYRAMID_GROUPS)
        shuffle = self.reduction != 8
        level1, level2, level3, level4 = (enlarge(group, shuffle=shuffle, lengthen=False) for group in groups)
        return torch.cat([finest, level1], dim=1), level2, level3, level4


def _inflate_convolution(layer: nn.Conv2d, reduction: int, time: Triple | None) -> nn.Conv3d:
    """Return the 3-D convolution; kernel, stride and padding in time are those in space, unless ``time`` is given."""
    space = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])  # the same for both axes
    kernel, stride, padding = ((along_time, each, each) for along_time, each in zip(time or space, space, strict=True))
    inputs = 3 if layer.in_channels == 3 else layer.in_channels // reduction
    outputs, groups = layer.out_channels // reduction, max(1, layer.groups // reduction)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


class SaliencyOutput(NamedTuple):
    """A model's output for a clip; all values are saliency in (0, 1).

    Attributes:
        map: the fused maps: (N, 1, H, W) from a model of one output, else (N, 1, outputs, H, W).
        side_maps: one entry per decoder, in order: of a student (N, 4, T, H, W) from D1 and (N, 1, T, H, W) from D2
            and D3, T = 1 if the decoder is single-map; of the teacher (N, 1, H, W) from its levels 2, 3, 4, 5.
    """

    map: Tensor
    side_maps: tuple[Tensor, ...]

    @property
    def frames(self) -> Tensor:
        """Return the fused maps with an axis for time, (N, 1, T, H, W); T = 1 from a model of one output."""
        return self.map if self.map.ndim == 5 else self.map.unsqueeze(2)


class TinyHD(nn.Module):
    """The student network of a `ModelSpec`; create it with `build_model`."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec, self.sampling = spec, Sampling.published(spec)
        self.encoder = Encoder(spec.reduction, multi=spec.multi)
        self.decoders = nn.ModuleDict()
        for name, kind, single in zip(spec.names, spec.decoders, spec.single_frame, strict=True):
            self.decoders[name] = DECODER_CLASSES[kind](spec, 1 if single else spec.outputs)
        maps = sum(4 if name == "d1" else 1 for name in spec.decoders)
        self.fusion = nn.Conv3d(maps, 1, kernel_size=1) if spec.multi else nn.Conv2d(maps, 1, kernel_size=1)

    def forward(self, clip: Tensor) -> SaliencyOutput:
        """Return the saliency of a clip.

        Args:
            clip: (N, 3, 16, H, W), RGB in [0, 1] normalised with ImageNet's mean and deviation; H and W are
                multiples of 32 (192 x 256 as published).

        Raises:
            ValueError: the clip has another shape.
        """
        shape = tuple(clip.shape)
        if len(shape) != 5 or shape[1:3] != (3, CLIP_FRAMES) or shape[3] % 32 or shape[4] % 32:
            raise ValueError(f"a clip is (N, 3, {CLIP_FRAMES}, H, W) with H and W multiples of 32; got {shape}")
        return self.fused(self.logits(clip))

    def logits(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Return every decoder's output for a clip before its sigmoid, shaped like `SaliencyOutput`'s side maps."""
        return self.decode(self.encoder(clip))

    def decode(self, levels: Levels) -> tuple[Tensor, ...]:
        """Return the decoders' logits of a feature pyramid."""
        return tuple(decoder(levels) for decoder in self.decoders.values())

    def fused(self, logits: tuple[Tensor, ...]) -> SaliencyOutput:
        """Return the saliency of the decoders' logits."""
        side_maps = tuple(each.sigmoid() for each in logits)
        return SaliencyOutput(self._fuse(side_maps), side_maps)

    def _fuse(self, side_maps: tuple[Tensor, ...]) -> Tensor:
        ordered = [side_maps[place] for place in self.spec.fusion_order]
        if not self.spec.multi:
            return self.fusion(torch.cat(ordered, dim=1).squeeze(2)).sigmoid()
        # The fusion is linear, so a single map is weighted once and then broadcast over the outputs.
        weights = self.fusion.weight.split([maps.shape[1] for maps in ordered], dim=1)
        bias = self.fusion.get_parameter("bias")
        fused = sum(map(F.conv3d, ordered, weights), start=bias.reshape(1, 1, 1, 1, 1)).sigmoid()
        return fused.expand(-1, -1, self.spec.outputs, -1, -1) if self.spec.force_multi else fused


def build_model(spec: ModelSpec) -> TinyHD:
    """Return a freshly initialised student, in training mode."""
    return TinyHD(spec)


def count_parameters(model: nn.Module) -> int:
    """Return a model's number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_gmac(model: nn.Module, size: tuple[int, int] = INPUT_SIZE) -> float:
    """Return the multiply-accumulates of one clip, in 10^9: half of the floating-point operations that torch counts.

    Nothing is computed: the model itself is moved to the meta device, and loses its weights.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.to("meta")(torch.zeros(1, 3, CLIP_FRAMES, *size, device="meta"))
    return counter.get_total_flops() / 2e9


@torch.no_grad()
def inflate_mobilenet_v2(model: TinyHD, state_dict: dict[str, Tensor]) -> None:
    """Initialise the encoder from a 2-D ImageNet model, as the paper does.

    Args:
        model: the student whose encoder is overwritten; its running statistics are reset, not inherited.
        state_dict: a torchvision ``mobilenet_v2`` state dict (``features...``; the classifier is ignored).

    Raises:
        ValueError: an entry that the encoder needs is missing.
    """
    features = model.encoder.features
    for name, parameter in features.named_parameters():
        key = f"features.{name}"
        if key not in state_dict:
            raise ValueError(f"not a torchvision mobilenet_v2 state dict: {key!r} is missing")
        parameter.copy_(inflated(state_dict[key], parameter.shape))
    for layer in features.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.reset_running_stats()


def inflated(values: Tensor, shape: torch.Size) -> Tensor:
    """Return a 2-D kernel (O, I, k, k) as a 3-D one of ``shape`` (O', I', t, k, k), or a batch norm's (O,) as (O',).

    A kernel is repeated along time without dividing by t; surplus channels are averaged in consecutive blocks.
    """
    if values.ndim == 4:
        values = values.unsqueeze(2).expand(-1, -1, shape[2], -1, -1)
    return values.reshape(-1, *shape).mean(dim=0)
