"""What a long-lived process does with memory that it needed once."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# threads that need much one after the other, and a little more that stays; prints how many MB the
# process has grown by when all else is free
NEEDED_ONCE = """
import os, sys, threading
from services import steady

def resident_mb():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

if sys.argv[1:]:
    steady.share_memory()
turn, all_there, stays = threading.Lock(), threading.Barrier(8), []

def need():
    all_there.wait()
    with turn:
        much = [b"x" * (4 * 2**20) for _ in range(5)]
        stays.append(b"x" * 200_000)
        del much
    all_there.wait()

learned = b"x" * (30 * 2**20)
del learned  # from now on, the library keeps pieces up to this size by itself too
before = resident_mb()
threads = [threading.Thread(target=need) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident_mb() - before)
"""


def _left_mb(*told: str) -> float:
    command = [sys.executable, "-c", NEEDED_ONCE, *told]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library is asked")
def test_what_one_thread_needed_serves_the_next() -> None:
    assert _left_mb("told") < 0.5 * _left_mb()
