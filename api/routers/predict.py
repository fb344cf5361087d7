"""Upload and predict in one call."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Form, Response

from api.dependencies import Idempotent, Predicts, State
from api.prediction_requests import answer, of_upload
from api.routers.predictions import CREATED, WaitS
from api.schemas.predictions import MODEL_HELP, PredictionOut
from api.schemas.problems import problems
from api.state import ApiState
from api.uploads import RecordForm, UploadedRecord
from services.access.idempotency import IdempotentRequest
from services.errors import UnusableInput
from services.predictions.service import PredictionRequest

router = APIRouter(prefix="/v1/predict", tags=["predictions"])

Model = Annotated[str | None, Form(max_length=120, description=MODEL_HELP)]
Options = Annotated[str | None, Form(max_length=4000, description="a JSON object")]


@router.post(
    "/beats",
    response_model=PredictionOut,
    responses=problems(400, 404, 409, 413, 415, beside=CREATED),
    summary="Upload a record and get a label for every beat",
)
async def predict_beats(
    form: UploadedRecord,
    caller: Predicts,
    state: State,
    idempotent: Idempotent,
    wait_s: WaitS,
    model: Model = None,
    options: Options = None,
) -> Response:
    request = PredictionRequest(caller.project_id, "beats", model or None, _options(options))
    return await _predicted(state, request, form, idempotent, wait_s)


@router.post(
    "/afib-5y",
    response_model=PredictionOut,
    responses=problems(400, 404, 409, 413, 415, beside=CREATED),
    summary="Upload a 12-lead ECG and get the five-year risk of atrial fibrillation",
)
async def predict_afib(
    form: UploadedRecord,
    caller: Predicts,
    state: State,
    idempotent: Idempotent,
    wait_s: WaitS,
    model: Model = None,
    options: Options = None,
) -> Response:
    request = PredictionRequest(caller.project_id, "afib-5y", model or None, _options(options))
    return await _predicted(state, request, form, idempotent, wait_s)


async def _predicted(
    state: ApiState,
    request: PredictionRequest,
    form: RecordForm,
    idempotent: IdempotentRequest,
    wait_s: float | None,
) -> Response:
    row = await state.uploads.run(of_upload, state, request, form, idempotent)
    return await answer(state, row, state.settings.wait_default_s if wait_s is None else wait_s)


def _options(text: str | None) -> dict[str, object]:
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnusableInput(f"options is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnusableInput("options must be a JSON object")
    return found
