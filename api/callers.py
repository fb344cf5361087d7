"""Who calls: decided before any of a request's body is read, for every path that is not open.

Once a key was ever made, a key is needed from everywhere. Until then the service answers this
machine, and networks that a setting names, as the project `default`.
"""

from __future__ import annotations

import time

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import DATABASE_IS_AWAY, refusal
from api.sites import require_no_other_site
from services.access import keys
from services.access.caller import DEFAULT_PROJECT, LOCAL_CALLER, Caller
from services.access.caller import Scope as KeyScope
from services.access.clients import IPNetwork, may_call
from services.db.session import DATABASE_AWAY, SessionFactory
from services.errors import EctopyError, NotAuthenticated, NotPermitted

STATE_NAME = "caller"
# what shows nothing of anybody's: the page and the document are the same in every installation
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
OPEN_FOLDERS = ("/web/", "/docs/")
# totals of the whole service, without a key for programs that watch over it on its own machine
LOCAL_PATHS = frozenset({"/metrics", "/v1/system"})
LOCAL_WATCHER = Caller(DEFAULT_PROJECT, frozenset({KeyScope.READ, KeyScope.ADMIN}))
LOOK_AGAIN_S = 1.0
NOT_LOCAL = (
    "no API keys are configured, so only this machine may call: make one with "
    "`ectopy keys create`, or allow networks with ECTOPY_ALLOWED_CLIENTS"
)


class KeyRing:
    """Asks the database about keys. That there are some is never forgotten, for it stays so."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._configured = False
        self._look_at = 0.0

    def are_configured(self) -> bool:
        if not self._configured and time.monotonic() >= self._look_at:
            with self._sessions() as session:
                self._configured = keys.are_configured(session)
            self._look_at = time.monotonic() + LOOK_AGAIN_S
        return self._configured

    def caller_of(self, text: str) -> Caller:
        with self._sessions() as session:
            return keys.caller_of(session, text)


class KnownCallers:
    """Puts the Caller into the request's state, or refuses the request."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        key_ring: KeyRing,
        allowed: tuple[IPNetwork, ...] = (),
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._app, self._key_ring, self._allowed, self._hosts = app, key_ring, allowed, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                caller = await self._caller(scope)
            except EctopyError as problem:
                await refusal(problem)(scope, receive, send)
                return
            except DATABASE_AWAY:
                await refusal(DATABASE_IS_AWAY)(scope, receive, send)
                return
            scope.setdefault("state", {})[STATE_NAME] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller | None:
        """None for a path that is open to all; raises where nobody may pass."""
        client = scope.get("client")
        address = client[0] if client else None
        nearby = may_call(address, self._allowed)
        if is_open(scope["path"]):
            if nearby or await run_in_threadpool(self._key_ring.are_configured):
                return None
            raise NotPermitted(NOT_LOCAL)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if sent:
            return await run_in_threadpool(self._key_ring.caller_of, _key_in(sent))
        if await run_in_threadpool(self._key_ring.are_configured):
            if scope["path"] in LOCAL_PATHS and may_call(address, ()):
                require_no_other_site(scope, self._hosts)
                return LOCAL_WATCHER
            raise NotAuthenticated(keys.MISSING)
        if not nearby:
            raise NotPermitted(NOT_LOCAL)
        require_no_other_site(scope, self._hosts)
        return LOCAL_CALLER


def is_open(path: str) -> bool:
    """Whether anybody whom the service answers may ask for it without a key."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _key_in(headers: list[bytes]) -> str:
    kind, _, text = headers[0].decode("latin-1").partition(" ")
    if len(headers) > 1 or kind.lower() != "bearer":
        raise NotAuthenticated("one header `Authorization: Bearer <key>` is expected")
    return text.strip()
