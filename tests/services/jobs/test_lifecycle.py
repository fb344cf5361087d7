"""Status changes of jobs: who wins, who loses, and what is kept."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    String,
    bindparam,
    delete,
    exists,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from services import clock
from services.db.session import SessionFactory
from services.errors import NotFound, StateConflict
from services.jobs import events, lifecycle
from services.jobs.lifecycle import Along, JobClaim
from services.jobs.row import JobEventRow, JobRow
from services.jobs.states import ENDED, JobStatus, may_move
from tests.factories import queued_job

LEASE_S = 30.0


def claimed(session: Session, job_id: str, worker: str = "w1") -> JobClaim:
    claim = lifecycle.claim(session, job_id, worker=worker, lease_s=LEASE_S)
    assert claim is not None
    session.commit()
    return claim


def expired(session: Session, job_id: str) -> None:
    """As if the worker had been silent longer than its lease."""
    before = clock.now() - timedelta(seconds=1)
    session.execute(update(JobRow).where(JobRow.id == job_id).values(lease_expires_at=before))
    session.commit()


def row(session: Session, job_id: str) -> JobRow:
    found = session.get(JobRow, job_id, populate_existing=True)
    assert found is not None
    return found


def kinds(session: Session, job_id: str) -> list[str]:
    return [event.data["status"] for event in events.after(session, job_id, 0)]


def test_a_claimed_job_runs_for_its_worker(session: Session) -> None:
    job = queued_job(session)
    claim = claimed(session, job.id)
    found = row(session, job.id)
    assert (found.status, found.worker, found.attempts) == ("running", "w1", 1)
    assert found.started_at is not None
    assert (claim.kind, claim.resource_id, claim.attempt) == (job.kind, "pred_x", 1)


def jobs_of(resource_id: ColumnElement[str]) -> Select[Any]:
    """An object that belongs to a job, for which another job stands here."""
    other = aliased(JobRow)
    return select(other.kind).where(other.id == resource_id)


def test_what_belongs_to_a_job_is_read_along_with_its_claim(session: Session) -> None:
    other = queued_job(session)
    job = lifecycle.create(session, kind="k", queue="q", resource_id=other.id)
    lost = lifecycle.create(session, kind="k", queue="q", resource_id="removed")
    session.commit()
    claim = lifecycle.claim(session, job.id, worker="w", lease_s=LEASE_S, seeing=jobs_of)
    assert claim is not None
    assert claim.seen == {"kind": other.kind}
    claim = lifecycle.claim(session, lost.id, worker="w", lease_s=LEASE_S, seeing=jobs_of)
    assert claim is not None  # it is taken all the same, and whoever runs it finds out
    assert claim.seen == {"kind": None}


def events_gone(moved: CTE) -> CTE:
    gone = delete(JobEventRow).where(
        JobEventRow.job_id == bindparam("of_other", type_=String), exists(select(moved.c.id))
    )
    return gone.cte("gone")


def test_a_change_comes_along_with_the_end_or_not_at_all(session: Session) -> None:
    other, job = queued_job(session), queued_job(session)
    stale = claimed(session, job.id)
    expired(session, job.id)
    lifecycle.requeue_silent(session, max_attempts=3)
    good = claimed(session, job.id, worker="w2")
    along = Along(events_gone, {"of_other": other.id})
    assert not lifecycle.finish(session, stale, JobStatus.SUCCEEDED, along=along)
    assert kinds(session, other.id) == ["queued"]
    assert lifecycle.finish(session, good, JobStatus.SUCCEEDED, along=along)
    assert kinds(session, other.id) == []
    assert row(session, job.id).status == "succeeded"


def test_of_many_claims_at_once_one_wins(session: Session, sessions: SessionFactory) -> None:
    job = queued_job(session)
    start, won = threading.Barrier(6), []

    def try_it(name: str) -> None:
        start.wait()
        with sessions.begin() as mine:
            if lifecycle.claim(mine, job.id, worker=name, lease_s=LEASE_S):
                won.append(name)

    threads = [threading.Thread(target=try_it, args=(f"w{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert row(session, job.id).worker == won[0]


def test_a_job_that_is_not_there_cannot_be_claimed(session: Session) -> None:
    assert lifecycle.claim(session, "job_x", worker="w", lease_s=1) is None


def test_a_silent_worker_loses_its_job_to_the_queue(session: Session) -> None:
    job = queued_job(session)
    stale = claimed(session, job.id)
    expired(session, job.id)
    assert lifecycle.requeue_silent(session, max_attempts=3) == ([job.id], [])
    session.commit()
    assert row(session, job.id).status == "queued"
    assert not lifecycle.finish(session, stale, JobStatus.SUCCEEDED)
    assert not lifecycle.set_progress(session, stale, 0.5)


def test_the_same_worker_cannot_end_an_earlier_attempt(session: Session) -> None:
    job = queued_job(session)
    stale = claimed(session, job.id)
    expired(session, job.id)
    lifecycle.requeue_silent(session, max_attempts=3)
    again = claimed(session, job.id)
    assert again.attempt == 2
    assert not lifecycle.finish(session, stale, JobStatus.SUCCEEDED)
    assert lifecycle.finish(session, again, JobStatus.SUCCEEDED)


def test_a_renewed_lease_does_not_run_out(session: Session) -> None:
    job = queued_job(session)
    claimed(session, job.id)
    expired(session, job.id)
    lifecycle.renew(session, "w1", lease_s=LEASE_S)
    assert lifecycle.requeue_silent(session, max_attempts=3) == ([], [])


def test_a_job_that_kills_its_workers_is_given_up(session: Session) -> None:
    job = queued_job(session)
    for attempt in range(1, 4):
        claimed(session, job.id)
        expired(session, job.id)
        again, given_up = lifecycle.requeue_silent(session, max_attempts=3)
        session.commit()
        assert (again, given_up) == (([job.id], []) if attempt < 3 else ([], [job.id]))
    found = row(session, job.id)
    assert found.status == "failed"
    assert found.finished_at is not None
    assert found.error is not None
    assert "fell silent 3 times" in found.error["detail"]


def test_a_cancelled_job_of_a_silent_worker_ends_cancelled(session: Session) -> None:
    job = queued_job(session)
    claimed(session, job.id)
    lifecycle.cancel(session, job.id)
    expired(session, job.id)
    assert lifecycle.requeue_silent(session, max_attempts=3) == ([], [])
    assert row(session, job.id).status == "cancelled"


def test_a_released_job_waits_again_and_the_attempt_does_not_count(session: Session) -> None:
    job = queued_job(session)
    claim = claimed(session, job.id)
    assert lifecycle.release(session, claim)
    session.commit()
    found = row(session, job.id)
    assert (found.status, found.worker) == ("queued", None)
    assert found.attempts - found.fruitful_attempt == 0
    assert not lifecycle.release(session, claim)


def test_who_had_a_released_job_cannot_give_up_the_next_claim(session: Session) -> None:
    job = queued_job(session)
    claim = claimed(session, job.id)
    lifecycle.release(session, claim)
    again = lifecycle.claim(session, job.id, worker=claim.worker, lease_s=60)
    assert again is not None
    assert lifecycle.holds(session, claim) is False
    assert lifecycle.give_up_attempt(session, claim, max_attempts=3) is None
    assert lifecycle.holds(session, again) is True


def test_attempts_that_were_given_back_do_not_count(session: Session) -> None:
    job = queued_job(session)
    statuses = []
    for attempt in range(1, 6):
        claim = lifecycle.claim(session, job.id, worker="w", lease_s=60)
        assert claim is not None
        if attempt in (2, 3):
            lifecycle.release(session, claim)
        else:
            statuses.append(lifecycle.give_up_attempt(session, claim, max_attempts=3))
    assert statuses == ["queued", "queued", "failed"]


def test_a_released_job_that_was_to_be_cancelled_ends(session: Session) -> None:
    job = queued_job(session)
    claim = claimed(session, job.id)
    lifecycle.cancel(session, job.id)
    assert lifecycle.release(session, claim)
    assert row(session, job.id).status == "cancelled"


def test_a_waiting_job_is_cancelled_at_once(session: Session) -> None:
    job = queued_job(session)
    assert lifecycle.cancel(session, job.id) == "cancelled"
    assert lifecycle.claim(session, job.id, worker="w", lease_s=1) is None
    assert kinds(session, job.id) == ["queued", "cancelled"]


def test_a_running_job_is_asked_to_stop(session: Session) -> None:
    job, other = queued_job(session), queued_job(session)
    claimed(session, job.id)
    claimed(session, other.id)
    assert lifecycle.wanted(session, "w1") == {job.id, other.id}
    assert lifecycle.cancel(session, job.id) == "running"
    assert lifecycle.wanted(session, "w1") == {other.id}


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED])
def test_what_has_ended_cannot_be_cancelled(session: Session, status: JobStatus) -> None:
    job = queued_job(session)
    lifecycle.finish(session, claimed(session, job.id), status)
    with pytest.raises(StateConflict, match="already ended"):
        lifecycle.cancel(session, job.id)


def test_jobs_of_a_removed_object_end_whatever_they_do(session: Session) -> None:
    waiting, running, over = (queued_job(session) for _ in range(3))
    claim = claimed(session, running.id)
    lifecycle.finish(session, claimed(session, over.id), JobStatus.SUCCEEDED)
    removed = NotFound("the record was removed")
    lifecycle.cancel_now(session, [waiting.id, running.id, over.id], removed)
    session.commit()
    assert row(session, waiting.id).status == "cancelled"
    assert row(session, running.id).error == removed.problem()
    assert row(session, over.id).status == "succeeded"
    assert not lifecycle.finish(session, claim, JobStatus.SUCCEEDED)


def test_unsent_jobs_are_those_without_a_recent_message(session: Session) -> None:
    fresh, old = queued_job(session), queued_job(session)
    past = clock.now() - timedelta(minutes=1)
    values = {"sent_at": past, "created_at": past}
    session.execute(update(JobRow).where(JobRow.id == old.id).values(**values))
    before = clock.now() - timedelta(seconds=10)
    assert [job.id for job in lifecycle.unsent(session, fresh.queue, before=before)] == [old.id]
    assert lifecycle.unsent(session, "batch", before=before) == []


def test_every_change_is_an_event_in_order(session: Session) -> None:
    job = queued_job(session)
    lifecycle.finish(session, claimed(session, job.id), JobStatus.FAILED, {"detail": "no"})
    found = events.after(session, job.id, 0)
    assert kinds(session, job.id) == ["queued", "running", "failed"]
    assert found[-1].data["error"] == {"detail": "no"}
    assert [event.id for event in found] == sorted(event.id for event in found)
    assert events.after(session, job.id, found[1].id)[0].id == found[2].id


def test_nothing_moves_out_of_an_end() -> None:
    for status in ENDED:
        assert not any(may_move(status, after) for after in JobStatus)
    assert may_move(JobStatus.RUNNING, JobStatus.QUEUED)


def test_attempts_count_from_the_last_one_that_kept_something(session: Session) -> None:
    job = queued_job(session)
    statuses = []
    for attempt in range(1, 6):
        claim = lifecycle.claim(session, job.id, worker="w", lease_s=60)
        assert claim is not None
        if attempt == 2:
            lifecycle.set_fruitful(session, claim)
        statuses.append(lifecycle.give_up_attempt(session, claim, max_attempts=3))
    assert statuses == ["queued"] * 4 + ["failed"]
    assert lifecycle.give_up_attempt(session, claim, max_attempts=3) is None


def test_a_claim_says_whether_it_holds_and_whether_the_owner_asks_to_stop(
    session: Session,
) -> None:
    job = queued_job(session)
    claim = lifecycle.claim(session, job.id, worker="w", lease_s=60)
    assert claim is not None
    assert lifecycle.holds(session, claim) is True
    lifecycle.cancel(session, job.id)
    session.flush()
    assert lifecycle.holds(session, claim) is None
    assert lifecycle.give_up_attempt(session, claim, max_attempts=3) == JobStatus.CANCELLED
    assert lifecycle.holds(session, claim) is False
