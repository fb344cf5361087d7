"""The audit trail: who did what to which resource, only ever added to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from services import clock
from services.access.row import AuditRow

COMMAND_LINE, UPKEEP = "command line", "upkeep"
MAX_RESOURCE = 300
_ENTRY = insert(AuditRow)


@dataclass(frozen=True)
class Deed:
    """One entry: client is an address, or the part of the service that acted by itself."""

    project_id: str
    action: str
    resource: str
    key_id: str | None = None
    client: str | None = None
    status: int | None = None


def note(session: Session, deed: Deed) -> None:
    """Adds an entry in this transaction."""
    session.connection().execute(
        _ENTRY,
        {
            "created_at": clock.now(),
            "project_id": deed.project_id,
            "key_id": deed.key_id,
            "client": deed.client,
            "action": deed.action,
            "resource": deed.resource[:MAX_RESOURCE],
            "status": deed.status,
        },
    )


def page(
    session: Session,
    project_id: str,
    *,
    key_id: str | None,
    resource: str | None,
    before_id: int | None,
    limit: int,
) -> list[AuditRow]:
    """A project's entries, newest first; of one key or one resource where named."""
    query = select(AuditRow).where(AuditRow.project_id == project_id)
    if key_id is not None:
        query = query.where(AuditRow.key_id == key_id)
    if resource is not None:
        query = query.where(AuditRow.resource == resource)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    return list(session.scalars(query.order_by(AuditRow.id.desc()).limit(limit)))
