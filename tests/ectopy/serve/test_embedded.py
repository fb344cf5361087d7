"""Real servers on a folder: first start, next start, and starts after something was killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from sqlalchemy.engine import make_url

from ectopy.serve.embedded import embedded_servers
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder
from ectopy.serve.orphans import POSTGRES, VALKEY, server_processes
from tests.ectopy.serve.conftest import connect
from tests.ectopy.serve.real_processes import (
    eventually,
    is_running,
    left_running,
    postmaster_pid,
)

HOLD_SERVERS = """
import sys, time
from pathlib import Path
from ectopy.serve.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


def kept_words(database_url: str) -> list[str]:
    with connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM kept")]


@dataclass(frozen=True)
class Running:
    data_dir: Path
    database_url: str
    broker_url: str


@pytest.fixture(scope="module")
def running(used_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Servers on a copy of the used folder, for tests that only look."""
    data_dir = shutil.copytree(used_folder, tmp_path_factory.mktemp("running") / "data")
    with embedded_servers(data_dir) as (database_url, broker_url):
        yield Running(data_dir, database_url, broker_url)


def test_a_second_start_finds_rows_and_messages_of_the_first(running: Running) -> None:
    assert kept_words(running.database_url) == ["beat"]
    with redis.Redis.from_url(running.broker_url) as broker:
        assert broker.lrange("kept", 0, -1) == [b"message"]


def test_a_wrong_password_opens_neither_server(running: Running) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(running.database_url.replace("ectopy:", "ectopy:wrong"))
    wrong = running.broker_url.replace("redis://:", "redis://:wrong")
    with redis.Redis.from_url(wrong) as broker, pytest.raises(redis.AuthenticationError):
        broker.ping()


def test_only_this_machine_reaches_the_servers(running: Running) -> None:
    ports = {make_url(running.database_url).port, make_url(running.broker_url).port}
    servers = server_processes(DataFolder.open(running.data_dir), POSTGRES, VALKEY)
    listening = {
        connection.laddr
        for server in servers
        for connection in server.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in ports}


def test_a_second_user_of_a_folder_is_told_who_has_it(running: Running) -> None:
    with (
        pytest.raises(CannotServe, match=rf"process {os.getpid()}\).*is using"),
        embedded_servers(running.data_dir),
    ):
        pass


def test_nothing_runs_any_more_after_the_block(data_dir: Path) -> None:
    with embedded_servers(data_dir):
        assert {"postgres", "valkey-server"} <= set(left_running(data_dir))
    assert left_running(data_dir) == []


def test_committed_rows_outlive_a_killed_database(data_dir: Path) -> None:
    with embedded_servers(data_dir) as (database_url, _):
        with connect(database_url) as connection:
            connection.execute("INSERT INTO kept VALUES ('after')")
        os.kill(postmaster_pid(data_dir), signal.SIGKILL)
    with embedded_servers(data_dir) as (database_url, _):
        assert kept_words(database_url) == ["beat", "after"]


@pytest.fixture
def stranger() -> Iterator[int]:
    """The number of a living process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process.pid
        process.kill()


def test_a_pid_file_that_names_another_living_process_is_no_hindrance(
    data_dir: Path, stranger: int
) -> None:
    (data_dir / "postgres" / "postmaster.pid").write_text(f"{stranger}\n{data_dir}/postgres\n")
    with embedded_servers(data_dir) as (database_url, _):
        assert kept_words(database_url) == ["beat"]
    assert is_running(stranger)


def start_servers_and_kill_their_parent(data_dir: Path) -> None:
    command = [sys.executable, "-c", HOLD_SERVERS, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert "up\n" in iter(parent.stdout.readline, "")
        parent.kill()


def test_servers_of_a_killed_parent_end_and_a_new_start_works(data_dir: Path) -> None:
    start_servers_and_kill_their_parent(data_dir)
    with embedded_servers(data_dir) as (database_url, _):
        assert kept_words(database_url) == ["beat"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_servers_end_by_themselves_when_their_parent_is_killed(data_dir: Path) -> None:
    start_servers_and_kill_their_parent(data_dir)
    assert eventually(lambda: left_running(data_dir) == [])


def test_a_half_made_database_is_made_anew(tmp_path: Path) -> None:
    draft = tmp_path / "postgres.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    with embedded_servers(tmp_path) as (database_url, _), connect(database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not draft.exists()


def append_only_tail(data_dir: Path) -> Path:
    return next((data_dir / "valkey" / "appendonlydir").glob("*.incr.aof"))


def test_a_message_file_cut_short_loses_its_last_message_only(data_dir: Path) -> None:
    tail = append_only_tail(data_dir)
    whole = tail.read_bytes()
    tail.write_bytes(whole + b"*3\r\n$5\r\nRPUSH\r\n$4\r\nke")
    with (
        embedded_servers(data_dir) as (_, broker_url),
        redis.Redis.from_url(broker_url) as broker,
    ):
        assert broker.lrange("kept", 0, -1) == [b"message"]


def test_a_message_file_with_zeros_in_it_is_set_aside(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tail = append_only_tail(data_dir)
    damaged = tail.read_bytes() + bytes(100)
    tail.write_bytes(damaged)
    with (
        embedded_servers(data_dir) as (_, broker_url),
        redis.Redis.from_url(broker_url) as broker,
    ):
        assert broker.lrange("kept", 0, -1) == []
    assert (data_dir / "valkey" / "appendonlydir.damaged" / tail.name).read_bytes() == damaged
    assert "valkey's file was damaged" in capsys.readouterr().out


def port_of(database_url: str) -> int:
    return make_url(database_url).port or 0


def test_a_port_that_was_taken_meanwhile_is_left_alone(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with embedded_servers(data_dir) as (database_url, _):
        before = port_of(database_url)
    with (
        socket.create_server(("127.0.0.1", before)),
        embedded_servers(data_dir) as (database_url, _),
    ):
        assert port_of(database_url) != before
        assert kept_words(database_url) == ["beat"]
    assert f"port {before}, where postgres was last time, is taken" in capsys.readouterr().out
