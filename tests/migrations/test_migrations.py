"""The schema: from empty and back, on data, and the same as the rows say."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL

from ectopy.commands.migrate import bring_up
from services import tables
from services.db.migrate import downgrade, upgrade
from services.db.session import engine_for, session_factory
from services.jobs import presence
from services.jobs.presence import WorkerIdentity
from tests.factories import queued_job, record_row
from tests.processes import new_database


@pytest.fixture
def empty(servers: tuple[str, str]) -> URL:
    return new_database(servers[0], "migrations")


def table_names(url: URL) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def differences(url: URL) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        found: list[object] = compare_metadata(context, tables.metadata)
    engine.dispose()
    return found


def test_migrations_make_what_the_rows_say(empty: URL) -> None:
    upgrade(empty)
    assert differences(empty) == []
    assert table_names(empty) == set(tables.metadata.tables)


def test_up_and_down_and_up_again_on_data(empty: URL) -> None:
    bring_up(empty)
    engine = engine_for(empty)
    with session_factory(engine)() as session:
        record_row(session)
        queued_job(session)
        presence.beat(session, WorkerIdentity("w", ("predict",), "cpu", "1", 1))
        session.commit()
    engine.dispose()
    downgrade(empty, "base")
    assert table_names(empty) == set()
    upgrade(empty)
    assert differences(empty) == []


def test_processes_that_migrate_at_once_do_not_disturb_each_other(empty: URL) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            bring_up(empty)
        except BaseException as error:  # noqa: BLE001 - told to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert differences(empty) == []


def test_migrating_twice_changes_nothing(empty: URL) -> None:
    bring_up(empty)
    assert bring_up(empty) == []
