"""What surrounds every request: how much may be sent, what is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response
from services import telemetry
from services.errors import TooLarge

MAX_BODY_IN_MEMORY = 4 * 1024 * 1024


class BodyLimit:
    """Refuses a body that says it is too large before it is sent, and one that turns out so."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, larger: Mapping[str, tuple[int, str]] | None = None
    ) -> None:
        """larger: paths whose multipart bodies have another limit, with the setting it is from."""
        self._app, self._max_bytes, self._larger = app, max_bytes, larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit, detail = self._limit(headers.get(b"content-type", b""), scope["path"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            answer = problem_response(TooLarge(detail).problem(), headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, detail, headers={"Connection": "close"})
            return message

        await self._app(scope, counted, send)

    def _limit(self, content_type: bytes, path: str) -> tuple[int, str]:
        """Files go to disk as they come; any other body is held in memory whole."""
        if content_type.strip().lower().startswith(b"multipart/"):
            limit, setting = self._larger.get(path, (self._max_bytes, "ECTOPY_MAX_UPLOAD_BYTES"))
            return limit, f"a request may have at most {limit:,} bytes ({setting})"
        limit = min(self._max_bytes, MAX_BODY_IN_MEMORY)
        return limit, f"a request without files may have at most {limit:,} bytes"


class Measured:
    """Counts and times every answer by its route, never by an id in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if route != "unknown" else "any"
            telemetry.REQUESTS.labels(method, route, str(status)).inc()
            telemetry.REQUEST_SECONDS.labels(method, route).observe(time.perf_counter() - started)
