"""How a wish to end, from Ctrl-C or a signal, reaches whoever is waiting for something."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLICE_S = 0.1


class StopRequested(BaseException):
    """Somebody wants us to end; no error, so no `except Exception` may hold it up."""


class Stopping:
    """Counts the wishes: the first is heard at the next pause, the second ends all by force."""

    def __init__(self, force: Callable[[], None]) -> None:
        self._force = force
        self._wishes = 0

    def pause(self, seconds: float) -> None:
        """Sleep, unless we are to end."""
        deadline = time.monotonic() + seconds
        while True:
            if self._wishes:
                raise StopRequested
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, SLICE_S))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in here; main thread only."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._wishes += 1
        if self._wishes > 1:
            self._force()
