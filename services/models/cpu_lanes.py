"""Threads that each compute on one processor, shared by all models of a process.

torch's own threads meet after every small operation, and where other work shares the processors
they wait for one another: that took five to ten times as long. So work that divides goes to these.
The number of threads is kept by torch for each thread apart, and the rest of the process keeps its
own.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Generic, TypeVar

import torch

FEWEST, MOST = 2, 16

Item = TypeVar("Item")
Found = TypeVar("Found")


def lane_count() -> int:
    """One for each processor that this process may use; at least two."""
    return max(FEWEST, min(MOST, len(os.sched_getaffinity(0))))


@cache
def cpu_lanes() -> ThreadPoolExecutor:
    """The threads; made once."""
    count = lane_count()
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="lane")
    all_started = threading.Barrier(count)

    def start(_: int) -> None:
        # a thread that torch sees for the first time takes over the number of the process, which
        # would be at its first product: so it is asked here, before it is told
        torch.get_num_threads()
        torch.set_num_threads(1)
        all_started.wait()

    list(pool.map(start, range(count)))
    torch.set_num_threads(before)
    return pool


def on_lanes(function: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
    """`function` of each item, in their order, computed on the lanes.

    No more than twice as many as there are lanes wait at a time, so that what others ask of the
    lanes meanwhile comes in between. Whoever stops listening early ends the rest.
    """
    ahead: deque[Future[Found]] = deque()
    try:
        for item in items:
            if len(ahead) == 2 * lane_count():
                yield ahead.popleft().result()
            ahead.append(cpu_lanes().submit(function, item))
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()


class LaneBatches(Generic[Item, Found]):
    """Items of all who ask, computed on the lanes, several in one go where many wait.

    A lane that is free takes its share of what waits, so that none is without work while another
    has a batch.
    """

    def __init__(self, compute: Callable[[list[Item]], Sequence[Found]], *, most: int) -> None:
        """compute: items -> one result each; called by several lanes at once. most: of a batch."""
        self._compute, self._most = compute, most
        self._waiting: deque[tuple[Item, Future[Found]]] = deque()
        self.sizes: deque[int] = deque(maxlen=1000)  # of the latest batches

    def __call__(self, items: Sequence[Item]) -> list[Found]:
        """What was found for each item. Raises what `compute` raises for one of them alone."""
        tickets: list[tuple[Item, Future[Found]]] = [(item, Future()) for item in items]
        self._waiting.extend(tickets)
        for _ in tickets:  # as many as could be needed; who finds nothing left has nothing to do
            cpu_lanes().submit(self._take)
        return [future.result() for _, future in tickets]

    def _take(self) -> None:
        share = min(self._most, -(-len(self._waiting) // lane_count()))
        batch: list[tuple[Item, Future[Found]]] = []
        while len(batch) < share:
            try:
                batch.append(self._waiting.popleft())
            except IndexError:  # another lane was faster
                break
        if batch:
            self.sizes.append(len(batch))
            self._answer(batch)

    def _answer(self, batch: list[tuple[Item, Future[Found]]]) -> None:
        try:
            computed = self._compute([item for item, _ in batch])
            found = list(zip(batch, computed, strict=True))
        except Exception as error:  # noqa: BLE001 - each item gets the error that is its own
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for ticket in batch:
                self._answer([ticket])
            return
        for (_, future), value in found:
            future.set_result(value)
