"""Puts the memory that a process has into large pages, where Linux does so on demand (from 6.1 on).

A long-lived Python process holds tens of megabytes of small objects, and an answer touches a few of
them in each of thousands of pages. What the processor knows of where a page lies is lost while the
process waits for others: one entry for 2 MB is found again sooner than 512 of 4 KB, above all in a
virtual machine, where each is looked up twice.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LARGE_BYTES = 2 * 2**20
FILLED = 0.5  # the share of a piece that has to be in use already, for all of it becomes so
_COLLAPSE = 25  # MADV_COLLAPSE of madvise(2), which `mmap` has no name for
_ENTRY_BYTES = 8  # of a page in pagemap, the highest bit of which says that the page is in memory
_OWN = Path("/proc/self")
_OURS = ("[heap]", "[anon")  # as some libraries call what they take


def collapse() -> int:
    """How many pieces of our own memory are in large pages now that were asked for; nothing in it
    changes, and elsewhere nothing is done.
    """
    advise = getattr(ctypes.CDLL(None), "madvise", None) if sys.platform == "linux" else None
    if advise is None:
        return 0
    done = 0
    with suppress(OSError):  # a system that hides its processes' maps
        for address in _pieces():
            # what the system refuses, for want of memory or because it is told to, stays as it is
            done += not advise(ctypes.c_void_p(address), ctypes.c_size_t(LARGE_BYTES), _COLLAPSE)
    return done


def _pieces() -> list[int]:
    """Addresses of whole large pages of private memory that are filled so far."""
    found = []
    with (_OWN / "pagemap").open("rb", buffering=0) as pagemap:
        for first, last in _private_memory():
            aligned = range(-(-first // LARGE_BYTES) * LARGE_BYTES, last, LARGE_BYTES)
            for address in aligned:
                if address + LARGE_BYTES <= last and _filled(pagemap.fileno(), address) >= FILLED:
                    found.append(address)
    return found


def _private_memory() -> Iterator[tuple[int, int]]:
    """(first, last + 1) of what is written by us alone and belongs to no file."""
    for line in (_OWN / "maps").read_text().splitlines():
        span, rights, _, _, _, *name = line.split(maxsplit=5)
        if rights == "rw-p" and (not name or name[0].startswith(_OURS)):
            first, last = span.split("-")
            yield int(first, 16), int(last, 16)


def _filled(pagemap: int, address: int) -> float:
    """The share of a large page's small ones that are in memory."""
    n_pages = LARGE_BYTES // mmap.PAGESIZE
    entries = os.pread(pagemap, n_pages * _ENTRY_BYTES, address // mmap.PAGESIZE * _ENTRY_BYTES)
    # numbers of eight bytes, the highest one last
    return sum(byte >> 7 for byte in entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES]) / n_pages
