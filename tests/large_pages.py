"""Whether this system makes large pages when asked, and how much of a process is in them."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

import pytest

from services.large_pages import LARGE_BYTES

MADV_COLLAPSE = 25


def in_large_pages_bytes(pid: int) -> int:
    """Of a process's own memory."""
    found = re.search(r"AnonHugePages: *(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _system_does_it() -> bool:
    """Tried on memory of our own."""
    if sys.platform != "linux":
        return False
    memory = ctypes.create_string_buffer(16 * LARGE_BYTES)  # so large a piece is a mapping alone
    ctypes.memset(memory, 1, len(memory))
    aligned = -(-ctypes.addressof(memory) // LARGE_BYTES) * LARGE_BYTES
    size = ctypes.c_size_t(LARGE_BYTES)
    return not ctypes.CDLL(None).madvise(ctypes.c_void_p(aligned), size, MADV_COLLAPSE)


needs_large_pages = pytest.mark.skipif(
    not _system_does_it(), reason="this system makes no large pages when it is asked to"
)
