"""What stops `ectopy serve`, said so that a person can act on it."""

from __future__ import annotations


class CannotServe(Exception):
    """Nothing more can be started; the message says what was found and what to do."""
