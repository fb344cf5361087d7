"""Every error that Ectopy raises on purpose, each able to say itself as an RFC 9457 problem object.

EctopyError
|-- MalformedInput (400)          bytes that are not what they claim; names file, line or field
|-- NotAuthenticated (401)        no key, or one that is unknown, expired or revoked
|-- NotPermitted (403)            a caller who may not do this
|-- NotFound (404)                no such record, prediction, model ...
|-- StateConflict (409)           the resource is in a state that does not allow this
|-- TooLarge (413)                a file, a record or a declared size beyond the limit
|-- UnknownFormat (415)           no reader recognises the content
|-- UnusableInput (422)           understood, but not usable (too short, NaN only, wrong leads)
|-- RateLimited (429)             too many requests; says when to come back
|-- Unavailable (503)             a model or a part of the system is not there; says what to do
`-- Cancelled (not an HTTP error) work stopped because its owner asked for it
    `-- Interrupted              work stopped that goes on in another process
"""

from __future__ import annotations

import errno
from typing import Any, ClassVar

PROBLEM_BASE = "https://ectopy.dev/problems/"


class EctopyError(Exception):
    """Base of all deliberate errors: a stable slug, a title, a status and a detail for a person."""

    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem object."""
        body: dict[str, Any] = {
            "type": PROBLEM_BASE + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        return body


class MalformedInput(EctopyError):
    slug, title, status = "malformed-input", "Malformed input", 400


class NotAuthenticated(EctopyError):
    slug, title, status = "not-authenticated", "Not authenticated", 401


class NotPermitted(EctopyError):
    slug, title, status = "not-permitted", "Not permitted", 403


class NotFound(EctopyError):
    slug, title, status = "not-found", "Not found", 404


class StateConflict(EctopyError):
    slug, title, status = "state-conflict", "Conflict with the present state", 409


class TooLarge(EctopyError):
    slug, title, status = "too-large", "Too large", 413


class UnknownFormat(EctopyError):
    slug, title, status = "unknown-format", "Unknown format", 415


class UnusableInput(EctopyError):
    slug, title, status = "unusable-input", "Understood, but not usable", 422


class RateLimited(EctopyError):
    slug, title, status = "rate-limited", "Too many requests", 429

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(EctopyError):
    slug, title, status = "unavailable", "A part of the system is not there", 503


def is_disk_full(error: OSError) -> bool:
    """Whether this is of a disk, or of somebody's share of it, that has no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class Cancelled(EctopyError):
    slug, title, status = "cancelled", "Cancelled", 409


class Interrupted(Cancelled):
    slug, title, status = "interrupted", "Interrupted", 409
