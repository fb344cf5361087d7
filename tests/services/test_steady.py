"""What a long-lived process does with memory that it needed once."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the GNU C library is asked"
)

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


# an array as a prediction needs it, again and again; prints how many pages it faulted for each
AGAIN = """
import resource, sys
from services import steady

if sys.argv[1:]:
    steady.share_memory(heaps=1, kept_bytes=256 * 2**20)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    several = [b"x" * (8 * 2**20) for _ in range(8)]
    del several
before = faults()
for _ in range(10):
    several = [b"x" * (8 * 2**20) for _ in range(8)]
    del several
print((faults() - before) / 10)
"""


def _left_mb(*told: str) -> float:
    return _printed(NEEDED_ONCE, *told)


def _printed(program: str, *told: str) -> float:
    command = [sys.executable, "-c", program, *told]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@needs_glibc
def test_what_one_thread_needed_serves_the_next() -> None:
    assert _left_mb("told") < 0.5 * _left_mb()


@needs_glibc
def test_what_a_prediction_needed_serves_the_next() -> None:
    of_arrays = 8 * 8 * 2**20 / resource.getpagesize()
    assert _printed(AGAIN) > 0.5 * of_arrays
    assert _printed(AGAIN, "told") < 0.01 * of_arrays
