"""Whether one more job may wait, without counting those that wait for each that comes."""

from __future__ import annotations

import threading
import time

from sqlalchemy.orm import Session

from services.errors import Unavailable
from services.jobs import lifecycle

REMEMBERED_S = 5.0


class QueueRoom:
    """What was counted is good for some seconds, together with what was let in since.

    Only far from full: from half on each job is counted, so that the limit is exact. (With several
    processes that let jobs in, what others did meanwhile is not seen; half of it is room.)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[float, int]] = {}

    def require(self, session: Session, queue: str) -> None:
        """Unavailable when so many jobs wait in a queue that one more would only wait."""
        if self._is_known_to_be_there(queue):
            return
        waiting = lifecycle.waiting(session, queue, most=self._most)
        with self._lock:
            self._counted[queue] = (time.monotonic() + REMEMBERED_S, waiting + 1)
        if waiting >= self._most:
            raise Unavailable(f"{self._most} jobs wait in the queue {queue} (ECTOPY_JOBS_WAITING)")

    def _is_known_to_be_there(self, queue: str) -> bool:
        with self._lock:
            until, waiting = self._counted.get(queue, (0.0, 0))
            if time.monotonic() >= until or 2 * waiting >= self._most:
                return False
            self._counted[queue] = (until, waiting + 1)
            return True
