"""What the process takes on at once: short answers a few, heavy work less, and too much is refused.

Threads of one interpreter take turns. A few at once are as fast as many, need fewer connections to
the database, and what waits until one of them is free costs nothing meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from services.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


def answer_in(threads: int) -> None:
    """Has the event loop that runs now answer requests in so many threads; more of them wait."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads


class Turns:
    """Runs blocking work in threads, `at_once` of it; refuses uploads of which too many wait.

    For one event loop, in which its counts need no lock.
    """

    def __init__(self, *, at_once: int, waiting: int | None = None, setting: str = "") -> None:
        """waiting: None for what costs nothing while it waits, as many as there are requests."""
        self.at_once, self._setting = at_once, setting
        self._most = None if waiting is None else at_once + waiting
        self._limiter: CapacityLimiter | None = None
        self._now = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Its result; Unavailable when too many wait for their turn already."""
        if self._most is not None and self._now >= self._most:
            raise Unavailable(f"{self._now} uploads are being taken in ({self._setting})")
        if self._limiter is None:  # which belongs to a running loop
            self._limiter = CapacityLimiter(self.at_once)
        self._now += 1
        try:
            return await anyio.to_thread.run_sync(
                partial(work, *args, **kwargs), limiter=self._limiter
            )
        finally:
            self._now -= 1
