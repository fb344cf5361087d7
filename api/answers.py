"""Large or time-critical answers, written straight to JSON."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Response

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def json_answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON with NumPy arrays as lists, NaN as null, times in UTC ending in Z."""
    return Response(
        orjson.dumps(body, option=_OPTIONS),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )
