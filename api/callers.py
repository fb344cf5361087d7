"""Who calls: decided before any of a request's body is read, for every path that is not open.

Once a key was ever made, a key is needed from everywhere. Until then the service answers this
machine, and networks that a setting names, as the project `default`.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import DATABASE_IS_AWAY, refusal
from api.sites import require_no_other_site
from services.access import keys
from services.access.caller import DEFAULT_PROJECT, LOCAL_CALLER, Caller
from services.access.caller import Scope as KeyScope
from services.access.clients import IPNetwork, may_call
from services.access.keys import GoodKey
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
REMEMBERED_S = 10.0
MOST_REMEMBERED = 1000
NOT_LOCAL = (
    "no API keys are configured, so only this machine may call: make one with "
    "`ectopy keys create`, or allow networks with ECTOPY_ALLOWED_CLIENTS"
)


class KeyRing:
    """Asks the database about keys. That there are some is never forgotten, for it stays so.

    A good key, and that there is none, are remembered for a few seconds while the database tells
    of every key that is made or revoked. While it may not be heard, a key is not remembered at
    all, and that there is none for a second: asking is a good part of a short answer.
    """

    def __init__(self, sessions: SessionFactory, *, is_told: Callable[[], bool]) -> None:
        """is_told: whether the making and the end of a key would be heard now."""
        self._sessions, self._is_told = sessions, is_told
        self._configured = False
        self._none_at = -math.inf
        self._good: dict[str, tuple[float, GoodKey]] = {}
        self._forgotten = 0

    def known_to_be_configured(self) -> bool | None:
        """`are_configured` where that was found out a moment ago, else None."""
        remembered_s = REMEMBERED_S if self._is_told() else LOOK_AGAIN_S
        fresh = self._configured or time.monotonic() < self._none_at + remembered_s
        return self._configured if fresh else None

    def are_configured(self) -> bool:
        known = self.known_to_be_configured()
        if known is not None:
            return known
        forgotten, asked_at = self._forgotten, time.monotonic()
        with self._sessions() as session:
            if keys.are_configured(session):
                self._configured = True
        self._none_at = asked_at
        if forgotten != self._forgotten:  # one was made meanwhile, perhaps after the look
            self._none_at = -math.inf
        return self._configured

    def known_caller_of(self, text: str) -> Caller | None:
        """Whose key this was found to be a moment ago; None: ask."""
        until, key = self._good.get(_digest(text), (0.0, None))
        if key is None or time.monotonic() >= until or key.has_expired or not self._is_told():
            return None
        return key.caller

    def caller_of(self, text: str) -> Caller:
        forgotten = self._forgotten
        with self._sessions() as session:
            found = keys.good_key(session, text)
        if len(self._good) >= MOST_REMEMBERED:
            self._good.clear()
        if forgotten == self._forgotten:  # else one was revoked meanwhile, which may be this
            self._good[_digest(text)] = (time.monotonic() + REMEMBERED_S, found)
        return found.caller

    def forget(self) -> None:
        """A key was made or revoked, or that may have been missed."""
        self._forgotten += 1
        self._none_at = -math.inf
        self._good.clear()


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
            if nearby or await self._are_configured():
                return None
            raise NotPermitted(NOT_LOCAL)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if sent:
            return await self._caller_of(_key_in(sent))
        if await self._are_configured():
            if scope["path"] in LOCAL_PATHS and may_call(address, ()):
                require_no_other_site(scope, self._hosts)
                return LOCAL_WATCHER
            raise NotAuthenticated(keys.MISSING)
        if not nearby:
            raise NotPermitted(NOT_LOCAL)
        require_no_other_site(scope, self._hosts)
        return LOCAL_CALLER

    async def _caller_of(self, text: str) -> Caller:
        """Through a thread only where the database has to be asked."""
        known = self._key_ring.known_caller_of(text)
        if known is not None:
            return known
        return await run_in_threadpool(self._key_ring.caller_of, text)

    async def _are_configured(self) -> bool:
        known = self._key_ring.known_to_be_configured()
        return (
            known if known is not None else await run_in_threadpool(self._key_ring.are_configured)
        )


def is_open(path: str) -> bool:
    """Whether anybody whom the service answers may ask for it without a key."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _key_in(headers: list[bytes]) -> str:
    kind, _, text = headers[0].decode("latin-1").partition(" ")
    if len(headers) > 1 or kind.lower() != "bearer":
        raise NotAuthenticated("one header `Authorization: Bearer <key>` is expected")
    return text.strip()


def _digest(text: str) -> str:
    """Under which a key is remembered: its text is not, and looking for it tells nothing of it."""
    return hashlib.sha256(text.encode()).hexdigest()
