"""Records and findings as files that other programs read."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from api.answers import file_answer
from api.dependencies import Reads, State
from api.schemas.problems import Responses, problems
from api.state import ApiState
from services.access.caller import Caller
from services.ecg.record import EcgRecord
from services.ecg.writers.findings import BeatFindings
from services.predictions import exports
from services.predictions import service as predictions
from services.predictions.exports import Findings
from services.records import service as records
from services.storage.factory import workspaces

router = APIRouter(prefix="/v1", tags=["files"])


class RecordFormat(StrEnum):
    WFDB = "wfdb"
    EDF = "edf"


MEDIA_TYPES = {RecordFormat.WFDB: "application/zip", RecordFormat.EDF: "application/edf"}
ENDINGS = {RecordFormat.WFDB: "zip", RecordFormat.EDF: "edf"}
IN_MEMORY_BYTES = 8 * 1024 * 1024  # of a file, until it goes to disk
Format = Annotated[
    RecordFormat, Query(alias="format", description="`wfdb`: a .zip; `edf`: EDF+ with annotations")
]


def _file(*media_types: str) -> Responses:
    return {
        200: {"content": {media_type: {} for media_type in media_types}, "description": "the file"}
    }


@router.get(
    "/records/{record_id}/download",
    responses=problems(404, beside=_file(*MEDIA_TYPES.values())),
    response_class=Response,
    summary="The record as WFDB or EDF+, with its reference annotations",
)
async def download_record(
    record_id: str, caller: Reads, state: State, file_format: Format = RecordFormat.WFDB
) -> Response:
    def made() -> Response:
        with state.reads() as session:
            row = records.get(session, caller.project_id, record_id)
        return _written(state, records.opened(state.store, row), file_format)

    return await state.downloads.run(made)


@router.get(
    "/predictions/{prediction_id}/record",
    responses=problems(404, 409, beside=_file(*MEDIA_TYPES.values())),
    response_class=Response,
    summary="The record as WFDB or EDF+, with the labelled beats as annotations",
)
async def download_labelled_record(
    prediction_id: str, caller: Reads, state: State, file_format: Format = RecordFormat.WFDB
) -> Response:
    def made() -> Response:
        record, findings = _found(state, caller, prediction_id)
        return _written(state, record, file_format, beats=findings.beats)

    return await state.downloads.run(made)


@router.get(
    "/predictions/{prediction_id}/report.pdf",
    responses=problems(404, 409, beside=_file("application/pdf")),
    response_class=Response,
    summary="One page: ten seconds of the trace, the findings, the model's version",
)
def download_report(
    prediction_id: str,
    caller: Reads,
    state: State,
    start_s: Annotated[float, Query(ge=0, allow_inf_nan=False, description="of the trace")] = 0.0,
) -> Response:
    return _made(
        state,
        caller,
        prediction_id,
        lambda record, findings: exports.report_pdf(record, findings, start_s=start_s),
        ("application/pdf", "pdf"),
    )


@router.get(
    "/predictions/{prediction_id}/fhir",
    responses=problems(404, 409, beside=_file("application/fhir+json")),
    response_class=Response,
    summary="FHIR R4 bundle: Observations of beats and heart rate, or a RiskAssessment",
)
def download_fhir(prediction_id: str, caller: Reads, state: State) -> Response:
    return _made(state, caller, prediction_id, exports.fhir_json, ("application/fhir+json", "json"))


def _made(
    state: ApiState,
    caller: Caller,
    prediction_id: str,
    write: Callable[[EcgRecord, Findings], bytes],
    kind: tuple[str, str],
) -> Response:
    """kind: media type and the ending of a file name."""
    record, findings = _found(state, caller, prediction_id)
    media_type, ending = kind
    headers = {"Content-Disposition": f'inline; filename="{_plain(record.name)}.{ending}"'}
    return Response(write(record, findings), media_type=media_type, headers=headers)


def _found(state: ApiState, caller: Caller, prediction_id: str) -> tuple[EcgRecord, Findings]:
    with state.reads() as session:
        row = predictions.get(session, caller.project_id, prediction_id)
        record_id, findings = predictions.findings(session, row)
        record_row = records.get(session, caller.project_id, record_id)
    findings = replace(findings, patient_id=record_row.patient_id)
    return records.opened(state.store, record_row), findings


def _written(
    state: ApiState,
    record: EcgRecord,
    file_format: RecordFormat,
    *,
    beats: BeatFindings | None = None,
) -> StreamingResponse:
    folder = str(workspaces(state.settings))
    content = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed with the answer
        IN_MEMORY_BYTES, dir=folder
    )
    try:
        exports.write_record(record, file_format, content, beats=beats)
    except BaseException:
        content.close()
        raise
    name = f"{_plain(record.name)}.{ENDINGS[file_format]}"
    return file_answer(content, name=name, media_type=MEDIA_TYPES[file_format])


def _plain(name: str) -> str:
    return re.sub(r"[^-0-9A-Za-z_.]", "_", name)[:60] or "record"
