"""The fine-tune task: a fresh process does the work, this one keeps the lease."""

from __future__ import annotations

from celery import Celery

from services.jobs.dispatch import RUN_FINE_TUNE
from worker.runtime import training_runtime
from worker.training import run_in_process


def register(app: Celery) -> None:
    @app.task(name=RUN_FINE_TUNE)
    def run(job_id: str) -> None:
        run_in_process(training_runtime(), job_id)
