"""Every error anywhere is a problem object that tells nothing of the inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError, ProgrammingError

from api.main import create_app
from services.settings import Settings
from tests.factories import PROBLEM, assert_problem, assert_tells_nothing_of_the_inside

PATHS = ("nothing", "rec_\u00e9", "..%2f..%2fetc%2fpasswd", "%00", "-1", "1" * 30, "x" * 3000)
QUERIES = (
    {"limit": "x", "max_points": "x", "status": "x"},
    {"limit": "99999999999999999999", "max_points": "1e9", "start_s": "x"},
    {"cursor": "\x00", "record_id": "\x00", "lead": "\x00"},
    {"cursor": "/" * 5000, "record_id": "x" * 5000, "lead": "x" * 5000},
)
BODIES: tuple[dict[str, Any], ...] = (
    {"content": b"\xff\xfe{", "headers": {"Content-Type": "application/json"}},
    {"content": b"null", "headers": {"Content-Type": "application/json"}},
    {"content": b"<xml/>", "headers": {"Content-Type": "application/xml"}},
    {"json": {"record_id": "\x00", "record_ids": ["\x00"], "task": "beats"}},
    {"json": {"record_id": ["x"], "record_ids": {"x": 1}, "task": 5, "options": "x"}},
    {"files": [("file", ("\x00.hea", b"x", "x/y"))]},
    {"data": {"file": "x", "options": "{"}},
    {"headers": {"Prefer": "wait=x", "Last-Event-ID": "x", "Idempotency-Key": "\x7f" * 300}},
)


def requests(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Junk for every operation: in its path, its query and its body."""
    for path, operations in document["paths"].items():
        for method in operations:
            filled = [path]
            if "{" in path:
                filled = [_filled(path, junk) for junk in PATHS]
            for address in filled:
                yield method, address, {}
            for query in QUERIES:
                yield method, filled[0], {"params": query}
            if method == "post":
                for body in BODIES:
                    yield method, filled[0], body
            yield "patch", filled[0], {}


def _filled(path: str, junk: str) -> str:
    return "/".join(junk if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.usefixtures("fake_model")
def test_junk_is_answered_with_a_problem_everywhere(api: TestClient) -> None:
    sent = 0
    for method, address, more in requests(api.get("/openapi.json").json()):
        answer = api.request(method, address, **more)
        sent += 1
        where = (method, address[:80], more, answer.status_code, answer.text[:300])
        assert answer.status_code < 500 or answer.status_code == 503, where
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == PROBLEM, where
            problem = answer.json()
            assert problem["status"] == answer.status_code, where
            assert {"type", "title", "detail"} <= set(problem), where
            assert_tells_nothing_of_the_inside(answer.text)
    assert sent > 200


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/nothing", "/docs/assets/nothing.js"])
def test_a_path_that_is_not_there_is_a_problem(api: TestClient, path: str) -> None:
    assert_problem(api.get(path), 404)


def test_a_method_that_is_not_there_is_a_problem_and_says_which_are(api: TestClient) -> None:
    answer = api.put("/v1/records/rec_x")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET"
    assert api.put("/v1/records").headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("/secret/path.py"), 500),
        (KeyError("secret"), 500),
        (ProgrammingError("select secret", {}, Exception("secret")), 500),
        (OperationalError("select secret", {}, Exception("secret")), 503),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_crash_tells_nothing(settings: Settings, error: Exception, status: int) -> None:
    app = create_app(settings)
    router = APIRouter()

    @router.get("/crash")
    def crash() -> None:
        raise error

    app.include_router(router)
    with TestClient(app, client=("127.0.0.1", 1), raise_server_exceptions=False) as client:
        answer = client.get("/crash")
        assert_problem(answer, status)
        assert "secret" not in answer.text
        assert client.get("/healthz").status_code == 200
