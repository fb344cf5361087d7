"""Requests of several threads meet in one batch, and none of them notices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.models.microbatches import MicroBatches


class Device:
    """Squares numbers; holds a batch until it may end. Negative numbers cannot be computed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.entered.set()
        assert self.may_end.wait(20)
        if min(items) < 0:
            raise ValueError(f"{min(items)} is negative")
        return [item**2 for item in items]


def asked(batches: MicroBatches[int, int], items: list[int]) -> list[int]:
    with batches.request():
        return batches(items)


def waiting(batches: MicroBatches[int, int], count: int) -> Callable[[], bool]:
    return lambda: len(batches._waiting) >= count


def until(batches: MicroBatches[int, int], condition: Callable[[], bool]) -> None:
    with batches._changed:
        assert batches._changed.wait_for(condition, timeout=20)


def test_a_request_that_is_alone_waits_for_nobody() -> None:
    device = Device()
    batches = MicroBatches(device, most=8, patience_s=3600.0)
    with batches.request():
        assert batches([1, 2]) == [1, 4]
    assert device.batches == [[1, 2]]


def test_what_came_while_the_device_was_busy_is_the_next_batch() -> None:
    device = Device()
    batches = MicroBatches(device, most=8)
    device.may_end.clear()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(batches, [0])
        assert device.entered.wait(20)
        rest = [pool.submit(batches, [number]) for number in range(1, 6)]
        until(batches, waiting(batches, 5))
        device.may_end.set()
        assert [first.result(), *(each.result() for each in rest)] == [[n**2] for n in range(6)]
    assert [len(batch) for batch in device.batches] == [1, 5]
    assert list(batches.sizes) == [1, 5]


def test_a_batch_has_at_most_so_many_and_the_order_is_kept() -> None:
    device = Device()
    batches = MicroBatches(device, most=4)
    assert batches(range(10)) == [n**2 for n in range(10)]
    assert device.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_batch_is_held_open_for_a_request_that_is_on_its_way() -> None:
    device = Device()
    batches = MicroBatches(device, most=2, patience_s=3600.0)
    began, go = threading.Event(), threading.Event()

    def slow() -> list[int]:
        with batches.request():
            began.set()
            assert go.wait(20)
            return batches([7])

    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(slow)
        assert began.wait(20)
        early = pool.submit(asked, batches, [3])
        until(batches, waiting(batches, 1))
        go.set()
        assert (early.result(), late.result()) == ([9], [49])
    assert sorted(device.batches[0]) == [3, 7]


def test_patience_ends() -> None:
    device = Device()
    batches = MicroBatches(device, most=2, patience_s=0.001)
    with batches.request(), ThreadPoolExecutor(1) as pool:  # this one never asks
        assert pool.submit(asked, batches, [3]).result(timeout=20) == [9]


def test_a_request_that_gives_up_keeps_nobody_waiting() -> None:
    device = Device()
    batches = MicroBatches(device, most=2, patience_s=3600.0)
    with ThreadPoolExecutor(1) as pool:
        with batches.request():
            early = pool.submit(asked, batches, [3])
            until(batches, waiting(batches, 1))
        assert early.result(timeout=20) == [9]


def test_one_that_fails_takes_none_of_its_batch_mates_along() -> None:
    device = Device()
    batches = MicroBatches(device, most=8)
    device.may_end.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batches, [0])
        assert device.entered.wait(20)
        good = [pool.submit(batches, [number]) for number in (1, 2)]
        bad = pool.submit(batches, [-5])
        until(batches, waiting(batches, 3))
        device.may_end.set()
        assert [first.result(), *(each.result() for each in good)] == [[0], [1], [4]]
        with pytest.raises(ValueError, match="-5 is negative"):
            bad.result()
    assert batches([3]) == [9]  # and the device is free again


def test_many_threads_each_get_their_own() -> None:
    device = Device()
    batches = MicroBatches(device, most=16)
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda n: batches([n, n + 1]), range(200)))
    assert found == [[n**2, (n + 1) ** 2] for n in range(200)]
    assert max(batches.sizes) > 1
