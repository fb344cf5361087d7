"""The audit trail of a project, for who administers it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.answers import json_answer
from api.dependencies import Administers, State
from api.pagination import Paging, listing, split
from api.schemas.audit import AuditEntry, AuditList
from api.schemas.problems import problems
from services.access import audit
from services.errors import MalformedInput

router = APIRouter(prefix="/v1/audit", tags=["operations"])


@router.get(
    "",
    response_model=AuditList,
    responses=problems(400),
    summary="Who did what to which resource, newest first",
)
def list_audit(
    caller: Administers,
    state: State,
    paging: Paging,
    key_id: Annotated[str | None, Query(max_length=100, description="of one key")] = None,
    resource: Annotated[str | None, Query(max_length=300, description="of one path or id")] = None,
) -> Response:
    before = paging.after
    if before is not None and not (before.isdecimal() and before.isascii() and len(before) < 19):
        raise MalformedInput("cursor is not one that this service gave")
    with state.reads() as session:
        rows = audit.page(
            session,
            caller.project_id,
            key_id=key_id,
            resource=resource,
            before_id=None if before is None else int(before),
            limit=paging.limit + 1,
        )
    shown, more = split(rows, paging.limit)
    data = [AuditEntry.of(row).model_dump() for row in shown]
    return json_answer(listing(data, last_id=str(shown[-1].id) if shown else None, more=more))
