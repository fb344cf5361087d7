"""Numbers and moments as headers spell them, each with an error that names the field."""

from __future__ import annotations

import math
import re
from datetime import datetime

from services.ecg.readers.base import shown
from services.errors import MalformedInput

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,3})?")


def whole(text: str, *, where: str) -> int:
    """A whole number; MalformedInput says where something else stands."""
    if not _WHOLE.fullmatch(text.strip()):
        raise MalformedInput(f"{where}: expected a whole number, found '{shown(text.strip())}'")
    return int(text)


def decimal(text: str, *, where: str) -> float:
    """A finite number with or without a fraction; a decimal comma is understood."""
    plain = text.strip().replace(",", ".")
    if not _DECIMAL.fullmatch(plain) or not math.isfinite(float(plain)):
        raise MalformedInput(f"{where}: expected a number, found '{shown(text.strip())}'")
    return float(plain)


def moment(*parts: int) -> datetime | None:
    """Year, month, day, hour, minute, second as a time without a zone; None for what is no date."""
    try:
        return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - files give no zone
    except (ValueError, OverflowError, TypeError):
        return None
