"""Engine and session factories; sessions are synchronous everywhere (docs/decisions/0001)."""

from __future__ import annotations

import select
import time
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, ExceptionContext, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

SessionFactory = sessionmaker[Session]

# what a database that is away, or too busy to be reached, looks like from here
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

CONNECT_TIMEOUT_S = 5
# a dead server is noticed in well under a minute, not after the kernel's two hours
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# a connection that nobody used for so long is asked whether it still lives, before it is used
PING_AFTER_S = 10.0
# a statement that comes again is kept planned: nearly all of ours do, on each of many connections
PREPARED_AFTER = 1
_USED_AT = "used_at"
_SINGLE: WeakKeyDictionary[SessionFactory, SessionFactory] = WeakKeyDictionary()


def engine_for(
    url: URL, *, pool_size: int = 10, statement_timeout_s: float | None = None
) -> Engine:
    """An engine that looks at a connection before use, so that a restarted server is no error.

    A server that ended has closed its side, and that can be seen without asking it: a question
    each time (`pool_pre_ping`) was a fifth of every short transaction.
    """
    options = (
        f"-c statement_timeout={statement_timeout_s * 1000:.0f}" if statement_timeout_s else ""
    )
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        # a connection that was just used has its statements and tables at hand, others less so
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": 15_000,
            "application_name": "ectopy",
            "prepare_threshold": PREPARED_AFTER,
            "options": options,
            **KEEPALIVES,
        },
    )
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _RefuseDead(engine))
    event.listen(engine, "handle_error", _lost_is_away)
    return engine


def session_factory(engine: Engine) -> SessionFactory:
    """Sessions that keep their objects readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def single_statements(sessions: SessionFactory) -> SessionFactory:
    """Sessions over the same connections in which each statement is a transaction of its own.

    For reading, and for a change that is one statement: BEGIN and COMMIT are two more ways to the
    database and back. What they read is the same, as each statement sees its own moment anyway.
    And a transaction that only read is rolled back in the end, with which psycopg forgets every
    statement that the connection had planned, those of others too.
    """
    if sessions not in _SINGLE:  # made once: each job asks for it
        engine: Engine = sessions.kw["bind"]
        options = engine.execution_options(isolation_level="AUTOCOMMIT")
        _SINGLE[sessions] = session_factory(options)
    return _SINGLE[sessions]


def _lost_is_away(context: ExceptionContext) -> None:
    """A lost connection is a database that is away, whatever the driver called it.

    libpq makes errors of its own without a code, and the driver has only `DatabaseError` for them.
    """
    known = context.sqlalchemy_exception
    if context.is_disconnect and not isinstance(known, DATABASE_AWAY):
        lost = context.original_exception
        raise OperationalError(context.statement, None, lost, connection_invalidated=True) from lost


def _note_use(_connection: Any, record: Any) -> None:
    record.info[_USED_AT] = time.monotonic()


class _RefuseDead:
    """Has the pool make new connections where the server is seen, or found, to have gone."""

    def __init__(self, engine: Engine) -> None:
        self._ping = engine.dialect.do_ping

    def __call__(self, connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.pop(_USED_AT, None)
        if used_at is None:  # it was made this moment
            return
        if _has_closed(connection) or (
            time.monotonic() - used_at > PING_AFTER_S and not self._answers(connection)
        ):
            raise InvalidatePoolError

    def _answers(self, connection: Any) -> bool:
        try:
            return bool(self._ping(connection))
        except connection.Error:
            return False


def _has_closed(connection: Any) -> bool:
    """Whether the other side has sent something unasked: its end, or the word that it ends."""
    if connection.closed:
        return True
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN | select.POLLPRI)
    return bool(poller.poll(0))
