"""The import task."""

from __future__ import annotations

from functools import partial

import structlog
from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from services.errors import EctopyError
from services.imports import service
from services.imports.runner import ImportRunner
from services.jobs.dispatch import IMPORT_MODEL
from services.jobs.row import JobRow
from services.storage.factory import workspace
from worker.runtime import Runtime, runtime

log = structlog.get_logger()


def register(app: Celery) -> None:
    @app.task(name=IMPORT_MODEL)
    def run(job_id: str) -> None:
        runtime().run_job(job_id, _runner)
        _discard_files(runtime(), job_id)


def _runner(runtime: Runtime) -> ImportRunner:
    from services.models.families import IMPORTERS  # with torch: when it is needed

    return ImportRunner(
        runtime.sessions, runtime.store, IMPORTERS, partial(workspace, runtime.settings)
    )


def _discard_files(runtime: Runtime, job_id: str) -> None:
    """Upkeep removes what cannot be removed now."""
    try:
        with runtime.sessions() as session:
            job = session.get(JobRow, job_id)
            if job is not None:
                service.discard_if_ended(session, runtime.store, job.resource_id)
    except (SQLAlchemyError, EctopyError) as problem:
        log.warning("import.files_left", job_id=job_id, reason=type(problem).__name__)
