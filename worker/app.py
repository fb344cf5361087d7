"""The Celery app of a worker: tasks, and what runs beside them in the process."""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready, worker_shutdown
from sqlalchemy.exc import SQLAlchemyError

from services import steady
from services.jobs.dispatch import PREDICT_QUEUE, celery_app
from services.settings import Settings
from worker.heartbeat import Heartbeat
from worker.promotions import Promotions
from worker.runtime import runtime
from worker.tasks import imports, predictions
from worker.upkeep import Upkeep
from worker.warm_up import log, warm_up
from worker.watchdog import Watchdog

# read when torch is loaded, which is later. Its threads would else spin while they wait for one
# another, and where anything else wants the processors a network takes two to five times as long
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# a prediction takes arrays of megabytes one after the other, each time the same
MEMORY = {"heaps": 1, "kept_bytes": 256 * 2**20}

_beside: list[Heartbeat | Upkeep | Promotions | Watchdog] = []


def create() -> Celery:
    """The app with every task that the API may send."""
    made = celery_app(Settings().broker)
    predictions.register(made)
    imports.register(made)
    return made


app = create()


@worker_init.connect
def _load(sender: Any, **_: Any) -> None:
    """A worker of batches alone loads what it is asked for: nobody waits for its first answer."""
    steady.share_memory(**MEMORY)
    queues = tuple(sender.app.amqp.queues.consume_from)
    runtime().listen_to(queues)
    if PREDICT_QUEUE not in queues:
        return
    try:
        warm_up(runtime())
    except SQLAlchemyError as error:  # the database may come later: a slower first request
        log.warning("warm_up.failed", reason=type(error).__name__)


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    # a message that is acknowledged over a connection that has just broken fails with this one
    # (kombu 5.7), which would end the worker: it is a lost connection like any other
    sender.connection_errors = (*sender.connection_errors, AttributeError)
    _beside.extend([Heartbeat(runtime()), Upkeep(runtime()), Promotions(runtime())])
    _beside.append(Watchdog(runtime()))
    steady.give_way()
    steady.settle()
    for thread in _beside:
        thread.start()


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    for thread in reversed(_beside):
        if thread is not threading.current_thread():
            thread.stop()
    _beside.clear()
