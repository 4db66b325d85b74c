"""The ways in which TinyHD makes a feature map larger. Pure functions on (N, C, T, H, W) tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor


def shuffle_pixels(x: Tensor) -> Tensor:
    """Pixel shuffle x2 of every frame: (N, 4C, T, H, W) -> (N, C, T, 2H, 2W)."""
    # Written out with the channels last, since that is how fast convolutions keep them: one transpose, not three.
    n, channels, frames, height, width = x.shape
    blocks = x.permute(0, 2, 3, 4, 1).reshape(n, frames, height, width, channels // 4, 2, 2)
    rows = blocks.permute(0, 1, 2, 5, 3, 6, 4).reshape(n, frames, 2 * height, 2 * width, channels // 4)
    return rows.permute(0, 4, 1, 2, 3)


def enlarge(x: Tensor, *, shuffle: bool, lengthen: bool) -> Tensor:
    """Return (N, C, T, H, W) twice as large in space, by pixel shuffle or linearly, and twice as long if asked.

    What is linear has aligned corners; a single frame is repeated.
    """
    longer, larger = (2.0 if lengthen else 1.0), (1.0 if shuffle else 2.0)
    if x.is_cuda and x.requires_grad:
        x = by_products(x, (longer, larger, larger))
    elif lengthen or not shuffle:
        x = F.interpolate(x, scale_factor=(longer, larger, larger), mode="trilinear", align_corners=True)
    return shuffle_pixels(x) if shuffle else x


def by_products(x: Tensor, factors: tuple[float, ...]) -> Tensor:
    """Return (N, C, T, H, W) larger by the factors of T, H and W: products with a matrix for each that is not 1.

    On a GPU torch adds up the gradient of its own way by atomics, so that no two steps of a training are equal.
    """
    for axis, factor in enumerate(factors, start=2):
        if factor != 1:
            lines = torch.eye(x.shape[axis], device=x.device)[None]
            shares = F.interpolate(lines, scale_factor=factor, mode="linear", align_corners=True)[0]
            x = (x.movedim(axis, -1) @ shares.to(x.dtype)).movedim(-1, axis)
    return x
