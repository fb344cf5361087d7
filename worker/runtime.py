"""What the tasks of one worker process share: built once, when the process starts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import structlog

from services import ids
from services.db.session import SessionFactory, engine_for, session_factory, single_statements
from services.jobs import lifecycle
from services.jobs.dispatch import QUEUES, CeleryDispatcher, Dispatcher
from services.jobs.execution import Runner, execute
from services.jobs.presence import WorkerIdentity
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for
from services.telemetry import configure_logging
from services.version import code_version
from worker.devices import device_for
from worker.predictors import LoadedPredictors

log = structlog.get_logger()


@dataclass
class Runtime:
    """Sessions, store, loaded models, and the stop flags of the jobs that run now."""

    settings: Settings
    sessions: SessionFactory
    store: Store
    dispatcher: Dispatcher
    predictors: LoadedPredictors
    identity: WorkerIdentity
    running: dict[str, threading.Event] = field(default_factory=dict)
    single_statements: SessionFactory = field(init=False)

    def __post_init__(self) -> None:
        self.single_statements = single_statements(self.sessions)

    def run_job(self, job_id: str, runner: Callable[[Runtime], Runner]) -> None:
        """Claims the job and runs it to its end; does nothing when another has it."""
        with self.single_statements() as session:
            claim = lifecycle.claim(
                session, job_id, worker=self.identity.name, lease_s=self.settings.lease_s
            )
        if claim is None:
            log.info("job.not_claimed", job_id=job_id)
            return
        # an earlier attempt may still run here: it has lost its claim, and its flag is its own
        stop = self.running[job_id] = threading.Event()
        try:
            execute(self.sessions, claim, runner(self), stop)
        finally:
            if self.running.get(job_id) is stop:
                del self.running[job_id]


@cache
def runtime() -> Runtime:
    """The process's runtime, from the environment."""
    settings = Settings()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    device = device_for(settings.device)
    store = store_for(settings)
    return Runtime(
        settings=settings,
        sessions=session_factory(engine_for(settings.database)),
        store=store,
        dispatcher=CeleryDispatcher(settings.broker),
        predictors=LoadedPredictors(store, device=device, capacity=settings.models_in_memory),
        identity=WorkerIdentity(
            name=ids.new_id("wrk"),
            queues=QUEUES,
            device=device,
            version=code_version(),
            pid=os.getpid(),
        ),
    )
