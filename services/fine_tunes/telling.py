"""What a run tells while it goes on: events for whoever listens, and what its row keeps of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy.orm import Session

from services.db.session import DATABASE_AWAY, SessionFactory
from services.errors import NotFound
from services.fine_tunes import repository
from services.fine_tunes.kept import KeptCheckpoints
from services.fine_tunes.row import FineTuneRow
from services.jobs import lifecycle
from services.jobs.execution import DATABASE_PATIENCE_S, JobProgress
from services.jobs.lifecycle import JobClaim
from services.training.progress import NoProgress, Progress


class RunProgress:
    """Tells of a run by events, and keeps in its row what a client asks for later.

    Each checkpoint says that the attempt was not in vain. Waits for a database that is away.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        claim: JobClaim,
        progress: JobProgress,
        kept: KeptCheckpoints | None = None,
    ) -> None:
        self._sessions, self._claim, self._progress = sessions, claim, progress
        self._checkpoints = kept
        self.check_cancelled = progress.check_cancelled
        self.advance = progress.advance

    def event(self, kind: str, data: dict[str, Any]) -> None:
        def note(session: Session) -> None:
            row = existing(repository.of_job(session, self._claim.resource_id, for_update=True))
            if kind == "epoch":
                row.history = [*row.history[: data["epoch"] - 1], data]
            elif kind == "checkpoint":
                others = [each for each in row.checkpoints if each["kind"] != data["kind"]]
                row.checkpoints = [*others, data]
                lifecycle.set_fruitful(session, self._claim)

        if kind == "checkpoint":
            self._keep()
        if kind in ("epoch", "checkpoint"):
            _patiently(lambda: self._in_transaction(note))
        _patiently(lambda: self._progress.event(kind, data))

    def note_fruitful(self) -> None:
        """What this attempt has done is kept."""
        self._keep()
        _patiently(
            lambda: self._in_transaction(
                lambda session: lifecycle.set_fruitful(session, self._claim)
            )
        )

    def until(self, end: float, *, begin: float = 0.0) -> Progress:
        """The same listener for a part of the work."""
        return _Part(self, begin, end)

    def of_fold(self, begin: float, end: float) -> Progress:
        """The same listener for a fold of the cross-validation."""
        return _Fold(self, begin, end)

    def _keep(self) -> None:
        """The store first, then the row that says so, then what that has replaced can go."""
        keys = self._checkpoints.put() if self._checkpoints is not None else None
        if self._checkpoints is None or keys is None:
            return
        noted: list[bool] = []

        def note(session: Session) -> None:
            row = existing(repository.of_job(session, self._claim.resource_id, for_update=True))
            noted.append(lifecycle.holds(session, self._claim) is not False)
            if noted[-1]:  # else another has gone on, from what the row says
                row.kept_files = keys

        _patiently(lambda: self._in_transaction(note))
        if noted[-1]:
            self._checkpoints.replaced(keys)

    def _in_transaction(self, action: Callable[[Session], None]) -> None:
        with self._sessions.begin() as session:
            action(session)


class Unheard(NoProgress):
    """Of a process that trains along: the first one tells of the run."""

    def until(self, end: float, *, begin: float = 0.0) -> Progress:
        """Nobody listens to a part either."""
        return self

    def of_fold(self, begin: float, end: float) -> Progress:
        """Nor to a fold."""
        return self


PartlyHeard: TypeAlias = RunProgress | Unheard


class _Fold:
    """A fold's listener: its epochs are no epochs of the run, and its checkpoints none to list."""

    def __init__(self, whole: RunProgress, begin: float, end: float) -> None:
        self._part = _Part(whole, begin, end)
        self._whole = whole
        self.advance, self.check_cancelled = self._part.advance, whole.check_cancelled

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "checkpoint":
            self._whole.note_fruitful()
        elif kind == "log":
            self._whole.event(kind, data)


class _Part:
    def __init__(self, whole: RunProgress, begin: float, end: float) -> None:
        self._whole, self._begin, self._end = whole, begin, end
        self.event, self.check_cancelled = whole.event, whole.check_cancelled

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self._whole.advance(self._begin + (self._end - self._begin) * fraction, stage=stage)


def existing(row: FineTuneRow | None) -> FineTuneRow:
    """The run's row; NotFound where it was removed."""
    if row is None:
        raise NotFound("the fine-tune was removed")
    return row


def _patiently(action: Callable[[], None]) -> None:
    deadline = time.monotonic() + DATABASE_PATIENCE_S
    while True:
        try:
            return action()
        except DATABASE_AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
