"""Convolutions that train several times as fast on a CPU as torch's, in float32, with the same results.

Depthwise convolutions use compiled loops; 1x1x1 convolutions are matrix products.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tinyhd_lib.runtime.fused.simd import LANES
from tinyhd_lib.training import kernels

_WORTH_SHARING = 2**15
"""Elements from which work is shared among threads; with fewer, waking the threads takes longer."""

# Of glibc's mallopt: M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX. Memory stays with the process, in a single heap.
_KEEP_MEMORY = {-1: 2**31 - 1, -4: 0, -8: 1}


def accelerate(model: nn.Module) -> None:
    """Let a model's convolutions use these implementations; names and values of its parameters stay.

    With glibc, the process also keeps the memory that it frees from then on: fresh pages cost a quarter of a step. If
    Numba cannot compile, its error is raised before anything is changed.
    """
    sizes = (1, 1, 3, 3, LANES), (1, 1, 3, 3, 3)
    DepthwiseFunction.apply(*(torch.zeros(size, requires_grad=True) for size in sizes), 1, 1).sum().backward()
    with suppress(AttributeError, OSError, TypeError):
        for setting, value in _KEEP_MEMORY.items():
            ctypes.CDLL(None).mallopt(setting, value)
    for layer in model.modules():
        if isinstance(layer, nn.Conv3d) and layer.bias is None:
            if layer.kernel_size == (1, 1, 1):
                layer.__class__ = _Pointwise
            elif layer.groups > 1 and layer.stride[1] == 1:
                layer.__class__ = _Depthwise


class DepthwiseFunction(torch.autograd.Function):
    """A depthwise convolution of x (N, C, T, H, W), W a multiple of 8, with (C, 1, k, 3, 3), strided in time only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        x, kernel = x.contiguous(), weight.shape[2]
        clips, channels, frames, height, width = x.shape
        lasting = (frames + 2 * padding - kernel) // stride + 1
        out = x.new_empty(clips, channels, lasting, height, width)
        ctx.sizes = channels, frames, lasting, height, width, kernel, stride, 1, padding
        ctx.save_for_backward(x, weight)
        _share(kernels.convolve, ctx.sizes, x, weight, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        gradient, of_input = gradient.contiguous(), torch.empty_like(x)
        channels, frames, lasting, *plane, kernel, stride, _, padding = ctx.sizes
        back = channels, lasting, frames, *plane, kernel, 1, stride, kernel - 1 - padding
        _share(kernels.convolve, back, gradient, weight.flip(2, 3, 4), of_input)
        lanes = x.new_zeros(*x.shape[:2], *weight.shape[1:], LANES)
        _share(kernels.weight_gradient, ctx.sizes, x, gradient, lanes)
        return of_input, lanes.sum((0, -1)), None, None


class _Depthwise(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % LANES:
            return super().forward(x)
        return DepthwiseFunction.apply(x, self.weight, self.stride[0], self.padding[0])


class _Pointwise(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.flatten(1).expand(len(x), -1, -1)  # one per clip: for a single product torch would copy x
        return torch.bmm(matrix, x.flatten(2)).unflatten(2, x.shape[2:])


def _share(kernel: Callable[..., None], sizes: tuple[int, ...], a: Tensor, b: Tensor, out: Tensor) -> None:
    """Run a kernel on all planes, shared among threads; ``a`` is (N, C, ...)."""
    arrays = [tensor.detach().view(-1).numpy() for tensor in (a, b, out)]
    planes = a.shape[0] * a.shape[1]
    threads = min(torch.get_num_threads(), planes) if a.numel() >= _WORTH_SHARING else 1
    first, *others = pairwise(planes * part // threads for part in range(threads + 1))
    waiting = [_helpers().submit(kernel, *arrays, sizes, *part) for part in others]
    kernel(*arrays, sizes, *first)
    for each in waiting:
        each.result()


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads())
