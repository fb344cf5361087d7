"""Creating a dataset: from ids in JSON, or from an archive that is read an entry at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from api.schemas.datasets import DatasetForm, DatasetIn
from api.state import ApiState
from api.uploads import MAX_FILE_NAME, copied
from services.access.caller import Caller
from services.access.idempotency import IdempotentRequest, earlier_resource
from services.datasets import intake
from services.datasets import service as datasets
from services.datasets.intake import Intake
from services.datasets.row import DatasetRow
from services.ecg.readers.archive import is_archive
from services.ecg.readers.base import SourceFile
from services.errors import MalformedInput, StateConflict, UnusableInput
from services.records import service as records
from services.storage.factory import workspace

Body = TypeVar("Body", bound=BaseModel)

MAX_PARTS = 10
_EXPECTED = "send one .zip of records and, where labels are not inside of it, a labels.csv"


async def created_dataset(
    request: Request, state: ApiState, caller: Caller, idempotent: IdempotentRequest
) -> DatasetRow:
    """The dataset that the request's body asks for, JSON or multipart."""
    content_type = request.headers.get("content-type", "").strip().lower()
    if not content_type.startswith("multipart/"):
        body = _validated(DatasetIn, await request.body())
        return await run_in_threadpool(_of_records, state, caller, body, idempotent)
    async with request.form(max_files=MAX_PARTS, max_fields=MAX_PARTS) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        asked = _validated(DatasetForm, fields)
        return await state.archives.run(_of_archive, state, caller, asked, form, idempotent)


def _of_records(
    state: ApiState, caller: Caller, body: DatasetIn, idempotent: IdempotentRequest
) -> DatasetRow:
    if len(body.record_ids) > state.settings.max_dataset_records:
        raise UnusableInput(
            f"at most {state.settings.max_dataset_records:,} records make a dataset "
            "(ECTOPY_MAX_DATASET_RECORDS)"
        )
    once = idempotent.with_body(body.model_dump())
    dataset_id = datasets.new_dataset_id()
    with state.sessions.begin() as session:
        earlier = earlier_resource(session, once, dataset_id)
        if earlier is not None:
            return _still_there(session, caller, earlier)
        return datasets.create_of_records(
            session,
            state.store,
            body.request(),
            body.record_ids,
            project_id=caller.project_id,
            dataset_id=dataset_id,
        )


def _of_archive(
    state: ApiState,
    caller: Caller,
    asked: DatasetForm,
    form: FormData,
    idempotent: IdempotentRequest,
) -> DatasetRow:
    with workspace(state.settings) as folder:
        archive, labels, digests = _received(form, Path(folder))
        once = idempotent.with_body([digests, asked.model_dump()])
        into = Intake(
            sessions=state.sessions,
            store=state.store,
            project_id=caller.project_id,
            task=asked.task,
            limits=records.limits_of(state.settings),
            max_records=state.settings.max_dataset_records,
            max_bytes=state.settings.max_dataset_bytes,
            workspace=Path(folder),
            hints=asked.hints(),
        )
        request = datasets.DatasetRequest(asked.name, asked.task)
        dataset_id = datasets.new_dataset_id()
        taken = datasets.taken_from_archive(into, archive, labels)
        try:
            with state.sessions.begin() as session:
                earlier = earlier_resource(session, once, dataset_id)
                if earlier is not None:
                    return _still_there(session, caller, earlier)
                return datasets.created(
                    session,
                    state.store,
                    request,
                    taken,
                    project_id=caller.project_id,
                    dataset_id=dataset_id,
                )
        except BaseException:
            intake.remove_records(into, taken.made)
            raise


def _received(
    form: FormData, folder: Path
) -> tuple[SourceFile, SourceFile | None, list[tuple[str, str]]]:
    """The archive, the labels that came beside it, and the hash of each."""
    parts = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
    parts += [part for part in form.getlist("labels") if isinstance(part, UploadFile)]
    if any(len(part.filename or "") > MAX_FILE_NAME for part in parts):
        raise UnusableInput(f"a file name has more than {MAX_FILE_NAME} characters")
    files, digests = [], []
    for number, part in enumerate(parts):
        file = SourceFile(part.filename or f"file-{number}", folder / f"part-{number}")
        digests.append((file.plain_name, copied(part.file, file.path)))
        files.append(file)
    archives = [file for file in files if is_archive(file)]
    tables = [file for file in files if file not in archives]
    if len(archives) != 1 or len(tables) > 1:
        raise MalformedInput(
            f"{len(archives)} archives and {len(tables)} other files came: {_EXPECTED}"
        )
    return archives[0], tables[0] if tables else None, digests


def _validated(schema: type[Body], body: bytes | Mapping[str, Any]) -> Body:
    """The body, or the same error that any other endpoint gives for one that does not validate."""
    try:
        if isinstance(body, bytes):
            return schema.model_validate_json(body)
        return schema.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in found]) from None


def _still_there(session: Session, caller: Caller, dataset_id: str) -> DatasetRow:
    row = datasets.find(session, dataset_id, project_id=caller.project_id)
    if row is None:
        raise StateConflict("the dataset that this Idempotency-Key made was removed")
    return row
