"""Writes what a caller did into the audit trail, before the answer leaves."""

from __future__ import annotations

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.callers import STATE_NAME
from services.access import audit
from services.access.audit import Deed
from services.access.caller import Caller
from services.db.session import SessionFactory

log = structlog.get_logger()

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Audited:
    """Every change that is asked for, refused ones too; reading one resource where so set."""

    def __init__(self, app: ASGIApp, *, sessions: SessionFactory, reads: bool) -> None:
        self._app, self._sessions, self._reads = app, sessions, reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("state", {}).get(STATE_NAME)
        if scope["type"] != "http" or caller is None:
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start" and self._matters(scope):
                await run_in_threadpool(self._note, _deed(scope, caller, message))
            await send(message)

        await self._app(scope, receive, noted)

    def _matters(self, scope: Scope) -> bool:
        """A request that no operation took did nothing to anything."""
        route = getattr(scope.get("route"), "path", "")
        if scope["method"] in READING:
            return self._reads and "{" in route
        return route != ""

    def _note(self, deed: Deed) -> None:
        """What could not be written is in the log: the deed is done, and its answer stays."""
        try:
            with self._sessions() as session:
                audit.note(session, deed)
                session.commit()
        except SQLAlchemyError as error:
            log.error("audit.not_written", reason=type(error).__name__, **deed.__dict__)


def _deed(scope: Scope, caller: Caller, message: Message) -> Deed:
    client = scope.get("client")
    return Deed(
        project_id=caller.project_id,
        key_id=caller.key_id,
        client=client[0] if client else None,
        action=f"{scope['method']} {scope['route'].path}",
        resource=Headers(raw=message["headers"]).get("location") or scope["path"],
        status=message["status"],
    )
