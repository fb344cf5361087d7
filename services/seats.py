"""Processes that share a folder: each has a number there that no other living one has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

MOST = 128


class Seat:
    """Ours in the folder until this process ends, when the kernel frees it, however that comes.

    The next one takes the number of one that died, and with it what that had kept under it. One for
    each process and folder: the locks are the process's, and another would get the same number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # it stays open: with any descriptor of this file that is closed the locks would go
        self._file = os.open(folder / "seats", os.O_RDWR | os.O_CREAT, 0o600)
        self.number = self._lowest_free()

    def _lowest_free(self) -> int:
        for number in range(MOST):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except (BlockingIOError, PermissionError):  # which of them, systems differ in
                continue
            return number
        raise OSError(f"{MOST} processes share {self.folder} already, as many as can")
