"""A job from claim to end, whatever happens in it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from services.db.session import SessionFactory, engine_for, session_factory
from services.errors import Interrupted, StateConflict, UnusableInput
from services.jobs import events, lifecycle
from services.jobs.execution import JobProgress, execute
from services.jobs.lifecycle import JobClaim
from services.jobs.row import JobRow
from tests.factories import queued_job


class Work:
    """Runs what it is told and remembers what was stored."""

    def __init__(self, action: Callable[[JobProgress], Any]) -> None:
        self._action = action
        self.stored: list[Any] = []

    def run(self, claim: JobClaim, progress: JobProgress) -> Any:
        return self._action(progress)

    def store(self, session: Session, claim: JobClaim, outcome: Any) -> None:
        self.stored.append(outcome)


@pytest.fixture
def claim(session: Session) -> JobClaim:
    job = queued_job(session)
    found = lifecycle.claim(session, job.id, worker="w", lease_s=30)
    session.commit()
    assert found is not None
    return found


def ended(session: Session, claim: JobClaim) -> JobRow:
    session.rollback()
    found = session.get(JobRow, claim.job_id, populate_existing=True)
    assert found is not None
    return found


def fail(error: Exception) -> Callable[[JobProgress], None]:
    def action(_: JobProgress) -> None:
        raise error

    return action


def test_the_outcome_is_stored_with_the_success(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    work = Work(lambda _: 42)
    execute(sessions, claim, work, threading.Event())
    assert work.stored == [42]
    found = ended(session, claim)
    assert (found.status, found.progress, found.error) == ("succeeded", 1.0, None)


def test_a_deliberate_error_is_told_word_for_word(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    problem = UnusableInput("lead II is flat")
    work = Work(fail(problem))
    execute(sessions, claim, work, threading.Event())
    found = ended(session, claim)
    assert (found.status, found.error) == ("failed", problem.problem())
    assert work.stored == []


def test_a_crash_tells_nothing_of_the_inside(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    execute(sessions, claim, Work(fail(ValueError("/secret/path"))), threading.Event())
    found = ended(session, claim)
    assert found.status == "failed"
    assert found.error is not None
    assert found.error["status"] == 500
    assert "secret" not in str(found.error)


def test_a_job_that_is_told_to_stop_ends_cancelled(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    stop = threading.Event()

    def action(progress: JobProgress) -> None:
        stop.set()
        progress.check_cancelled()

    work = Work(action)
    execute(sessions, claim, work, stop)
    assert ended(session, claim).status == "cancelled"
    assert work.stored == []


def test_a_lost_claim_keeps_nothing(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    def action(_: JobProgress) -> int:
        with sessions.begin() as other:
            lifecycle.release(other, claim)
            lifecycle.claim(other, claim.job_id, worker="w2", lease_s=30)
        return 1

    work = Work(action)
    execute(sessions, claim, work, threading.Event())
    assert work.stored == []
    assert (ended(session, claim).status, ended(session, claim).worker) == ("running", "w2")


def test_a_database_that_goes_away_during_the_work_puts_the_job_back(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    execute(
        sessions, claim, Work(fail(OperationalError("select", {}, Exception()))), threading.Event()
    )
    found = ended(session, claim)
    assert (found.status, found.attempts - found.fruitful_attempt) == ("queued", 0)


def test_work_that_goes_on_in_another_process_goes_back_and_counts_no_attempt(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    work = Work(fail(Interrupted("a device's memory did not suffice")))
    execute(sessions, claim, work, threading.Event())
    found = ended(session, claim)
    assert (found.status, found.attempts - found.fruitful_attempt) == ("queued", 0)
    assert found.error is None
    assert "memory" in events.after(session, found.id, 0)[-1].data["message"]


def test_a_connection_that_breaks_at_the_end_is_tried_again(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    class Breaking(Work):
        def store(self, session: Session, claim: JobClaim, outcome: Any) -> None:
            super().store(session, claim, outcome)
            if len(self.stored) == 1:
                session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    work = Breaking(lambda _: 7)
    execute(sessions, claim, work, threading.Event())
    assert work.stored == [7, 7]
    assert ended(session, claim).status == "succeeded"


def test_progress_and_events_are_written(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    progress = JobProgress(sessions, claim, threading.Event())
    progress._next_write = float("inf")
    progress.advance(0.3)
    assert ended(session, claim).progress == 0.0  # too soon to be worth a write
    progress._next_write = 0.0
    progress.advance(1.7)
    assert ended(session, claim).progress == 1.0
    progress.event("result", {"record_id": "r"})
    assert events.after(session, claim.job_id, 0)[-1].data == {"record_id": "r"}


def test_progress_survives_a_database_that_is_away(claim: JobClaim) -> None:
    nowhere = engine_for(make_url("postgresql+psycopg://ectopy@127.0.0.1:1/ectopy"))
    progress = JobProgress(session_factory(nowhere), claim, threading.Event())
    progress._next_write = 0.0
    progress.advance(0.5)


def test_what_cannot_be_kept_fails_the_job(sessions: SessionFactory, claim: JobClaim) -> None:
    class Refused(Work):
        def store(self, session: Session, claim: JobClaim, outcome: Any) -> None:
            raise StateConflict("the name was taken meanwhile")

    execute(sessions, claim, Refused(lambda _: None), threading.Event())
    with sessions() as session:
        job = session.get(JobRow, claim.job_id)
        assert job is not None
        assert job.error is not None
        assert (job.status, job.error["status"]) == ("failed", 409)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_puts_the_job_back_and_says_so(
    session: Session, sessions: SessionFactory, claim: JobClaim, number: int
) -> None:
    full = Work(fail(OSError(number, "no room")))
    execute(sessions, claim, full, threading.Event())
    job = ended(session, claim)
    assert (job.status, job.attempts - job.fruitful_attempt) == ("queued", 0)
    assert job.error is None
    assert events.after(session, job.id, 0)[-1].data == {"message": "put back: the disk is full"}
    again = lifecycle.claim(session, claim.job_id, worker="w", lease_s=30)
    session.commit()
    assert again is not None
    execute(sessions, again, Work(lambda _: "made"), threading.Event())
    assert ended(session, again).status == "succeeded"


def test_another_error_of_the_system_fails_the_job(
    session: Session, sessions: SessionFactory, claim: JobClaim
) -> None:
    execute(sessions, claim, Work(fail(OSError(errno.EIO, "broken"))), threading.Event())
    assert ended(session, claim).status == "failed"
