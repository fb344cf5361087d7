"""Fine-tunes: begin, list, get, follow, cancel, resume, and what came of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query, Response
from sqlalchemy.orm import Session
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from api.answers import ASK_AGAIN_HELP, json_answer, when_to_ask_again
from api.dependencies import Idempotent, Reads, State, Trains
from api.pagination import Paging, listing, split
from api.routers.predictions import WaitS
from api.schemas.fine_tunes import (
    CheckpointList,
    FineTuneIn,
    FineTuneList,
    FineTuneOut,
    ResumeIn,
    fine_tune_json,
)
from api.schemas.predictions import StatusName, TaskName
from api.schemas.problems import problems
from api.sse import job_events, last_event_id
from api.state import ApiState
from services.access.caller import Caller
from services.access.idempotency import IdempotentRequest, earlier_resource
from services.errors import StateConflict
from services.evaluation.report_html import report_html
from services.fine_tunes import service as fine_tunes
from services.fine_tunes.repository import FineTuneFilter
from services.fine_tunes.row import FineTuneRow
from services.jobs.states import ENDED

PATH = "/v1/fine-tunes"

router = APIRouter(prefix=PATH, tags=["fine-tunes"])


@router.post(
    "",
    status_code=202,
    response_model=FineTuneOut,
    responses=problems(
        400,
        404,
        409,
        beside={
            200: {"model": FineTuneOut, "description": "it has ended within the wait"},
            202: {"model": FineTuneOut, "description": "accepted; `Location` says where to look"},
        },
    ),
    summary="Fine-tune a model on a dataset",
)
async def create_fine_tune(
    body: FineTuneIn, state: State, caller: Trains, idempotent: Idempotent, wait_s: WaitS
) -> Response:
    """Patients are divided into those that train, those that choose the epoch, and those that the
    report is of. Defaults of the hyperparameters are those of the guides."""
    row = await run_in_threadpool(_made_once, state, caller, body, idempotent)
    return await _answer(state, caller, row, wait_s)


@router.get(
    "",
    response_model=FineTuneList,
    responses=problems(400),
    summary="List fine-tunes, newest first",
)
def list_fine_tunes(
    state: State,
    caller: Reads,
    paging: Paging,
    task: Annotated[TaskName | None, Query()] = None,
    status: Annotated[StatusName | None, Query()] = None,
    dataset_id: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    wanted = FineTuneFilter(caller.project_id, task, status, dataset_id)
    with state.reads() as session:
        rows = fine_tunes.page(session, wanted, before_id=paging.after, limit=paging.limit + 1)
    shown, more = split(rows, paging.limit)
    data = [fine_tune_json(row) for row in shown]
    return json_answer(listing(data, last_id=shown[-1].id if shown else None, more=more))


@router.get(
    "/{fine_tune_id}",
    response_model=FineTuneOut,
    responses=problems(404),
    summary="Get a fine-tune: how far it is, its metrics, and the model that it became",
    description=ASK_AGAIN_HELP,
)
def get_fine_tune(fine_tune_id: str, state: State, caller: Reads) -> Response:
    with state.reads() as session:
        row = fine_tunes.get(session, fine_tune_id, project_id=caller.project_id)
    later = when_to_ask_again(row.created_at, row.job.finished_at)
    return json_answer(fine_tune_json(row), headers=later)


@router.get(
    "/{fine_tune_id}/events",
    response_class=EventSourceResponse,
    responses=problems(400, 404),
    summary="What happens to it, as Server-Sent Events: `status`, `epoch`, `checkpoint`, `log`",
)
def get_fine_tune_events(
    fine_tune_id: str,
    state: State,
    caller: Reads,
    last_seen: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> EventSourceResponse:
    """From the beginning, or after `Last-Event-ID`; what happened before a `resume` comes too."""
    with state.reads() as session:
        row = fine_tunes.get(session, fine_tune_id, project_id=caller.project_id)
        job_id, all_jobs = row.job_id, fine_tunes.job_ids(session, row)
    earlier = [each for each in all_jobs if each != job_id]
    return job_events(state, job_id, after=last_event_id(last_seen), earlier=earlier)


@router.get(
    "/{fine_tune_id}/checkpoints",
    response_model=CheckpointList,
    responses=problems(404),
    summary="The checkpoints that are kept, with their metrics",
)
def get_checkpoints(fine_tune_id: str, state: State, caller: Reads) -> Response:
    with state.reads() as session:
        row = fine_tunes.get(session, fine_tune_id, project_id=caller.project_id)
    return json_answer({"data": row.checkpoints})


@router.post(
    "/{fine_tune_id}/cancel",
    response_model=FineTuneOut,
    responses=problems(404, 409),
    summary="Cancel: at once when it waits, within seconds when it runs; keeps the last checkpoint",
)
def cancel_fine_tune(fine_tune_id: str, state: State, caller: Trains) -> Response:
    with state.sessions.begin() as session:
        row = fine_tunes.cancel(session, fine_tune_id, project_id=caller.project_id)
        body = fine_tune_json(row)
    return json_answer(body)


@router.post(
    "/{fine_tune_id}/resume",
    status_code=202,
    response_model=FineTuneOut,
    responses=problems(400, 404, 409),
    summary="Go on from the last checkpoint, into more epochs if asked",
)
def resume_fine_tune(
    fine_tune_id: str,
    state: State,
    caller: Trains,
    body: Annotated[ResumeIn | None, Body()] = None,
) -> Response:
    with state.sessions.begin() as session:
        row = fine_tunes.resume(
            session,
            fine_tune_id,
            project_id=caller.project_id,
            epochs=None if body is None else body.epochs,
        )
        answer = fine_tune_json(row)
    state.dispatcher.send(row.job)
    return json_answer(answer, status=202, headers={"Location": f"{PATH}/{row.id}"})


@router.get(
    "/{fine_tune_id}/report",
    responses=problems(
        404, 409, beside={200: {"content": {"application/json": {}, "text/html": {}}}}
    ),
    response_class=Response,
    summary="The evaluation on patients that training never saw, beside base and promoted model",
)
def get_report(
    fine_tune_id: str,
    state: State,
    caller: Reads,
    format_: Annotated[
        Literal["json", "html"], Query(alias="format", description="html: one page with plots")
    ] = "json",
) -> Response:
    with state.reads() as session:
        report = fine_tunes.report(session, fine_tune_id, project_id=caller.project_id)
    if format_ == "json":
        return json_answer(report)
    title = f"{report['models'][0]['name']} on patients that training never saw"
    return HTMLResponse(report_html(report, title=title))


def _made_once(
    state: ApiState, caller: Caller, body: FineTuneIn, idempotent: IdempotentRequest
) -> FineTuneRow:
    once = idempotent.with_body(body.model_dump())
    fine_tune_id = fine_tunes.new_fine_tune_id()
    with state.sessions.begin() as session:
        earlier = earlier_resource(session, once, fine_tune_id)
        if earlier is not None:
            return _still_there(session, caller, earlier)
        row = fine_tunes.create(
            session, body.request(), project_id=caller.project_id, fine_tune_id=fine_tune_id
        )
    state.dispatcher.send(row.job)  # upkeep sends what the broker did not take
    return row


def _still_there(session: Session, caller: Caller, fine_tune_id: str) -> FineTuneRow:
    row = fine_tunes.find(session, fine_tune_id, project_id=caller.project_id)
    if row is None:
        raise StateConflict("the fine-tune that this Idempotency-Key made was removed")
    return row


async def _answer(
    state: ApiState, caller: Caller, row: FineTuneRow, wait_s: float | None
) -> Response:
    def view() -> tuple[dict[str, Any], bool]:
        with state.reads() as session:
            found = fine_tunes.get(session, row.id, project_id=caller.project_id)
            return fine_tune_json(found), found.job.status in ENDED

    async def look() -> dict[str, Any] | None:
        body, ended = await run_in_threadpool(view)
        return body if ended else None

    ended = None
    if wait_s is not None and wait_s > 0:
        ended = await state.waiter.until(row.job_id, look, seconds=wait_s, at_end=True)
    headers = {"Location": f"{PATH}/{row.id}"}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    if ended is not None:
        return json_answer(ended, headers=headers)
    body, _ = await run_in_threadpool(view)
    return json_answer(body, status=202, headers=headers)
