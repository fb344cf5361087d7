"""How long work tells its owner where it is, and asks whether to stop."""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """What a pipeline or a training loop is handed; it never knows who listens."""

    def advance(self, fraction: float, *, stage: str = "") -> None:
        """Work done so far, 0 to 1. Cheap enough to call a few times a second."""

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Something worth telling: an epoch, a checkpoint, a log line."""

    def check_cancelled(self) -> None:
        """Raises services.errors.Cancelled when the owner has asked to stop."""


class NoProgress:
    """A listener that does not listen."""

    def advance(self, fraction: float, *, stage: str = "") -> None:
        """Nothing."""

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Nothing."""

    def check_cancelled(self) -> None:
        """Never raises."""
