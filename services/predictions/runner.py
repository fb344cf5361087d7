"""The long work behind a prediction: each record through the predictor, results into rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy import ColumnElement, Select

from services import tracing
from services.db.session import SessionFactory, single_statements
from services.errors import Cancelled, EctopyError, NotFound
from services.jobs.execution import JobProgress
from services.jobs.lifecycle import Along, JobClaim
from services.models.interface import Predictor
from services.models.results import BeatResult, RiskResult
from services.predictions import repository
from services.predictions.repository import AskedOf
from services.predictions.result_codec import summary_and_beats
from services.predictions.row import PredictionItemRow
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


class PredictionRunner:
    """Implements services.jobs.execution.ShortRunner."""

    def __init__(self, sessions: SessionFactory, store: Store, predictors: Predictors) -> None:
        self._sessions, self._reads = sessions, single_statements(sessions)
        self._store, self._predictors = store, predictors

    def run(self, claim: JobClaim, progress: JobProgress) -> ItemOutcome | None:
        """A single prediction returns its outcome; a batch keeps each as it comes."""
        asked = self._asked(claim)
        if asked.family is None or asked.location is None:
            raise NotFound("the model version was removed")
        predictor = self._predictors.predictor(
            family=asked.family, location=asked.location, sha256=asked.weights_sha256
        )
        if not asked.batch:
            return ItemOutcome(0, self._predicted(predictor, asked, asked.first_record, progress))
        self._run_batch(predictor, asked, progress)
        return None

    def along(self, claim: JobClaim, outcome: ItemOutcome | None) -> Along | None:
        return None if outcome is None else ending(claim.resource_id, outcome)

    def _asked(self, claim: JobClaim) -> AskedOf:
        seen = claim.seen
        if seen is None:  # claimed without `asked_along`
            with self._reads() as session:
                seen = repository.asked(session, claim.resource_id)
        if seen is None or seen["id"] is None:
            raise NotFound("the prediction was removed")
        return AskedOf.of(seen)

    def _predicted(
        self, predictor: Predictor, asked: AskedOf, row: RecordRow | None, progress: JobProgress
    ) -> BeatResult | RiskResult:
        if row is None:
            raise NotFound("the record was removed")
        record = files.open_record(self._store, row)
        started = time.perf_counter()
        with tracing.step("predict"):
            result = predictor.predict(record, options=asked.options, progress=progress)
        seconds = round(time.perf_counter() - started, 4)
        log.info("record.predicted", prediction_id=asked.prediction_id, elapsed_s=seconds)
        return result

    def _run_batch(self, predictor: Predictor, asked: AskedOf, progress: JobProgress) -> None:
        with self._reads() as session:
            items = repository.items(session, asked.prediction_id)
        for item in items:
            progress.check_cancelled()
            if not item.done:
                part = _Part(progress, item.position, len(items))
                self._run_item(predictor, asked, item, part)

    def _run_item(
        self, predictor: Predictor, asked: AskedOf, item: PredictionItemRow, progress: JobProgress
    ) -> None:
        try:
            with self._reads() as session:
                row = records.find(session, asked.project_id, item.record_id)
            outcome = ItemOutcome(item.position, self._predicted(predictor, asked, row, progress))
        except Cancelled:
            raise
        except EctopyError as problem:
            outcome = ItemOutcome(item.position, error=problem.problem())
        with self._reads() as session:
            repository.end_item(session, ending(asked.prediction_id, outcome))
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


def asked_along(resource_id: ColumnElement[str]) -> Select[Any]:
    """What the work needs to begin, read along with the claim (lifecycle.Seeing)."""
    return repository.asked_of(resource_id)


def ending(prediction_id: str, outcome: ItemOutcome) -> Along:
    """Writes one record's outcome, unless the record was removed meanwhile."""
    summary, beats = summary_and_beats(outcome.result) if outcome.result else (None, None)
    return repository.ending_item(
        prediction_id, outcome.position, summary=summary, beats=beats, error=outcome.error
    )
