"""Rules of predictions: which version answers is fixed when one is asked for, and checked then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from services import clock, ids
from services.access.audit import Deed
from services.db.inserting import Provided, insert_together
from services.ecg.writers.findings import RiskFinding
from services.errors import NotFound, StateConflict, UnusableInput
from services.jobs import dispatch, lifecycle
from services.jobs.row import JobEventRow, JobRow
from services.models.catalog import FAMILY_SPECS
from services.models.results import BeatResult
from services.models.spec import FamilySpec
from services.predictions import repository
from services.predictions.beat_json import beat_json
from services.predictions.exports import Findings, beat_findings
from services.predictions.repository import Asked, PredictionFilter
from services.predictions.result_codec import beat_result
from services.predictions.row import PredictionItemRow, PredictionRow
from services.records.fit import require_fit
from services.records.repository import when_added, while_kept
from services.records.row import RecordRow
from services.registry.answering import answering, predicting
from services.registry.repository import VersionOutline
from services.version import code_version

RECORD_REMOVED = StateConflict("the record was removed")


@dataclass(frozen=True)
class PredictionRequest:
    """What is asked: a task, and a model (`name`, `name@version`, None: the promoted one)."""

    project_id: str
    task: str
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Begun:
    """Which version answers, with which options, and the record (None: not here)."""

    version: VersionOutline
    options: dict[str, Any]
    record: RecordRow | None


@dataclass(frozen=True)
class PredictionOutline:
    """A prediction, its record (None for a batch), and API.md's `result` (None: not yet)."""

    asked: Asked
    record_id: str | None
    result: dict[str, Any] | None


def new_prediction_id() -> str:
    return ids.new_id("pred")


def begun(
    session: Session,
    request: PredictionRequest,
    *,
    record_id: str | None = None,
    sha256: str | None = None,
) -> Begun:
    """What a prediction of one record begins with: the project's record of this id, or of these
    bytes, if it is here; NotFound and UnusableInput for a model or options that there are not.
    """
    record, version = repository.record_and_answering(
        session, request.project_id, request.task, record_id=record_id, sha256=sha256
    )
    if version is None or request.model is not None:
        version = answering(session, request.project_id, request.task, request.model)
    version = predicting(version)
    options = _checked_options(FAMILY_SPECS[version.family], request.options)
    return Begun(version, options, record)


def create(session: Session, begun: Begun, *, prediction_id: str) -> PredictionRow | None:
    """A queued prediction of a stored record; UnusableInput when it does not fit the model, None
    when it is not here (any more).

    In a session whose statements are transactions of their own too: it is one statement. The commit
    does not wait for the disk: `is_kept` does.
    """
    if begun.record is None:
        return None
    new = _new_for(begun, begun.record, prediction_id)
    return _inserted(session, new, while_kept(begun.record.id))


def create_with(
    session: Session, begun: Begun, record: RecordRow, *, prediction_id: str
) -> PredictionRow | None:
    """The same for a new record, whose row is added along; None when it has come in meanwhile."""
    return _inserted(session, _new_for(begun, record, prediction_id), when_added(record))


def create_batch(
    session: Session,
    request: PredictionRequest,
    records: Sequence[RecordRow],
    *,
    prediction_id: str,
) -> PredictionRow:
    """One job over many records; a record that does not fit fails alone, inside the job.

    The commit does not wait for the disk: `is_kept` does.
    """
    if not records:
        raise UnusableInput("record_ids must name at least one record")
    version = answering(session, request.project_id, request.task, request.model)
    options = _checked_options(FAMILY_SPECS[version.family], request.options)
    new = _new(prediction_id, version, options, records, batch=True)
    _inserted(session, new)
    return new.row


def is_kept(session: Session, prediction_id: str, *, noting: Deed | None = None) -> bool:
    """Waits for the disk; False when the database lost, in a crash, that it was asked for.

    noting: goes into the audit trail if it is kept.
    """
    return repository.is_kept(session, prediction_id, noting=noting)


def page(
    session: Session,
    project_id: str,
    wanted: PredictionFilter,
    *,
    before_id: str | None,
    limit: int,
) -> list[PredictionRow]:
    """A project's predictions, newest first."""
    return repository.newest_first(session, project_id, wanted, before_id=before_id, limit=limit)


def outlines(session: Session, rows: Sequence[PredictionRow]) -> list[PredictionOutline]:
    """Each with its record (none for a batch) and its result, without the beats."""
    items = repository.first_items(session, [row.id for row in rows if not row.batch])
    return [_outline(session, row, items.get(row.id)) for row in rows]


def find(session: Session, project_id: str, prediction_id: str) -> PredictionRow | None:
    row = repository.by_id(session, prediction_id)
    return row if row is not None and row.project_id == project_id else None


def get(session: Session, project_id: str, prediction_id: str) -> PredictionRow:
    """The project's prediction; another project's is NotFound, as one that never was."""
    row = find(session, project_id, prediction_id)
    if row is None:
        raise NotFound(f"there is no prediction {prediction_id}")
    return row


def cancel(session: Session, project_id: str, prediction_id: str) -> PredictionRow:
    """Cancels a waiting prediction at once and asks a running one to stop."""
    row = get(session, project_id, prediction_id)
    lifecycle.cancel(session, row.job_id)
    session.refresh(row.job)
    return row


def forget_record(session: Session, record_id: str) -> None:
    """Ends the running predictions of a record that is about to be removed, removes its results."""
    # the job's row first, as a worker that ends one does: the other order is a deadlock
    unfinished = repository.unfinished_jobs_of_record(session, record_id)
    lifecycle.cancel_now(session, unfinished, RECORD_REMOVED)
    repository.forget_results_of_record(session, record_id, RECORD_REMOVED.problem())


