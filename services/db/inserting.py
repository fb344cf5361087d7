"""Rows of several tables in one statement: each way to the database and back is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, Insert, Select, bindparam, exists, insert, inspect, literal, select
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.sql.dml import ReturningInsert

from services.db.base import Base, table_of
from services.db.durability import without_waiting


@dataclass(frozen=True)
class Provided:
    """What must be there, and stay until the commit, for rows to be added.

    query: made once, for statements are kept by it; gives one row, of what was there or what it
    adds itself. parameters: of it.
    """

    query: Select[Any] | ReturningInsert[Any]
    parameters: Mapping[str, Any]


def insert_together(
    session: Session, *rows: Base, waits_for_disk: bool = True, provided: Provided | None = None
) -> bool:
    """Adds new rows at once; references between them hold when the statement ends.

    They are the session's afterwards, as after `add` and `flush`; a row whose key the database
    makes is not, for nothing comes back. False, and nothing is added, where what is to be there
    is not.

    waits_for_disk: whether the transaction's commit does (see services.db.durability).
    """
    values = [_values(row) for row in rows]
    shape = tuple((type(row), tuple(each)) for row, each in zip(rows, values, strict=True))
    parameters = {
        _parameter(place, name): value
        for place, each in enumerate(values)
        for name, value in each.items()
    }
    statement = _statement(shape, waits_for_disk, provided.query if provided is not None else None)
    if provided is not None:
        parameters |= provided.parameters
    if session.connection().execute(statement, parameters).first() is None:
        return False
    for row in rows:
        if all(value is not None for value in inspect(type(row)).primary_key_from_instance(row)):
            make_transient_to_detached(row)
            session.add(row)
    return True


@lru_cache(maxsize=64)  # making it takes several times as long as running it
def _statement(
    shape: tuple[tuple[type[Base], tuple[str, ...]], ...],
    waits_for_disk: bool,
    provided: Select[Any] | ReturningInsert[Any] | None,
) -> ReturningInsert[Any]:
    """One statement for rows of these tables, with values for these columns; a row if added."""
    there = provided.cte("there") if provided is not None else None
    *before, last = [_insertion(place, *each, there) for place, each in enumerate(shape)]
    whole = last.add_cte(*(each.cte(f"row_{place}") for place, each in enumerate(before)))
    return whole.returning(literal(True) if waits_for_disk else without_waiting())


def _insertion(place: int, kind: type[Base], names: tuple[str, ...], there: CTE | None) -> Insert:
    columns = table_of(kind).c
    values = {name: bindparam(_parameter(place, name), type_=columns[name].type) for name in names}
    if there is None:
        return insert(table_of(kind)).values(values)
    given = select(*values.values()).where(exists(select(there)))
    return insert(table_of(kind)).from_select(list(values), given)


def _parameter(place: int, column: str) -> str:
    return f"row_{place}_{column}"


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
