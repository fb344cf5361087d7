"""Several processes that train one network: who is who, and what they have to agree on.

Under `torchrun`, or wherever torch.distributed is initialized, every process runs the same code on
the same data; the engine gives each its share of a batch. Alone, all of this is nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from services.ecg.record import IntArray

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among those that train together; the first leads: it validates and writes."""

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> World:
        """As torch.distributed was initialized; alone where it was not."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def leads(self) -> bool:
        """Whether it is the first."""
        return self.rank == 0

    def share(self, indices: IntArray) -> tuple[IntArray, int]:
        """This process's part of a micro-batch, and how many of its items count.

        Where there are fewer items than processes, one without any computes the first for nothing,
        because all of them have to take part in each step.
        """
        own = np.array_split(indices, self.size)[self.rank]
        return (own, len(own)) if len(own) else (indices[:1], 0)

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as the training calls it: its gradients are the mean over all processes."""
        if self.size == 1 or not any(p.requires_grad for p in network.parameters()):
            return network
        return DistributedDataParallel(
            network, device_ids=[device] if device.type == "cuda" else None
        )

    def apart(self, network: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Leaves the exchange of gradients to the last micro-batch."""
        if last or not isinstance(network, DistributedDataParallel):
            return nullcontext()
        context: AbstractContextManager[Any] = network.no_sync()
        return context

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def any(self, said: bool, device: torch.device) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return said
        return bool(self.total(torch.tensor(float(said), device=device)).item())

    def agreed(self, value: T) -> T:
        """What the first process has."""
        if self.size == 1:
            return value
        held: list[Any] = [value]
        dist.broadcast_object_list(held, src=0)
        found: T = held[0]
        return found

    def seed(self, seed: int, update: int) -> None:
        """Random numbers of this process for one update, so that they need not be kept.

        Alone they go on from where they are, and the checkpoint holds their state.
        """
        if self.size > 1:
            words = np.random.SeedSequence([seed, update, self.rank]).generate_state(1, "u8")
            torch.manual_seed(int(words[0] >> 1))
