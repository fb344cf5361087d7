"""Creating an import and answering for it: 201 with the version, its problem, or 202 and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from fastapi import Response, UploadFile
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.answers import json_answer
from api.errors import problem_response
from api.schemas.imports import import_json
from api.schemas.models import ModelVersionOut
from api.state import ApiState
from api.uploads import MAX_FILE_NAME, copied
from services.access.idempotency import IdempotentRequest, earlier_resource
from services.errors import EctopyError, StateConflict, Unavailable, UnusableInput
from services.imports import files, service
from services.imports.files import IncomingFile
from services.imports.row import ModelImportRow
from services.jobs.states import ENDED, JobStatus
from services.models.model_archive import card_of_archive, is_model_archive
from services.registry import service as registry
from services.storage.factory import workspace

log = structlog.get_logger()

DEFAULT_TASK = "afib-5y"


def of_upload(
    state: ApiState,
    parts: Sequence[UploadFile],
    *,
    task: str | None,
    name: str | None,
    idempotent: IdempotentRequest,
) -> ModelImportRow:
    """The import of these files; nothing is kept of what cannot become one.

    task: None for that of an archive's card, or of a published file that needs none named.
    """
    project_id = idempotent.project_id
    asked, task = task, task or DEFAULT_TASK
    with state.reads() as session:  # before the files are copied
        service.require_importable(
            session, project_id, task=task, name=name, file_names=_names(parts)
        )
    with workspace(state.settings) as folder:
        incoming = [_received(part, Path(folder) / str(n)) for n, part in enumerate(parts)]
        if is_model_archive([file.plain_name for file in incoming]):
            card = card_of_archive(incoming[0].path)
            task = _task_of_archive(card, asked)
            with state.reads() as session:
                service.require_name(session, project_id, name or card["name"], task)
        body = [[(file.plain_name, file.sha256) for file in incoming], task, name]
        once = idempotent.with_body(body)
        import_id = service.new_import_id()

        def make(session: Session) -> tuple[ModelImportRow, bool]:
            earlier = earlier_resource(session, once, import_id)
            if earlier is not None:
                return _still_there(service.find(session, project_id, earlier)), False
            files.put(state.store, import_id, incoming)
            made = service.create(
                session, project_id, incoming, task=task, name=name, import_id=import_id
            )
            return made, True

        row, made = _with_files(state, import_id, make)
    if made:
        state.dispatcher.send(row.job)  # upkeep sends what the broker did not take
    return row


async def answer(state: ApiState, row: ModelImportRow, wait_s: float) -> Response:
    """201 with the version, 200 if it was there before; its problem; or 202 while it runs."""

    async def look() -> ModelImportRow | None:
        found = await run_in_threadpool(_found, state, row)
        return found if found.job.status in ENDED else None

    ended = None
    if wait_s > 0:
        ended = await state.waiter.until(row.job_id, look, seconds=wait_s, at_end=True)
    headers = {"Preference-Applied": f"wait={wait_s:g}"}
    if ended is None:
        headers["Location"] = f"/v1/models/imports/{row.id}"
        body = import_json(await run_in_threadpool(_found, state, row))
        return json_answer(body, status=202, headers=headers)
    if ended.job.status != JobStatus.SUCCEEDED:
        return problem_response(ended.job.error or EctopyError("the import ended").problem())
    return await run_in_threadpool(_version_answer, state, ended, headers)


def _version_answer(state: ApiState, row: ModelImportRow, headers: dict[str, str]) -> Response:
    name, number = str(row.model_name), int(row.model_version or 0)
    with state.reads() as session:
        version = registry.version(session, row.project_id, name, number)
        promoted = registry.model(session, row.project_id, name).promoted_version
        body = ModelVersionOut.of(version, promoted)
    status = 201 if version.created_at >= row.created_at else 200
    headers = {**headers, "Location": f"/v1/models/{name}/versions/{number}"}
    return json_answer(body.model_dump(), status=status, headers=headers)


def _task_of_archive(card: Mapping[str, Any], asked: str | None) -> str:
    task: str = card["task"]
    if asked not in (None, task):
        raise UnusableInput(f"the archive's model is for the task {task}, not for {asked}")
    return task


def _names(parts: Sequence[UploadFile]) -> list[str]:
    """As they will be kept under."""
    return [IncomingFile(part.filename or "", Path(), "").plain_name for part in parts]


def _received(part: UploadFile, path: Path) -> IncomingFile:
    if len(part.filename or "") > MAX_FILE_NAME:
        raise UnusableInput(f"a file name has more than {MAX_FILE_NAME} characters")
    return IncomingFile(part.filename or "", path, copied(part.file, path))


def _with_files(
    state: ApiState, import_id: str, make: Callable[[Session], tuple[ModelImportRow, bool]]
) -> tuple[ModelImportRow, bool]:
    """One transaction that may put files; they go again when it fails (see `record_upload`)."""
    with state.sessions() as session:
        try:
            made = make(session)
        except BaseException:
            session.rollback()
            _discard_if_possible(state, import_id)
            raise
        session.commit()
        return made


def _discard_if_possible(state: ApiState, import_id: str) -> None:
    try:
        files.discard(state.store, import_id)
    except Unavailable as error:
        log.warning("files.left_to_upkeep", import_id=import_id, reason=error.detail)


def _found(state: ApiState, row: ModelImportRow) -> ModelImportRow:
    with state.reads() as session:
        return service.get(session, row.project_id, row.id)


def _still_there(row: ModelImportRow | None) -> ModelImportRow:
    if row is None:
        raise StateConflict("the import that this Idempotency-Key made was removed")
    return row
