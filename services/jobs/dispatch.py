"""Sends jobs to workers by task name, after the commit; a lost message is sent again by upkeep.

The message is only a hint: the row is the truth. So a broker that is away is no error to a client,
and a message that comes twice finds the job taken.
"""

from __future__ import annotations

from typing import Protocol

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import update
from sqlalchemy.orm import Session

from services import clock
from services.jobs.row import JobRow

log = structlog.get_logger()

PREDICT_QUEUE = "predict"
BATCH_QUEUE = "batch"
TRAIN_QUEUE = "train"
INFERENCE_QUEUES = (PREDICT_QUEUE, BATCH_QUEUE)  # of workers that keep models loaded
TRAINING_QUEUES = (TRAIN_QUEUE,)  # of workers that start a process for each run
QUEUES = (*INFERENCE_QUEUES, *TRAINING_QUEUES)

RUN_PREDICTION = "predictions.run"
IMPORT_MODEL = "models.import"
RUN_FINE_TUNE = "fine_tunes.run"
TASK_NAMES = (RUN_PREDICTION, IMPORT_MODEL, RUN_FINE_TUNE)

# a paused broker must not hold a client's request: give up soon, upkeep sends again
SOCKET_TIMEOUT_S = 2.0


class Dispatcher(Protocol):
    """Hands a job's id to whichever worker is free."""

    def send(self, job: JobRow) -> bool:
        """Whether the broker took the message."""
        ...

    def backlog(self, queue: str) -> int | None:
        """Messages that wait in a queue; None when the broker does not answer."""
        ...


def celery_app(broker_url: str) -> Celery:
    """The Celery app that API and workers share the settings of: no result backend, ids only."""
    app = Celery("ectopy", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=PREDICT_QUEUE,
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "ack_emulation": False,  # two ways to the broker and back to know what the row tells
            "socket_timeout": 10.0,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            "socket_keepalive": True,
            "retry_on_timeout": True,
        },
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # our lines are whole as they are
        worker_send_task_events=False,
    )
    return app


class CeleryDispatcher:
    """Sends through Celery; never waits longer than a couple of seconds for the broker."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app(broker_url)
        self._app.conf.broker_transport_options = {
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            "retry_on_timeout": False,
            "max_retries": 0,
        }

    def send(self, job: JobRow) -> bool:
        try:
            self._app.send_task(job.kind, args=[job.id], queue=job.queue, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("dispatch.failed", job_id=job.id, reason=type(error).__name__)
            return False
        return True

    def backlog(self, queue: str) -> int | None:
        try:
            # one that stands: every worker asks every two seconds, for each of the queues
            with self._app.pool.acquire(block=True) as connection:
                return int(connection.default_channel.client.llen(queue))
        except (OperationalError, RedisError, OSError):
            return None


def send_again(session: Session, dispatcher: Dispatcher, job: JobRow) -> None:
    """Sends a job whose message was lost, and notes when; commits that note."""
    if dispatcher.send(job):
        session.execute(update(JobRow).where(JobRow.id == job.id).values(sent_at=clock.now()))
        session.commit()
