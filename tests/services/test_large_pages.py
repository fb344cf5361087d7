"""Memory that stays goes into large pages, and is the same memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services import large_pages
from tests.large_pages import needs_large_pages

# 64 MB of small objects, and as much address space of which one page in sixteen is used; prints MB
# in large pages and MB resident, before and after, and whether the objects are what they were
PROGRAM = """
import mmap, re
from services import large_pages

def status_mb(name):
    text = open("/proc/self/smaps_rollup").read()
    return int(re.search(name + r": *([0-9]+)", text)[1]) // 1024

kept = [str(number) * 10 for number in range(600_000)]
sparse = mmap.mmap(-1, 64 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for place in range(0, len(sparse), 16 * 4096):
    sparse[place] = 1
before = status_mb("AnonHugePages"), status_mb("Rss")
pieces = large_pages.collapse()
after = status_mb("AnonHugePages"), status_mb("Rss")
same = kept == [str(number) * 10 for number in range(600_000)]
print(pieces, *before, *after, same)
"""


@needs_large_pages
def test_what_is_filled_goes_into_large_pages_and_stays_what_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    *numbers, same = done.stdout.split()
    pieces, large_before, resident_before, large_after, resident_after = map(int, numbers)
    assert same == "True"
    # a piece in which two mappings meet stays as it is, and Python takes its memory in small ones
    assert pieces >= 8
    assert large_after - large_before >= 16
    # the sparse memory would have become 60 MB more
    assert resident_after - resident_before < 20


def test_a_system_that_shows_no_maps_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_pages, "_OWN", tmp_path)
    assert large_pages.collapse() == 0


def test_other_systems_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert large_pages.collapse() == 0
