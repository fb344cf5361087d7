"""`?limit=&cursor=`: a cursor is the last id of the page before."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from services.errors import MalformedInput

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page:
    limit: int
    after: str | None


async def page(
    limit: Annotated[int, Query(ge=1, le=200, description="how many at most")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Page:
    return Page(limit, None if cursor is None else _decoded(cursor))


Paging = Annotated[Page, Depends(page)]


def split(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], bool]:
    """The page out of limit + 1 rows, and whether there are more."""
    return rows[:limit], len(rows) > limit


def listing(data: list[Any], *, last_id: str | None, more: bool) -> dict[str, Any]:
    cursor = base64.urlsafe_b64encode(last_id.encode()).decode() if more and last_id else None
    return {"data": data, "next_cursor": cursor}


def _decoded(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise MalformedInput("cursor is not one that this service gave") from error
    if not text.isprintable() or len(text) > 200:
        raise MalformedInput("cursor is not one that this service gave")
    return text
