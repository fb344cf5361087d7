"""Records: upload, list, get, delete, signal, annotations."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response

from api.answers import json_answer
from api.dependencies import Idempotent, Reads, State, Stores
from api.pagination import Paging, listing, split
from api.record_upload import discard_files_if_possible, stored_record
from api.schemas.problems import problems
from api.schemas.records import AnnotationOut, RecordList, RecordOut, SignalOut
from api.uploads import UploadedRecord
from services.ecg.labels import AAMI_OF_SYMBOL
from services.predictions import service as predictions
from services.records import service as records

router = APIRouter(prefix="/v1/records", tags=["records"])

MAX_POINTS = 100_000


@router.post(
    "",
    response_model=RecordOut,
    status_code=201,
    responses=problems(
        400,
        409,
        413,
        415,
        beside={200: {"model": RecordOut, "description": "these bytes are already here"}},
    ),
    summary="Store a record",
)
async def create_record(
    form: UploadedRecord, _: Stores, state: State, idempotent: Idempotent
) -> Response:
    row, created = await state.uploads.run(stored_record, state, form, idempotent)
    return json_answer(
        RecordOut.of(row).model_dump(),
        status=201 if created else 200,
        headers={"Location": f"/v1/records/{row.id}"},
    )


@router.get("", response_model=RecordList, responses=problems(400), summary="List records")
def list_records(caller: Reads, state: State, paging: Paging) -> Response:
    with state.reads() as session:
        rows = records.page(
            session, caller.project_id, before_id=paging.after, limit=paging.limit + 1
        )
    shown, more = split(rows, paging.limit)
    data = [RecordOut.of(row).model_dump() for row in shown]
    return json_answer(listing(data, last_id=shown[-1].id if shown else None, more=more))


@router.get(
    "/{record_id}", response_model=RecordOut, responses=problems(404), summary="Get a record"
)
def get_record(record_id: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        row = records.get(session, caller.project_id, record_id)
    return json_answer(RecordOut.of(row).model_dump())


@router.delete(
    "/{record_id}",
    status_code=204,
    responses=problems(404, 409),
    summary="Remove a record, its files and its results",
)
def delete_record(record_id: str, caller: Stores, state: State) -> Response:
    with state.sessions.begin() as session:
        records.remove(session, caller.project_id, record_id)
        predictions.forget_record(session, record_id)
    discard_files_if_possible(state, record_id)
    return Response(status_code=204)


@router.get(
    "/{record_id}/signal",
    response_model=SignalOut,
    responses=problems(404),
    summary="Samples for drawing",
)
def get_signal(
    record_id: str,
    caller: Reads,
    state: State,
    lead: Annotated[str | None, Query(description="one lead; all of them by default")] = None,
    start_s: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
    end_s: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
    max_points: Annotated[
        int, Query(ge=2, le=MAX_POINTS, description="a lead; min and max are kept")
    ] = 5000,
) -> Response:
    with state.reads() as session:
        row = records.get(session, caller.project_id, record_id)
    drawn = records.drawn_signal(
        state.store, row, lead=lead, start_s=start_s, end_s=end_s, max_points=max_points
    )
    leads = [
        {
            "name": one.name,
            "unit": one.unit,
            "time_s": np.round(one.time_s, 6),
            "value": np.ascontiguousarray(one.value),
        }
        for one in drawn
    ]
    return json_answer(
        {
            "sampling_rate_hz": row.sampling_rate_hz,
            "start_s": start_s,
            "unit": drawn[0].unit,
            "leads": leads,
        }
    )


@router.get(
    "/{record_id}/annotations",
    response_model=list[AnnotationOut],
    responses=problems(404),
    summary="Reference annotations that came with the record",
)
def get_annotations(record_id: str, caller: Reads, state: State) -> Response:
    with state.reads() as session:
        row = records.get(session, caller.project_id, record_id)
    found = records.reference_annotations(state.store, row)
    if found is None:
        return json_answer([])
    notes = found.note or ("",) * len(found)
    return json_answer(
        [
            {
                "sample": sample,
                "time_s": round(sample / row.sampling_rate_hz, 6),
                "symbol": symbol,
                "label": AAMI_OF_SYMBOL.get(symbol),
                "note": note,
            }
            for sample, symbol, note in zip(found.sample.tolist(), found.symbol, notes, strict=True)
        ]
    )
