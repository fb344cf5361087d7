"""Commits that others see at once and the disk has a little later.

A commit waits for the disk, which is milliseconds; what follows it (sending a job, a worker's first
steps) need not. So the commit goes ahead, and before anybody is told that it holds, `is_on_disk`
waits for the disk. Postgres writes its log in order: a later commit that has reached the disk has
all earlier ones with it (documentation, "Asynchronous Commit").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session


def without_waiting() -> ColumnElement[str]:
    """As a part of any statement, that the commit of its transaction does not wait for the disk.

    Promise nothing before `is_on_disk`.
    """
    return func.set_config("synchronous_commit", "off", True)


def reaching_disk(row_exists: ColumnElement[bool]) -> Select[Any]:
    """For `is_on_disk`: more may be added that is written along, where the row exists."""
    marked = func.pg_logical_emit_message(True, "ectopy", "")  # a commit that has to be written
    return select(marked).where(row_exists)


def is_on_disk(
    session: Session, reaching: Select[Any], parameters: Mapping[str, Any] | None = None
) -> bool:
    """Waits until what was committed is on disk; False when a crash came first and took the row.

    Of a session whose statements are transactions of their own: one way there and back.
    """
    return session.connection().execute(reaching, dict(parameters or {})).first() is not None
