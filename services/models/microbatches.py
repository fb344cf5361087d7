"""Items of several requests computed together, where a device does many as fast as one (no torch).

Whoever finds the device free computes for all who wait: while it is busy the queue grows, and the
next batch is as large as the queue. A batch that could be larger is held open for others that are
known to be on their way, and for a few milliseconds at most: a request that is alone waits for
nobody.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass
class _Ticket(Generic[Item, Found]):
    item: Item
    found: Found | None = None
    error: Exception | None = None
    done: bool = False


class MicroBatches(Generic[Item, Found]):
    """Called by any number of threads; each gets what was found for its own items, in order.

    with batches.request():
        found = batches(prepared_items)
    """

    def __init__(
        self,
        compute: Callable[[list[Item]], Sequence[Found]],
        *,
        most: int,
        patience_s: float = 0.002,
    ) -> None:
        """compute: items -> one result each; called by one thread at a time.

        most: items of a batch. patience_s: how long a batch is held open for those on their way.
        """
        self._compute, self._most, self._patience_s = compute, most, patience_s
        self._changed = threading.Condition()
        self._waiting: deque[_Ticket[Item, Found]] = deque()
        self._busy = False
        self._requests = self._asking = 0
        self.sizes: deque[int] = deque(maxlen=1000)  # of the latest batches

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around all that a request does, so that a batch may wait while its items are prepared."""
        with self._changed:
            self._requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._requests -= 1
                self._changed.notify_all()

    def __call__(self, items: Sequence[Item]) -> list[Found]:
        """What was found for each item. Raises what `compute` raises for one of them alone."""
        tickets: list[_Ticket[Item, Found]] = [_Ticket(item) for item in items]
        with self._changed:
            self._asking += 1
            self._waiting.extend(tickets)
            self._changed.notify_all()
        try:
            for ticket in tickets:
                while self._is_to_lead(ticket):
                    self._lead()
        finally:
            with self._changed:
                self._asking -= 1
        return [_found(ticket) for ticket in tickets]

    def _is_to_lead(self, ticket: _Ticket[Item, Found]) -> bool:
        """Waits until the item is done or the device free; True when this thread is to use it."""
        with self._changed:
            self._changed.wait_for(lambda: ticket.done or not self._busy)
            if ticket.done:
                return False
            self._busy = True
            return True

    def _lead(self) -> None:
        batch: list[_Ticket[Item, Found]] = []
        try:
            batch = self._next_batch()
            self._answer(batch)
        finally:
            with self._changed:
                self._busy = False
                for ticket in batch:
                    ticket.done = True
                self._changed.notify_all()

    def _next_batch(self) -> list[_Ticket[Item, Found]]:
        deadline = time.monotonic() + self._patience_s
        with self._changed:
            while len(self._waiting) < self._most and self._requests > self._asking:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            count = min(len(self._waiting), self._most)
            return [self._waiting.popleft() for _ in range(count)]

    def _answer(self, batch: list[_Ticket[Item, Found]]) -> None:
        self.sizes.append(len(batch))
        try:
            for ticket, found in zip(
                batch, self._compute([ticket.item for ticket in batch]), strict=True
            ):
                ticket.found = found
        except Exception as error:  # noqa: BLE001 - each item gets the error that is its own
            if len(batch) == 1:
                batch[0].error = error
                return
            for ticket in batch:
                self._answer([ticket])


def _found(ticket: _Ticket[Item, Found]) -> Found:
    if ticket.error is not None:
        raise ticket.error
    return cast(Found, ticket.found)
