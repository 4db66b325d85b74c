"""Training in one process or, under torchrun, in several."""

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
        rank: of this process.
        count: number of processes.
        device: that this process computes on.
        compiled: whether layers that torch is slow at use this package's kernels.
    """

    rank: int
    count: int
    device: torch.device
    compiled: bool = False

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes files."""
        return self.rank == 0

    @property
    def bars(self) -> dict[str, Any]:
        """Return arguments for progress bars, which only the first process shows (unless TQDM_DISABLE hides them)."""
        return {} if self.first else {"disable": True}

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.count > 1:
            distributed.barrier()

    def share(self, module: nn.Module) -> nn.Module:
        """Return the module, with gradients that are averaged over all processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)

    def exchange(self, module: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Return a context for a backward pass; gradients are averaged over processes only in the last of a step."""
        if isinstance(module, DistributedDataParallel) and not last:
            return module.no_sync()
        return nullcontext()

    def batches(self, samples: int, batch: int, accumulate: int) -> list[list[int]]:
        """Return the batches of this process in an epoch, as positions in its samples; whole steps, at least one.

        Two processes together get the batches that a single process would get if it accumulated twice as many.
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
    """Join the processes that torchrun started, each on a GPU of its own unless the device has a number.

    Raises:
        BadInput: there is no such device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1  # set by torchrun
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
