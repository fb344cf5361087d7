from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.faults import eventually
from worker.turns import Turns


def test_a_worker_that_runs_something_does_not_help() -> None:
    turns = Turns()
    with turns.running(), turns.helping() as free:
        assert not free
    with turns.helping() as free:
        assert free


def test_a_run_of_its_own_waits_until_the_help_is_over() -> None:
    turns, ran = Turns(), []

    def run() -> None:
        with turns.running():
            ran.append(turns.helps)

    with ThreadPoolExecutor(1) as pool:
        with turns.helping() as free:
            assert free
            running = pool.submit(run)
            eventually(running.running)
            assert not ran
        running.result(timeout=20)
    assert ran == [False]
