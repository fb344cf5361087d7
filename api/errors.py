"""Any error -> application/problem+json; nothing of the inside leaves the service."""

from __future__ import annotations

from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from services.db.session import DATABASE_AWAY
from services.errors import (
    PROBLEM_BASE,
    EctopyError,
    MalformedInput,
    NotAuthenticated,
    RateLimited,
    Unavailable,
    is_disk_full,
)

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
DATABASE_IS_AWAY = Unavailable(
    "the database does not answer; nothing was changed, try again in a moment"
)
DISK_IS_FULL = Unavailable("the service's disk is full; nothing was kept, try again later")
NO_FILE = "no file: send multipart/form-data with the record's files, each in a part named `file`"
_TITLES = {
    400: ("malformed-input", "Malformed input"),
    401: ("not-authenticated", "Not authenticated"),
    403: ("not-permitted", "Not permitted"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    408: ("too-slow", "Too slow"),
    413: ("too-large", "Too large"),
}


def install(app: FastAPI) -> None:
    """Registers a handler for every kind of error."""
    app.add_exception_handler(EctopyError, _deliberate)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for away in DATABASE_AWAY:
        app.add_exception_handler(away, _database_away)
    app.add_exception_handler(DataError, _not_storable)
    app.add_exception_handler(OSError, _disk_full)
    app.add_exception_handler(Exception, _unexpected)


def problem_response(problem: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(problem), status_code=problem["status"], headers=headers, media_type=MEDIA_TYPE
    )


def _deliberate(_: Request, error: Exception) -> Response:
    if not isinstance(error, EctopyError):
        raise error
    return refusal(error)


def refusal(error: EctopyError) -> Response:
    """The answer that a deliberate error is, with the headers that belong to it."""
    headers = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="ectopy"'
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unavailable):
        headers["Retry-After"] = "5"
    return problem_response(error.problem(), headers)


def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = [{"loc": list(e["loc"]), "msg": str(e["msg"])} for e in error.errors()]
    where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found[:5])
    if any(_unreadable(e) for e in error.errors()):
        return problem_response(MalformedInput(where, errors=found).problem())
    if any(_without_file(e) for e in error.errors()):
        return problem_response(MalformedInput(NO_FILE, errors=found).problem())
    return problem_response(
        {
            "type": PROBLEM_BASE + "invalid-request",
            "title": "The request does not validate",
            "status": 422,
            "detail": where,
            "errors": found,
        }
    )


def _unreadable(error: dict[str, Any]) -> bool:
    """A body that is no JSON at all, beside one whose content is not what it should be."""
    return bool(error["type"] == "json_invalid")


def _without_file(error: dict[str, Any]) -> bool:
    return error["type"] == "missing" and tuple(error["loc"]) == ("body", "file")


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    slug, title = _TITLES.get(error.status_code, ("http-error", str(error.detail)))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        methods = _methods(request)
        headers |= {"Allow": ", ".join(sorted(methods))} if methods else {}
    return problem_response(
        {
            "type": PROBLEM_BASE + slug,
            "title": title,
            "status": error.status_code,
            "detail": str(error.detail),
        },
        headers,
    )


def _methods(request: Request) -> set[str]:
    """All that the path answers: the router itself tells those of the first match alone.

    A path without parameters is itself, and no id of another one.
    """
    found: set[str] = set()
    documented = request.app.openapi()["paths"]
    if request.url.path in documented:
        return {method.upper() for method in documented[request.url.path]}
    for path, operations in documented.items():
        pattern, _, _ = compile_path(path)
        if pattern.match(request.url.path):
            found |= {method.upper() for method in operations}
    return found


def _database_away(request: Request, error: Exception) -> Response:
    log.warning("database.away", path=request.url.path, reason=type(error).__name__)
    return refusal(DATABASE_IS_AWAY)


def _not_storable(_: Request, error: Exception) -> Response:
    """Postgres knows no NUL character in a text, and no id has one."""
    if not isinstance(error, DataError):
        raise error
    refused = MalformedInput("the request holds a value that cannot be stored, such as a NUL byte")
    return problem_response(refused.problem())


def _disk_full(request: Request, error: Exception) -> Response:
    if not isinstance(error, OSError) or not is_disk_full(error):
        return _unexpected(request, error)
    log.error("disk.full", path=request.url.path)
    return refusal(DISK_IS_FULL)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request.crashed", path=request.url.path, exc_info=error)
    return problem_response(EctopyError("an internal error; see the log of the service").problem())
