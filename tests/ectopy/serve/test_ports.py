from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ectopy.serve import ports
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder.open(tmp_path)


def test_the_api_takes_the_port_it_is_given_when_that_is_free(taken: int) -> None:
    free = ports.next_free(taken)
    assert ports.for_api("127.0.0.1", free, fixed=True, say=pytest.fail) == free


def test_the_api_goes_to_the_next_free_port_and_says_so(taken: int) -> None:
    said: list[str] = []
    port = ports.for_api("127.0.0.1", taken, fixed=False, say=said.append)
    assert port > taken
    assert said == [f"port {taken} is taken by another program: the API takes {port}"]


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(taken: int) -> None:
    with pytest.raises(CannotServe, match=f"cannot listen on 127.0.0.1:{taken}"):
        ports.for_api("127.0.0.1", taken, fixed=True, say=pytest.fail)


def test_a_server_keeps_its_port_from_start_to_start(folder: DataFolder) -> None:
    ports.remember(folder, "valkey", ports.next_free(26379))
    first = ports.for_server(folder, "valkey", say=pytest.fail)
    assert ports.for_server(folder, "valkey", say=pytest.fail) == first >= 26379


def test_remembering_one_server_keeps_the_other(folder: DataFolder) -> None:
    ports.remember(folder, "valkey", 1)
    ports.remember(folder, "postgres", 2)
    assert ports.remembered(folder) == {"postgres": 2, "valkey": 1}


@pytest.mark.parametrize("content", ["", "[]", '{"postgres": "x"}', "\x00"])
def test_a_damaged_note_of_the_ports_is_as_none(folder: DataFolder, content: str) -> None:
    folder.ports_file.write_text(content)
    assert ports.remembered(folder) == {}


def test_no_free_port_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, host: False)
    with pytest.raises(CannotServe, match=r"no free port on 127\.0\.0\.1 among 65500 to 65535"):
        ports.next_free(65500)
