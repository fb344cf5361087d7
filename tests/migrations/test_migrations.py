"""The schema: from empty and back, on data, and the same as the rows say."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL, make_url

from ectopy.commands.migrate import bring_up
from services import tables
from services.access.caller import DEFAULT_PROJECT
from services.db.migrate import alembic_config, downgrade, upgrade
from services.db.session import engine_for, session_factory
from services.errors import NotFound
from services.jobs import presence
from services.jobs.presence import WorkerIdentity
from services.registry import service as registry
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


def test_what_was_there_before_projects_is_the_default_project_s_and_back(empty: URL) -> None:
    upgrade(empty, "2026_11_21_2250")
    card = '{"name": "x", "task": "beats", "family": "ecgbert"}'
    engine = engine_for(empty)
    with engine.begin() as connection:
        for name, location, chosen in (("x", "shipped:x", 1), ("own", "store:models/imp_1", 2)):
            values = {"name": name, "location": location, "card": card, "chosen": chosen}
            connection.execute(
                text(
                    "insert into models values (:name, 'beats', 'ecgbert', :chosen, now(), now())"
                ),
                values,
            )
            for number in (1, 2):
                connection.execute(
                    text(
                        "insert into model_versions (name, version, location, sha256, synthetic, "
                        "card, created_at) values (:name, :n, :location, 'a', false, :card, now())"
                    ),
                    values | {"n": number},
                )
        connection.execute(
            text(
                "insert into promotions (name, version, previous_version, action, created_at) "
                "values ('x', 1, null, 'ship', now()), ('x', 2, 1, 'ship', now()), "
                "('x', 1, 2, 'promote', now()), ('own', 2, null, 'promote', now())"
            )
        )
    upgrade(empty)
    with session_factory(engine)() as session:
        record_row(session)
        record_row(session, project_id="other")
        assert registry.model(session, DEFAULT_PROJECT, "x").promoted_version == 1
        assert registry.model(session, DEFAULT_PROJECT, "own").promoted_version == 2
        assert registry.model(session, "other", "x").promoted_version == 2
        with pytest.raises(NotFound):
            registry.model(session, "other", "own")
        assert registry.resolve(session, DEFAULT_PROJECT, "beats", None).name == "own"
    downgrade(empty, "2026_11_21_2250")
    with engine.begin() as connection:
        found = connection.execute(text("select name, promoted_version from models order by name"))
        assert [tuple(row) for row in found] == [("own", 2), ("x", 1)]
        assert connection.scalar(text("select count(*) from records")) == 1
    engine.dispose()
    upgrade(empty)
    assert differences(empty) == []


# From here on the version before goes on working on the tables of the next one: both can run side
# by side for the length of a rolling restart. What has to go goes a release later.
SIDE_BY_SIDE_SINCE = "2026_11_25_2030"


def later_revisions() -> list[str]:
    """Oldest first."""
    scripts = ScriptDirectory.from_config(alembic_config(make_url("postgresql://nowhere")))
    found = scripts.iterate_revisions("head", SIDE_BY_SIDE_SINCE)
    return [script.revision for script in found][::-1]


def columns(url: URL) -> dict[tuple[str, str], dict[str, Any]]:
    engine = create_engine(url)
    looked = inspect(engine)
    found = {
        (table, column["name"]): dict(column)
        for table in looked.get_table_names()
        for column in looked.get_columns(table)
    }
    engine.dispose()
    return found


def test_the_version_before_can_go_on_with_the_tables_of_the_next(empty: URL) -> None:
    """It finds every column that it knows, and need not name one that it does not know."""
    upgrade(empty, SIDE_BY_SIDE_SINCE)
    known = columns(empty)
    assert later_revisions()
    for revision in later_revisions():
        upgrade(empty, revision)
        now = columns(empty)
        assert {key: str(one["type"]) for key, one in known.items()} == {
            key: str(now[key]["type"]) for key in known if key in now
        }
        for key in now.keys() - known.keys():
            table_is_new = key[0] not in {table for table, _ in known}
            optional = now[key]["nullable"] or now[key]["default"] is not None
            assert table_is_new or optional, f"{key}: the version before does not write it"
        known = now
