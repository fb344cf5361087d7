"""Every query on predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    String,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session, undefer

from services.access import audit
from services.access.audit import Deed
from services.access.caller import SHARED_PROJECT
from services.db import durability
from services.db.base import table_of
from services.jobs.lifecycle import Along
from services.jobs.row import JobRow
from services.predictions.row import PredictionItemRow, PredictionRow
from services.records.row import RecordRow
from services.registry.repository import VersionOutline, outlines_for_task
from services.registry.row import ModelVersionRow


@dataclass(frozen=True)
class PredictionFilter:
    """What a list may be narrowed to."""

    record_id: str | None = None
    task: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class ItemCounts:
    """Records of a prediction: all, those that are done, and those among them that failed."""

    all: int
    done: int
    failed: int


@dataclass(frozen=True)
class Asked:
    """What was asked, which version answers, and how far its job is."""

    id: str
    task: str
    batch: bool
    model_name: str
    model_version: int
    created_at: datetime
    status: str
    progress: float
    error: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class AskedWithItem(Asked):
    """The same with the first record, and what was found in it."""

    record_id: str
    summary: dict[str, Any] | None
    beats: bytes | None


_OF_PREDICTION = ("id", "task", "batch", "model_name", "model_version", "created_at")
_OF_JOB = ("status", "progress", "error", "started_at", "finished_at")
_OF_ITEM = ("record_id", "summary", "beats")


@dataclass(frozen=True)
class AskedOf:
    """What a worker needs to begin: family and place of the version (None: removed), and the first
    record (None: removed).
    """

    prediction_id: str
    project_id: str
    batch: bool
    weights_sha256: str
    options: dict[str, Any]
    family: str | None
    location: str | None
    first_record: RecordRow | None

    @classmethod
    def of(cls, seen: Mapping[str, Any]) -> AskedOf:
        """From a row of `asked_of`."""
        record = {c.name: seen[_OF_RECORD + c.name] for c in table_of(RecordRow).c}
        return cls(
            prediction_id=seen["id"],
            **{name: seen[name] for name in _ASKED},
            family=seen["family"],
            location=seen["location"],
            first_record=RecordRow(**record) if record["id"] is not None else None,
        )


_ASKED = ("project_id", "batch", "weights_sha256", "options")
_OF_RECORD, _OF_VERSION = "record_", "version_"
_OUTLINE = tuple(each.name for each in fields(VersionOutline))


def by_id(session: Session, prediction_id: str) -> PredictionRow | None:
    """Of any project: for the worker."""
    return session.get(PredictionRow, prediction_id, populate_existing=True)


def record_and_answering(
    session: Session,
    project_id: str,
    task: str,
    *,
    record_id: str | None = None,
    sha256: str | None = None,
) -> tuple[RecordRow | None, VersionOutline | None]:
    """The project's record of an id, or else of these bytes, and the version that answers for a
    task there, in one query. The row is for reading, not part of the session.
    """
    key = "id" if record_id is not None else "sha256"
    wanted = {"project_id": project_id, key: record_id or sha256, "task": task}
    found = session.connection().execute(_record_and_answering(key), wanted).one()
    values = found._asdict()
    outline = {name: values.pop(_OF_VERSION + name) for name in _OUTLINE}
    return (
        RecordRow(**values) if values["id"] is not None else None,
        VersionOutline(**outline) if outline["name"] is not None else None,
    )


def is_kept(session: Session, prediction_id: str, *, noting: Deed | None) -> bool:
    """Whether a prediction is there and on disk, where the deed is noted if it is."""
    asked = {"prediction_id": prediction_id} | (audit.noting(noting) if noting is not None else {})
    return durability.is_on_disk(session, _is_kept(noted=noting is not None), asked)


def asked_in(row: PredictionRow) -> Asked:
    """What is told of a row."""
    of_prediction = {name: getattr(row, name) for name in _OF_PREDICTION}
    return Asked(**of_prediction, **{name: getattr(row.job, name) for name in _OF_JOB})


def with_first_item(session: Session, project_id: str, prediction_id: str) -> AskedWithItem | None:
    """A prediction with its first item and that one's beats, in one query."""
    wanted = {"prediction_id": prediction_id, "project_id": project_id}
    found = session.connection().execute(_with_first_item(), wanted).first()
    return None if found is None else AskedWithItem(*found)


