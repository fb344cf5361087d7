"""Which parts of the service hold more and more memory, once they are warm."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from reliability.service import Trial

MOST_GROWTH = 1.1
MOST_GROWTH_MB = 30.0
WATCH_S = 20.0  # between looks at the memory, which take a good part of a second of processor time


@contextmanager
def watched(trial: Trial) -> Iterator[list[dict[str, float]]]:
    """What `memory_mb` says all the time, for as long as the block lasts."""
    memory: list[dict[str, float]] = []
    ended = threading.Event()

    def watch() -> None:
        memory.append(trial.memory_mb())
        while not ended.wait(WATCH_S):
            memory.append(trial.memory_mb())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def growth(memory: Sequence[Mapping[str, float]]) -> list[str]:
    """Each part's memory, in MB, in the beginning, half way and in the end: medians of a tenth.

    What has grown by more than a tenth and by more than 30 MB comes back.
    """
    length = max(1, len(memory) // 10)
    middle = (len(memory) - length) // 2
    problems = []
    for name in sorted(memory[-1]):
        used = [one.get(name, 0.0) for one in memory]
        first, half_way, last = (
            float(np.median(some))
            for some in (used[:length], used[middle : middle + length], used[-length:])
        )
        print(
            f"memory of {name:<12}{first:8.0f} MB after warm-up, {half_way:.0f} half way, "
            f"{last:.0f} in the end"
        )
        if last > first * MOST_GROWTH and last - first > MOST_GROWTH_MB:
            problems.append(f"{name} grew from {first:.0f} to {last:.0f} MB")
    return problems
