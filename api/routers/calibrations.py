"""Calibrations: a site's own threshold or risk curve, as a new version of a model."""

from __future__ import annotations

from pathlib import Path

import structlog
from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.answers import json_answer
from api.dependencies import Administers, Idempotent, State
from api.routers.models import Number
from api.schemas.calibrations import CalibrationIn
from api.schemas.models import ModelVersionOut
from api.schemas.problems import problems
from api.state import ApiState
from services.access.idempotency import IdempotentRequest, earlier_resource, settle_on
from services.calibrations import service as calibrations
from services.calibrations.service import CalibrationRequest
from services.errors import Unavailable
from services.registry import service as registry
from services.registry.files import discard_version
from services.registry.row import ModelVersionRow
from services.storage.factory import workspace

log = structlog.get_logger()

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.post(
    "/{name}/versions/{number}/calibration",
    status_code=201,
    response_model=ModelVersionOut,
    responses=problems(
        400,
        404,
        409,
        beside={200: {"model": ModelVersionOut, "description": "this version is there already"}},
    ),
    summary="Set a risk model's threshold, or fit its risks to outcomes of your own",
)
def calibrate(
    name: str,
    number: Number,
    body: CalibrationIn,
    _: Administers,
    state: State,
    idempotent: Idempotent,
) -> Response:
    """Makes a new version, with the same weights, that answers when it is promoted or named.

    A calibration (Platt or isotonic) is fitted to what the version has said of the dataset's
    records: 409 names those of which it has said nothing yet. It takes 20 records with both
    outcomes. Each answer says which threshold and calibration were used.
    """
    row, made = _made_once(state, name, number, body.request(idempotent.project_id), idempotent)
    with state.reads() as session:
        promoted = registry.model(session, idempotent.project_id, row.name).promoted_version
    headers = {"Location": f"/v1/models/{row.name}/versions/{row.version}"}
    answer = ModelVersionOut.of(row, promoted).model_dump()
    return json_answer(answer, status=201 if made else 200, headers=headers)


def _made_once(
    state: ApiState,
    name: str,
    number: int,
    request: CalibrationRequest,
    idempotent: IdempotentRequest,
) -> tuple[ModelVersionRow, bool]:
    once = idempotent.with_body([request.threshold, request.dataset_id, request.method])
    location = calibrations.new_location()

    def make(session: Session, folder: Path) -> tuple[ModelVersionRow, bool]:
        project_id = request.project_id
        earlier = earlier_resource(session, once, location)
        if earlier is not None:
            return registry.version(session, project_id, name, int(earlier)), False
        version = registry.version(session, project_id, name, number)
        row, made = calibrations.calibrated(
            session,
            state.store,
            version,
            request,
            workspace=folder,
            location=location,
        )
        settle_on(session, once, str(row.version))
        return row, made

    with workspace(state.settings) as folder, state.sessions() as session:
        try:
            found = make(session, Path(folder))
        except BaseException:
            session.rollback()
            _discard_if_possible(state, location)
            raise
        session.commit()
        return found


def _discard_if_possible(state: ApiState, location: str) -> None:
    try:
        discard_version(state.store, location)
    except Unavailable as error:
        log.warning("files.left_to_upkeep", location=location, reason=error.detail)
