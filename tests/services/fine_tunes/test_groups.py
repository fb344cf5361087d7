"""Machines of one run: who may join, who gets which ranks, and who is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from services import clock
from services.db.session import SessionFactory
from services.fine_tunes import groups
from services.fine_tunes.group_row import TrainingGroupRow, TrainingPlaceRow
from services.fine_tunes.groups import Meeting, PlaceStatus, Ranks
from services.jobs import lifecycle, presence
from services.jobs.dispatch import RUN_FINE_TUNE, TRAINING_QUEUES
from services.jobs.lifecycle import JobClaim
from services.jobs.presence import WorkerIdentity
from services.jobs.row import WorkerRow
from services.jobs.states import JobStatus

MEETING = Meeting("10.0.0.1", 4000, "cpu", 3)


def beat(sessions: SessionFactory, name: str, *, version: str = "1") -> None:
    with sessions.begin() as session:
        presence.beat(session, WorkerIdentity(name, TRAINING_QUEUES, "cpu", version, 1))


@pytest.fixture
def claim(sessions: SessionFactory) -> JobClaim:
    """Of worker `first`, whose group is open."""
    beat(sessions, "first")
    with sessions.begin() as session:
        job = lifecycle.create(session, kind=RUN_FINE_TUNE, queue="train", resource_id="ft_1")
        found = lifecycle.claim(session, job.id, worker="first", lease_s=60)
        assert found is not None
        groups.announce(session, found, MEETING, processes=2)
    return found


def take(sessions: SessionFactory, claim: JobClaim, worker: str, processes: int = 1) -> int | None:
    with sessions.begin() as session:
        return groups.take_place(session, claim, worker=worker, processes=processes)


def test_who_comes_gets_ranks_behind_those_of_the_first_machine(
    sessions: SessionFactory, claim: JobClaim
) -> None:
    with sessions() as session:
        found = groups.announced(session, version="1")
        assert found is not None
        assert found[0].job_id == claim.job_id
        assert found[0].attempt == claim.attempt
        assert found[1] == MEETING
    assert take(sessions, claim, "second", processes=4) == 1
    assert take(sessions, claim, "third") == 2
    with sessions.begin() as session:
        assert groups.is_full(session, claim)
        assert groups.ranks(session, claim, 1) is None
        assert groups.close(session, claim) == 7
        assert groups.ranks(session, claim, 1) == Ranks(2, 7)
        assert groups.ranks(session, claim, 2) == Ranks(6, 7)
        assert groups.announced(session, version="1") is None


def test_no_place_is_taken_twice(sessions: SessionFactory, claim: JobClaim) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: take(sessions, claim, f"w{n}"), range(8)))
    assert sorted(number for number in found if number is not None) == [1, 2]


def test_a_closed_group_takes_nobody(sessions: SessionFactory, claim: JobClaim) -> None:
    with sessions.begin() as session:
        assert groups.close(session, claim) == 2
    assert take(sessions, claim, "second") is None


def test_nobody_joins_what_has_lost_its_claim_is_cancelled_or_of_other_code(
    sessions: SessionFactory, claim: JobClaim
) -> None:
    with sessions() as session:
        assert groups.announced(session, version="2") is None
        passed = {(claim.job_id, claim.attempt)}
        assert groups.announced(session, version="1", passed=passed) is None
    with sessions.begin() as session:
        lifecycle.cancel(session, claim.job_id)
    with sessions() as session:
        assert groups.announced(session, version="1") is None
    assert take(sessions, claim, "second") is None
    with sessions.begin() as session:
        lifecycle.finish(session, claim, JobStatus.CANCELLED)
        groups.forget_void(session)
        assert session.scalar(select(func.count()).select_from(TrainingGroupRow)) == 0


def test_a_machine_that_died_before_the_group_is_closed_is_left_out(
    sessions: SessionFactory, claim: JobClaim
) -> None:
    take(sessions, claim, "second", processes=4)
    take(sessions, claim, "third")
    with sessions.begin() as session:
        groups.say(session, claim, worker="second", status=PlaceStatus.LOST)
        assert groups.close(session, claim) == 3
        assert groups.ranks(session, claim, 2) == Ranks(2, 3)
        with pytest.raises(LookupError):
            groups.ranks(session, claim, 1)


def test_only_idle_training_workers_are_waited_for(
    sessions: SessionFactory, claim: JobClaim
) -> None:
    def may_come() -> bool:
        with sessions() as session:
            return groups.somebody_may_come(session, claim)

    assert not may_come()
    with sessions.begin() as session:
        presence.beat(session, WorkerIdentity("reader", ("predict",), "cpu", "1", 1))
    assert not may_come()
    beat(sessions, "second")
    assert may_come()
    take(sessions, claim, "second")
    assert not may_come()
    beat(sessions, "third")
    with sessions.begin() as session:
        job = lifecycle.create(session, kind=RUN_FINE_TUNE, queue="train", resource_id="ft_2")
        lifecycle.claim(session, job.id, worker="third", lease_s=60)
    assert not may_come()


def test_a_machine_is_missed_when_it_says_so_or_falls_silent(
    sessions: SessionFactory, claim: JobClaim
) -> None:
    beat(sessions, "second")
    take(sessions, claim, "second")
    with sessions.begin() as session:
        assert groups.statuses(session, claim) == {PlaceStatus.TAKEN}
        assert not groups.one_is_silent(session, claim)
        long_ago = clock.now() - timedelta(minutes=1)
        session.execute(
            update(WorkerRow).where(WorkerRow.name == "second").values(seen_at=long_ago)
        )
        assert groups.one_is_silent(session, claim)
        groups.say(session, claim, worker="second", status=PlaceStatus.ENDED)
        assert not groups.one_is_silent(session, claim)
        groups.say(session, claim, worker="second", status=PlaceStatus.LOST)
        assert groups.statuses(session, claim) == {PlaceStatus.ENDED}


def test_the_next_attempt_s_group_takes_the_place_of_the_last_one_s(
    sessions: SessionFactory, claim: JobClaim
) -> None:
    take(sessions, claim, "second")
    with sessions.begin() as session:
        lifecycle.give_up_attempt(session, claim, max_attempts=3)
        again = lifecycle.claim(session, claim.job_id, worker="first", lease_s=60)
        assert again is not None
        groups.announce(session, again, MEETING, processes=1)
    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(TrainingGroupRow)) == 1
        assert session.scalar(select(func.count()).select_from(TrainingPlaceRow)) == 0
        groups.withdraw(session, claim)  # of the old attempt: too late
        assert not groups.is_full(session, again)
