"""What grows is told from what a part has once taken and keeps."""

from __future__ import annotations

from reliability.growth import growth


def test_memory_that_goes_on_growing_is_a_problem() -> None:
    steady = [{"api": 500.0 + n % 3, "worker": 300.0} for n in range(40)]
    assert growth(steady) == []
    leaking = [one | {"api": 500.0 + 2 * n} for n, one in enumerate(steady)]
    assert growth(leaking) == ["api grew from 503 to 575 MB"]


def test_little_is_none_however_large_its_part_or_the_whole() -> None:
    assert growth([{"valkey": 3.0}, {"valkey": 9.0}]) == []
    assert growth([{"worker": 2000.0}, {"worker": 2100.0}]) == []


def test_a_part_that_came_later_has_grown() -> None:
    assert growth([{}, {"run": 400.0}]) == ["run grew from 0 to 400 MB"]
