"""Imports: bring a published checkpoint in, and see what became of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Header, Response, UploadFile
from sse_starlette import EventSourceResponse

from api.answers import json_answer
from api.dependencies import Administers, Idempotent, Reads, State
from api.import_requests import answer, of_upload
from api.routers.predictions import WaitS
from api.schemas.imports import ModelImportOut, import_json
from api.schemas.models import ModelVersionOut
from api.schemas.predictions import TaskName
from api.schemas.problems import problems
from api.sse import job_events, last_event_id
from services.imports import service as imports

PATH = "/v1/models/import"

router = APIRouter(tags=["models"])


@router.post(
    PATH,
    status_code=201,
    response_model=ModelVersionOut,
    responses=problems(
        400,
        409,
        413,
        beside={
            200: {"model": ModelVersionOut, "description": "the same weights are there already"},
            202: {"model": ModelImportOut, "description": "goes on; `Location` says where to look"},
        },
    ),
    summary="Bring in a published checkpoint, or a version of another Ectopy; nothing is executed",
)
async def import_model(
    file: Annotated[
        list[UploadFile],
        File(
            description="wcr_afib_5y.pt or base_ssl.pt; for beats the public ECGBERT checkpoint "
            "(.pth) with its four _cluster.pkl files or their clusters.npz; or what another Ectopy "
            "gave as a version's download (.zip)"
        ),
    ],
    _: Administers,
    state: State,
    idempotent: Idempotent,
    wait_s: WaitS,
    name: Annotated[
        str | None, Form(max_length=100, description="of the model; by default the file's usual")
    ] = None,
    task: Annotated[
        TaskName | None,
        Form(description="of the model; by default an archive's own, else `afib-5y`"),
    ] = None,
) -> Response:
    """Waits for the worker, up to 60 s by default: 201 with the version, or the file's problem."""
    row = await state.archives.run(
        of_upload, state, file, task=task, name=name or None, idempotent=idempotent
    )
    return await answer(state, row, state.settings.wait_default_s if wait_s is None else wait_s)


@router.get(
    "/v1/models/imports/{import_id}",
    response_model=ModelImportOut,
    responses=problems(404),
    summary="Get an import",
)
def get_import(import_id: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        row = imports.get(session, caller.project_id, import_id)
    return json_answer(import_json(row))


@router.get(
    "/v1/models/imports/{import_id}/events",
    response_class=EventSourceResponse,
    responses=problems(400, 404),
    summary="What happens to an import, as Server-Sent Events",
)
def get_import_events(
    import_id: str,
    caller: Reads,
    state: State,
    last_seen: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> EventSourceResponse:
    with state.reads() as session:
        job_id = imports.get(session, caller.project_id, import_id).job_id
    return job_events(state, job_id, after=last_event_id(last_seen))
