"""Creating a prediction and answering for it: 200 within the wait, else 202 and where to look."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from fastapi import Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import audited
from api.answers import json_answer, when_to_ask_again
from api.record_upload import discard_files_if_possible, read_ahead, with_files
from api.schemas.predictions import prediction_json
from api.state import ApiState
from api.uploads import RecordForm, received
from services.access.idempotency import IdempotentRequest, earlier_resource
from services.datasets import service as datasets
from services.db.session import SessionFactory
from services.errors import NotFound, StateConflict, Unavailable
from services.jobs import lifecycle
from services.jobs.dispatch import BATCH_QUEUE, PREDICT_QUEUE
from services.jobs.states import ENDED
from services.predictions import service as predictions
from services.predictions.row import PredictionRow
from services.predictions.service import PredictionRequest
from services.records import service as records
from services.storage.factory import workspace


def of_stored_record(
    state: ApiState, request: PredictionRequest, record_id: str, idempotent: IdempotentRequest
) -> PredictionRow:
    """A prediction of a record that is here."""

    def make(session: Session, prediction_id: str) -> PredictionRow:
        _require_room(session, state, PREDICT_QUEUE)
        begun = predictions.begun(session, request, record_id=record_id)
        made = predictions.create(session, begun, prediction_id=prediction_id)
        if made is None:
            raise NotFound(f"there is no record {record_id}")
        return made

    body = [record_id, request.task, request.model, request.options]
    once = idempotent.with_body(body)
    with _sessions_for(state, once).begin() as session:
        row, made = _made_once(session, once, make)
    return _sent(state, row) if made else row


def of_stored_records(
    state: ApiState,
    request: PredictionRequest,
    wanted: list[str] | str,
    idempotent: IdempotentRequest,
) -> PredictionRow:
    """One prediction job over many records that are here: those of these ids, or of a dataset."""

    def make(session: Session, prediction_id: str) -> PredictionRow:
        _require_room(session, state, BATCH_QUEUE)
        if isinstance(wanted, str):
            record_ids = datasets.record_ids(session, wanted, project_id=request.project_id)
        else:
            record_ids = wanted
        found = records.get_all(session, request.project_id, record_ids)
        return predictions.create_batch(session, request, found, prediction_id=prediction_id)

    body = [wanted, request.task, request.model, request.options]
    with state.sessions.begin() as session:
        row, made = _made_once(session, idempotent.with_body(body), make)
    return _sent(state, row) if made else row


def of_upload(
    state: ApiState, request: PredictionRequest, form: RecordForm, idempotent: IdempotentRequest
) -> PredictionRow:
    """Record and prediction at once: nothing is kept of what cannot be predicted."""
    with workspace(state.settings) as folder:
        upload = received(form, Path(folder), project_id=request.project_id)
        record_id = records.new_record_id()

        def make(session: Session, prediction_id: str) -> PredictionRow:
            _require_room(session, state, PREDICT_QUEUE)
            with read_ahead(state, upload, record_id) as read:
                begun = predictions.begun(session, request, sha256=upload.sha256)
                if begun.record is None:
                    new = predictions.create_with(
                        session, begun, read(), prediction_id=prediction_id
                    )
                    if new is not None:
                        return new
            # the same bytes were here, or came in at the same time and that request was faster
            discard_files_if_possible(state, record_id)
            if begun.record is None:
                begun = predictions.begun(session, request, sha256=upload.sha256)
            earlier = predictions.create(session, begun, prediction_id=prediction_id)
            if earlier is None:
                raise records.just_removed()
            return earlier

        once = idempotent
        if once.key is not None:  # else the hash is taken while the upload is read
            body = [upload.sha256, form.fields(), request.task, request.model, request.options]
            once = once.with_body(body)
        row, made = with_files(
            state,
            record_id,
            lambda session: _made_once(session, once, make),
            sessions=_sessions_for(state, once),
        )
        # before the folder is removed, so that a worker begins meanwhile
        return _sent(state, row, record_id) if made else row


async def answer(state: ApiState, row: PredictionRow, wait_s: float | None) -> Response:
    """200 with the result when the job ends within the wait, else 202 with Location."""

    looks = count()

    async def look() -> dict[str, Any] | None:
        # the first comes too early nearly always, and whether it has ended is soon asked
        see = _view_if_ended if next(looks) else _view_if_soon_seen_to_have_ended
        return await run_in_threadpool(see, state, row)

    ended = None
    if wait_s is not None and wait_s > 0:
        ended = await state.waiter.until(row.job_id, look, seconds=wait_s, at_end=True)
    headers = {"Location": location_of(row)}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    if ended is not None:
        return json_answer(ended, headers=headers)
    headers |= when_to_ask_again(row.created_at, None)
    return json_answer(await run_in_threadpool(_view, state, row), status=202, headers=headers)


def location_of(row: PredictionRow) -> str:
    return f"/v1/predictions/{row.id}"


def _sessions_for(state: ApiState, once: IdempotentRequest) -> SessionFactory:
    """Without a key one statement changes all that is changed: nothing to begin and to commit."""
    return state.reads if once.key is None else state.sessions


def _require_room(session: Session, state: ApiState, queue: str) -> None:
    state.room.require(session, queue)


def _made_once(
    session: Session,
    idempotent: IdempotentRequest,
    make: Callable[[Session, str], PredictionRow],
) -> tuple[PredictionRow, bool]:
    """The prediction and whether this request made it."""
    prediction_id = predictions.new_prediction_id()
    earlier = earlier_resource(session, idempotent, prediction_id)
    if earlier is None:
        return make(session, prediction_id), True
    row = predictions.find(session, idempotent.project_id, earlier)
    if row is None:
        raise StateConflict("the prediction that this Idempotency-Key made was removed")
    return row, False


def _sent(state: ApiState, row: PredictionRow, record_id: str | None = None) -> PredictionRow:
    """A worker begins while the disk is waited for; upkeep sends what the broker did not take.

    record_id: of a record that came along, whose files are waited for before its row.
    """
    state.dispatcher.send(row.job)
    if record_id is not None:
        records.settle_files(state.store, record_id)
    with audited.noted_by(status=202, resource=location_of(row)) as deed, state.reads() as session:
        if not predictions.is_kept(session, row.id, noting=deed):
            raise Unavailable("the database ended before it had kept this: send it again")
    return row


def _view_if_ended(state: ApiState, made: PredictionRow) -> dict[str, Any] | None:
    with state.reads() as session:
        found = predictions.whole(session, made.project_id, made.id)
        return prediction_json(found) if found.asked.status in ENDED else None


def _view_if_soon_seen_to_have_ended(state: ApiState, made: PredictionRow) -> dict[str, Any] | None:
    with state.reads() as session:
        ended = lifecycle.has_ended(session, made.job_id)
    return _view_if_ended(state, made) if ended else None


def _view(state: ApiState, made: PredictionRow) -> dict[str, Any]:
    with state.reads() as session:
        return prediction_json(predictions.whole(session, made.project_id, made.id))
