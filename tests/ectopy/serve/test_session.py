"""A whole session in a process of its own: ended, killed and disturbed in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ectopy.serve.folder import MARKER, DataFolder
from ectopy.serve.orphans import VALKEY, server_processes
from tests.ectopy.serve.real_processes import (
    eventually,
    is_running,
    left_running,
    postmaster_pid,
)

REPOSITORY = Path(__file__).resolve().parents[3]
SLEEP = "import pathlib, time; pathlib.Path('{folder}/tiny.up').touch(); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
BROKEN = "raise SystemExit('no such module: heart')"


@dataclass
class RunningSession:
    """A session in another process, and what it has said."""

    process: subprocess.Popen[str]
    data_dir: Path

    def line_with(self, words: str) -> str:
        """The next line that holds the words; fails when the output ends without it."""
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if words in line:
                return line
        pytest.fail(f"never said {words!r}, but:\n{''.join(said)}")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait()

    def pids(self) -> dict[str, int]:
        return {
            "postgres": postmaster_pid(self.data_dir),
            "valkey": self.valkey_pid(),
            "tiny": self.tiny_pid(),
        }

    def tiny_pid(self) -> int:
        (tiny,) = [
            child
            for child in psutil.Process(self.process.pid).children()
            if "tiny.up" in " ".join(child.cmdline())
        ]
        return tiny.pid

    def valkey_pid(self) -> int:
        (valkey,) = server_processes(DataFolder.open(self.data_dir), VALKEY)
        return valkey.pid


@contextmanager
def session(data_dir: Path, code: str = SLEEP) -> Iterator[RunningSession]:
    """Start one; whatever the test leaves of it is killed."""
    (data_dir / "tiny.up").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.ectopy.serve.small_session", str(data_dir)]
    with subprocess.Popen(
        [*command, code.format(folder=data_dir)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield RunningSession(process, data_dir)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_order(data_dir: Path, number: signal.Signals) -> None:
    with session(data_dir) as running:
        running.line_with("READY")
        assert running.end(number) == 0
        assert left_running(data_dir) == []
    assert "database system is shut down" in (data_dir / "logs" / "postgres.log").read_text()


def test_a_second_ctrl_c_ends_a_program_that_takes_its_time(data_dir: Path) -> None:
    with session(data_dir, DEAF) as running:
        running.line_with("READY")
        running.process.send_signal(signal.SIGINT)
        running.line_with("ending")
        assert running.end(signal.SIGINT) == 0
        assert left_running(data_dir) == []


def test_ctrl_c_while_a_program_still_starts_ends_all(data_dir: Path) -> None:
    with session(data_dir, "import time; time.sleep(600)") as running:
        assert eventually(lambda: (data_dir / "logs" / "tiny.log").exists())
        assert running.end() == 0
        assert left_running(data_dir) == []


def test_a_killed_part_alone_is_started_again(data_dir: Path) -> None:
    with session(data_dir) as running:
        running.line_with("READY")
        for part in ("tiny", "valkey", "postgres"):
            before = running.pids()
            os.kill(before[part], signal.SIGKILL)
            running.line_with(f"{part} was killed (signal 9): starting it again")
            running.line_with(f"{part} is back")
            after = running.pids()
            assert {name for name in before if before[name] != after[name]} == {part}
        assert running.end() == 0
        assert left_running(data_dir) == []


def test_after_kill_9_of_the_session_the_next_one_starts(data_dir: Path) -> None:
    with session(data_dir) as running:
        running.line_with("READY")
        running.end(signal.SIGKILL)
    with session(data_dir) as running:
        running.line_with("READY")
        assert running.end() == 0
    assert left_running(data_dir) == []


def test_a_program_that_outlived_its_session_is_ended_by_the_next(data_dir: Path) -> None:
    marker = DataFolder.open(data_dir).marker
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, env={MARKER: marker}) as orphan, session(data_dir) as running:
        running.line_with("ended what the last run had left behind: python")
        assert orphan.wait() == -signal.SIGTERM
        running.line_with("READY")


def test_a_program_of_another_folder_is_left_alone(data_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    other = DataFolder.open(tmp_path / "other").marker
    with subprocess.Popen(command, env={MARKER: other}) as stranger:
        with session(data_dir) as running:
            running.line_with("READY")
        assert is_running(stranger.pid)
        stranger.kill()


def test_a_program_that_cannot_start_ends_the_session_with_its_last_words(data_dir: Path) -> None:
    with session(data_dir, BROKEN) as running:
        running.line_with("tiny ended (exit code 1) at its start")
        running.line_with("no such module: heart")
        assert running.process.wait() == 1
    assert left_running(data_dir) == []


def test_a_second_session_on_a_folder_says_who_has_it(data_dir: Path) -> None:
    with session(data_dir) as first:
        first.line_with("READY")
        with session(data_dir) as second:
            second.line_with(f"another `ectopy serve` (process {first.process.pid}) is using")
            assert second.process.wait() == 1
        assert first.end() == 0
