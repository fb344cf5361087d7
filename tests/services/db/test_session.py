"""Connections that the server has ended, and statements that are transactions of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from services.db import session as db
from services.db.session import SessionFactory, engine_for, session_factory, single_statements
from services.settings import Settings


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = engine_for(settings.database, pool_size=2)
    yield engine
    engine.dispose()


def backend(sessions: SessionFactory) -> int:
    with sessions() as session:
        return int(session.execute(text("select pg_backend_pid()")).scalar_one())


def end_backend(sessions: SessionFactory, pid: int) -> None:
    """As a server that is stopped does to all of its clients."""
    with sessions.begin() as session:
        assert session.scalar(text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_connection_that_the_server_ended_is_replaced_before_use(
    engine: Engine, sessions: SessionFactory
) -> None:
    ours = session_factory(engine)
    before = backend(ours)
    end_backend(sessions, before)
    assert backend(ours) != before


def test_a_connection_in_use_is_not_asked_whether_it_lives(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(db._RefuseDead, "_answers", lambda _, connection: asked.append(connection))
    ours = session_factory(engine)
    assert backend(ours) == backend(ours)
    assert not asked


def test_a_connection_that_was_idle_long_is_asked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "PING_AFTER_S", -1.0)
    ours = session_factory(engine)
    before = backend(ours)
    assert backend(ours) == before  # it answers, so it is kept
    monkeypatch.setattr(db._RefuseDead, "_answers", lambda *_: False)
    assert backend(ours) != before


def test_a_server_that_is_not_there_is_an_operational_error() -> None:
    nowhere = session_factory(engine_for(make_url("postgresql+psycopg://x@127.0.0.1:1/x")))
    with pytest.raises(OperationalError):
        backend(nowhere)


def test_single_statements_are_seen_at_once_and_leave_no_trace_on_the_connection(
    engine: Engine, sessions: SessionFactory
) -> None:
    ours = session_factory(engine)
    with single_statements(ours)() as session:
        session.execute(text("create table seen_at_once (n int)"))
        session.execute(text("insert into seen_at_once values (1)"))
    with sessions.begin() as other:
        assert other.scalar(text("select n from seen_at_once")) == 1
        other.execute(text("drop table seen_at_once"))
    with ours() as session:  # the same connection, with transactions again
        session.execute(text("create table never_committed (n int)"))
    with sessions() as other:
        assert other.scalar(text("select to_regclass('never_committed')")) is None


def test_a_lost_connection_is_a_database_that_is_away_whatever_the_driver_calls_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cursor: Any, *_: object) -> None:
        cursor.connection.close()
        raise psycopg.DatabaseError("lost synchronization with server")

    with engine.connect() as connection:
        monkeypatch.setattr(engine.dialect, "do_execute", broken)
        with pytest.raises(db.DATABASE_AWAY) as caught:
            connection.execute(text("select 1"), {})
        monkeypatch.undo()
        assert isinstance(caught.value, DBAPIError)
        assert caught.value.connection_invalidated
    with engine.connect() as connection:  # another one
        assert connection.scalar(text("select 1")) == 1


def test_an_error_of_a_connection_that_stands_is_what_it_is(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(ProgrammingError):
        connection.execute(text("select nothing from nowhere"))
