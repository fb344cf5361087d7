"""Several processes of one run, one of which dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.faults import eventually
from tests.processes import ROOT


def begun(folder: Path, *, size: int = 2, fault: str = "none") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.worker.small_group", str(size), str(folder), fault]
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)


def pid_of(folder: Path, rank: int) -> int:
    return int((folder / f"pid-{rank}").read_text())


def wait_until_all_work(folder: Path, size: int) -> None:
    works = [folder / f"works-{rank}" for rank in range(size)]
    eventually(lambda: all(path.exists() for path in works), within_s=90)


def test_the_first_dies_with_another_as_if_it_had_been_killed_itself(tmp_path: Path) -> None:
    first = begun(tmp_path, size=3)
    wait_until_all_work(tmp_path, 3)
    os.kill(pid_of(tmp_path, 2), signal.SIGKILL)
    assert first.wait(30) == -signal.SIGKILL
    assert "lost_a_process" in (tmp_path / "said").read_text()
    others = [pid_of(tmp_path, rank) for rank in range(1, 3)]
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in others), within_s=30)


def test_one_that_never_joins_is_not_waited_for(tmp_path: Path) -> None:
    assert begun(tmp_path, fault="early").wait(90) == -signal.SIGKILL


def test_an_error_of_the_work_itself_stays_one(tmp_path: Path) -> None:
    assert begun(tmp_path, fault="own").wait(90) == 1
    assert "an error of the work" in (tmp_path / "said").read_text()
