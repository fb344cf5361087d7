"""What every test may ask for: real Postgres, Valkey and worker, a migrated database, the API."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import hypothesis
import pytest
import redis
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, delete, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from api.main import create_app
from ectopy.commands.migrate import bring_up
from ectopy.serve.embedded import embedded_servers
from services import tables
from services.access.row import AuditRow
from services.db.session import SessionFactory, engine_for, session_factory
from services.registry.row import AnsweringVersionRow, ModelRow, ModelVersionRow, PromotionRow
from services.settings import Settings
from tests.fakes import enter_fake_model
from tests.processes import WorkerProcess, environment_of, new_database, served
from tests.s3 import s3_endpoint

__all__ = ["s3_endpoint"]

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHARED = ROOT.parent / "shared"

# the same examples every time, and a machine that is busy for a moment is no fault
hypothesis.settings.register_profile("ours", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ours")

REGISTRY_TABLES = {"models", "model_versions", "answering_versions", "promotions"}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a real Postgres and a real Valkey, started for this session."""
    with embedded_servers(tmp_path_factory.mktemp("servers")) as urls:
        yield urls


@pytest.fixture(scope="session")
def migrated_url(servers: tuple[str, str]) -> URL:
    """The database, migrated from empty, with the shipped models registered."""
    url = make_url(servers[0])
    _without_waiting_for_disks(url)
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
        allowed_hosts="testserver",
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
    return environment_of(settings)


@pytest.fixture
def fake_model(sessions: SessionFactory) -> Iterator[ModelVersionRow]:
    """A model of the task `beats` that answers, and that only a fake predictor can load."""
    with sessions.begin() as session:
        version = enter_fake_model(session)
    yield version
    with sessions.begin() as session:
        forget_model(session, version.name)


@pytest.fixture
def server(settings: Settings) -> Iterator[str]:
    """The API on a real socket; its URL."""
    with served(create_app(settings)) as url:
        yield url


@dataclass(frozen=True)
class Live:
    """The whole service on its own database: API on a socket, a worker, the shipped models."""

    settings: Settings
    sessions: SessionFactory
    url: str
    worker: WorkerProcess


@pytest.fixture(scope="session")
def live(servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Started once for all journeys; what one of them stores, the others see too."""
    folder = tmp_path_factory.mktemp("live")
    url = new_database(servers[0], "live")
    _without_waiting_for_disks(url)
    bring_up(url)
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        database_url=url.render_as_string(hide_password=False),
        broker_url=broker_database(servers[1], 1),
        lease_s=4.0,
        resend_after_s=2.0,
        log_level="WARNING",
    )
    engine = engine_for(settings.database)
    worker = WorkerProcess(settings, folder / "worker.log")
    try:
        with served(create_app(settings)) as address:
            sessions = session_factory(engine)
            worker.wait_ready(sessions)
            yield Live(settings, sessions, address, worker)
    finally:
        engine.dispose()
        worker.end()


@pytest.fixture
def live_client(live: Live) -> Iterator[httpx.Client]:
    """A client of the whole service."""
    with httpx.Client(base_url=live.url, timeout=90, trust_env=False) as client:
        yield client


def _empty_database(url: URL) -> None:
    emptied = [
        t
        for t in tables.metadata.sorted_tables
        if t.name not in {*REGISTRY_TABLES, AuditRow.__tablename__}
    ]
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in reversed(emptied):  # quicker than truncate, which makes new files each time
            connection.execute(table.delete())
        # the trail can only be added to, except by who may turn its trigger off
        connection.execute(text("set local session_replication_role = replica"))
        connection.execute(AuditRow.__table__.delete())
    engine.dispose()


def _without_waiting_for_disks(url: URL) -> None:
    """A crash of the machine may lose a test's last commits; nobody minds."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'alter database "{url.database}" set synchronous_commit = off'))
    engine.dispose()


def broker_database(url: str, number: int) -> str:
    """The broker's URL with another of its numbered databases."""
    return url.rsplit("/", 1)[0] + f"/{number}"


def forget_model(session: Session, name: str) -> None:
    for table in (PromotionRow, AnsweringVersionRow, ModelVersionRow, ModelRow):
        session.execute(delete(table).where(table.name == name))


def _empty_broker(url: str) -> None:
    client = redis.Redis.from_url(url)
    client.flushdb()
    client.close()
