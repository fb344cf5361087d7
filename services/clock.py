"""The one place that asks what time it is."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, in UTC, with its zone."""
    return datetime.now(UTC)
