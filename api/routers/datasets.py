"""Datasets: labelled records to learn from, from ids or from an archive; list, get, remove."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.answers import json_answer
from api.dataset_requests import created_dataset
from api.dependencies import Idempotent, Reads, State, Trains
from api.pagination import Paging, listing, split
from api.schemas.datasets import (
    DatasetForm,
    DatasetIn,
    DatasetList,
    DatasetOut,
    MemberList,
    dataset_json,
    member_json,
    summary_json,
)
from api.schemas.predictions import TaskName
from api.schemas.problems import problems
from services.datasets import service as datasets

PATH = "/v1/datasets"

router = APIRouter(prefix=PATH, tags=["datasets"])

_FILE = {
    "type": "array",
    "items": {"type": "string", "format": "binary"},
    "description": "one `.zip` of records; beside it, where it is not inside, `labels.csv` "
    "(`record,label[,patient_id]`)",
}


def _body_document() -> dict[str, Any]:
    form = DatasetForm.model_json_schema()
    form["properties"]["file"] = _FILE
    form["required"] = ["file", *form["required"]]
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": DatasetIn.model_json_schema()},
                "multipart/form-data": {"schema": form},
            },
        }
    }


@router.post(
    "",
    status_code=201,
    response_model=DatasetOut,
    responses=problems(400, 404, 409, 413, 415),
    openapi_extra=_body_document(),
    summary="Make a dataset: of records that are here (JSON), or of an archive (multipart)",
)
async def create_dataset(
    request: Request, state: State, caller: Trains, idempotent: Idempotent
) -> Response:
    """Answers once every record was read and the dataset was audited for leakage.

    Labels of beats are the annotations that came with the records; labels of `afib-5y` are
    `labels` in JSON, or `labels.csv`. What cannot be learned from is left out, with the reason.
    Sent again after it was cut off, an archive goes on where it was: a record that is here is
    not read again.
    """
    row = await created_dataset(request, state, caller, idempotent)
    headers = {"Location": f"{PATH}/{row.id}"}
    return json_answer(dataset_json(row), status=201, headers=headers)


@router.get(
    "", response_model=DatasetList, responses=problems(400), summary="List datasets, newest first"
)
def list_datasets(
    state: State,
    caller: Reads,
    paging: Paging,
    task: Annotated[TaskName | None, Query()] = None,
) -> Response:
    with state.reads() as session:
        rows = datasets.page(
            session,
            project_id=caller.project_id,
            task=task,
            before_id=paging.after,
            limit=paging.limit + 1,
        )
    shown, more = split(rows, paging.limit)
    data = [summary_json(row) for row in shown]
    return json_answer(listing(data, last_id=shown[-1].id if shown else None, more=more))


@router.get(
    "/{dataset_id}",
    response_model=DatasetOut,
    responses=problems(404),
    summary="Get a dataset, with what was left out and its leakage audit",
)
def get_dataset(dataset_id: str, state: State, caller: Reads) -> Response:
    with state.reads() as session:
        row = datasets.get(session, dataset_id, project_id=caller.project_id)
    return json_answer(dataset_json(row))


@router.get(
    "/{dataset_id}/records",
    response_model=MemberList,
    responses=problems(400, 404),
    summary="The records of a dataset: whose each is, its label, its beats a class",
)
def list_members(dataset_id: str, state: State, caller: Reads, paging: Paging) -> Response:
    with state.reads() as session:
        dataset = datasets.get(session, dataset_id, project_id=caller.project_id)
        rows = datasets.members_page(session, dataset, after=paging.after, limit=paging.limit + 1)
    shown, more = split(rows, paging.limit)
    data = [member_json(row) for row in shown]
    return json_answer(listing(data, last_id=str(shown[-1].position) if shown else None, more=more))


@router.delete(
    "/{dataset_id}",
    status_code=204,
    responses=problems(404, 409),
    summary="Remove a dataset; its records stay",
)
def delete_dataset(dataset_id: str, state: State, caller: Trains) -> Response:
    with state.sessions.begin() as session:
        datasets.remove(session, dataset_id, project_id=caller.project_id)
    return Response(status_code=204)
