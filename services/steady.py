"""A long-lived process's memory, once it has loaded what it will keep."""

from __future__ import annotations

import ctypes
import gc
import sys

# new objects until the collector looks at the youngest, and how often it looks at the older ones
THRESHOLDS = (20_000, 20, 50)

LARGE_BYTES = 2**20
# of mallopt(3), in the GNU C library
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def settle() -> None:
    """Takes what is loaded out of the garbage collector's way, for good.

    Hundreds of thousands of objects of libraries live as long as the process. Going over them again
    and again, in the middle of a request, is tens of milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def give_back_what_is_large() -> None:
    """Has the C library hand memory back to the system as soon as it is free, from 1 MB on.

    By itself the GNU library learns from each large piece to keep those of its size, up to 32 MB,
    in heaps, of which it has one for every thread or so: what many threads have needed once each
    stays with the process, between small pieces that live on. Other C libraries have no such habit.
    """
    if sys.platform == "linux":
        change = getattr(ctypes.CDLL(None), "mallopt", None)
        if change is not None:
            change(_M_MMAP_THRESHOLD, LARGE_BYTES)
            change(_M_TRIM_THRESHOLD, LARGE_BYTES)
