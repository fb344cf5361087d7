"""Predictions: create, list, get, cancel, events, and beats as files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.answers import ASK_AGAIN_HELP, json_answer, when_to_ask_again
from api.dependencies import Idempotent, Predicts, Reads, State
from api.pagination import Paging, listing, split
from api.prediction_requests import answer, of_stored_record, of_stored_records
from api.schemas.predictions import (
    BatchIn,
    PredictionIn,
    PredictionList,
    PredictionOut,
    StatusName,
    TaskName,
    prediction_json,
)
from api.schemas.problems import Responses, problems
from api.sse import job_events, last_event_id
from api.waiting import preferred_wait_s
from services.errors import StateConflict
from services.predictions import exports
from services.predictions import service as predictions
from services.predictions.repository import PredictionFilter
from services.records import service as records

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])

WaitS = Annotated[float | None, Depends(preferred_wait_s)]

CREATED: Responses = {
    200: {"model": PredictionOut, "description": "it has ended within the wait"},
    202: {"model": PredictionOut, "description": "accepted; `Location` says where to look"},
}


@router.post(
    "",
    status_code=202,
    response_model=PredictionOut,
    responses=problems(400, 404, 409, beside=CREATED),
    summary="Predict for a stored record",
)
async def create_prediction(
    body: PredictionIn, caller: Predicts, state: State, idempotent: Idempotent, wait_s: WaitS
) -> Response:
    row = await run_in_threadpool(
        of_stored_record, state, body.request(caller.project_id), body.record_id, idempotent
    )
    return await answer(state, row, wait_s)


@router.post(
    "/batch",
    status_code=202,
    response_model=PredictionOut,
    responses=problems(400, 404, 409, beside=CREATED),
    summary="One job over many stored records",
)
async def create_batch(
    body: BatchIn, caller: Predicts, state: State, idempotent: Idempotent, wait_s: WaitS
) -> Response:
    """Results as they come through its events, all of them from `…/results`."""
    wanted = body.record_ids or body.dataset_id or []
    row = await run_in_threadpool(
        of_stored_records, state, body.request(caller.project_id), wanted, idempotent
    )
    return await answer(state, row, wait_s)


@router.get(
    "",
    response_model=PredictionList,
    responses=problems(400),
    summary="List predictions, newest first; their results without the beats",
)
def list_predictions(
    caller: Reads,
    state: State,
    paging: Paging,
    record_id: Annotated[str | None, Query(max_length=100)] = None,
    task: Annotated[TaskName | None, Query()] = None,
    status: Annotated[StatusName | None, Query()] = None,
) -> Response:
    wanted = PredictionFilter(record_id, task, status)
    with state.reads() as session:
        rows = predictions.page(
            session, caller.project_id, wanted, before_id=paging.after, limit=paging.limit + 1
        )
        shown, more = split(rows, paging.limit)
        outlines = predictions.outlines(session, shown)
    data = [prediction_json(found) for found in outlines]
    return json_answer(listing(data, last_id=shown[-1].id if shown else None, more=more))


@router.get(
    "/{prediction_id}",
    response_model=PredictionOut,
    responses=problems(404),
    summary="Get a prediction with its result",
    description=ASK_AGAIN_HELP,
)
def get_prediction(prediction_id: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        found = predictions.whole(session, caller.project_id, prediction_id)
    later = when_to_ask_again(found.asked.created_at, found.asked.finished_at)
    return json_answer(prediction_json(found), headers=later)


@router.post(
    "/{prediction_id}/cancel",
    response_model=PredictionOut,
    responses=problems(404, 409),
    summary="Cancel: at once when it waits, within seconds when it runs",
)
def cancel_prediction(prediction_id: str, caller: Predicts, state: State) -> Response:
    with state.sessions.begin() as session:
        row = predictions.cancel(session, caller.project_id, prediction_id)
        body = prediction_json(predictions.outlines(session, [row])[0])
    return json_answer(body)


@router.get(
    "/{prediction_id}/events",
    response_class=EventSourceResponse,
    responses=problems(400, 404),
    summary="What happens to it, as Server-Sent Events",
)
def get_events(
    prediction_id: str,
    caller: Reads,
    state: State,
    last_seen: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> EventSourceResponse:
    with state.reads() as session:
        job_id = predictions.get(session, caller.project_id, prediction_id).job_id
    return job_events(state, job_id, after=last_event_id(last_seen))


@router.get(
    "/{prediction_id}/results",
    responses=problems(404, 409, beside={200: {"content": {"application/x-ndjson": {}}}}),
    response_class=StreamingResponse,
    summary="A batch's results so far: one JSON object a line",
)
def get_results(prediction_id: str, caller: Reads, state: State) -> StreamingResponse:
    with state.reads() as session:
        if not predictions.get(session, caller.project_id, prediction_id).batch:
            raise StateConflict("only a batch has a list of results")

    def lines() -> Iterator[bytes]:
        with state.reads() as session:
            row = predictions.get(session, caller.project_id, prediction_id)
            for one in predictions.batch_results(session, row):
                yield orjson.dumps(one) + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get(
    "/{prediction_id}/beats.csv",
    responses=problems(404, 409, beside={200: {"content": {"text/csv": {}}}}),
    response_class=Response,
    summary="Beats as CSV: sample,time_s,label,probability",
)
def get_beats_csv(prediction_id: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        row = predictions.get(session, caller.project_id, prediction_id)
        _, found = predictions.beats(session, row)
    return _attachment(exports.csv_bytes(found), "text/csv", f"{prediction_id}.csv")


@router.get(
    "/{prediction_id}/annotations.zip",
    responses=problems(404, 409, beside={200: {"content": {"application/zip": {}}}}),
    response_class=Response,
    summary="Beats as a WFDB annotation file that rdann reads",
)
def get_annotations_zip(prediction_id: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        row = predictions.get(session, caller.project_id, prediction_id)
        item, found = predictions.beats(session, row)
        record = records.find(session, caller.project_id, item.record_id)
    name = record.name if record is not None else item.record_id
    length = record.n_samples if record is not None else 0
    content = exports.annotation_zip(found, record_name=name, n_samples=length)
    return _attachment(content, "application/zip", f"{prediction_id}.zip")


def _attachment(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
