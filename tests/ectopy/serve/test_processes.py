from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ectopy.serve import launch, processes
from ectopy.serve.processes import Program
from tests.ectopy.serve.real_processes import eventually, is_running

SOMEBODY = 54321  # not in any password database
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="only root has something to give up"
)
needs_namespaces = pytest.mark.skipif(  # not in most containers, nor in a changed root
    not launch.namespace_serves(Path(tempfile.gettempdir()) / "own", sys.executable),
    reason="this system allows no user namespace",
)
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


WHO_AND_WHOSE = "import os; print(os.getuid()); open('{file}', 'w').close()"


def run_as_ordinary_user(folder: Path, log: Path) -> int:
    """The user id that a program saw which refuses root; it made a file `made` in its folder."""
    code = WHO_AND_WHOSE.format(file=folder / "made")
    child = processes.start(replace(program(log, code), own_folder=folder))
    assert child.process.wait() == 0, log.read_text()
    return int(log.read_text())


@needs_root
@needs_namespaces
def test_root_appears_as_another_user_and_its_files_stay_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    assert run_as_ordinary_user(folder, tmp_path / "a.log") != 0
    assert (folder / "made").stat().st_uid == 0


@needs_root
def test_root_becomes_another_user_for_a_folder_inside_a_closed_one(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    folder = closed / "own"
    folder.mkdir(parents=True)
    os.chown(closed, SOMEBODY, SOMEBODY)
    closed.chmod(0o700)
    user = run_as_ordinary_user(folder, tmp_path / "a.log")
    assert user != 0
    assert folder.stat().st_uid == (folder / "made").stat().st_uid == user


@needs_root
def test_another_user_finds_the_programs_of_a_closed_folder(tmp_path: Path) -> None:
    """As initdb looks for its own with access(2), where all of it lies in /root."""
    closed = tmp_path / "root"
    folder = closed / "own"
    folder.mkdir(parents=True)
    os.chown(closed, SOMEBODY, SOMEBODY)  # so that a user namespace does not serve
    closed.chmod(0o700)
    tool = closed / "tool"
    tool.touch(mode=0o755)
    code = f"import os; print(os.getuid(), os.access({str(tool)!r}, os.R_OK | os.X_OK))"
    child = processes.start(replace(program(tmp_path / "a.log", code), own_folder=folder))
    assert child.process.wait() == 0
    user, found = (tmp_path / "a.log").read_text().split()
    assert user != "0"
    assert found == "True"


@needs_root
def test_root_becomes_the_owner_of_a_folder_that_is_anothers(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    assert run_as_ordinary_user(folder, tmp_path / "a.log") == SOMEBODY


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user can enter, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.chown(folder, SOMEBODY, SOMEBODY)
        yield Path(folder)


@needs_root
@needs_namespaces
def test_a_user_without_a_name_gets_one(open_to_all: Path) -> None:
    folder = open_to_all / "own"
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    code = WHO_AND_WHOSE.format(file=folder / "made")
    arguments = [str(os.getpid()), str(int(signal.SIGKILL)), "0", str(folder)]
    for_all = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    command = [for_all, "-I", "-S", launch.__file__, *arguments, for_all, "-c", code]
    try:
        run = subprocess.run(
            command,
            user=SOMEBODY,
            group=SOMEBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
    except PermissionError:
        pytest.skip("another user cannot reach any Python here")
    assert run.stdout.strip() not in ("", "0", str(SOMEBODY)), run.stderr
    assert (folder / "made").stat().st_uid == SOMEBODY


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
