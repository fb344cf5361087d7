"""What the tasks of one worker process share: built once, when the process starts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import structlog

from services import ids
from services.db.session import SessionFactory, engine_for, session_factory, single_statements
from services.errors import Unavailable
from services.jobs import lifecycle
from services.jobs.dispatch import (
    INFERENCE_QUEUES,
    TRAINING_QUEUES,
    CeleryDispatcher,
    Dispatcher,
)
from services.jobs.execution import Runner, execute
from services.jobs.lifecycle import Seeing
from services.jobs.presence import WorkerIdentity
from services.models.interface import Predictor
from services.predictions.runner import Predictors
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for
from services.telemetry import configure_logging
from services.tracing import configure_tracing
from services.version import code_version
from worker.devices import device_for
from worker.turns import Turns

log = structlog.get_logger()


@dataclass
class Runtime:
    """Sessions, store, loaded models, and the stop flags of the jobs that run now."""

    settings: Settings
    sessions: SessionFactory
    store: Store
    dispatcher: Dispatcher
    predictors: Predictors
    identity: WorkerIdentity
    running: dict[str, threading.Event] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)
    single_statements: SessionFactory = field(init=False)

    def __post_init__(self) -> None:
        self.single_statements = single_statements(self.sessions)

    def listen_to(self, queues: Sequence[str]) -> None:
        """Which queues this worker takes jobs from, as it was started."""
        self.identity = replace(self.identity, queues=queues)

    def run_job(
        self,
        job_id: str,
        runner: Callable[[Runtime], Runner],
        *,
        seeing: Seeing | None = None,
    ) -> None:
        """Claims the job and runs it to its end; does nothing when another has it.

        seeing: what the claim reads along.
        """
        with self.single_statements() as session:
            claim = lifecycle.claim(
                session,
                job_id,
                worker=self.identity.name,
                lease_s=self.settings.lease_s,
                seeing=seeing,
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
    configure_tracing(settings.traces_endpoint, part="worker")
    from worker.predictors import LoadedPredictors  # with torch, which a trainer need not load

    device, store = device_for(settings.device), store_for(settings)
    predictors = LoadedPredictors(store, device=device, capacity=settings.models_in_memory)
    return _runtime(settings, store, predictors, queues=INFERENCE_QUEUES, device=device)


@cache
def training_runtime() -> Runtime:
    """That of a worker that starts a process for each training run, and loads no model itself."""
    settings = Settings()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    configure_tracing(settings.traces_endpoint, part="trainer")
    store = store_for(settings)
    return _runtime(
        settings, store, NoPredictors(), queues=TRAINING_QUEUES, device=settings.training_device
    )


class NoPredictors:
    """For a worker to which no prediction is sent."""

    def predictor(self, *, family: str, location: str, sha256: str) -> Predictor:
        raise Unavailable("this worker trains models and does not predict")


def _runtime(
    settings: Settings,
    store: Store,
    predictors: Predictors,
    *,
    queues: Sequence[str],
    device: str,
) -> Runtime:
    return Runtime(
        settings=settings,
        sessions=session_factory(engine_for(settings.database)),
        store=store,
        dispatcher=CeleryDispatcher(settings.broker),
        predictors=predictors,
        identity=WorkerIdentity(
            name=ids.new_id("wrk"),
            queues=queues,
            device=device,
            version=code_version(),
            pid=os.getpid(),
        ),
    )
