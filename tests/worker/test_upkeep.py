"""What a worker puts right beside its tasks; each round is called here, no thread runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from services import clock, ids
from services.db.session import SessionFactory, engine_for, session_factory
from services.jobs import lifecycle
from services.jobs.presence import WorkerIdentity
from services.jobs.row import JobRow
from services.settings import Settings
from services.storage.factory import store_for
from tests.factories import queued_job, record_row
from tests.fakes import ListDispatcher
from worker import upkeep
from worker.heartbeat import Heartbeat
from worker.predictors import LoadedPredictors
from worker.promotions import Promotions
from worker.runtime import Runtime
from worker.upkeep import Upkeep
from worker.watchdog import Watchdog


@pytest.fixture
def dispatcher() -> ListDispatcher:
    return ListDispatcher()


@pytest.fixture
def runtime(settings: Settings, sessions: SessionFactory, dispatcher: ListDispatcher) -> Runtime:
    return Runtime(
        settings=settings,
        sessions=sessions,
        store=store_for(settings),
        dispatcher=dispatcher,
        predictors=LoadedPredictors(store_for(settings), device="cpu", capacity=2),
        identity=WorkerIdentity("w1", ("predict",), "cpu", "1", 1),
    )


def changed(session: Session, job: JobRow, **values: Any) -> None:
    session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
    session.commit()


def status(session: Session, job: JobRow) -> str:
    session.rollback()
    session.refresh(job)
    return job.status


def long_ago() -> Any:
    return clock.now() - timedelta(minutes=2)


# --- upkeep


def test_a_lost_job_is_queued_and_sent_again(
    session: Session, runtime: Runtime, dispatcher: ListDispatcher
) -> None:
    job = queued_job(session)
    lifecycle.claim(session, job.id, worker="gone", lease_s=1)
    session.commit()
    changed(session, job, lease_expires_at=long_ago(), created_at=long_ago())
    Upkeep(runtime).round()
    assert status(session, job) == "queued"
    assert dispatcher.sent == [job.id]


@pytest.mark.parametrize(("waiting", "sent"), [(0, 1), (5, 0)])
def test_a_message_counts_as_lost_only_when_the_queue_is_empty(
    session: Session, runtime: Runtime, dispatcher: ListDispatcher, waiting: int, sent: int
) -> None:
    job = queued_job(session)
    changed(session, job, sent_at=long_ago(), created_at=long_ago())
    dispatcher.waiting = waiting
    Upkeep(runtime).round()
    assert len(dispatcher.sent) == sent
    Upkeep(runtime).round()
    assert len(dispatcher.sent) == sent, "not again at once"


def test_a_broker_that_is_away_changes_nothing(
    session: Session, runtime: Runtime, dispatcher: ListDispatcher
) -> None:
    job = queued_job(session)
    changed(session, job, sent_at=long_ago(), created_at=long_ago())
    dispatcher.away = True
    Upkeep(runtime).round()
    assert status(session, job) == "queued"
    dispatcher.away = False
    Upkeep(runtime).round()
    assert dispatcher.sent == [job.id]


@contextmanager
def upkeep_elsewhere(sessions: SessionFactory) -> Iterator[None]:
    with sessions.begin() as other:
        other.execute(text("select pg_advisory_xact_lock(:key)"), {"key": upkeep._LOCK})
        yield


def test_one_worker_at_a_time_does_it(
    session: Session, sessions: SessionFactory, runtime: Runtime, dispatcher: ListDispatcher
) -> None:
    job = queued_job(session)
    changed(session, job, sent_at=long_ago(), created_at=long_ago())
    with upkeep_elsewhere(sessions):
        Upkeep(runtime).round()
    assert dispatcher.sent == []


def test_files_that_nobody_owns_are_swept_and_young_ones_are_not(
    session: Session, runtime: Runtime, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    old_id, owned_id = ids.id_at("rec", time.time() - 7200), ids.id_at("rec", time.time() - 7201)
    record_row(session, id=owned_id)
    young_id = ids.new_id("rec")
    for record_id in (old_id, owned_id, young_id):
        runtime.store.put(f"records/{record_id}/signal.npy", file)
    Upkeep(runtime)._sweep()
    assert runtime.store.folders("records/") == {owned_id, young_id}


# --- heartbeat


def test_a_heartbeat_keeps_the_leases_and_hears_who_cancels(
    session: Session, runtime: Runtime
) -> None:
    kept, cancelled, lost = (queued_job(session) for _ in range(3))
    for job in (kept, cancelled, lost):
        lifecycle.claim(session, job.id, worker="w1", lease_s=1)
        runtime.running[job.id] = threading.Event()
    lifecycle.cancel(session, cancelled.id)
    session.commit()
    changed(session, lost, worker="w2")
    before = clock.now() + timedelta(seconds=2)
    Heartbeat(runtime).tick()
    status(session, kept)
    assert kept.lease_expires_at is not None
    assert kept.lease_expires_at > before
    told = {job_id for job_id, stop in runtime.running.items() if stop.is_set()}
    assert told == {cancelled.id, lost.id}


def test_what_runs_beside_the_tasks_leaves_their_statements_planned(
    runtime: Runtime, settings: Settings
) -> None:
    """psycopg forgets all of a connection's statements with a transaction that is rolled back."""
    engine = engine_for(settings.database, pool_size=1)  # all of them share a connection
    runtime = replace(runtime, sessions=session_factory(engine))
    statement = text("select 1 as of_a_task")
    planned = text("select count(*) from pg_prepared_statements where statement like '%of_a_task'")
    with runtime.single_statements() as session:
        for _ in range(3):
            session.execute(statement)
        before = session.scalar(planned)
    Watchdog(runtime).tick()
    Upkeep(runtime).round()
    Promotions(runtime).round()
    runtime.running["job_a"] = threading.Event()
    Heartbeat(runtime).tick()
    with runtime.single_statements() as session:
        after = session.scalar(planned)
    engine.dispose()
    assert (before, after) == (1, 1)


def test_a_heartbeat_survives_a_database_that_is_away(runtime: Runtime) -> None:
    class Away:
        calls = 0

        def begin(self) -> Any:
            from sqlalchemy.exc import TimeoutError as PoolTimeout

            Away.calls += 1
            raise PoolTimeout

    runtime.sessions = Away()  # type: ignore[assignment]
    heart = Heartbeat(runtime)
    heart.start()
    deadline = time.monotonic() + 10
    while Away.calls < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert heart.is_alive()
    runtime.sessions = Away()  # type: ignore[assignment]
    heart.stop()
    assert Away.calls >= 2


def test_an_earlier_attempt_does_not_take_the_flag_of_a_later_one(
    session: Session, runtime: Runtime
) -> None:
    """The same worker may hold a job twice: its lease ran out while the database was away."""
    job = queued_job(session)
    seen: dict[str, threading.Event] = {}

    class Again:
        def run(self, claim: Any, progress: Any) -> None:
            if claim.attempt == 1:
                changed(session, job, status="queued", worker=None)
                runtime.run_job(job.id, lambda _: Later())

        def store(self, *_: Any) -> None:
            return None

    class Later(Again):
        def run(self, claim: Any, progress: Any) -> None:
            seen["later"] = runtime.running[job.id]

    runtime.run_job(job.id, lambda _: Again())
    assert seen
    assert runtime.running == {}
    assert status(session, job) == "succeeded"
