"""A worker that hears nothing any more ends itself; one that has work, or no broker, does not."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from services import clock
from services.db.session import SessionFactory
from services.jobs.presence import WorkerIdentity
from services.jobs.row import JobRow
from services.settings import Settings
from services.storage.factory import store_for
from tests.factories import queued_job
from tests.fakes import ListDispatcher
from worker.predictors import LoadedPredictors
from worker.runtime import Runtime
from worker.watchdog import Watchdog


@pytest.fixture
def runtime(settings: Settings, sessions: SessionFactory) -> Runtime:
    store = store_for(settings)
    return Runtime(
        settings=settings.model_copy(update={"resend_after_s": 0.01}),
        sessions=sessions,
        store=store,
        dispatcher=ListDispatcher(),
        predictors=LoadedPredictors(store, device="cpu", capacity=2),
        identity=WorkerIdentity("w1", ("predict",), "cpu", "1", 1),
    )


@pytest.fixture
def given_up() -> list[str]:
    return []


@pytest.fixture
def watchdog(runtime: Runtime, given_up: list[str]) -> Watchdog:
    return Watchdog(runtime, give_up=lambda: given_up.append("ended"))


def waiting_long(session: Session, **more: object) -> JobRow:
    job = queued_job(session)
    moment = clock.now() - timedelta(minutes=1)
    session.execute(update(JobRow).where(JobRow.id == job.id).values(created_at=moment, **more))
    session.commit()
    return job


def look(watchdog: Watchdog) -> None:
    watchdog.tick()
    time.sleep(0.1)  # longer than its patience
    watchdog.tick()


def test_idle_while_work_waits_is_deaf(
    session: Session, watchdog: Watchdog, given_up: list[str]
) -> None:
    waiting_long(session)
    look(watchdog)
    assert "ended" in given_up


def test_without_work_it_stays(watchdog: Watchdog, given_up: list[str]) -> None:
    look(watchdog)
    assert given_up == []


def test_other_queues_are_not_its_business(
    session: Session, watchdog: Watchdog, given_up: list[str]
) -> None:
    waiting_long(session, queue="train")
    look(watchdog)
    assert given_up == []


def test_while_it_works_others_wait(
    session: Session, runtime: Runtime, watchdog: Watchdog, given_up: list[str]
) -> None:
    waiting_long(session)
    runtime.running["job_x"] = threading.Event()
    look(watchdog)
    assert given_up == []


def test_a_broker_that_is_away_is_waited_for(
    session: Session, runtime: Runtime, watchdog: Watchdog, given_up: list[str]
) -> None:
    waiting_long(session)
    runtime.dispatcher.away = True  # type: ignore[attr-defined]
    look(watchdog)
    assert given_up == []
