"""The API sends tasks by name: a worker must know exactly those names."""

from __future__ import annotations

from celery import Celery

from services.jobs import dispatch
from worker.tasks import fine_tunes, imports, predictions


def test_every_task_that_is_sent_is_registered() -> None:
    app = Celery("names")
    predictions.register(app)
    imports.register(app)
    fine_tunes.register(app)
    known = {name for name in app.tasks if not name.startswith("celery.")}
    assert known == set(dispatch.TASK_NAMES)
