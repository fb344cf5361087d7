"""How a long-lived process divides time between its threads, and keeps its memory."""

from __future__ import annotations

import ctypes
import gc
import sys

from services import large_pages

# new objects until the collector looks at the youngest, and how often it looks at the older ones
THRESHOLDS = (20_000, 20, 50)

GIVE_WAY_S = 0.0005
KEPT_BYTES = 32 * 2**20
HEAPS = 2
PIECE_BYTES = 32 * 2**20  # the most that the C library may be told
# of mallopt(3), in the GNU C library
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def give_way() -> None:
    """Has a thread that computes give way to others soon: of Python's own 5 ms a few in a row, one
    for each step of an answer, are more than a short answer may take.
    """
    sys.setswitchinterval(GIVE_WAY_S)


def settle() -> None:
    """Takes what is loaded out of the garbage collector's way, for good, and into large pages.

    Hundreds of thousands of objects of libraries live as long as the process. Going over them again
    and again, in the middle of a request, is tens of milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    large_pages.collapse()


def share_memory(*, heaps: int = HEAPS, kept_bytes: int = KEPT_BYTES) -> None:
    """Has all threads take their memory from so many heaps, each of which keeps what is free at its
    end up to `kept_bytes`; to be called before there are many threads.

    By itself the GNU C library has up to eight heaps for each processor: what a request has needed
    once stays with the heap of its thread, and a process grows until each has served the largest.
    And until it has learned better, it asks the system for each piece from 128 KB on anew, which
    clears every page of it: from heaps come pieces up to 32 MB. Other C libraries are left as they
    are.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if change is not None:
        change(_M_ARENA_MAX, heaps)
        change(_M_MMAP_THRESHOLD, PIECE_BYTES)
        change(_M_TRIM_THRESHOLD, kept_bytes)
