"""What a long-lived process does with memory that it needed once."""

from __future__ import annotations

import subprocess
import sys

import pytest

ONCE_NEEDED_MB = 96
# large pieces between small ones that stay; prints how many MB are still here when they are free
NEEDED_ONCE = """
import os, sys
import numpy as np
from services import steady

def resident_mb():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

if sys.argv[1:]:
    steady.give_back_what_is_large()
learned = np.ones(30 * 2**20, np.uint8)
del learned  # from now on, pieces up to this size are kept
before, large, small = resident_mb(), [], []
for number in range(12):
    large.append(np.ones(8 * 2**20, np.uint8))
    small.append(bytearray(4000))
del large
print(resident_mb() - before)
"""


def _left_mb(*told: str) -> float:
    command = [sys.executable, "-c", NEEDED_ONCE, *told]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library is asked")
def test_large_memory_that_is_free_goes_back_to_the_system() -> None:
    assert _left_mb("told") < 0.1 * ONCE_NEEDED_MB
