"""One process or several: torchrun decides, and the training does not notice."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tinyhd_lib.runtime.eager import find_device


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes:
        rank: of this one.
        count: of all.
        device: that this one computes on.
        compiled: whether layers that torch is slow at get kernels of our own.
    """

    rank: int
    count: int
    device: torch.device
    compiled: bool = False

    @property
    def first(self) -> bool:
        """Return whether this is the one that writes."""
        return self.rank == 0

    @property
    def bars(self) -> dict[str, Any]:
        """Return what bars are given: nothing for the first process, where the environment may still hide them."""
        return {} if self.first else {"disable": True}

    def wait(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, module: nn.Module) -> nn.Module:
        """Return the module, with gradients that are averaged over all processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)

    def exchange(self, module: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Exchange gradients, around a backward pass, in the last one before a step only."""
        if isinstance(module, DistributedDataParallel) and not last:
            return module.no_sync()
        return nullcontext()

    def batches(self, samples: int, batch: int, accumulate: int) -> list[list[int]]:
        """Return the batches of this process in an epoch, as places in its samples; whole steps, at least one.

        Two processes get, between them, the batches that one process would accumulate two by two.
        """
        together = batch * accumulate * self.count
        steps = max(samples // together, 1)
        places = [place % samples for place in range(steps * together)]
        return [places[first : first + batch] for first in range(0, len(places), batch)][self.rank :: self.count]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Return the mean of every value over all processes."""
        if self.count == 1:
            return values
        tensor = torch.tensor(list(values.values()), device=self.device)
        distributed.all_reduce(tensor)
        return dict(zip(values, (tensor / self.count).tolist(), strict=True))


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started, each on a GPU of its own where no number is asked for.

    Raises:
        BadInput: there is no such device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1  # as torchrun tells
    if device == "auto":
        gpu = "triton" if find_spec("triton") else "cuda"
        device = gpu if torch.cuda.is_available() else "fused"
    compiled = device.startswith(("triton", "fused"))
    place = find_device(device, "auto, fused, cpu, triton, triton:N, cuda, cuda:N")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if count == 1:
        yield Processes(0, 1, place, compiled)
        return
    # All wait while the first one measures, or while the teacher's answers are computed.
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=timedelta(days=1))
    try:
        yield Processes(distributed.get_rank(), count, place, compiled)
    finally:
        distributed.destroy_process_group()
