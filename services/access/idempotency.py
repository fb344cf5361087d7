"""The same key with the same body gives the same resource; with another body, a conflict."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services import clock
from services.access.caller import DEFAULT_PROJECT
from services.access.row import IdempotencyKeyRow
from services.errors import MalformedInput, StateConflict

KEPT = timedelta(hours=24)
MAX_KEY_LENGTH = 255


@dataclass(frozen=True)
class IdempotentRequest:
    """A creating request: where it went, the client's key (None: none sent), a hash of its body.

    Keys of one project mean nothing in another.
    """

    scope: str
    key: str | None
    request_sha256: str = ""
    project_id: str = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        if self.key is not None and not 0 < len(self.key) <= MAX_KEY_LENGTH:
            raise MalformedInput(f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters")

    def with_body(self, body: Any) -> IdempotentRequest:
        """The same request with the hash of its (JSON-like) body filled in."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return replace(self, request_sha256=digest)


def earlier_resource(session: Session, request: IdempotentRequest, new_id: str) -> str | None:
    """The id that this request made before, or None, and then `new_id` is what it makes now.

    Runs in the transaction that makes the resource: a second request with the same key waits for
    the first one's commit, and sees it.
    """
    if request.key is None:
        return None
    values = {
        "project_id": request.project_id,
        "scope": request.scope,
        "key": request.key,
        "request_sha256": request.request_sha256,
        "resource_id": new_id,
        "created_at": clock.now(),
    }
    statement = insert(IdempotencyKeyRow).values(values).on_conflict_do_nothing()
    made = session.execute(statement.returning(IdempotencyKeyRow.key)).first()
    if made is not None:
        return None
    row = session.execute(select(IdempotencyKeyRow).where(_is(request))).scalar_one()
    if row.request_sha256 != request.request_sha256:
        raise StateConflict("this Idempotency-Key was used before with another request body")
    return row.resource_id


def settle_on(session: Session, request: IdempotentRequest, resource_id: str) -> None:
    """The key stands for a resource that was there already, not for the id first proposed."""
    if request.key is not None:
        session.execute(
            update(IdempotencyKeyRow).where(_is(request)).values(resource_id=resource_id)
        )


def forget_older(session: Session, before: datetime) -> int:
    """Removes keys that are past their time."""
    removed = session.execute(
        delete(IdempotencyKeyRow)
        .where(IdempotencyKeyRow.created_at < before)
        .returning(IdempotencyKeyRow.key)
    )
    return len(removed.all())


def _is(request: IdempotentRequest) -> ColumnElement[bool]:
    return and_(
        IdempotencyKeyRow.project_id == request.project_id,
        IdempotencyKeyRow.scope == request.scope,
        IdempotencyKeyRow.key == request.key,
    )
