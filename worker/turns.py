"""Who uses a training worker's devices: its own runs, or one of another machine that it helps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A run of its own waits until it helps no more; it begins to help only while nothing runs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._runs = 0
        self.helps = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around a run of its own."""
        with self._changed:
            self._changed.wait_for(lambda: not self.helps)
            self._runs += 1
        try:
            yield
        finally:
            with self._changed:
                self._runs -= 1

    @contextmanager
    def helping(self) -> Iterator[bool]:
        """Around help; False where a run of its own is under way."""
        with self._changed:
            free = not self._runs and not self.helps
            self.helps = self.helps or free
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self.helps = False
                    self._changed.notify_all()
