"""How much a key may ask, counted by several processes together."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.access import limits, uses
from services.access.limits import CallerLimits
from services.access.uses import Uses
from services.errors import RateLimited
from services.seats import Seat
from tests.processes import ROOT

CHILD = """
import sys, time
from pathlib import Path
from services.access.limits import CallerLimits
from services.access.uses import Uses
from services.errors import RateLimited
from services.seats import Seat

seat = Seat(Path(sys.argv[1]))
limits = CallerLimits(per_minute=int(sys.argv[2]), at_once=int(sys.argv[3]), uses=Uses(seat))
print(seat.number, flush=True)
"""
ASKS = """
sys.stdin.readline()
passed, ends_at = 0, time.monotonic() + 0.5
while time.monotonic() < ends_at:
    try:
        with limits.taken("key"):
            passed += 1
    except RateLimited:
        pass
print(passed)
"""
HOLDS = """
held = [limits.taken(name) for name in sys.argv[4:]]
for one in held:
    one.__enter__()
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    return now


def passes(limits: CallerLimits, key_id: str) -> bool:
    try:
        with limits.taken(key_id):
            return True
    except RateLimited:
        return False


class Child:
    """A process that shares the limits of a folder."""

    def __init__(self, folder: Path, code: str, *arguments: object) -> None:
        command = [sys.executable, "-c", CHILD + textwrap.dedent(code), str(folder)]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seat = int(self.read())

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()


def test_what_was_not_asked_for_may_be_asked_for_later_up_to_ten_seconds_of_it(
    clock: list[float],
) -> None:
    one = CallerLimits(per_minute=60, at_once=0)
    assert [passes(one, "a") for _ in range(11)] == [True] * 10 + [False]
    assert passes(one, "b")
    clock[0] += 2.5
    assert [passes(one, "a") for _ in range(3)] == [True, True, False]
    clock[0] += 1e6
    assert [passes(one, "a") for _ in range(11)] == [True] * 10 + [False]


def test_it_says_when_to_come_back(clock: list[float]) -> None:
    slow = CallerLimits(per_minute=6, at_once=0)
    assert passes(slow, "a")
    with pytest.raises(RateLimited) as refused, slow.taken("a"):
        pass
    assert refused.value.retry_after_s == 10


def test_processes_let_through_as_many_requests_in_a_minute_as_one(tmp_path: Path) -> None:
    with ExitStack() as all_:
        children = [all_.enter_context(Child(tmp_path, ASKS, 600, 0)) for _ in range(3)]
        assert sorted(child.seat for child in children) == [0, 1, 2]
        begun = time.monotonic()
        for child in children:
            child.go_on()
        passed = [int(child.read()) for child in children]
        lasted_s = time.monotonic() - begun
    # a burst of 100, and 10 a second for as long as they asked; each alone would let through 100
    assert 100 <= sum(passed) <= 100 + 10 * (lasted_s + 1)


def test_requests_at_once_are_those_of_all_and_end_with_a_killed_process(tmp_path: Path) -> None:
    with Child(tmp_path, HOLDS, 0, 3, "key", "key") as one:
        assert (one.seat, one.read()) == (0, "held")
        ours = CallerLimits(per_minute=0, at_once=3, uses=Uses(Seat(tmp_path)))
        with ours.taken("key"):
            assert not passes(ours, "key")
        one.process.kill()
        one.process.wait()
        assert one.seat == 0
        with Child(tmp_path, HOLDS, 0, 3, "key") as next_one:
            assert (next_one.seat, next_one.read()) == (0, "held")
            with ours.taken("key"):
                assert passes(ours, "key")
                with ours.taken("key"):
                    assert not passes(ours, "key")


def test_a_row_that_would_begin_anew_is_given_to_another_key(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setattr(uses, "ROWS", 2)
    small = CallerLimits(per_minute=60, at_once=5)
    with small.taken("a"):
        assert passes(small, "b")
        assert not passes(small, "c"), "both rows say something that c does not"
        clock[0] += 20
        assert passes(small, "c"), "b could do as much as a new key"
        assert passes(small, "a")
        clock[0] += 20
        assert not passes(small, "b") or not passes(small, "c")


def test_a_freed_rows_new_key_begins_with_all_that_a_key_may(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setattr(uses, "ROWS", 1)
    small = CallerLimits(per_minute=60, at_once=0)
    assert [passes(small, "a") for _ in range(11)].count(True) == 10
    clock[0] += 11
    assert [passes(small, "b") for _ in range(11)].count(True) == 10
