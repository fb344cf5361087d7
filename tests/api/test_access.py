"""Who is let in: by the address of the connection, never by what a header says."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from ectopy.serve.folder import DataFolder
from ectopy.serve.programs import Api
from services.settings import Settings
from tests.factories import assert_problem
from tests.faults import eventually

ELSEWHERE = ("10.1.2.3", 1)


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/v1/records", "/docs", "/openapi.json", "/", "/x"]
)
def test_another_machine_is_refused_everywhere(settings: Settings, path: str) -> None:
    with TestClient(create_app(settings), client=ELSEWHERE) as client:
        assert_problem(client.get(path), 403, "ECTOPY_ALLOWED_CLIENTS")


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"]
)
def test_a_header_does_not_make_another_machine_this_one(settings: Settings, header: str) -> None:
    value = "for=127.0.0.1" if header == "Forwarded" else "127.0.0.1"
    with TestClient(create_app(settings), client=ELSEWHERE) as client:
        assert_problem(client.get("/v1/records", headers={header: value}), 403)


def test_a_network_of_the_settings_may_call(settings: Settings) -> None:
    allowed = settings.model_copy(update={"allowed_clients": "10.1.0.0/16"})
    with TestClient(create_app(allowed), client=ELSEWHERE) as client:
        assert client.get("/healthz").status_code == 200
    with TestClient(create_app(allowed), client=("10.2.0.1", 1)) as client:
        assert_problem(client.get("/healthz"), 403)


def test_a_bad_network_stops_the_start(settings: Settings) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        create_app(settings.model_copy(update={"allowed_clients": "nonsense"}))


@pytest.fixture
def started(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The API as `ectopy serve` starts it, under an environment that trusts every proxy."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    trusting = environment | {
        "FORWARDED_ALLOW_IPS": "*",
        "ECTOPY_ALLOWED_CLIENTS": "198.51.100.7/32",
        "ECTOPY_API_HOST": "0.0.0.0",
        "ECTOPY_API_PORT": str(port),
    }
    api = Api(DataFolder.open(tmp_path / "served"), "0.0.0.0", port, trusting)
    program = api.program()
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen(
            program.command, env=dict(program.environment), stdout=log, stderr=log
        )
    try:
        eventually(lambda: process.poll() is not None or healthy(port), within_s=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def other_address_of_this_machine() -> str | None:
    """The address that this machine shows to others, without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            found.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = found.getsockname()[0]
    return None if address.startswith(("127.", "0.")) else address


def test_a_proxy_on_this_machine_cannot_let_others_in(started: str) -> None:
    """A proxy's clients are where it says they are: it does not lend them this machine's right."""
    for forwarded in ("10.1.2.3", "127.0.0.1, 10.1.2.3"):
        answer = httpx.get(
            f"{started}/v1/records", headers={"X-Forwarded-For": forwarded}, trust_env=False
        )
        assert_problem(answer, 403)
    assert httpx.get(f"{started}/v1/records", trust_env=False).status_code == 200


def test_another_machine_cannot_say_that_it_is_this_one(started: str) -> None:
    address = other_address_of_this_machine()
    if address is None:
        pytest.skip("this machine has only its loopback address")
    there = started.replace("127.0.0.1", address)
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}):
        assert_problem(httpx.get(f"{there}/v1/records", headers=headers, trust_env=False), 403)
