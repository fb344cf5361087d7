"""Prefixed, time-sortable identifiers: `rec_01K…`, `pred_01K…`."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_RANDOM_BITS = 80
_LENGTH = 26


def new_id(prefix: str) -> str:
    """`prefix_` and a ULID: 48 bits of milliseconds since 1970, then 80 random bits.

    Ids sort by their time of making, to the millisecond.
    """
    return _id(prefix, time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10)))


def id_at(prefix: str, seconds: float) -> str:
    """The smallest id of that moment (seconds since 1970): ids made earlier sort before it."""
    return _id(prefix, int(seconds * 1000), 0)


def _id(prefix: str, milliseconds: int, random: int) -> str:
    value = milliseconds << _RANDOM_BITS | random
    digits = []
    for _ in range(_LENGTH):
        value, digit = divmod(value, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"
