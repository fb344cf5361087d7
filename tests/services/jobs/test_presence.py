"""Which workers count as alive."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from services import clock
from services.jobs import presence
from services.jobs.presence import WorkerIdentity
from services.jobs.row import WorkerRow

WORKER = WorkerIdentity("wrk_1", ("predict",), "cpu", "1.0", 42)


def seen(session: Session, ago: timedelta) -> None:
    session.execute(update(WorkerRow).values(seen_at=clock.now() - ago))
    session.commit()


def test_a_worker_that_beats_is_alive_once(session: Session) -> None:
    presence.beat(session, WORKER)
    presence.beat(session, WORKER)
    (row,) = presence.alive(session)
    assert (row.name, row.queues, row.device, row.pid) == ("wrk_1", ["predict"], "cpu", 42)


def test_a_silent_worker_is_not_alive_and_later_forgotten(session: Session) -> None:
    presence.beat(session, WORKER)
    seen(session, timedelta(seconds=11))
    assert presence.alive(session) == []
    presence.forget_dead(session)
    assert session.get(WorkerRow, "wrk_1", populate_existing=True) is not None
    seen(session, timedelta(hours=2))
    presence.forget_dead(session)
    session.expire_all()
    assert session.get(WorkerRow, "wrk_1") is None


def test_a_worker_that_leaves_is_gone(session: Session) -> None:
    presence.beat(session, WORKER)
    presence.leave(session, "wrk_1")
    assert presence.alive(session) == []
