"""A commit that does not wait for the disk, and the wait before anybody is told of it."""

from __future__ import annotations

from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from services import clock
from services.db.durability import is_on_disk, reaching_disk, without_waiting
from services.db.session import SessionFactory, single_statements
from services.jobs.row import JobRow

THERE = exists().where(JobRow.id == "job_1")


def made(session: Session) -> None:
    session.execute(select(without_waiting()))
    session.add(JobRow(id="job_1", kind="k", queue="q", resource_id="r", created_at=clock.now()))
    session.commit()


def test_others_see_it_before_it_is_on_disk(session: Session, sessions: SessionFactory) -> None:
    made(session)
    with sessions() as other:
        assert other.get(JobRow, "job_1") is not None


def test_all_that_was_committed_is_on_disk_afterwards(
    session: Session, sessions: SessionFactory
) -> None:
    session.execute(text("set synchronous_commit = on"))  # the suite's database has it off
    session.commit()
    made(session)
    written = session.scalar(text("select pg_current_wal_insert_lsn()"))
    with single_statements(sessions)() as alone:
        alone.execute(text("set synchronous_commit = on"))
        assert is_on_disk(alone, reaching_disk(THERE))
    reached = text("select pg_current_wal_flush_lsn() >= cast(:written as pg_lsn)")
    assert session.scalar(reached, {"written": written}) is True


def test_only_that_transaction_does_not_wait(session: Session) -> None:
    session.execute(text("set synchronous_commit = on"))
    session.commit()
    session.execute(select(without_waiting()))
    assert session.scalar(text("show synchronous_commit")) == "off"
    session.commit()
    assert session.scalar(text("show synchronous_commit")) == "on"


def test_what_a_crash_took_is_not_promised(session: Session) -> None:
    assert not is_on_disk(session, reaching_disk(THERE))
