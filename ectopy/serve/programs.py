"""The API and the worker: how they are started, and what their environment tells them."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

import httpx

from ectopy.serve.folder import DataFolder
from ectopy.serve.ports import LOOPBACK
from ectopy.serve.postgres import DATABASE, ROLE, Postgres
from ectopy.serve.processes import Program
from ectopy.serve.valkey import Valkey
from services.jobs.dispatch import BATCH_QUEUE, PREDICT_QUEUE, TRAIN_QUEUE
from services.settings import Settings

ANSWER_TIMEOUT_S = 5.0
API_PATIENCE_S = 13.0  # it gives its requests 10 (api/__main__.py)
WORKER_PATIENCE_S = 8.0
MOST_THREADS = 4
# How far each stands back for the API, the servers and those before it: where processors are
# few, a read must not wait for a network, nor a reader at a bedside for a batch or a fine-tune.
WORKER_NICENESS, BATCH_NICENESS, TRAINER_NICENESS = 10, 14, 18

WATCHED = ("api", "services", "worker")


@dataclass(frozen=True)
class Api:
    """The HTTP gateway, ready when it says that database, broker and a worker answer it.

    Its environment says where it listens; host and port are for those who call it.
    """

    folder: DataFolder
    host: str
    port: int
    environment: dict[str, str]
    reload: bool = False
    name: str = "api"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As seen from this machine."""
        host = LOOPBACK if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - compared
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def prepare(self) -> None:
        """It needs nothing."""

    def program(self) -> Program:
        command = [sys.executable, "-m", "api"]
        if self.reload:
            command += [f"--reload-dir={folder}" for folder in WATCHED]
        return Program(
            name=self.name,
            command=command,
            environment=self.environment,
            log=self.folder.log(self.name),
            stop_patience_s=API_PATIENCE_S,
            death_signal=signal.SIGTERM if self.reload else signal.SIGKILL,
        )

    def is_ready(self) -> bool:
        return self.readiness() == ""

    def readiness(self) -> str:
        """Empty when all is well, else what `/readyz` says is missing."""
        try:
            # a proxy that is set for the web has no part in this
            with httpx.Client(trust_env=False, timeout=ANSWER_TIMEOUT_S) as client:
                answer = client.get(f"{self.url}/readyz")
        except httpx.HTTPError as error:
            return f"no answer ({type(error).__name__})"
        return "" if answer.is_success else answer.text


@dataclass(frozen=True)
class Worker:
    """A process that runs the models. Whether it answers, the API's readiness says.

    Batches have one of their own, so that no number of them keeps a single prediction waiting.
    """

    folder: DataFolder
    threads: int
    environment: dict[str, str]
    reload: bool = False
    name: str = "worker"
    queue: str = PREDICT_QUEUE
    niceness: int = WORKER_NICENESS
    address: str = ""

    def prepare(self) -> None:
        """It needs nothing."""

    def program(self) -> Program:
        command = [
            *(sys.executable, "-m", "celery", "-A", "worker.app:app", "worker"),
            *("--pool", "threads", "--concurrency", str(self.threads)),
            *("-Q", self.queue),
            *("-n", f"{self.queue}@%h", "--without-gossip", "--without-mingle"),
        ]
        if self.reload:
            command = [*_restarted_on_change(), " ".join(command), *WATCHED]
        return Program(
            name=self.name,
            command=command,
            environment=self.environment,
            log=self.folder.log(self.name),
            stop_patience_s=WORKER_PATIENCE_S,
            death_signal=signal.SIGTERM if self.reload else signal.SIGKILL,
            niceness=self.niceness,
        )

    def is_ready(self) -> bool:
        return True


@dataclass(frozen=True)
class Trainer:
    """The worker that starts a process for each training run; loads no model itself."""

    folder: DataFolder
    environment: dict[str, str]
    reload: bool = False
    name: str = "trainer"
    address: str = ""

    def prepare(self) -> None:
        """It needs nothing."""

    def program(self) -> Program:
        command = [
            *(sys.executable, "-m", "celery", "-A", "worker.training_app:app", "worker"),
            *("--pool", "threads", "--concurrency", "1", "-Q", TRAIN_QUEUE),
            *("-n", "train@%h", "--without-gossip", "--without-mingle"),
        ]
        if self.reload:
            command = [*_restarted_on_change(), " ".join(command), *WATCHED]
        return Program(
            name=self.name,
            command=command,
            environment=self.environment,
            log=self.folder.log(self.name),
            stop_patience_s=WORKER_PATIENCE_S,
            death_signal=signal.SIGTERM if self.reload else signal.SIGKILL,
            niceness=TRAINER_NICENESS,
        )

    def is_ready(self) -> bool:
        return True


def batch_worker(folder: DataFolder, environment: dict[str, str], reload: bool) -> Worker:
    """The worker for batches: one record after the other."""
    return Worker(
        folder, 1, environment, reload, name="batch", queue=BATCH_QUEUE, niceness=BATCH_NICENESS
    )


def _restarted_on_change() -> list[str]:
    return [sys.executable, "-m", "watchfiles", "--filter", "python", "--sigint-timeout", "5"]


def environment_of_programs(
    folder: DataFolder, settings: Settings, *, postgres: Postgres, valkey: Valkey, api_port: int
) -> dict[str, str]:
    """Where everything is. The passwords stay in their files, out of the list of processes."""
    return {
        **folder.environment(),
        "ECTOPY_DATA_DIR": str(folder.root),
        "ECTOPY_DATABASE_URL": f"postgresql+psycopg://{ROLE}@{postgres.address}/{DATABASE}",
        "ECTOPY_DATABASE_PASSWORD_FILE": str(folder.password_file(postgres.name)),
        "ECTOPY_BROKER_URL": f"redis://{valkey.address}/0",
        "ECTOPY_BROKER_PASSWORD_FILE": str(folder.password_file(valkey.name)),
        "ECTOPY_API_HOST": settings.api_host,
        "ECTOPY_API_PORT": str(api_port),
    }


def threads(settings: Settings) -> int:
    """Predictions at once: as told, else one a core and two at least, to pass a long one by."""
    return settings.inference_threads or max(2, min(MOST_THREADS, os.cpu_count() or 1))