# Statements that every prediction needs are made once: that takes longer than running one.


@cache
def _record_and_answering(key: str) -> Select[Any]:
    records, version = table_of(RecordRow), outlines_for_task().lateral("answering")
    wanted = and_(
        records.c[key] == bindparam(key, type_=String),
        records.c.project_id == bindparam("project_id", type_=String),
    )
    always = select(literal(1)).subquery("always")
    return select(
        records, *(version.c[name].label(_OF_VERSION + name) for name in _OUTLINE)
    ).select_from(always.outerjoin(records, wanted).outerjoin(version, true()))


@cache
def _is_kept(*, noted: bool) -> Select[Any]:
    there = exists().where(PredictionRow.id == bindparam("prediction_id", type_=String))
    reaching = durability.reaching_disk(there)
    return reaching.add_cte(audit.noted(there)) if noted else reaching


@cache
def _with_first_item() -> Select[Any]:
    prediction, job, item = (table_of(row) for row in (PredictionRow, JobRow, PredictionItemRow))
    first = and_(item.c.prediction_id == prediction.c.id, item.c.position == 0)
    return (
        select(
            *(prediction.c[name] for name in _OF_PREDICTION),
            *(job.c[name] for name in _OF_JOB),
            *(item.c[name] for name in _OF_ITEM),
        )
        .select_from(prediction.join(job, job.c.id == prediction.c.job_id).join(item, first))
        .where(
            prediction.c.id == bindparam("prediction_id", type_=String),
            prediction.c.project_id == bindparam("project_id", type_=String),
        )
    )


def asked(session: Session, prediction_id: str) -> Mapping[str, Any] | None:
    """A row for `AskedOf.of`; None when the prediction was removed."""
    row = session.connection().execute(asked_of(literal(prediction_id))).first()
    return None if row is None else row._asdict()


def asked_of(prediction_id: ColumnElement[str]) -> Select[Any]:
    """A prediction, its version and its record as its project sees them, in one query."""
    own = ModelVersionRow.project_id == PredictionRow.project_id
    version = and_(
        or_(own, ModelVersionRow.project_id == SHARED_PROJECT),
        ModelVersionRow.name == PredictionRow.model_name,
        ModelVersionRow.version == PredictionRow.model_version,
    )
    record = and_(
        RecordRow.id == PredictionItemRow.record_id,
        RecordRow.project_id == PredictionRow.project_id,
    )
    predictions, records = table_of(PredictionRow), table_of(RecordRow)
    return (
        select(
            predictions.c.id,
            *(predictions.c[name] for name in _ASKED),
            ModelVersionRow.card["family"].astext.label("family"),  # of tens of kilobytes
            table_of(ModelVersionRow).c.location,
            *(column.label(_OF_RECORD + column.name) for column in records.c),
        )
        .select_from(PredictionRow)
        .join(PredictionItemRow, _is_first_item())
        .outerjoin(ModelVersionRow, version)
        .outerjoin(RecordRow, record)
        .where(PredictionRow.id == prediction_id)
        .order_by(own.desc())
        .limit(1)
    )


