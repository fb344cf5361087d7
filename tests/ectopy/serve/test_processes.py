from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from ectopy.serve import processes
from ectopy.serve.processes import Program
from tests.ectopy.serve.real_processes import eventually, is_running

SLEEP = "import time; time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"


def program(log: Path, code: str, *, stop_patience_s: float = 60) -> Program:
    return Program(
        name="tiny",
        command=(sys.executable, "-c", code),
        environment={},
        log=log,
        stop_patience_s=stop_patience_s,
    )


def test_what_a_program_prints_lands_in_its_log(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); sys.exit('err')"
    child = processes.start(program(tmp_path / "logs" / "a.log", code))
    assert child.process.wait() == 1
    assert (tmp_path / "logs" / "a.log").read_text() == "out\nerr\n"


def test_a_program_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    child = processes.start(program(tmp_path / "a.log", SLEEP))
    assert child.exit_code is None
    processes.stop(child)
    assert child.exit_code == -signal.SIGTERM


def test_a_program_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    child = processes.start(program(tmp_path / "a.log", DEAF + SLEEP, stop_patience_s=0.1))
    assert eventually(lambda: (tmp_path / "a.log").read_text() == "up\n")
    processes.stop(child)
    assert child.exit_code == -signal.SIGKILL


def test_killing_a_program_takes_what_it_started_along(tmp_path: Path) -> None:
    code = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}]).pid, flush=True)
{SLEEP}"""
    child = processes.start(program(tmp_path / "a.log", code))
    assert eventually(lambda: (tmp_path / "a.log").read_text().endswith("\n"))
    grandchild = int((tmp_path / "a.log").read_text())
    processes.kill(child)
    assert eventually(lambda: not is_running(grandchild))


def test_stopping_what_has_ended_does_nothing(tmp_path: Path) -> None:
    child = processes.start(program(tmp_path / "a.log", "pass"))
    assert child.process.wait() == 0
    processes.stop(child)
    assert child.exit_code == 0


def test_a_program_that_is_not_there_is_named_in_its_log(tmp_path: Path) -> None:
    missing = Program(name="x", command=("/no/such",), environment={}, log=tmp_path / "a.log")
    child = processes.start(missing)
    assert child.process.wait() == 126
    assert "cannot start /no/such: [Errno 2]" in (tmp_path / "a.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_a_program_that_refuses_root_sees_another_user_and_writes_as_we_do(tmp_path: Path) -> None:
    code = f"import os, pathlib; print(os.getuid()); pathlib.Path({str(tmp_path / 'f')!r}).touch()"
    child = processes.start(
        Program(
            name="tiny",
            command=(sys.executable, "-c", code),
            environment={},
            log=tmp_path / "a.log",
            refuses_root=True,
        )
    )
    assert child.process.wait() == 0
    assert int((tmp_path / "a.log").read_text()) != 0
    assert (tmp_path / "f").stat().st_uid == 0


def test_a_log_that_has_grown_large_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 3)
    (tmp_path / "a.log").write_text("many")
    with processes.open_log(tmp_path / "a.log") as log:
        log.write(b"new")
    assert (tmp_path / "a.log").read_text() == "new"
    assert (tmp_path / "a.old.log").read_text() == "many"


def test_the_tail_of_a_log_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("one\ntwo\nthree\n")
    tail = processes.log_tail(tmp_path / "a.log", n_lines=2)
    assert tail == f"    two\n    three\n    (from {tmp_path / 'a.log'})"
