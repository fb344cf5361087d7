"""The Celery app of a worker that trains: `celery -A worker.training_app:app worker -Q train`."""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from services.jobs.dispatch import celery_app
from services.settings import Settings
from worker import training
from worker.heartbeat import Heartbeat
from worker.helping import Helping
from worker.meeting import require_host
from worker.runtime import training_runtime
from worker.tasks import fine_tunes
from worker.upkeep import Upkeep
from worker.watchdog import Watchdog

_beside: list[Heartbeat | Upkeep | Watchdog | Helping] = []


def create() -> Celery:
    """The app with the one task."""
    settings = Settings()
    require_host(settings)
    made = celery_app(settings.broker)
    fine_tunes.register(made)
    return made


app = create()


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    # see worker.app
    sender.connection_errors = (*sender.connection_errors, AttributeError)
    _beside.extend([Heartbeat(training_runtime()), Upkeep(training_runtime())])
    _beside.append(Watchdog(training_runtime()))
    if training_runtime().settings.training_machines > 1:
        _beside.append(Helping(training_runtime()))
    for thread in _beside:
        thread.start()


@worker_shutting_down.connect
def _hand_back(**_: Any) -> None:
    training.ENDING.set()


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    for thread in reversed(_beside):
        if thread is not threading.current_thread():
            thread.stop()
    _beside.clear()
