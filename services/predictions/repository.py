"""Every query on predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
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
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, lazyload, undefer

from services.access.caller import SHARED_PROJECT
from services.jobs.row import JobRow
from services.predictions.row import PredictionItemRow, PredictionRow
from services.records.row import RecordRow
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
class AskedOf:
    """What a worker needs to begin: family and place of the version (None: removed), and the first
    record (None: removed).
    """

    prediction: PredictionRow
    family: str | None
    location: str | None
    first_record: RecordRow | None


def by_id(session: Session, prediction_id: str) -> PredictionRow | None:
    """Of any project: for the worker."""
    return session.get(PredictionRow, prediction_id, populate_existing=True)


def is_there(prediction_id: str) -> ColumnElement[bool]:
    return exists().where(PredictionRow.id == prediction_id)


def with_first_item(
    session: Session, project_id: str, prediction_id: str
) -> tuple[PredictionRow, PredictionItemRow] | None:
    """A prediction with its first item and that one's beats, in one query."""
    wanted = {"prediction_id": prediction_id, "project_id": project_id}
    found = session.execute(_with_first_item(), wanted).first()
    return None if found is None else (found[0], found[1])


# Statements that every prediction needs are made once: that takes longer than running one.


@cache
def _with_first_item() -> Select[PredictionRow, PredictionItemRow]:
    query = (
        select(PredictionRow, PredictionItemRow)
        .join(PredictionItemRow, _is_first_item())
        .where(
            PredictionRow.id == bindparam("prediction_id", type_=String),
            PredictionRow.project_id == bindparam("project_id", type_=String),
        )
        .options(undefer(PredictionItemRow.beats))
    )
    return query.execution_options(populate_existing=True)


def asked_of(session: Session, prediction_id: str) -> AskedOf | None:
    """A prediction, its version and its record as its project sees them, in one query."""
    found = session.execute(_asked_of(), {"prediction_id": prediction_id}).first()
    return None if found is None else AskedOf(*found)


@cache
def _asked_of() -> Select[PredictionRow, str, str, RecordRow]:
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
    family = ModelVersionRow.card["family"].astext  # of tens of kilobytes
    return (
        select(PredictionRow, family, ModelVersionRow.location, RecordRow)
        .join(PredictionItemRow, _is_first_item())
        .outerjoin(ModelVersionRow, version)
        .outerjoin(RecordRow, record)
        .where(PredictionRow.id == bindparam("prediction_id", type_=String))
        .order_by(own.desc())
        .limit(1)
        .options(lazyload(PredictionRow.job))
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


def end_item(
    session: Session,
    prediction_id: str,
    position: int,
    *,
    summary: dict[str, Any] | None = None,
    beats: bytes | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    """Writes summary, beats or error of an item, once: one that is done stays as it is."""
    found = {"its_summary": summary, "its_beats": beats, "its_error": error}
    of = {"of_prediction": prediction_id, "at_position": position}
    session.connection().execute(_end_item(), found | of)


@cache
def _end_item() -> Update:
    table = inspect(PredictionItemRow).local_table.c
    values = {
        name: bindparam(f"its_{name}", type_=table[name].type)
        for name in ("summary", "beats", "error")
    }
    return (
        update(PredictionItemRow)
        .where(
            PredictionItemRow.prediction_id == bindparam("of_prediction", type_=String),
            PredictionItemRow.position == bindparam("at_position", type_=Integer),
            ~PredictionItemRow.done,
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
