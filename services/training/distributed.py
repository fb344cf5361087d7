"""Several processes that train one network: who is who, and what they have to agree on.

Under `torchrun`, or wherever torch.distributed is initialized, every process runs the same code on
the same data; the engine gives each its share of a batch. Alone, all of this is nothing. What goes
from one to another is tensors alone: torch's collectives of objects unpickle what comes in.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from services.ecg.record import IntArray

T = TypeVar("T")

_PIECE = 32 * 1024 * 1024  # bytes of a file that are sent at once


# of torchrun
_MACHINE, _LOCAL_RANK, _LOCAL_SIZE = "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"


@dataclass(frozen=True)
class World:
    """This process among those that train together; the first leads: it validates and writes.

    machine: its number; that of the first process is 0. local_rank: of the process on its machine.
    local_size: processes on this machine. As `torchrun` says; else all are on one.
    """

    rank: int = 0
    size: int = 1
    machine: int = 0
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def here(cls) -> World:
        """As torch.distributed was initialized; alone where it was not."""
        if dist.is_available() and dist.is_initialized():
            rank, size = dist.get_rank(), dist.get_world_size()
            if _LOCAL_SIZE not in os.environ:
                return cls(rank, size, 0, rank, size)
            machine, local_rank, local_size = (
                int(os.environ[name]) for name in (_MACHINE, _LOCAL_RANK, _LOCAL_SIZE)
            )
            return cls(rank, size, machine, local_rank, local_size)
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

    def agreed(self, value: T, device: torch.device) -> T:
        """What the first process has; it has to be the same after a way through JSON."""
        if self.size == 1:
            return value
        said = json.dumps(value).encode()
        length = self._first_s(torch.tensor([len(said)], device=device))
        held = torch.zeros(int(length.item()), dtype=torch.uint8, device=device)
        if self.leads:
            held.copy_(torch.frombuffer(bytearray(said), dtype=torch.uint8))
        found: T = json.loads(bytes(self._first_s(held).cpu().tolist()))
        return found

    def fetched(self, path: Path, device: torch.device) -> Path:
        """The first process's file, which on the other machines comes to lie at their path."""
        if self.size == self.local_size:
            return path
        n_bytes = self.agreed(path.stat().st_size if self.leads else 0, device)
        writes = self.machine > 0 and self.local_rank == 0
        beside = path.with_name(path.name + ".partial")
        reading, writing = (path if self.leads else os.devnull), (beside if writes else os.devnull)
        with open(reading, "rb") as source, open(writing, "wb") as target:  # noqa: PTH123 - or none
            for first in range(0, n_bytes, _PIECE):
                size = min(_PIECE, n_bytes - first)
                piece = torch.zeros(size, dtype=torch.uint8, device=device)
                if self.leads:
                    piece.copy_(torch.frombuffer(bytearray(source.read(size)), dtype=torch.uint8))
                self._first_s(piece)
                if writes:
                    target.write(piece.cpu().numpy().data)
        if writes:
            beside.replace(path)
        self.any(False, device)  # none goes on before it is there for the others of its machine
        return path

    def _first_s(self, value: Tensor) -> Tensor:
        dist.broadcast(value, src=0)
        return value

    def seed(self, seed: int, update: int) -> None:
        """Random numbers of this process for one update, so that they need not be kept.

        Alone they go on from where they are, and the checkpoint holds their state.
        """
        if self.size > 1:
            words = np.random.SeedSequence([seed, update, self.rank]).generate_state(1, "u8")
            torch.manual_seed(int(words[0] >> 1))
