"""Models: which there are, what each version is, which one answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.responses import StreamingResponse

from api.answers import json_answer
from api.dependencies import Administers, Reads, State
from api.pagination import Paging, listing, split
from api.schemas.models import (
    ModelList,
    ModelOut,
    ModelVersionList,
    ModelVersionOut,
    PromotionList,
    PromotionOut,
)
from api.schemas.problems import problems
from services.registry import service as registry
from services.registry.files import archive, version_files

router = APIRouter(prefix="/v1/models", tags=["models"])

MAX_PROMOTIONS = 200

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", response_model=ModelList, responses=problems(400), summary="List models, by name")
def list_models(caller: Reads, state: State, paging: Paging) -> Response:
    after = paging.after or ""
    with state.reads() as session:
        views = registry.page(session, caller.project_id, after_name=after, limit=paging.limit + 1)
    shown, more = split(views, paging.limit)
    data = [ModelOut.of(view).model_dump() for view in shown]
    return json_answer(listing(data, last_id=shown[-1].row.name if shown else None, more=more))


@router.get(
    "/{name}/versions",
    response_model=ModelVersionList,
    responses=problems(404),
    summary="A model's versions, newest first",
)
def list_versions(name: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        model = registry.model(session, caller.project_id, name)
        rows = registry.versions(session, caller.project_id, name)
    data = [ModelVersionOut.of(row, model.promoted_version).model_dump() for row in rows]
    return json_answer(listing(data, last_id=None, more=False))


@router.get(
    "/{name}/versions/{number}",
    response_model=ModelVersionOut,
    responses=problems(404),
    summary="One version with its card",
)
def get_version(name: str, number: Number, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        promoted = registry.model(session, caller.project_id, name).promoted_version
        row = registry.version(session, caller.project_id, name, number)
    return json_answer(ModelVersionOut.of(row, promoted).model_dump())


@router.get(
    "/{name}/versions/{number}/download",
    responses=problems(404, beside={200: {"content": {"application/zip": {}}}}),
    response_class=StreamingResponse,
    summary="Weights (safetensors) and card as one archive",
)
def download(name: str, number: Number, caller: Reads, state: State) -> StreamingResponse:
    with state.reads() as session:
        row = registry.version(session, caller.project_id, name, number)
    found = version_files(state.store, row.location, row.sha256)
    folder = f"{row.name}-{row.version}"
    headers = {"Content-Disposition": f'attachment; filename="{folder}.zip"'}
    return StreamingResponse(
        archive(found, folder=folder), media_type="application/zip", headers=headers
    )


@router.post(
    "/{name}/versions/{number}/promote",
    response_model=ModelOut,
    responses=problems(404, 409),
    summary="Make a version the one that answers when none is named",
)
def promote(
    name: str,
    number: Number,
    caller: Administers,
    state: State,
    force: Annotated[
        bool, Query(description="also where its report is worse than what answers now")
    ] = False,
) -> Response:
    """409 where the version's report found it worse, beyond chance, than the one that answers now.

    Work that was asked before goes on with the version that it began with.
    """
    with state.sessions.begin() as session:
        view = registry.promote(
            session, caller.project_id, name, number, force=force, key_id=caller.key_id
        )
        body = ModelOut.of(view)
    return json_answer(body.model_dump())


@router.get(
    "/{name}/promotions",
    response_model=PromotionList,
    responses=problems(404),
    summary="Which version answered when, newest first",
)
def list_promotions(name: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        rows = registry.promotions(session, caller.project_id, name, MAX_PROMOTIONS)
    data = [PromotionOut.of(row).model_dump() for row in rows]
    return json_answer(listing(data, last_id=None, more=False))


@router.post(
    "/{name}/rollback",
    response_model=ModelOut,
    responses=problems(404, 409),
    summary="Back to the version that answered before",
)
def rollback(name: str, caller: Administers, state: State) -> Response:
    with state.sessions.begin() as session:
        body = ModelOut.of(
            registry.rollback(session, caller.project_id, name, key_id=caller.key_id)
        )
    return json_answer(body.model_dump())
