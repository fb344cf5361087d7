"""How much one caller may ask: requests in a minute, and requests at once. Kept in each process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.errors import RateLimited

MINUTE_S = 60.0
BURST_S = 10.0  # what was not asked for in this long may be asked for at once


@dataclass
class _Use:
    left: float
    seen_at: float
    at_once: int = 0


class CallerLimits:
    """Safe for several threads. 0 for either limit: none."""

    def __init__(self, *, per_minute: int, at_once: int) -> None:
        self._per_s, self._at_once = per_minute / MINUTE_S, at_once
        self._burst = max(1.0, self._per_s * BURST_S)
        self._uses: dict[str, _Use] = {}
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, key_id: str) -> Iterator[None]:
        """Counts a request for as long as the block lasts; RateLimited says when to come back."""
        with self._lock:
            use = self._refilled(key_id)
            if self._at_once and use.at_once >= self._at_once:
                raise RateLimited(
                    f"this API key has {use.at_once} requests under way, the most that it may "
                    "(ECTOPY_KEY_REQUESTS_AT_ONCE)",
                    retry_after_s=1,
                )
            if self._per_s and use.left < 1.0:
                raise RateLimited(
                    f"this API key may send {self._per_s * MINUTE_S:g} requests a minute "
                    "(ECTOPY_KEY_REQUESTS_PER_MINUTE)",
                    retry_after_s=math.ceil((1.0 - use.left) / self._per_s),
                )
            use.left -= 1.0
            use.at_once += 1
        try:
            yield
        finally:
            with self._lock:
                use.at_once -= 1

    def _refilled(self, key_id: str) -> _Use:
        now = time.monotonic()
        use = self._uses.setdefault(key_id, _Use(self._burst, now))
        use.left = min(self._burst, use.left + (now - use.seen_at) * self._per_s)
        use.seen_at = now
        return use
