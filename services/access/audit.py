"""The audit trail: who did what to which resource, only ever added to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, bindparam, insert, select
from sqlalchemy.orm import Session

from services import clock
from services.access.row import AuditRow
from services.db.base import table_of

COMMAND_LINE, UPKEEP = "command line", "upkeep"
MAX_RESOURCE = 300
_ENTRY = insert(AuditRow)
_DEED = "deed_"


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
    session.connection().execute(_ENTRY, _values(deed))


def noted(condition: ColumnElement[bool]) -> CTE:
    """The part of a larger statement that adds an entry where a condition holds.

    What it says are parameters, which `noting` gives.
    """
    table = table_of(AuditRow)
    names = [column.name for column in table.c if column.name != "id"]
    values = [bindparam(_DEED + name, type_=table.c[name].type) for name in names]
    return insert(table).from_select(names, select(*values).where(condition)).cte("noted")


def noting(deed: Deed) -> dict[str, Any]:
    """The parameters of `noted`."""
    return {_DEED + name: value for name, value in _values(deed).items()}


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


def _values(deed: Deed) -> dict[str, Any]:
    return {
        "created_at": clock.now(),
        "project_id": deed.project_id,
        "key_id": deed.key_id,
        "client": deed.client,
        "action": deed.action,
        "resource": deed.resource[:MAX_RESOURCE],
        "status": deed.status,
    }
