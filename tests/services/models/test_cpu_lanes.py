"""Who asks at the same time shares the lanes, in batches, and none of them notices."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.models.cpu_lanes import LaneBatches, cpu_lanes, lane_count, on_lanes


class Numbers:
    """Squares numbers once it may; negative ones cannot be computed."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, items: list[int]) -> list[int]:
        self.entered.release()
        assert self.may_end.wait(20)
        if min(items) < 0:
            raise ValueError(f"{min(items)} is negative")
        return [item**2 for item in items]


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


def held_up(numbers: Numbers, batches: LaneBatches[int, int], pool: ThreadPoolExecutor) -> None:
    """Every lane has one number, and no other waits."""
    for _ in range(lane_count()):
        pool.submit(batches, [0])
        assert numbers.entered.acquire(timeout=20)


def test_each_gets_its_own_in_order(numbers: Numbers) -> None:
    numbers.may_end.set()
    batches = LaneBatches(numbers, most=3)
    assert batches(range(20)) == [n**2 for n in range(20)]
    assert batches([]) == []
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda first: batches(range(first, first + 5)), range(40))
        assert list(found) == [[n**2 for n in range(first, first + 5)] for first in range(40)]
    assert max(batches.sizes) <= 3


def test_what_came_while_the_lanes_were_busy_is_divided_among_them(numbers: Numbers) -> None:
    batches = LaneBatches(numbers, most=100)
    with ThreadPoolExecutor(lane_count() + 1) as pool:
        held_up(numbers, batches, pool)
        waiting = pool.submit(batches, range(10 * lane_count()))
        while len(batches._waiting) < 10 * lane_count():
            threading.Event().wait(0.001)
        numbers.may_end.set()
        assert waiting.result() == [n**2 for n in range(10 * lane_count())]
    shared = list(batches.sizes)[lane_count() :]
    assert max(shared) == 10, "no lane takes more than its share"
    assert sum(shared) == 10 * lane_count()
    assert len(shared) < 10 * lane_count()


def test_an_item_that_cannot_be_computed_harms_no_other(numbers: Numbers) -> None:
    batches = LaneBatches(numbers, most=4)
    with ThreadPoolExecutor(lane_count() + 2) as pool:
        held_up(numbers, batches, pool)
        good, bad = pool.submit(batches, [3, 4]), pool.submit(batches, [-1, 5])
        while len(batches._waiting) < 4:
            threading.Event().wait(0.001)
        numbers.may_end.set()
        assert good.result() == [9, 16]
        with pytest.raises(ValueError, match="-1 is negative"):
            bad.result()


def test_a_lane_computes_on_one_processor() -> None:
    import torch

    before = torch.get_num_threads()
    assert set(cpu_lanes().map(lambda _: torch.get_num_threads(), range(8))) == {1}
    assert torch.get_num_threads() == before


def test_many_items_come_in_order_and_others_work_in_between() -> None:
    begun: list[int] = []

    def squared(number: int) -> int:
        begun.append(number)
        return number**2

    found = on_lanes(squared, range(100))
    assert next(found) == 0
    others = cpu_lanes().submit(lambda: len(begun))
    assert others.result(20) <= 2 * lane_count() + 1
    assert list(found) == [number**2 for number in range(1, 100)]


def test_who_stops_listening_ends_the_rest() -> None:
    begun: list[int] = []
    may_end = threading.Event()

    def held_up_after_the_first(number: int) -> None:
        begun.append(number)
        assert number == 0 or may_end.wait(20)

    found = on_lanes(held_up_after_the_first, range(1000))
    next(found)
    found.close()  # type: ignore[attr-defined]
    may_end.set()
    cpu_lanes().submit(lambda: None).result(20)
    assert len(begun) <= 1 + lane_count()  # those that lanes had begun, and none that waited


def test_an_item_that_fails_is_told_of_where_it_stands() -> None:
    found = on_lanes(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(found), next(found)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