def newest_first(
    session: Session,
    project_id: str,
    wanted: PredictionFilter,
    *,
    before_id: str | None,
    limit: int,
) -> list[PredictionRow]:
    query = select(PredictionRow).where(PredictionRow.project_id == project_id)
    query = query.order_by(PredictionRow.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(PredictionRow.id < before_id)
    return list(session.scalars(_narrowed(query, wanted)))


def items(session: Session, prediction_id: str) -> list[PredictionItemRow]:
    """Without the beats."""
    query = select(PredictionItemRow).where(PredictionItemRow.prediction_id == prediction_id)
    return list(session.scalars(query.order_by(PredictionItemRow.position)))


def first_items(session: Session, prediction_ids: list[str]) -> dict[str, PredictionItemRow]:
    query = select(PredictionItemRow).where(
        PredictionItemRow.prediction_id.in_(prediction_ids), PredictionItemRow.position == 0
    )
    return {item.prediction_id: item for item in session.scalars(query)}


def positions_done(session: Session, prediction_id: str) -> list[int]:
    query = select(PredictionItemRow.position).where(
        PredictionItemRow.prediction_id == prediction_id, PredictionItemRow.done
    )
    return list(session.scalars(query.order_by(PredictionItemRow.position)))


def item_counts(session: Session, prediction_id: str) -> ItemCounts:
    query = select(
        func.count(),
        func.count().filter(PredictionItemRow.done),
        func.count().filter(PredictionItemRow.error.is_not(None)),
    ).where(PredictionItemRow.prediction_id == prediction_id)
    found = session.execute(query).one()
    return ItemCounts(found[0], found[1], found[2])


def item(session: Session, prediction_id: str, position: int) -> PredictionItemRow | None:
    return session.get(
        PredictionItemRow,
        (prediction_id, position),
        options=[undefer(PredictionItemRow.beats)],
        populate_existing=True,
    )


def end_item(session: Session, ending: Along) -> None:
    """Makes the change of `ending_item` by itself."""
    session.connection().execute(_end_item(), dict(ending.parameters))


def ending_item(
    prediction_id: str,
    position: int,
    *,
    summary: dict[str, Any] | None = None,
    beats: bytes | None = None,
    error: dict[str, Any] | None = None,
) -> Along:
    """Writes summary, beats or error of an item, once: one that is done stays as it is."""
    found = {"its_summary": summary, "its_beats": beats, "its_error": error}
    of = {"of_prediction": prediction_id, "at_position": position}
    return Along(_end_item_along, found | of)


def _end_item_along(moved: CTE) -> CTE:
    return _end_item().where(exists(select(moved.c.id))).cte("item")


@cache
def _end_item() -> Update:
    table = table_of(PredictionItemRow)
    values = {
        name: bindparam(f"its_{name}", type_=table.c[name].type)
        for name in ("summary", "beats", "error")
    }
    return (
        update(table)
        .where(
            table.c.prediction_id == bindparam("of_prediction", type_=String),
            table.c.position == bindparam("at_position", type_=Integer),
            ~table.c.done,
        )
        .values(done=True, **values)
    )


def unfinished_jobs_of_record(session: Session, record_id: str) -> list[str]:
    """Jobs of single predictions of a record that have not ended."""
    query = (
        select(JobRow.id)
        .join(PredictionRow, PredictionRow.job_id == JobRow.id)
        .join(PredictionItemRow, PredictionItemRow.prediction_id == PredictionRow.id)
        .where(PredictionItemRow.record_id == record_id, ~PredictionRow.batch)
        .where(JobRow.finished_at.is_(None))
    )
    return list(session.scalars(query))


def forget_results_of_record(session: Session, record_id: str, error: dict[str, object]) -> None:
    """Takes away what was found in a record that is removed.

    A finished prediction of that record alone goes whole; a batch keeps the other records' results.
    """
    finished = (
        select(PredictionRow.id, PredictionRow.job_id)
        .join(JobRow, PredictionRow.job_id == JobRow.id)
        .where(~PredictionRow.batch, JobRow.finished_at.is_not(None), JobRow.status != "cancelled")
        .where(
            exists().where(
                PredictionItemRow.prediction_id == PredictionRow.id,
                PredictionItemRow.record_id == record_id,
            )
        )
    )
    found = session.execute(finished).all()
    session.execute(delete(PredictionRow).where(PredictionRow.id.in_([row[0] for row in found])))
    session.execute(delete(JobRow).where(JobRow.id.in_([row[1] for row in found])))
    session.execute(
        update(PredictionItemRow)
        .where(PredictionItemRow.record_id == record_id)
        .values(done=True, summary=None, beats=None, error=error)
    )


def _is_first_item() -> ColumnElement[bool]:
    return and_(
        PredictionItemRow.prediction_id == PredictionRow.id, PredictionItemRow.position == 0
    )


def _narrowed(query: Select[PredictionRow], wanted: PredictionFilter) -> Select[PredictionRow]:
    if wanted.task is not None:
        query = query.where(PredictionRow.task == wanted.task)
    if wanted.status is not None:
        query = query.join(JobRow, PredictionRow.job_id == JobRow.id).where(
            JobRow.status == wanted.status
        )
    if wanted.record_id is not None:
        query = query.where(
            exists().where(
                PredictionItemRow.prediction_id == PredictionRow.id,
                PredictionItemRow.record_id == wanted.record_id,
            )
        )
    return query
