"""Threads that each compute on one processor, shared by all models of a process.

torch's own threads meet after every small operation, and where other work shares the processors
they wait for one another: that took five to ten times as long. So work that divides goes to these.
The number of threads is kept by torch for each thread apart, and the rest of the process keeps its
own.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

FEWEST, MOST = 2, 16


def lane_count() -> int:
    """One for each processor that this process may use; at least two."""
    return max(FEWEST, min(MOST, len(os.sched_getaffinity(0))))


@cache
def cpu_lanes() -> ThreadPoolExecutor:
    """The threads; made once."""
    count = lane_count()
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix="lane")
    all_started = threading.Barrier(count)

    def start(_: int) -> None:
        torch.set_num_threads(1)
        all_started.wait()

    list(pool.map(start, range(count)))
    torch.set_num_threads(before)
    return pool
