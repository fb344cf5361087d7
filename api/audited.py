"""Writes what a caller did into the audit trail, before the answer leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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

_entry: ContextVar[Entry | None] = ContextVar("audit_entry", default=None)


class Entry:
    """What the request that runs here will be in the trail; written once."""

    def __init__(self, deed: Callable[[int, str], Deed]) -> None:
        self.deed = deed
        self.is_written = False


@contextmanager
def noted_by(*, status: int, resource: str) -> Iterator[Deed | None]:
    """The entry, if there is to be one, which the block writes by itself if it does not raise.

    For what is accepted long before its answer leaves, and with a status that is then known, 202:
    in a statement that has to reach the disk anyway.
    """
    entry = _entry.get()
    yield None if entry is None else entry.deed(status, resource)
    if entry is not None:
        entry.is_written = True


class Audited:
    """Every change that is asked for, refused ones too; reading one resource where so set."""

    def __init__(self, app: ASGIApp, *, sessions: SessionFactory, reads: bool) -> None:
        self._app, self._sessions, self._reads = app, sessions, reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("state", {}).get(STATE_NAME)
        if scope["type"] != "http" or caller is None:
            await self._app(scope, receive, send)
            return

        entry = Entry(lambda status, resource: _deed(scope, caller, status, resource))

        async def noted(message: Message) -> None:
            starts = message["type"] == "http.response.start"
            if starts and self._matters(scope) and not entry.is_written:
                resource = Headers(raw=message["headers"]).get("location") or scope["path"]
                await run_in_threadpool(self._note, entry, message["status"], resource)
            await send(message)

        token = _entry.set(entry)
        try:
            await self._app(scope, receive, noted)
        finally:
            _entry.reset(token)

    def _matters(self, scope: Scope) -> bool:
        """A request that no operation took did nothing to anything."""
        route = getattr(scope.get("route"), "path", "")
        if scope["method"] in READING:
            return self._reads and "{" in route
        return route != ""

    def _note(self, entry: Entry, status: int, resource: str) -> None:
        """What could not be written is in the log: the deed is done, and its answer stays."""
        try:
            with self._sessions() as session:
                audit.note(session, entry.deed(status, resource))
                session.commit()
            entry.is_written = True
        except SQLAlchemyError as error:
            log.error("audit.not_written", reason=type(error).__name__, resource=resource)


def _deed(scope: Scope, caller: Caller, status: int, resource: str) -> Deed:
    client = scope.get("client")
    return Deed(
        project_id=caller.project_id,
        key_id=caller.key_id,
        client=client[0] if client else None,
        action=f"{scope['method']} {scope['route'].path}",
        resource=resource,
        status=status,
    )
