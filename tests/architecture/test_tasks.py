"""The API sends tasks by name: a worker must know exactly those names."""

from __future__ import annotations

from celery import Celery

from services.jobs import dispatch
from worker.tasks import predictions


def test_every_task_that_is_sent_is_registered() -> None:
    app = Celery("names")
    predictions.register(app)
    known = {name for name in app.tasks if not name.startswith("celery.")}
    assert known == set(dispatch.TASK_NAMES)


def test_workers_take_messages_late_and_one_at_a_time() -> None:
    """An idle worker must find what a busy one has not begun."""
    conf = dispatch.celery_app("redis://127.0.0.1:1/0").conf
    assert conf.task_acks_late is True
    assert conf.worker_prefetch_multiplier == 1
