"""Prefixed, time-sortable identifiers: `rec_01K…`, `pred_01K…`."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_RANDOM_BITS = 80
_LENGTH = 26


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters: 48 bits of milliseconds since 1970, then 80 random bits (a ULID).

    Ids sort by their time of making, to the millisecond.
    """
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | int.from_bytes(os.urandom(10))
    digits = []
    for _ in range(_LENGTH):
        value, digit = divmod(value, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"
