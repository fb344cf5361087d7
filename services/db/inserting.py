"""Rows of several tables in one statement: each way to the database and back is waited for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert, Table, insert, inspect
from sqlalchemy.orm import Session, make_transient_to_detached

from services.db.base import Base


def insert_together(session: Session, *rows: Base) -> None:
    """Adds new rows at once; references between them hold when the statement ends.

    They are the session's afterwards, as after `add` and `flush`; a row whose key the database
    makes is not, for nothing comes back.
    """
    *before, last = [_insertion(row) for row in rows]
    statement = last.add_cte(*(each.cte(f"row_{place}") for place, each in enumerate(before)))
    session.execute(statement)
    for row in rows:
        if all(value is not None for value in inspect(type(row)).primary_key_from_instance(row)):
            make_transient_to_detached(row)
            session.add(row)


def _insertion(row: Base) -> Insert:
    table = inspect(type(row)).local_table
    assert isinstance(table, Table)  # noqa: S101 - all of ours are
    return insert(table).values(_values(row))


def _values(row: Base) -> dict[str, Any]:
    """Of every column that the database does not fill in; defaults are set on the row as well."""
    mapper = inspect(type(row))
    given, values = inspect(row).dict, {}
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        if attribute.key not in given:
            filled_in = column.server_default is not None or column.identity is not None
            if column.default is None and filled_in:
                continue
            default = column.default.arg if column.default is not None else None
            setattr(row, attribute.key, default)
        values[column.name] = getattr(row, attribute.key)
    return values
