"""Every query on records."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Integer, Select, String, bindparam, delete, inspect, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from services.db.base import table_of
from services.db.inserting import Provided
from services.records.row import RecordRow


def by_id(session: Session, project_id: str, record_id: str) -> RecordRow | None:
    wanted = {"project_id": project_id, "record_id": record_id}
    return session.scalars(_by_id(), wanted).first()


def by_id_of_any_project(session: Session, record_id: str) -> RecordRow | None:
    return session.get(RecordRow, record_id)


def when_added(row: RecordRow) -> Provided:
    """The row is added by the same statement, unless the project has one of the same bytes."""
    given = {_NEW + name: value for name, value in _values(row).items()}
    return Provided(_add_new_along(tuple(given)), given)


def while_kept(record_id: str) -> Provided:
    """The record is there, and share-locked: nobody deletes it before the transaction ends."""
    return Provided(_while_kept(), {"kept_record_id": record_id})


def by_sha256_kept_while_used(session: Session, project_id: str, sha256: str) -> RecordRow | None:
    """The record of these bytes, share-locked."""
    wanted = {"project_id": project_id, "sha256": sha256}
    return session.scalars(_by_sha256_kept(), wanted).first()


def add_new(session: Session, row: RecordRow) -> bool:
    """Adds a row unless the project has one of the same bytes, in one statement.

    The row itself does not become part of the session: it is for reading.
    """
    return session.connection().execute(_ADD_NEW, _values(row)).first() is not None


def by_ids(session: Session, project_id: str, record_ids: Iterable[str]) -> list[RecordRow]:
    return list(session.scalars(_of(project_id).where(RecordRow.id.in_(list(record_ids)))))


def newest_first(
    session: Session, project_id: str, *, before_id: str | None, limit: int
) -> list[RecordRow]:
    """A page of records; ids sort by time, so the last id of a page is where the next begins."""
    wanted = {"project_id": project_id, "limit": limit, "before_id": before_id}
    return list(session.scalars(_newest_first(after_another=before_id is not None), wanted))


def remove(session: Session, project_id: str, record_id: str) -> bool:
    wanted = delete(RecordRow).where(RecordRow.project_id == project_id, RecordRow.id == record_id)
    statement = wanted.returning(RecordRow.id)
    return session.execute(statement).first() is not None


def existing(session: Session, record_ids: Iterable[str]) -> set[str]:
    return set(session.scalars(select(RecordRow.id).where(RecordRow.id.in_(list(record_ids)))))


def _of(project_id: str | BindParameter[str]) -> Select[RecordRow]:
    return select(RecordRow).where(RecordRow.project_id == project_id)


# Statements that requests need all the time are made once: that takes longer than running one.

_NEW = "new_record_"
_ADD_NEW = insert(RecordRow).on_conflict_do_nothing().returning(RecordRow.id)


@cache
def _add_new_along(names: tuple[str, ...]) -> ReturningInsert[Any]:
    records = table_of(RecordRow)
    columns = [records.c[name.removeprefix(_NEW)] for name in names]
    given = {c.name: bindparam(_NEW + c.name, type_=c.type) for c in columns}
    return insert(records).values(given).on_conflict_do_nothing().returning(records.c.id)


@cache
def _by_id() -> Select[RecordRow]:
    query = _of(bindparam("project_id", type_=String))
    return query.where(RecordRow.id == bindparam("record_id", type_=String))


@cache
def _while_kept() -> Select[Any]:
    records = table_of(RecordRow)
    query = select(records.c.id).where(records.c.id == bindparam("kept_record_id", type_=String))
    return query.with_for_update(read=True)


@cache
def _by_sha256_kept() -> Select[RecordRow]:
    query = _of(bindparam("project_id", type_=String))
    query = query.where(RecordRow.sha256 == bindparam("sha256", type_=String))
    return query.with_for_update(read=True)


@cache
def _newest_first(*, after_another: bool) -> Select[RecordRow]:
    query = _of(bindparam("project_id", type_=String)).order_by(RecordRow.id.desc())
    if after_another:
        query = query.where(RecordRow.id < bindparam("before_id", type_=String))
    return query.limit(bindparam("limit", type_=Integer))


def _values(row: RecordRow) -> dict[str, Any]:
    """Of the columns that are set."""
    set_now = inspect(row).dict
    return {c.key: set_now[c.key] for c in inspect(RecordRow).column_attrs if c.key in set_now}
