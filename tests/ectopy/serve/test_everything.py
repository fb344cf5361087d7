"""`ectopy serve` as a person meets it: started, used with the line it prints, killed, ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ectopy.serve import ports
from services.registry.service import shipped_folders
from tests.ectopy.serve.real_processes import left_running

REPOSITORY = Path(__file__).resolve().parents[3]


class Served:
    """`ectopy serve` in a process of its own, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return
        pytest.fail(f"never said {words!r}, but:\n{''.join(self.said)}")

    def found(self, pattern: str) -> str:
        """The first group of the last match in what was said."""
        return re.findall(pattern, "".join(self.said), re.MULTILINE)[-1]

    @property
    def url(self) -> str:
        return self.found(r"is ready: (\S+)")

    def pid(self, part: str) -> int:
        return int(self.found(rf"^  {part} +(\d+)"))

    def kill(self, part: str) -> None:
        os.kill(self.pid(part), signal.SIGKILL)
        self.read_until(f"{part} is back")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ECTOPY_")}


@contextmanager
def served(data_dir: Path, *options: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "ectopy.cli", "serve", "--data", str(data_dir), *options]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


@contextmanager
def port_taken(port: int) -> Iterator[None]:
    """By us, or by somebody else who keeps it: what another test has just left is soon free."""
    deadline = time.monotonic() + 10
    while not ports.is_free(port) and time.monotonic() < deadline:
        time.sleep(0.2)
    if not ports.is_free(port):
        yield
        return
    with socket.create_server(("127.0.0.1", port)):
        yield


def readiness(url: str) -> bool:
    return httpx.get(f"{url}/readyz", trust_env=False).is_success


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.skipif(not list(shipped_folders()), reason="no model ships in this tree")
def test_the_printed_line_gives_labels_and_a_second_start_still_has_them(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        first.read_until("Ctrl-C ends")
        line = first.found(r"^  (curl .+)$")
        answer = subprocess.run(
            ["sh", "-c", line], cwd=REPOSITORY, check=True, capture_output=True, text=True
        )
        prediction = json.loads(answer.stdout)
        assert prediction["status"] == "succeeded", prediction
        assert sum(prediction["result"]["counts"].values()) > 300
        kept_for_others = list((tmp_path / "store" / "shipped").iterdir())
        assert len(kept_for_others) == len(list(shipped_folders()))
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait() == 0
    assert left_running(tmp_path) == []
    with served(tmp_path) as second:
        second.read_until("Ctrl-C ends")
        kept = httpx.get(f"{second.url}/v1/predictions/{prediction['id']}", trust_env=False).json()
        assert kept["result"]["counts"] == prediction["result"]["counts"]


def test_on_another_port_too_it_serves_on_after_every_part_was_killed(tmp_path: Path) -> None:
    with port_taken(8000), served(tmp_path) as first:
        first.read_until("Ctrl-C ends")
        assert "port 8000 is taken by another program" in "".join(first.said)
        first.kill("worker")
        first.kill("api")
        assert readiness(first.url)
        first.process.kill()
    with served(tmp_path) as second:
        second.read_until("Ctrl-C ends")
        assert readiness(second.url)
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait() == 0
    assert left_running(tmp_path) == []


def test_a_port_that_was_asked_for_and_is_taken_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with served(tmp_path, "--port", str(port)) as refused:
            refused.read_until(f"cannot listen on 127.0.0.1:{port}")
            assert refused.process.wait() == 1
    assert not (tmp_path / "postgres").exists()
