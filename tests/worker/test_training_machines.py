"""What the first process knows of the machines that have joined it."""

from __future__ import annotations

import pytest

from services.db.session import SessionFactory, engine_for, session_factory
from services.fine_tunes import groups
from services.fine_tunes.groups import PlaceStatus
from services.jobs import presence
from services.jobs.lifecycle import JobClaim
from services.settings import Settings
from tests.services.fine_tunes.test_groups import beat, claim, take
from worker import training_machines
from worker.training_machines import Recruits

__all__ = ["claim"]


class Clock:
    """Stands in for time.monotonic."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(training_machines, "time", found)
    return found


def test_a_machine_is_lost_once_it_says_so(
    sessions: SessionFactory, claim: JobClaim, clock: Clock
) -> None:
    recruits = Recruits(sessions, claim)
    beat(sessions, "second")
    take(sessions, claim, "second")
    assert not recruits.has_lost_one()
    with sessions.begin() as session:
        groups.say(session, claim, worker="second", status=PlaceStatus.LEAVING)
    assert recruits.one_leaves()
    with sessions.begin() as session:
        groups.say(session, claim, worker="second", status=PlaceStatus.LOST)
    clock.passes(1)
    assert recruits.has_lost_one()


def test_a_silent_machine_is_lost_after_a_while_in_which_it_may_be_heard_again(
    sessions: SessionFactory, claim: JobClaim, clock: Clock
) -> None:
    recruits = Recruits(sessions, claim)
    take(sessions, claim, "second")  # whose worker was never heard of
    assert not recruits.has_lost_one()
    clock.passes(5)
    assert not recruits.has_lost_one()
    beat(sessions, "second")
    clock.passes(5)
    assert not recruits.has_lost_one()
    with sessions.begin() as session:
        presence.leave(session, "second")
    clock.passes(1)
    assert not recruits.has_lost_one()
    clock.passes(7)
    assert recruits.has_lost_one()


def test_a_database_that_is_away_loses_nobody(
    settings: Settings, claim: JobClaim, clock: Clock
) -> None:
    nowhere = settings.model_copy(
        update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"}
    )
    engine = engine_for(nowhere.database)
    recruits = Recruits(session_factory(engine), claim)
    assert not recruits.has_lost_one()
    assert not recruits.one_leaves()
    recruits.dismiss()
    engine.dispose()


def test_a_group_is_gone_once_it_is_dismissed(sessions: SessionFactory, claim: JobClaim) -> None:
    Recruits(sessions, claim).dismiss()
    with sessions() as session:
        assert groups.announced(session, version="1") is None
        assert groups.statuses(session, claim) == set()
