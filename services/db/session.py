"""Engine and session factory; sessions are synchronous everywhere (docs/decisions/0001)."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

SessionFactory = sessionmaker[Session]

# what a database that is away, or too busy to be reached, looks like from here
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

CONNECT_TIMEOUT_S = 5
# a dead server is noticed in well under a minute, not after the kernel's two hours
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


def engine_for(url: URL, *, pool_size: int = 10) -> Engine:
    """An engine that checks a connection before use, so that a restarted server is no error."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": 15_000,
            "application_name": "ectopy",
            **KEEPALIVES,
        },
    )


def session_factory(engine: Engine) -> SessionFactory:
    """Sessions that keep their objects readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)
