"""Large or time-critical answers, written straight to JSON, and when to ask again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any

import orjson
from fastapi import Response
from starlette.responses import StreamingResponse

from services import clock

ASK_AGAIN_S = (1, 30)  # soonest and latest
OF_ITS_AGE = 8
ASK_AGAIN_HELP = (
    "While it has not ended, `Retry-After` says when to ask again: after an eighth of the time "
    "that it has taken so far, 1 to 30 seconds. Who wants to know at once follows its events."
)
PIECE_BYTES = 1024 * 1024
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def json_answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with NumPy arrays as lists, NaN as null, times in UTC ending in Z."""
    return Response(
        orjson.dumps(body, option=_OPTIONS),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def file_answer(content: IO[bytes], *, name: str, media_type: str) -> StreamingResponse:
    """A whole file, piece by piece as its client takes it; closed when that has all or goes."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(content.seek(0, os.SEEK_END)),
    }
    content.seek(0)

    def pieces() -> Iterator[bytes]:
        with content:
            while piece := content.read(PIECE_BYTES):
                yield piece

    return StreamingResponse(pieces(), media_type=media_type, headers=headers)


def when_to_ask_again(created_at: datetime, finished_at: datetime | None) -> dict[str, str]:
    """The header for whoever polls: what has taken long will hardly end this very second."""
    if finished_at is not None:
        return {}
    soonest, latest = ASK_AGAIN_S
    age_s = (clock.now() - created_at).total_seconds()
    return {"Retry-After": str(min(max(round(age_s / OF_ITS_AGE), soonest), latest))}
