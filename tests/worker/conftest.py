"""The whole service, with a predictor that waits at a gate for a fault to come in its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.main import create_app
from services.db.session import SessionFactory
from services.settings import Settings
from tests.fakes import HOLD, STARTED
from tests.faults import eventually
from tests.processes import WorkerProcess, served

StartWorker = Callable[..., WorkerProcess]


@dataclass(frozen=True)
class Gate:
    """Where the fake predictor waits."""

    folder: Path

    def hold(self) -> None:
        (self.folder / HOLD).touch()
        (self.folder / STARTED).unlink(missing_ok=True)

    def open(self) -> None:
        (self.folder / HOLD).unlink(missing_ok=True)

    def wait_until_one_waits(self) -> None:
        eventually((self.folder / STARTED).exists, within_s=60, what="no prediction began")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    folder = tmp_path / "gate"
    folder.mkdir()
    return Gate(folder)


@pytest.fixture
def start_worker(
    settings: Settings, sessions: SessionFactory, gate: Gate, tmp_path: Path
) -> Iterator[StartWorker]:
    """Starts workers with the fake predictor; what still runs at the end is stopped."""
    workers: list[WorkerProcess] = []

    def start(chosen: Settings = settings) -> WorkerProcess:
        worker = WorkerProcess(
            chosen,
            tmp_path / f"worker-{len(workers)}.log",
            app="tests.worker.fake_app:app",
            ECTOPY_TEST_GATE=str(gate.folder),
            ECTOPY_DEVICE="cpu",
            ECTOPY_LOG_FORMAT="json",
        )
        workers.append(worker)
        worker.wait_ready(sessions)
        return worker

    yield start
    gate.open()
    for worker in workers:
        worker.end()


@contextmanager
def client_of(settings: Settings) -> Iterator[httpx.Client]:
    """A client of an API of its own."""
    with (
        served(create_app(settings)) as url,
        httpx.Client(base_url=url, timeout=90, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with client_of(settings) as found:
        yield found
