"""Commits that others see at once and the disk has a little later.

A commit waits for the disk, which is milliseconds; what follows it (sending a job, a worker's first
steps) need not. So the commit goes ahead, and before anybody is told that it holds, `is_on_disk`
waits for the disk. Postgres writes its log in order: a later commit that has reached the disk has
all earlier ones with it (documentation, "Asynchronous Commit").
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session


def without_waiting() -> ColumnElement[str]:
    """As a part of any statement, that the commit of its transaction does not wait for the disk.

    Promise nothing before `is_on_disk`.
    """
    return func.set_config("synchronous_commit", "off", True)


def is_on_disk(session: Session, row_exists: ColumnElement[bool]) -> bool:
    """Waits until what was committed is on disk; False when a crash came first and took the row."""
    marked = func.pg_logical_emit_message(True, "ectopy", "")  # a commit that has to be written
    found = session.execute(select(marked).where(row_exists)).first() is not None
    session.commit()
    return found
