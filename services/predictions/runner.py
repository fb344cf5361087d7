"""The long work behind a prediction: each record through the predictor, results into rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy.orm import Session

from services import tracing
from services.db.session import SessionFactory, single_statements
from services.errors import Cancelled, EctopyError, NotFound
from services.jobs.execution import JobProgress
from services.jobs.lifecycle import JobClaim
from services.models.interface import Predictor
from services.models.results import BeatResult, RiskResult
from services.predictions import repository
from services.predictions.result_codec import summary_and_beats
from services.predictions.row import PredictionItemRow, PredictionRow
from services.records import files
from services.records import service as records
from services.records.row import RecordRow
from services.storage.base import Store

log = structlog.get_logger()


class Predictors(Protocol):
    """Loaded model versions, kept between jobs."""

    def predictor(self, *, family: str, location: str, sha256: str) -> Predictor: ...


@dataclass(frozen=True)
class ItemOutcome:
    """What was found in one record: a result, or why there is none."""

    position: int
    result: BeatResult | RiskResult | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Work:
    prediction: PredictionRow
    first_record: RecordRow | None
    family: str
    location: str


class PredictionRunner:
    """Implements services.jobs.execution.Runner."""

    def __init__(self, sessions: SessionFactory, store: Store, predictors: Predictors) -> None:
        self._sessions, self._reads = sessions, single_statements(sessions)
        self._store, self._predictors = store, predictors

    def run(self, claim: JobClaim, progress: JobProgress) -> ItemOutcome | None:
        """A single prediction returns its outcome; a batch keeps each as it comes."""
        work = self._work(claim.resource_id)
        predictor = self._predictors.predictor(
            family=work.family, location=work.location, sha256=work.prediction.weights_sha256
        )
        if not work.prediction.batch:
            return ItemOutcome(0, self._predicted(predictor, work, work.first_record, progress))
        self._run_batch(predictor, work, progress)
        return None

    def store(self, session: Session, claim: JobClaim, outcome: ItemOutcome | None) -> None:
        if outcome is not None:
            keep(session, claim.resource_id, outcome)

    def _work(self, prediction_id: str) -> _Work:
        with self._reads() as session:
            asked = repository.asked_of(session, prediction_id)
        if asked is None:
            raise NotFound("the prediction was removed")
        if asked.family is None or asked.location is None:
            raise NotFound("the model version was removed")
        return _Work(asked.prediction, asked.first_record, asked.family, asked.location)

    def _predicted(
        self, predictor: Predictor, work: _Work, row: RecordRow | None, progress: JobProgress
    ) -> BeatResult | RiskResult:
        if row is None:
            raise NotFound("the record was removed")
        record = files.open_record(self._store, row)
        options: Mapping[str, Any] = work.prediction.options
        started = time.perf_counter()
        with tracing.step("predict"):
            result = predictor.predict(record, options=options, progress=progress)
        seconds = round(time.perf_counter() - started, 4)
        log.info("record.predicted", prediction_id=work.prediction.id, elapsed_s=seconds)
        return result

    def _run_batch(self, predictor: Predictor, work: _Work, progress: JobProgress) -> None:
        with self._reads() as session:
            items = repository.items(session, work.prediction.id)
        for item in items:
            progress.check_cancelled()
            if not item.done:
                part = _Part(progress, item.position, len(items))
                self._run_item(predictor, work, item, part)

    def _run_item(
        self, predictor: Predictor, work: _Work, item: PredictionItemRow, progress: JobProgress
    ) -> None:
        try:
            with self._reads() as session:
                row = records.find(session, work.prediction.project_id, item.record_id)
            outcome = ItemOutcome(item.position, self._predicted(predictor, work, row, progress))
        except Cancelled:
            raise
        except EctopyError as problem:
            outcome = ItemOutcome(item.position, error=problem.problem())
        with self._sessions.begin() as session:
            keep(session, work.prediction.id, outcome)
        progress.event("result", {"record_id": item.record_id, "error": outcome.error})
        progress.advance(1.0)


class _Part(JobProgress):
    """One record's share of a batch's progress."""

    def __init__(self, whole: JobProgress, position: int, count: int) -> None:
        self._whole, self._position, self._count = whole, position, count

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self._whole.advance((self._position + fraction) / self._count, stage=stage)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self._whole.event(kind, data)

    def check_cancelled(self) -> None:
        self._whole.check_cancelled()


def keep(session: Session, prediction_id: str, outcome: ItemOutcome) -> None:
    """Writes one record's outcome, unless the record was removed meanwhile."""
    summary, beats = summary_and_beats(outcome.result) if outcome.result else (None, None)
    repository.end_item(
        session, prediction_id, outcome.position, summary=summary, beats=beats, error=outcome.error
    )
