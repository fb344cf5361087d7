"""The hub's own library against a server on this machine that speaks as the hub does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="`ectopy models fetch` needs ectopy[fetch]")

REPOSITORY, FILE = "heartwise/wcr_afib_5y", "wcr_afib_5y.pt"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN, OTHER_TOKEN = "hf_granted", "hf_not_granted"
PROGRAM = (
    "from ectopy.commands.fetching import fetched\n"
    "from services.errors import EctopyError\n"
    f"try: print('PATH', fetched({REPOSITORY!r}, {FILE!r}))\n"
    "except EctopyError as problem: print(type(problem).__name__, problem.detail)\n"
)


@dataclass
class Hub:
    """Serves one gated file to one token, as the hub's HTTP interface does."""

    content: bytes
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        token = request.headers.get("Authorization")
        if request.path != f"/{REPOSITORY}/resolve/main/{FILE}":
            refuse(request, 404, "EntryNotFound")  # the library looks for other things too
            return
        self.asked.append((request.command, token))
        if token != f"Bearer {TOKEN}":
            refuse(request, 401 if token is None else 403, "GatedRepo")
            return
        request.send_response(200)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        request.send_header("Content-Length", str(len(self.content)))
        request.end_headers()
        if with_body:
            request.wfile.write(self.content)


def refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
    request.send_response(status)
    request.send_header("X-Error-Code", code)
    request.send_header("X-Error-Message", "refused")
    request.send_header("Content-Length", "0")
    request.end_headers()


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            hub.answer(self, with_body=False)

        def do_GET(self) -> None:
            hub.answer(self, with_body=True)

        def log_message(self, *_: object) -> None:
            return None

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub(os.urandom(300_000))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(found))
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(url: str, folder: Path, token: str | None, **more: str) -> str:
    """What a process says that fetches with this token, and with no other that may be here."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": url, "HF_HOME": str(folder / "hf"), "NO_PROXY": "127.0.0.1"}
    environment |= more
    if token is not None:
        environment["HF_TOKEN"] = token
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_token_with_access_gets_the_file(hub: Hub, tmp_path: Path) -> None:
    said = fetch(hub.url, tmp_path, TOKEN)
    assert said.startswith("PATH ")
    assert Path(said.removeprefix("PATH ")).read_bytes() == hub.content
    assert {token for _, token in hub.asked} == {f"Bearer {TOKEN}"}
    assert hub.asked[-1][0] == "GET"


@pytest.mark.parametrize("token", [None, OTHER_TOKEN])
def test_without_access_it_says_where_to_ask_for_it(
    hub: Hub, tmp_path: Path, token: str | None
) -> None:
    said = fetch(hub.url, tmp_path, token)
    assert said.startswith(f"NotPermitted {REPOSITORY} is gated: ask for access on https://")
    assert "HF_TOKEN" in said
    assert {command for command, _ in hub.asked} == {"HEAD"}


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    said = fetch("http://127.0.0.1:1", tmp_path, TOKEN, HF_HUB_OFFLINE="1")
    assert said.startswith("Unavailable ")
    assert "ectopy models import wcr_afib_5y.pt" in said
