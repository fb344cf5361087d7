"""What each API key has used lately, in memory that the processes of one API may share.

A row for each key that asked in the last seconds. How many of its requests are under way has a
column for each process, which that process alone writes: when it dies, whoever takes its seat
begins with an empty one, and nothing stays counted.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from services.seats import MOST, Seat

ROWS = 4096  # keys that may ask within the same few seconds
_ROW = np.dtype(
    [("key", "u8"), ("left", "f8"), ("seen_at", "f8"), ("under_way", "u4", (MOST,))], align=True
)


class Uses:
    """Arrays with an element, of `under_way` a line, for each row; for who holds `changing`.

    key: a digest, 0 where the row is free. left: requests that it may still send. seen_at: when
    `left` was right, seconds of `time.monotonic`, which is one clock for all processes of a
    machine. under_way: (ROWS, MOST) requests, by the process's number.
    """

    def __init__(self, seat: Seat | None = None) -> None:
        """seat: ours among those who share; without one, nobody does."""
        self._thread_lock = threading.Lock()
        self._file = None if seat is None else _opened(seat)
        size = ROWS * _ROW.itemsize
        rows = np.frombuffer(mmap.mmap(-1 if self._file is None else self._file, size), _ROW)
        self.key, self.left, self.seen_at = rows["key"], rows["left"], rows["seen_at"]
        self.under_way = rows["under_way"]
        self._column = self.under_way[:, 0 if seat is None else seat.number]
        self._column[:] = 0  # of one that died

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else, thread or process, changes a row meanwhile; but a request may end.

        The kernel lets go for a process that dies in here. One thread of a process at a time asks
        it: it takes two processes whose threads wait for one another's for a deadlock.
        """
        with self._thread_lock:
            if self._file is None:
                yield
                return
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1)

    def begin(self, row: int) -> None:
        """One request more; for who holds `changing`."""
        self._column[row] += 1

    def end(self, row: int) -> None:
        """One request less. Nobody else writes this number, and no row is freed before."""
        with self._thread_lock:
            self._column[row] -= 1


def digest(key_id: str) -> int:
    """Under which a key is found; never 0."""
    return int.from_bytes(hashlib.blake2b(key_id.encode(), digest_size=8).digest(), "big") or 1


def _opened(seat: Seat) -> int:
    """Of its full size, all zeros where it is new; it stays open, for the locks are bound to it."""
    file = os.open(seat.folder / "uses", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(file, ROWS * _ROW.itemsize)
    return file
