"""What every test may ask for: a real Postgres and Valkey, a migrated database, the API, a worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from api.main import create_app
from ectopy.commands.migrate import bring_up
from ectopy.serve.embedded import embedded_servers
from services import tables
from services.db.session import SessionFactory, engine_for, session_factory
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHARED = ROOT.parent / "shared"

REGISTRY_TABLES = {"models", "model_versions", "promotions"}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a real Postgres and a real Valkey, started for this session."""
    with embedded_servers(tmp_path_factory.mktemp("servers")) as urls:
        yield urls


@pytest.fixture(scope="session")
def migrated_url(servers: tuple[str, str]) -> URL:
    """The database, migrated from empty, with the shipped models registered."""
    url = make_url(servers[0])
    bring_up(url)
    return url


@pytest.fixture
def settings(servers: tuple[str, str], migrated_url: URL, tmp_path: Path) -> Iterator[Settings]:
    """Settings of one test: its own folder, an emptied database and broker."""
    _empty_database(migrated_url)
    _empty_broker(servers[1])
    yield Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        database_url=servers[0],
        broker_url=servers[1],
        lease_s=4.0,
        resend_after_s=2.0,
        log_level="WARNING",
    )
    shutil.rmtree(tmp_path / "data", ignore_errors=True)


@pytest.fixture
def sessions(settings: Settings) -> Iterator[SessionFactory]:
    engine = engine_for(settings.database)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def session(sessions: SessionFactory) -> Iterator[Session]:
    with sessions() as session:
        yield session


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """The API in this process, on real servers; no worker behind it unless the test starts one."""
    app = create_app(settings)
    with TestClient(app, client=("127.0.0.1", 50000), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def example() -> dict[str, bytes]:
    """The sample record's files by name."""
    names = ("208_excerpt.hea", "208_excerpt.dat")
    return {name: (EXAMPLES / name).read_bytes() for name in names}


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """These settings as the environment of a process of its own."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ECTOPY_")}
    return inherited | {
        "ECTOPY_DATA_DIR": str(settings.data_dir),
        "ECTOPY_DATABASE_URL": settings.database_url,
        "ECTOPY_BROKER_URL": settings.broker_url,
        "ECTOPY_LEASE_S": str(settings.lease_s),
        "ECTOPY_RESEND_AFTER_S": str(settings.resend_after_s),
        "ECTOPY_LOG_LEVEL": "INFO",
    }


def _empty_database(url: URL) -> None:
    names = [t.name for t in tables.metadata.sorted_tables if t.name not in REGISTRY_TABLES]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"truncate {', '.join(names)} cascade"))
    engine.dispose()


def _empty_broker(url: str) -> None:
    import redis

    client = redis.Redis.from_url(url)
    client.flushall()
    client.close()
