from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from ectopy.serve import ports, programs
from ectopy.serve.folder import DataFolder
from ectopy.serve.postgres import Postgres
from ectopy.serve.programs import Api, Worker, environment_of_programs
from ectopy.serve.valkey import Valkey
from services.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder.open(tmp_path)


def api(folder: DataFolder, host: str = "127.0.0.1", port: int = 8000) -> Api:
    return Api(folder, host, port, environment={})


def test_the_programs_read_the_addresses_of_the_servers_out_of_their_environment(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres, valkey = Postgres(folder, 5001), Valkey(folder, 6001)
    given = environment_of_programs(
        folder, Settings(_env_file=None), postgres=postgres, valkey=valkey, api_port=8001
    )
    folder.password("postgres"), folder.password("valkey")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.database == make_url(postgres.url)
    assert settings.broker == valkey.url
    assert settings.data_dir == folder.root
    assert settings.api_port == 8001


def test_no_password_is_in_the_environment(folder: DataFolder) -> None:
    given = environment_of_programs(
        folder,
        Settings(_env_file=None),
        postgres=Postgres(folder, 1),
        valkey=Valkey(folder, 2),
        api_port=3,
    )
    secrets = {folder.password("postgres"), folder.password("valkey")}
    assert not [value for value in given.values() if any(secret in value for secret in secrets)]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("ecg.example", "http://ecg.example:8000"),
    ],
)
def test_the_url_is_one_that_this_machine_can_call(folder: DataFolder, host: str, url: str) -> None:
    assert api(folder, host).url == url


def test_an_api_that_is_not_there_is_not_ready(folder: DataFolder) -> None:
    assert "no answer" in api(folder, port=ports.next_free(28000)).readiness()


class NotReady(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"no worker yet")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def not_ready_port() -> Iterator[int]:
    """Of an API whose readiness check says no."""
    with HTTPServer(("127.0.0.1", 0), NotReady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_what_the_api_misses_is_passed_on(folder: DataFolder, not_ready_port: int) -> None:
    assert api(folder, port=not_ready_port).readiness() == "no worker yet"
    assert not api(folder, port=not_ready_port).is_ready()


def test_predictions_at_once_are_as_told_or_by_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert programs.threads(Settings(_env_file=None, inference_threads=7)) == 7
    assert programs.threads(Settings(_env_file=None, inference_threads=0)) == 2
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert programs.threads(Settings(_env_file=None, inference_threads=0)) == programs.MOST_THREADS


@pytest.mark.parametrize("reload", [False, True])
def test_every_module_that_is_run_is_installed(folder: DataFolder, reload: bool) -> None:
    for part in (Api(folder, "h", 1, {}, reload), Worker(folder, 2, {}, reload)):
        command = list(part.program().command)
        module = command[command.index("-m") + 1]
        assert __import__(module)
