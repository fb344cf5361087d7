"""Batches in order, prepared by threads ahead of the loop; the same whatever the threads do."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from services.ecg.record import IntArray
from services.training.distributed import World

Inputs: TypeAlias = tuple[Tensor, ...]
# one micro-batch: how many of its items count, inputs and target
Micro: TypeAlias = tuple[int, Inputs, Any]

_AHEAD = 2  # batches for each thread


class _Data(Protocol):
    def batch(self, indices: IntArray, generator: torch.Generator) -> tuple[Inputs, Any]: ...


@dataclass(frozen=True)
class Position:
    """A place in a run: the item `first` of an epoch."""

    seed: int
    epoch: int
    first: int
    rank: int = 0

    def at(self, first: int) -> Position:
        """Another item of the same epoch."""
        return replace(self, first=first)

    def generator(self) -> torch.Generator:
        """Random numbers that belong to this place."""
        place = [self.seed, self.epoch, self.first, self.rank]
        words = np.random.SeedSequence(place).generate_state(1, "u8")
        return torch.Generator().manual_seed(int(words[0] >> 1))


@dataclass(frozen=True)
class Division:
    """How a batch is divided: among the processes, and into micro-batches in each."""

    batch: int
    parts: int
    world: World


def loaded(
    data: _Data, order: IntArray, *, position: Position, division: Division, loaders: int
) -> Generator[list[Micro], None, None]:
    """This process's part of the batches of an epoch, from `position` on, in micro-batches."""
    batch, world = division.batch, division.world

    def prepared(first: int) -> list[Micro]:
        chosen = order[first : first + batch]
        size = -(-batch // division.parts)
        micro = []
        for at in range(0, len(chosen), size):
            own, count = world.share(chosen[at : at + size])
            place = replace(position, first=first + at, rank=world.rank)
            micro.append((count, *data.batch(own, place.generator())))
        return micro

    firsts = range(position.first, len(order), batch)
    if loaders == 0:
        yield from map(prepared, firsts)
        return
    with ThreadPoolExecutor(loaders, thread_name_prefix="loader") as pool:
        waiting: deque[Future[list[Micro]]] = deque()
        try:
            for first in firsts:
                waiting.append(pool.submit(prepared, first))
                if len(waiting) > loaders * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
