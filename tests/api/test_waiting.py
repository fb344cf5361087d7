"""Waiters are woken by notifications, and by the loss of them; they do not go on looking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from api import waiting
from api.waiting import JobWaiter
from services.db.session import SessionFactory
from services.jobs.events import CHANNEL, GOES_ON
from services.settings import Settings

END_LISTENERS = text(
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
    "where query = :listen and datname = current_database()"
).bindparams(listen=f"listen {CHANNEL}")


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that comes of time alone would come too late for the test."""
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 3600.0)


async def ended_by(settings: Settings, end: Callable[[], Awaitable[None]]) -> bool | None:
    """What a waiter gets for a job that ends, and `end`, once it hears."""
    waiter, over = JobWaiter(settings.database), False

    async def look() -> bool | None:
        return over or None

    waiter.start()
    task = asyncio.create_task(waiter.until("job_x", look, seconds=50))
    while not waiter.hears:  # noqa: ASYNC110 - nobody else has to know
        await asyncio.sleep(0.01)
    over = True
    await end()
    try:
        return await task
    finally:
        await waiter.stop()


def test_a_notification_wakes_who_waits(settings: Settings, sessions: SessionFactory) -> None:
    def notify() -> None:
        with sessions.begin() as session:
            session.execute(text("select pg_notify(:to, 'job_x')"), {"to": CHANNEL})

    assert asyncio.run(ended_by(settings, lambda: asyncio.to_thread(notify)))


def test_who_waits_for_the_end_looks_when_it_comes_and_not_before(
    settings: Settings, sessions: SessionFactory
) -> None:
    looks = 0

    def notify(*payloads: str) -> None:
        with sessions.begin() as session:
            for payload in payloads:
                session.execute(
                    text("select pg_notify(:to, :payload)"), {"to": CHANNEL, "payload": payload}
                )

    async def run() -> None:
        waiter, over = JobWaiter(settings.database), False

        async def look() -> bool | None:
            nonlocal looks
            looks += 1
            return over or None

        waiter.start()
        while not waiter.hears:  # noqa: ASYNC110 - nobody else has to know
            await asyncio.sleep(0.01)
        ending = asyncio.create_task(waiter.until("job_x", look, seconds=50, at_end=True))
        changing = asyncio.create_task(waiter.until("job_x", look, seconds=50))
        await asyncio.sleep(0)
        await asyncio.to_thread(notify, "job_y", f"job_x{GOES_ON}")
        while looks < 3:  # noqa: ASYNC110 - each once, and again the one that waits for changes
            await asyncio.sleep(0.01)
        over = True
        await asyncio.to_thread(notify, "job_x")
        assert await ending
        assert await changing
        await waiter.stop()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert looks == 5


def test_a_connection_that_breaks_wakes_who_waits(
    settings: Settings, sessions: SessionFactory
) -> None:
    def break_connection() -> None:
        with sessions.begin() as session:
            assert session.scalars(END_LISTENERS).all() == [True]

    assert asyncio.run(ended_by(settings, lambda: asyncio.to_thread(break_connection)))
