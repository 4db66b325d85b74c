"""One process or several: torchrun decides, and the training does not notice."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tinyhd_lib.records import torchrun_rank
from tinyhd_lib.runtime.eager import find_device


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes:
        rank: of this one.
        count: of all.
        device: that this one computes on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, module: nn.Module) -> nn.Module:
        """The module, with gradients that are averaged over all processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)

    def exchange(self, module: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Around a backward pass: gradients are exchanged in the last one before a step only."""
        if isinstance(module, DistributedDataParallel) and not last:
            return module.no_sync()
        return nullcontext()

    def batches(self, samples: int, batch: int, accumulate: int) -> list[list[int]]:
        """The batches of this process in an epoch, as places in its list of samples; whole steps, at least one.

        Two processes get, between them, the batches that one process would accumulate two by two.
        """
        together = batch * accumulate * self.count
        steps = max(samples // together, 1)
        places = [place % samples for place in range(steps * together)]
        every = [places[first : first + batch] for first in range(0, len(places), batch)]
        return every[self.rank :: self.count]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of every value over all processes."""
        if self.count == 1:
            return values
        tensor = torch.tensor(list(values.values()), device=self.device)
        distributed.all_reduce(tensor)
        return dict(zip(values, (tensor / self.count).tolist(), strict=True))


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """The processes that torchrun started, or this one alone.

    Raises:
        BadInput: there is no such device.
    """
    rank, count = torchrun_rank(os.environ)
    place = _device(device)
    if count == 1:
        yield Processes(0, 1, place)
        return
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, place)
    finally:
        distributed.destroy_process_group()


def _device(name: str) -> torch.device:
    """The device of a name; of ``auto`` and ``cuda`` the GPU that is this process's own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = f"cuda:{torch.cuda.current_device()}"
    return find_device(name, "auto, cpu, cuda, cuda:N")
