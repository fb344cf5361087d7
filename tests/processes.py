"""Real processes for tests: an HTTP server with sockets, a Celery worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import URL, make_url

from services.db.session import SessionFactory
from services.jobs import presence
from services.jobs.dispatch import INFERENCE_QUEUES, TRAINING_QUEUES
from services.settings import Settings
from tests.faults import eventually

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a real socket, in a thread of this process; its URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=15)


def environment_of(settings: Settings) -> dict[str, str]:
    """These settings as the environment of a process of its own."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ECTOPY_")}
    return inherited | {
        "ECTOPY_DATA_DIR": str(settings.data_dir),
        "ECTOPY_DATABASE_URL": settings.database_url,
        "ECTOPY_BROKER_URL": settings.broker_url,
        "ECTOPY_STORAGE_URL": settings.storage_url,
        "ECTOPY_STORAGE_ENDPOINT": settings.storage_endpoint,
        "ECTOPY_STORAGE_ACCESS_KEY": settings.storage_access_key,
        "ECTOPY_STORAGE_SECRET_KEY": settings.storage_secret_key.get_secret_value(),
        "ECTOPY_LEASE_S": str(settings.lease_s),
        "ECTOPY_RESEND_AFTER_S": str(settings.resend_after_s),
        "ECTOPY_LOG_LEVEL": "INFO",
    }


class WorkerProcess:
    """A real Celery worker; its output goes to a file that a failing test shows."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        *,
        app: str = "worker.app:app",
        queues: Sequence[str] = INFERENCE_QUEUES,
        **environment: str,
    ) -> None:
        self.log = log
        command = [
            *(sys.executable, "-m", "celery", "-A", app, "worker", "--pool", "threads"),
            *("--concurrency", "2", "-Q", ",".join(queues), "--without-gossip", "--without-mingle"),
        ]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment_of(settings) | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self, sessions: SessionFactory) -> None:
        """Until its heartbeat is in the database."""

        def beats() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with sessions() as session:
                return any(row.pid == self.process.pid for row in presence.alive(session))

        eventually(beats, within_s=90, what=f"no worker:\n{self.log.read_text()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, *, within_s: float = 10.0) -> None:
        """SIGTERM, and the end whatever happens: without its broker Celery does not hear it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()


def trainer(settings: Settings, log: Path, **environment: str) -> WorkerProcess:
    """A real worker that trains, each run in a process of its own."""
    return WorkerProcess(
        settings,
        log,
        app="worker.training_app:app",
        queues=TRAINING_QUEUES,
        ECTOPY_TRAINING_DEVICE="cpu",
        **environment,
    )


def new_database(server_url: str, name: str) -> URL:
    """An empty database beside the one of the URL."""
    url = make_url(server_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}"')
    return url.set(database=name)
