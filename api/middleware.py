"""What surrounds every request: how much may be asked and sent, what is measured and added."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import nullcontext

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.callers import STATE_NAME
from api.errors import problem_response, refusal
from services import ids, telemetry
from services.access.caller import Caller
from services.access.limits import CallerLimits
from services.errors import RateLimited, TooLarge, Unavailable

log = structlog.get_logger()

REQUEST_ID = "X-Request-ID"
# they come every few seconds, and would be all there is to see in a log
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
MAX_BODY_IN_MEMORY = 4 * 1024 * 1024
TOO_SLOW = "the request's body did not come in time (ECTOPY_BODY_SILENCE_S, ECTOPY_BODY_DURATION_S)"
# What an answer says where the page's own headers do not: it is what it says it is, is no part of
# another site's page, and, holding patients' data, is kept by no browser or proxy.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT = {"Cache-Control": "no-store"}


class Limited:
    """Holds a key to its limits, and the service to what it can do at once."""

    def __init__(self, app: ASGIApp, *, limits: CallerLimits, at_once: int) -> None:
        self._app, self._limits, self._at_once = app, limits, at_once
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("state", {}).get(STATE_NAME)
        if scope["type"] != "http" or caller is None:
            await self._app(scope, receive, send)
            return
        if self._now >= self._at_once:
            busy = Unavailable(f"{self._now} requests are under way (ECTOPY_REQUESTS_AT_ONCE)")
            await refusal(busy)(scope, receive, send)
            return
        self._now += 1
        try:
            with self._limits.taken(caller.key_id) if caller.key_id else nullcontext():
                await self._app(scope, receive, send)
        except RateLimited as problem:
            await refusal(problem)(scope, receive, send)
        finally:
            self._now -= 1


class BodyLimit:
    """Refuses a body that says it is too large before it is sent, one that turns out so, and one
    that does not come on.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        larger: Mapping[str, tuple[int, str]] | None = None,
        silence_s: float = 30.0,
        duration_s: float = 3600.0,
    ) -> None:
        """larger: paths whose multipart bodies have another limit, with the setting it is from."""
        self._app, self._max_bytes, self._larger = app, max_bytes, larger or {}
        self._silence_s, self._duration_s = silence_s, duration_s

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
        received, comes = 0, True
        ends_at = time.monotonic() + self._duration_s

        async def counted() -> Message:
            nonlocal received, comes
            if not comes:  # all is here: what is waited for is the client's going away
                return await receive()
            patience_s = min(self._silence_s, ends_at - time.monotonic())
            try:
                async with asyncio.timeout(patience_s):  # `wait_for` makes a task of each piece
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, TOO_SLOW, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            comes = message.get("more_body", False)
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
    """Counts and times every answer by its route, never by an id in it, and logs it by its path."""

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
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if route != "unknown" else "any"
            telemetry.REQUESTS.labels(method, route, str(status)).inc()
            telemetry.REQUEST_SECONDS.labels(method, route).observe(seconds)
            if scope["path"] not in PROBES:
                log.info(
                    "request.answered",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    elapsed_s=round(seconds, 4),
                )


class Traced:
    """Gives each request an id, or takes its client's: for answer, log and the worker's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else ids.new_id("req")

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with bound_contextvars(request_id=request_id):
            await self._app(scope, receive, noted)


class SafeAnswers:
    """Adds the headers that keep a browser from making more of an answer than it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = HEADERS | (NOT_KEPT if scope["path"].startswith("/v1/") else {})

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, noted)