def whole(session: Session, project_id: str, prediction_id: str) -> PredictionOutline:
    """With all of its result; a batch tells its counts."""
    found = repository.with_first_item(session, project_id, prediction_id)
    if found is None:
        raise NotFound(f"there is no prediction {prediction_id}")
    if found.batch:
        return PredictionOutline(found, None, _batch_counts(session, found.id))
    return PredictionOutline(found, found.record_id, _result(found.summary, found.beats))


def beats(session: Session, row: PredictionRow) -> tuple[PredictionItemRow, BeatResult]:
    """The beats of a succeeded single prediction; StateConflict when there are none (yet)."""
    if row.task != "beats" or row.batch:
        raise StateConflict("beats are given by a prediction of one record with the task `beats`")
    item = repository.item(session, row.id, 0)
    if item is None or item.summary is None or item.beats is None:
        raise StateConflict(f"this prediction has no beats: its status is {row.job.status}")
    return item, beat_result(item.summary, item.beats)


def findings(session: Session, row: PredictionRow) -> tuple[str, Findings]:
    """The record's id and what was found in it; StateConflict when there is nothing (yet)."""
    model = f"{row.model_name}@{row.model_version}"
    if row.task == "beats":
        item, result = beats(session, row)
        return item.record_id, Findings(beats=beat_findings(result, model=model))
    item_found = repository.item(session, row.id, 0)
    if row.batch or item_found is None or item_found.summary is None:
        raise StateConflict(f"this prediction has no result: its status is {row.job.status}")
    summary = item_found.summary
    risk = RiskFinding(
        risk=summary["risk"],
        threshold=summary["threshold"],
        is_calibrated=summary["calibrated"],
        model=model,
        notes=tuple(summary["notes"]),
    )
    return item_found.record_id, Findings(risk=risk)


def batch_results(session: Session, row: PredictionRow) -> Iterator[dict[str, Any]]:
    """One object a record, in the order asked, of those that are done."""
    for position in repository.positions_done(session, row.id):
        item = repository.item(session, row.id, position)
        if item is not None:
            yield {
                "record_id": item.record_id,
                "result": _result(item.summary, item.beats),
                "error": item.error,
            }
            session.expunge(item)  # thousands of records' beats would not fit in memory


def _new_for(begun: Begun, record: RecordRow, prediction_id: str) -> _New:
    require_fit(FAMILY_SPECS[begun.version.family], record)
    return _new(prediction_id, begun.version, begun.options, [record], batch=False)


def _checked_options(spec: FamilySpec, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in; UnusableInput names what is unknown or impossible."""
    errors = []
    for name, value in options.items():
        known = spec.options.get(name)
        if known is None:
            allowed = ", ".join(sorted(spec.options)) or "none"
            errors.append(
                {"loc": ["options", name], "msg": f"unknown option; there are: {allowed}"}
            )
        elif value not in known.choices:
            choices = ", ".join(map(str, known.choices))
            errors.append({"loc": ["options", name], "msg": f"must be one of: {choices}"})
    if errors:
        raise UnusableInput("options that this model does not have", errors=errors)
    return {name: option.default for name, option in spec.options.items()} | dict(options)


@dataclass(frozen=True)
class _New:
    """Rows of a prediction that is not in the database yet."""

    job: JobRow
    told: JobEventRow
    row: PredictionRow
    items: Sequence[PredictionItemRow]


def _new(
    prediction_id: str,
    version: VersionOutline,
    options: dict[str, Any],
    records: Sequence[RecordRow],
    *,
    batch: bool,
) -> _New:
    job, told = lifecycle.new(
        kind=dispatch.RUN_PREDICTION,
        queue=dispatch.BATCH_QUEUE if batch else dispatch.PREDICT_QUEUE,
        resource_id=prediction_id,
    )
    row = PredictionRow(
        id=prediction_id,
        project_id=records[0].project_id,
        job_id=job.id,
        task=version.task,
        batch=batch,
        model_name=version.name,
        model_version=version.version,
        weights_sha256=version.sha256,
        options=options,
        code_version=code_version(),
        created_at=clock.now(),
    )
    items = [
        PredictionItemRow(
            prediction_id=prediction_id,
            position=position,
            record_id=record.id,
            record_sha256=record.sha256,
        )
        for position, record in enumerate(records)
    ]
    return _New(job, told, row, items)


def _inserted(
    session: Session, new: _New, provided: Provided | None = None
) -> PredictionRow | None:
    first, *others = new.items
    rows = (new.job, new.told, new.row, first)
    if not insert_together(session, *rows, waits_for_disk=False, provided=provided):
        return None
    set_committed_value(new.row, "job", new.job)
    session.add_all(others)
    session.flush()
    return new.row


def _outline(
    session: Session, row: PredictionRow, item: PredictionItemRow | None
) -> PredictionOutline:
    """Without the beats."""
    asked = repository.asked_in(row)
    if row.batch:
        return PredictionOutline(asked, None, _batch_counts(session, row.id))
    if item is None:
        return PredictionOutline(asked, None, None)
    return PredictionOutline(asked, item.record_id, _result(item.summary))


def _result(summary: dict[str, Any] | None, beats: bytes | None = None) -> dict[str, Any] | None:
    if summary is None:
        return None
    found = {key: value for key, value in summary.items() if key != "labels"}
    if beats is not None:
        found["beats"] = orjson.Fragment(beat_json(beat_result(summary, beats)))
    return found


def _batch_counts(session: Session, prediction_id: str) -> dict[str, Any]:
    counts = repository.item_counts(session, prediction_id)
    return {
        "records": counts.all,
        "succeeded": counts.done - counts.failed,
        "failed": counts.failed,
    }
