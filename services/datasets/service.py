"""Rules of datasets: who is in, what was left out and why, and what may leak between patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services import clock, ids
from services.datasets import intake, repository
from services.datasets.audit import audited
from services.datasets.intake import Intake, Taken
from services.datasets.members import (
    BEATS,
    content_sha256,
    described,
    total_counts,
    with_patients,
)
from services.datasets.row import DatasetMemberRow, DatasetRow
from services.datasets.training_overlap import compared
from services.ecg.readers.base import SourceFile
from services.errors import MalformedInput, NotFound, StateConflict, UnusableInput
from services.models.catalog import TASKS
from services.records import files
from services.records import service as records
from services.storage.base import Store

SHOWN_REASONS = 20
_DIGITS = 9  # of a position


@dataclass(frozen=True)
class DatasetRequest:
    """What a dataset is asked to be; labels and patients by record id, where they are not known."""

    name: str
    task: str
    labels: Mapping[str, int] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)


def new_dataset_id() -> str:
    return ids.new_id("ds")


def create_of_records(
    session: Session,
    store: Store,
    request: DatasetRequest,
    record_ids: Sequence[str],
    *,
    project_id: str,
    dataset_id: str,
) -> DatasetRow:
    """A dataset of records that are here; UnusableInput where none of them can be learned from."""
    _require_task(request.task)
    _require_known(request, record_ids)
    rows = records.get_all(session, project_id, record_ids)
    labels = {record_id: float(label) for record_id, label in request.labels.items()}
    taken = intake.of_records(
        store, rows, task=request.task, labels=labels, patients=request.patients
    )
    return created(session, store, request, taken, project_id=project_id, dataset_id=dataset_id)


def taken_from_archive(into: Intake, archive: SourceFile, labels: SourceFile | None) -> Taken:
    """The records of an archive, stored; UnusableInput, and nothing kept, where none can be used.

    When no dataset comes of it, the caller gives `taken.made` to `intake.remove_records`.
    """
    _require_task(into.task)
    with intake.of_archive(into, archive, labels) as taken:
        _require_members(taken)
    return taken


def created(
    session: Session,
    store: Store,
    request: DatasetRequest,
    taken: Taken,
    *,
    project_id: str,
    dataset_id: str,
) -> DatasetRow:
    """The dataset of these members, audited."""
    _require_members(taken)

    rows = records.get_all(session, project_id, [m.record_id for m in taken.members])
    by_id = {row.id: row for row in rows}
    audit = audited(taken.members, lambda record_id: files.open_record(store, by_id[record_id]))
    members = with_patients(taken.members, audit.patients)
    overlaps, compared_with = compared(session, store, project_id, request.task, members)
    row = DatasetRow(
        id=dataset_id,
        project_id=project_id,
        name=request.name,
        task=request.task,
        sha256=content_sha256(request.task, members),
        n_records=len(members),
        n_patients=len(set(audit.patients)),
        counts=total_counts(request.task, members),
        left_out_count=len(taken.left_out),
        left_out=taken.left_out,
        audit=audit.as_json(*overlaps, compared_with=compared_with),
        created_at=clock.now(),
    )
    session.add(row)
    session.flush()
    try:
        with session.begin_nested():
            repository.add_members(session, dataset_id, described(members))
    except IntegrityError as error:
        raise StateConflict("a record was removed while the dataset was made") from error
    return row


def page(
    session: Session, *, project_id: str, task: str | None, before_id: str | None, limit: int
) -> list[DatasetRow]:
    """Datasets, newest first."""
    return repository.newest_first(
        session, project_id=project_id, task=task, before_id=before_id, limit=limit
    )


def find(session: Session, dataset_id: str, *, project_id: str) -> DatasetRow | None:
    return repository.by_id(session, dataset_id, project_id=project_id)


def get(session: Session, dataset_id: str, *, project_id: str) -> DatasetRow:
    row = find(session, dataset_id, project_id=project_id)
    if row is None:
        raise NotFound(f"there is no dataset {dataset_id}")
    return row


def members(session: Session, row: DatasetRow) -> list[DatasetMemberRow]:
    """Its records, in its order."""
    return repository.members(session, row.id)


def members_page(
    session: Session, row: DatasetRow, *, after: str | None, limit: int
) -> list[DatasetMemberRow]:
    """Its records, in its order, after a position as an earlier page gave it."""
    if after is not None and not after.isdecimal():
        raise MalformedInput("cursor is not one that this service gave")
    start = int(after[:_DIGITS]) if after is not None else -1
    return repository.members_page(session, row.id, after=start, limit=limit)


def record_ids(session: Session, dataset_id: str, *, project_id: str) -> list[str]:
    """Of its records, in its order."""
    return [
        member.record_id
        for member in members(session, get(session, dataset_id, project_id=project_id))
    ]


def remove(session: Session, dataset_id: str, *, project_id: str) -> None:
    """Removes a dataset; its records stay. StateConflict while something refers to it.

    A room whose rows hold on to datasets, as fine-tunes do, has a foreign key to `datasets.id`
    that restricts: that is all it takes.
    """
    get(session, dataset_id, project_id=project_id)
    try:
        with session.begin_nested():
            repository.remove(session, dataset_id)
    except IntegrityError as error:
        raise StateConflict(f"dataset {dataset_id} is used by a fine-tune") from error


def _require_task(task: str) -> None:
    if task not in TASKS:
        raise UnusableInput(f"no task {task!r}; there are {', '.join(TASKS)}")


def _require_known(request: DatasetRequest, record_ids: Sequence[str]) -> None:
    """Names of records that are not asked for are mistakes; so is a record asked for twice."""
    if len(set(record_ids)) < len(record_ids):
        raise UnusableInput("record_ids names a record twice")
    if request.task == BEATS and request.labels:
        raise UnusableInput("labels are for afib-5y; beats are labelled by annotations")
    for field_name in ("labels", "patients"):
        unknown = sorted(set(getattr(request, field_name)) - set(record_ids))
        if unknown:
            raise UnusableInput(f"{field_name} names {unknown[0]}, which is not in record_ids")


def _require_members(taken: Taken) -> None:
    if taken.members:
        return
    errors: list[dict[str, Any]] = [
        {"loc": ["file", entry["file"]], "msg": entry["reason"]}
        for entry in taken.left_out[:SHOWN_REASONS]
    ]
    why = f"; {errors[0]['loc'][1]}: {errors[0]['msg']}" if errors else ""
    raise UnusableInput(f"no record can be used{why}", errors=errors)
