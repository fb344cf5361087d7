"""The prediction task."""

from __future__ import annotations

from celery import Celery

from services.jobs.dispatch import RUN_PREDICTION
from services.predictions.runner import PredictionRunner, asked_along
from worker.runtime import Runtime, runtime


def register(app: Celery) -> None:
    @app.task(name=RUN_PREDICTION)
    def run(job_id: str) -> None:
        runtime().run_job(job_id, _runner, seeing=asked_along)


def _runner(runtime: Runtime) -> PredictionRunner:
    return PredictionRunner(runtime.sessions, runtime.store, runtime.predictors)
