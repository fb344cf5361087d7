"""API keys: made, shown once, kept as a hash, found again in constant time, revoked.

A key reads `ectopy_PREFIX_SECRET`. The prefix is its name in lists and logs; of the rest, 256
random bits, only a hash is kept. Random bits need no slow hash: nobody can try them all.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, String, bindparam, exists, func, select
from sqlalchemy.orm import Session

from services import clock, ids
from services.access.caller import DEFAULT_PROJECT, Caller, Scope
from services.access.row import ApiKeyRow
from services.errors import NotAuthenticated, NotFound, UnusableInput

PREFIX_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"
PREFIX_LENGTH = 8
SECRET_BYTES = 32
_KEY = re.compile(r"ectopy_(?P<prefix>[a-z0-9]{8})_[A-Za-z0-9_-]{43}", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,49}", re.ASCII)
_NO_SHA256 = "0" * 64
CHANNEL = "ectopy_keys"  # of Postgres' notifications: a key was made or revoked
REFUSED = "the API key is unknown, has expired or was revoked"
MISSING = (
    "an API key is needed: send `Authorization: Bearer <key>`; `ectopy keys create` on the "
    "machine of the service makes one"
)


def needed_to_listen(host: str) -> str:
    """Why a service without keys does not start on an address of more than its own machine."""
    return (
        f"no API keys are configured, so the service does not listen on {host}, where other "
        "machines reach it. Make a key first (`ectopy keys create NAME`), listen on 127.0.0.1, or "
        "name the networks that may call without one in ECTOPY_ALLOWED_CLIENTS"
    )


def create(
    session: Session,
    *,
    name: str,
    scopes: Iterable[str],
    project_id: str = DEFAULT_PROJECT,
    expires_at: datetime | None = None,
) -> tuple[ApiKeyRow, str]:
    """A new key and its text, which nothing keeps: whoever loses it makes another."""
    if not _PROJECT.fullmatch(project_id):
        raise UnusableInput(
            f"project {project_id[:60]!r}: 1 to 50 small letters, digits or dashes, no dash first"
        )
    held = _scopes(scopes)
    prefix = "".join(secrets.choice(PREFIX_LETTERS) for _ in range(PREFIX_LENGTH))
    text = f"ectopy_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    row = ApiKeyRow(
        id=ids.new_id("key"),
        project_id=project_id,
        name=name,
        prefix=prefix,
        sha256=_sha256(text),
        scopes=held,
        created_at=clock.now(),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    _tell(session)
    return row, text


def revoke(session: Session, reference: str) -> ApiKeyRow:
    """Ends a key, named by its id or its prefix, at once and for good."""
    query = select(ApiKeyRow).where(
        (ApiKeyRow.id == reference) | (ApiKeyRow.prefix == reference.removeprefix("ectopy_"))
    )
    row = session.scalars(query).first()
    if row is None:
        raise NotFound(f"there is no API key {reference[:60]}")
    row.revoked_at = row.revoked_at or clock.now()
    session.flush()
    _tell(session)
    return row


def every(session: Session) -> Sequence[ApiKeyRow]:
    """All keys, newest first, also those that are no longer good."""
    return session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id.desc())).all()


def are_configured(session: Session) -> bool:
    """Whether a key was ever made. One that expires or is revoked opens no door again."""
    return bool(session.scalar(select(exists().select_from(ApiKeyRow))))


@dataclass(frozen=True)
class GoodKey:
    """Whose a key is, and until when it is good: for whoever remembers it for a while."""

    caller: Caller
    expires_at: datetime | None

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= clock.now()


def caller_of(session: Session, text: str) -> Caller:
    """Whose key this is; NotAuthenticated does not say what is wrong with it."""
    return good_key(session, text).caller


def good_key(session: Session, text: str) -> GoodKey:
    """The same, with its end. When one is revoked, `CHANNEL` tells."""
    match = _KEY.fullmatch(text)
    prefix = match["prefix"] if match else ""
    row = session.execute(_of_prefix(), {"prefix": prefix}).first()
    same = hmac.compare_digest(_sha256(text), row.sha256 if row is not None else _NO_SHA256)
    if row is None or not same or not _is_good(row.revoked_at, row.expires_at):
        raise NotAuthenticated(REFUSED)
    caller = Caller(row.project_id, frozenset(Scope(scope) for scope in row.scopes), row.id)
    return GoodKey(caller, row.expires_at)


@cache
def _of_prefix() -> Select[Any]:
    """Columns, not a row of the session's: this is asked before requests."""
    telling = (ApiKeyRow.revoked_at, ApiKeyRow.expires_at)
    columns = (*telling, ApiKeyRow.project_id, ApiKeyRow.sha256, ApiKeyRow.scopes, ApiKeyRow.id)
    return select(*columns).where(ApiKeyRow.prefix == bindparam("prefix", type_=String))


def is_good(row: ApiKeyRow) -> bool:
    """Neither revoked nor expired."""
    return _is_good(row.revoked_at, row.expires_at)


def _is_good(revoked_at: datetime | None, expires_at: datetime | None) -> bool:
    expired = expires_at is not None and expires_at <= clock.now()
    return revoked_at is None and not expired


def _tell(session: Session) -> None:
    session.execute(select(func.pg_notify(CHANNEL, "")))


def _scopes(names: Iterable[str]) -> list[str]:
    wanted = set(names)
    unknown = sorted(wanted - set(Scope))
    if unknown or not wanted:
        said = f"no scope {', '.join(unknown)}" if unknown else "no scope was named"
        raise UnusableInput(f"{said}; there are: {', '.join(Scope)}")
    return [scope for scope in Scope if scope in wanted]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
