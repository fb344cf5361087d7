"""How much one caller may ask: requests in a minute, and requests at once.

Counted in memory that all processes of an API share (`services.access.uses`), so that a limit is
what it says however many they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from services.access.uses import Uses, digest
from services.errors import RateLimited

MINUTE_S = 60.0
BURST_S = 10.0  # what was not asked for in this long may be asked for at once
MOST_REMEMBERED = 10_000


BoolArray = NDArray[np.bool_]


class CallerLimits:
    """Safe for several threads, and for processes that share `uses`. 0 for either limit: none."""

    def __init__(self, *, per_minute: int, at_once: int, uses: Uses | None = None) -> None:
        self._per_s, self._at_once = per_minute / MINUTE_S, at_once
        self._burst = max(1.0, self._per_s * BURST_S)
        self._uses = uses or Uses()
        self._last_row: dict[str, tuple[int, int]] = {}

    @contextmanager
    def taken(self, key_id: str) -> Iterator[None]:
        """Counts a request for as long as the block lasts; RateLimited says when to come back."""
        if not self._per_s and not self._at_once:
            yield
            return
        row = self._begun(key_id)
        try:
            yield
        finally:
            self._uses.end(row)

    def _begun(self, key_id: str) -> int:
        """The row in which the request is counted."""
        uses = self._uses
        with uses.changing():
            now = time.monotonic()
            row = self._row(key_id, now)
            under_way = int(uses.under_way[row].sum())
            if self._at_once and under_way >= self._at_once:
                raise RateLimited(
                    f"this API key has {under_way} requests under way, the most that it may "
                    "(ECTOPY_KEY_REQUESTS_AT_ONCE)",
                    retry_after_s=1,
                )
            left = min(self._burst, uses.left[row] + (now - uses.seen_at[row]) * self._per_s)
            if self._per_s and left < 1.0:
                raise RateLimited(
                    f"this API key may send {self._per_s * MINUTE_S:g} requests a minute "
                    "(ECTOPY_KEY_REQUESTS_PER_MINUTE)",
                    retry_after_s=math.ceil((1.0 - left) / self._per_s),
                )
            uses.left[row], uses.seen_at[row] = left - 1.0, now
            uses.begin(row)
        return row

    def _row(self, key_id: str, now: float) -> int:
        """The key's row, a new one where it has none."""
        row, key = self._last_row.get(key_id) or (0, digest(key_id))
        if self._uses.key[row] != key:
            found = np.flatnonzero(self._uses.key == key)
            row = int(found[0]) if len(found) else self._new_row(key, now)
            if len(self._last_row) >= MOST_REMEMBERED:
                self._last_row.clear()
            self._last_row[key_id] = (row, key)
        return row

    def _new_row(self, key: int, now: float) -> int:
        """One of a key that would begin anew just the same; RateLimited where there is none."""
        uses = self._uses
        free = np.flatnonzero(uses.key == 0)
        if not len(free):
            free = np.flatnonzero(self._as_new(now))
        if not len(free):
            raise RateLimited(
                f"{len(uses.key)} API keys were used a moment ago, as many as can be",
                retry_after_s=1,
            )
        row = int(free[0])
        uses.key[row] = 0  # until it is whole: its process may be killed at any point
        uses.left[row], uses.seen_at[row] = self._burst, now
        uses.key[row] = key
        return row

    def _as_new(self, now: float) -> BoolArray:
        """Whether each row is that of a key which may do all that one may that never asked."""
        uses = self._uses
        refilled = uses.left + (now - uses.seen_at) * self._per_s >= self._burst
        return (refilled | (self._per_s == 0)) & ~uses.under_way.any(axis=1)
