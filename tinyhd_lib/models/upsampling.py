"""The three ways in which TinyHD makes a feature map larger. Pure functions on (N, C, T, H, W) tensors."""

import torch.nn.functional as F
from torch import Tensor


def shuffle_pixels(x: Tensor) -> Tensor:
    """Pixel shuffle x2 of every frame: (N, 4C, T, H, W) -> (N, C, T, 2H, 2W)."""
    # Written out with the channels last, since that is how fast convolutions keep them: one transpose, not three.
    n, channels, frames, height, width = x.shape
    blocks = x.permute(0, 2, 3, 4, 1).reshape(n, frames, height, width, channels // 4, 2, 2)
    rows = blocks.permute(0, 1, 2, 5, 3, 6, 4).reshape(n, frames, 2 * height, 2 * width, channels // 4)
    return rows.permute(0, 4, 1, 2, 3)


def upsample_space(x: Tensor) -> Tensor:
    """Linear x2 in space with aligned corners: (N, C, T, H, W) -> (N, C, T, 2H, 2W)."""
    return F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="trilinear", align_corners=True)


def upsample_time(x: Tensor) -> Tensor:
    """Linear x2 in time with aligned corners: (N, C, T, H, W) -> (N, C, 2T, H, W); one frame is repeated."""
    return F.interpolate(x, scale_factor=(2.0, 1.0, 1.0), mode="trilinear", align_corners=True)


def upsample_space_time(x: Tensor) -> Tensor:
    """Return `upsample_time` of `upsample_space` in one pass: (N, C, T, H, W) -> (N, C, 2T, 2H, 2W)."""
    return F.interpolate(x, scale_factor=(2.0, 2.0, 2.0), mode="trilinear", align_corners=True)


def enlarge(x: Tensor, *, shuffle: bool, lengthen: bool) -> Tensor:
    """x2 in space, by pixel shuffle or linearly, and x2 in time if asked."""
    if shuffle:
        return shuffle_pixels(upsample_time(x) if lengthen else x)
    return upsample_space_time(x) if lengthen else upsample_space(x)
