"""`Prefer: wait=N`: holds an answer until a job ends; and wakes event streams.

One connection listens to Postgres' notifications for the whole process, so that a waiter learns of
the end within a millisecond of the commit. Where a notification could be lost (the connection
breaks), a look at the row once a second makes up for it; while they come, one every minute is
enough, and many who wait cost nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import psycopg
import structlog
from fastapi import Header
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from services.db.session import CONNECT_TIMEOUT_S, DATABASE_AWAY, KEEPALIVES
from services.errors import MalformedInput
from services.jobs.events import CHANNEL, GOES_ON

log = structlog.get_logger()

T = TypeVar("T")

MAX_WAIT_S = 60.0
# how often a waiter looks by itself: while notifications come, and while they may be lost
LOOK_EVERY_S = 60.0
LOOK_UNHEARD_S = 1.0
STOP_PATIENCE_S = 2.0
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]+)\"?\s*(?:$|[,;])", re.IGNORECASE)
_HAS_WAIT = re.compile(r"(?:^|[,;\s])wait\s*(?:$|[=,;])", re.IGNORECASE)


async def preferred_wait_s(
    prefer: Annotated[
        str | None,
        Header(description="`wait=N` (RFC 7240): hold the answer up to N seconds, at most 60."),
    ] = None,
) -> float | None:
    """The seconds that a client wants to wait, at most 60; None when it does not say."""
    if prefer is None or not _HAS_WAIT.search(prefer):
        return None
    match = _WAIT.search(prefer)
    if match is None:
        raise MalformedInput("Prefer: wait=N needs a whole number of seconds")
    return min(float(match[1]), MAX_WAIT_S)


class _Waiter(asyncio.Event):
    def __init__(self, at_end: bool) -> None:
        super().__init__()
        self.at_end = at_end


class JobWaiter:
    """Wakes coroutines when a job's row has changed, and tells of what else is notified."""

    def __init__(self, url: URL) -> None:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        # a dead server must be noticed, for nothing is asked over this connection
        self._conninfo = make_conninfo(address, connect_timeout=CONNECT_TIMEOUT_S, **KEEPALIVES)
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, Callable[[], None]] = {}
        self.hears = False  # whether notifications come

    def tell(self, channel: str, action: Callable[[], None]) -> None:
        """Calls `action` at each notification of a channel, and when one may have been missed."""
        self._told[channel] = action

    def start(self) -> None:
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_PATIENCE_S)

    async def until(
        self,
        job_id: str,
        look: Callable[[], Awaitable[T | None]],
        *,
        seconds: float,
        at_end: bool = False,
    ) -> T | None:
        """What `look` gives once it is not None, looking at each change; None when time is up.

        at_end: the job's end is waited for: its beginning and progress are no reason to look.
        """
        changed = _Waiter(at_end)
        self._waiting[job_id].add(changed)
        deadline = time.monotonic() + seconds
        try:
            while True:
                changed.clear()
                found, answered = await _looked(look)
                left = deadline - time.monotonic()
                if found is not None or left <= 0:
                    return found
                every = LOOK_EVERY_S if answered and self.hears else LOOK_UNHEARD_S
                await _wait_for(changed, min(left, every))
        finally:
            self._forget(job_id, changed)

    def _forget(self, job_id: str, changed: _Waiter) -> None:
        self._waiting[job_id].discard(changed)
        if not self._waiting[job_id]:
            del self._waiting[job_id]

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (psycopg.Error, OSError) as error:
                log.warning("notifications.lost", reason=type(error).__name__)
            await asyncio.sleep(1.0)

    async def _listen_once(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        async with connection:
            for channel in (CHANNEL, *self._told):
                await connection.execute(f"listen {channel}")
            self.hears = True
            try:
                self._wake_all()  # what happened meanwhile was not heard
                async for notification in connection.notifies():
                    if notification.channel in self._told:
                        self._told[notification.channel]()
                    else:
                        self._wake(notification.payload)
            finally:
                self.hears = False
                self._wake_all()

    def _wake_all(self) -> None:
        self._wake(*self._waiting)
        for action in self._told.values():
            action()

    def _wake(self, *notifications: str) -> None:
        for notification in notifications:
            job_id = notification.removesuffix(GOES_ON)
            for changed in self._waiting.get(job_id, ()):
                if job_id == notification or not changed.at_end:
                    changed.set()


async def _looked(look: Callable[[], Awaitable[T | None]]) -> tuple[T | None, bool]:
    """What was found, and whether the database answered: who waits already is not turned away."""
    try:
        return await look(), True
    except DATABASE_AWAY as error:
        log.warning("wait.look_failed", reason=type(error).__name__)
        return None, False


async def _wait_for(changed: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return
