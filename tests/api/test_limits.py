"""How much a key may ask, and how long a body may take."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from services.access import keys
from services.access.limits import CallerLimits
from services.db.session import SessionFactory
from services.errors import RateLimited, Unavailable
from services.settings import Settings
from tests.factories import assert_problem
from tests.processes import served


@pytest.fixture
def headers(sessions: SessionFactory) -> dict[str, str]:
    with sessions.begin() as session:
        return {"Authorization": f"Bearer {keys.create(session, name='a', scopes=['read'])[1]}"}


def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    settings: Settings, headers: dict[str, str]
) -> None:
    strict = settings.model_copy(update={"key_requests_per_minute": 18})
    with TestClient(create_app(strict)) as client:
        answers = [client.get("/v1/records", headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers[:3]] == [200] * 3
        assert_problem(answers[4], 429, "18 requests a minute")
        assert 1 <= int(answers[4].headers["retry-after"]) <= 4
        assert client.get("/healthz", headers=headers).status_code == 200


def test_requests_at_once_are_counted_until_they_end() -> None:
    limits = CallerLimits(per_minute=0, at_once=2)
    third = limits.taken("a")
    with limits.taken("a"), limits.taken("a"), limits.taken("b"), pytest.raises(RateLimited):
        third.__enter__()
    with limits.taken("a"), limits.taken("a"):
        pass


def test_no_limit_is_none() -> None:
    limits = CallerLimits(per_minute=0, at_once=0)
    for _ in range(1000):
        with limits.taken("a"):
            pass


@pytest.fixture
def impatient(settings: Settings) -> Iterator[str]:
    quick = settings.model_copy(update={"body_silence_s": 0.2})
    with served(create_app(quick)) as url:
        yield url


@pytest.mark.parametrize("path", ["/v1/records", "/v1/predictions"])
def test_a_body_that_does_not_come_on_is_given_up(impatient: str, path: str) -> None:
    host, port = impatient.removeprefix("http://").split(":")
    kind = "multipart/form-data; boundary=x" if path == "/v1/records" else "application/json"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n--x".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::"])
def test_without_keys_the_service_does_not_start_for_other_machines(
    settings: Settings, host: str
) -> None:
    app = create_app(settings.model_copy(update={"api_host": host}))
    with pytest.raises(Unavailable, match="ectopy keys create"), TestClient(app):
        pass


def test_with_a_key_or_named_networks_it_does(settings: Settings, headers: dict[str, str]) -> None:
    with TestClient(create_app(settings.model_copy(update={"api_host": "0.0.0.0"}))) as client:
        assert client.get("/v1/records", headers=headers).status_code == 200
    named = {"api_host": "0.0.0.0", "allowed_clients": "10.0.0.0/8"}
    with TestClient(create_app(settings.model_copy(update=named))):
        pass
