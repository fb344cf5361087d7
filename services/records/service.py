"""Rules of records: read, check, store once by content hash, find, remove with their files."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services import clock, ids
from services.ecg.decimation import min_max_envelope
from services.ecg.readers.base import Limits, ReadHints, SourceFile
from services.ecg.readers.detect import read_record
from services.ecg.record import Annotations, EcgRecord
from services.errors import NotFound, StateConflict, Unavailable, UnusableInput
from services.records import files, repository
from services.records.free_text import without_free_text
from services.records.row import RecordRow
from services.settings import Settings
from services.storage.base import Store

log = structlog.get_logger()


@dataclass(frozen=True)
class Upload:
    """Files of one record as they came in, with what the client says of them."""

    project_id: str
    sources: Sequence[SourceFile]
    workspace: Path
    patient_id: str | None = None
    hints: ReadHints = field(default_factory=ReadHints)

    @property
    def sha256(self) -> str:
        """Of all files; by it the record is known when it comes again."""
        return content_sha256([(source.plain_name, source.sha256) for source in self.sources])


@dataclass(frozen=True)
class DrawnLead:
    """Points of one lead for drawing."""

    name: str
    unit: str
    time_s: np.ndarray[Any, Any]
    value: np.ndarray[Any, Any]


def new_record_id() -> str:
    return ids.new_id("rec")


def content_sha256(digests: Sequence[tuple[str, str]]) -> str:
    """One hash for an upload of (file name, sha256) pairs.

    A single file's own hash; for several files the hash of their sorted `sha256  name` lines, as
    `sha256sum` prints them, so that a client can compute it.
    """
    if len(digests) == 1:
        return digests[0][1]
    lines = sorted(f"{digest}  {name}\n" for name, digest in digests)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def limits_of(settings: Settings) -> Limits:
    return Limits(
        max_values=settings.max_record_values,
        max_leads=settings.max_leads,
        min_duration_s=settings.min_record_s,
        max_unpacked_bytes=settings.max_upload_bytes,
        keep_free_text=settings.keep_free_text,
    )


def add(
    session: Session, store: Store, upload: Upload, *, record_id: str, limits: Limits
) -> tuple[RecordRow, bool]:
    """The record of these bytes and whether it is new; its files are in the store on return.

    On disk they are after `settle_files`. When the caller's transaction then fails, the caller
    removes the files with `discard_files`.
    """
    known = repository.by_sha256_kept_while_used(session, upload.project_id, upload.sha256)
    if known is not None:
        return known, False
    row = read_new(store, upload, record_id=record_id, limits=limits)
    if repository.add_new(session, row):
        return row, True
    # the same bytes came in at the same time, and that request was faster
    discard_files(store, record_id)
    winner = repository.by_sha256_kept_while_used(session, upload.project_id, upload.sha256)
    if winner is None:
        raise just_removed()
    return winner, False


def just_removed() -> Unavailable:
    """Of a record that was here when it came in again, and a moment later was not."""
    return Unavailable("the same record was just removed; send it again")


def read_new(store: Store, upload: Upload, *, record_id: str, limits: Limits) -> RecordRow:
    """A row to add for an upload that is not here yet; its files are in the store on return."""
    started = time.perf_counter()
    record = read_record(
        upload.sources, limits=limits, workspace=upload.workspace, hints=upload.hints
    )
    if not limits.keep_free_text:
        record = without_free_text(record)
    log.info("record.read", record_id=record_id, elapsed_s=round(time.perf_counter() - started, 4))
    files.put_record(store, record_id, record, upload.workspace)
    return _row(record_id, record, upload)


def settle_files(store: Store, record_id: str) -> None:
    """Waits until the record's files are on disk, where this machine's disk is the store."""
    store.settle(files.folder_key(record_id))


def discard_files(store: Store, record_id: str) -> None:
    store.delete_all(files.folder_key(record_id))


def page(
    session: Session, project_id: str, *, before_id: str | None, limit: int
) -> list[RecordRow]:
    """Records, newest first, made before the one named."""
    return repository.newest_first(session, project_id, before_id=before_id, limit=limit)


def find(session: Session, project_id: str, record_id: str) -> RecordRow | None:
    return repository.by_id(session, project_id, record_id)


def get(session: Session, project_id: str, record_id: str) -> RecordRow:
    """The project's record; another project's is NotFound, as one that never was."""
    row = find(session, project_id, record_id)
    if row is None:
        raise NotFound(f"there is no record {record_id}")
    return row


def get_of_any_project(session: Session, record_id: str) -> RecordRow:
    """For work whose own row says of which project it is, and so its records."""
    row = repository.by_id_of_any_project(session, record_id)
    if row is None:
        raise NotFound(f"there is no record {record_id}")
    return row


def get_all(session: Session, project_id: str, record_ids: Sequence[str]) -> list[RecordRow]:
    """The rows in the order of the ids; NotFound names the first few that are missing."""
    found = {row.id: row for row in repository.by_ids(session, project_id, record_ids)}
    missing = [record_id for record_id in record_ids if record_id not in found]
    if missing:
        raise NotFound(f"there is no record {', '.join(missing[:5])}")
    return [found[record_id] for record_id in record_ids]


def remove(session: Session, project_id: str, record_id: str) -> None:
    """Removes the row; after the commit the caller removes the files with `discard_files`.

    StateConflict for a record that a dataset holds: what was trained on it must stay.
    """
    try:
        with session.begin_nested():
            removed = repository.remove(session, project_id, record_id)
    except IntegrityError as error:
        raise StateConflict(
            f"record {record_id} belongs to a dataset; remove the dataset first"
        ) from error
    if not removed:
        raise NotFound(f"there is no record {record_id}")


def drawn_signal(
    store: Store,
    row: RecordRow,
    *,
    lead: str | None,
    start_s: float,
    end_s: float | None,
    max_points: int,
) -> list[DrawnLead]:
    """The stretch [start_s, end_s) of one lead or all, at most `max_points` points a lead."""
    record = files.open_record(store, row)
    first, last = _sample_range(record, start_s, end_s)
    chosen = _lead_indices(record, lead)
    drawn = []
    for index in chosen:  # one at a time, as views: a day of signal is read in passing, not copied
        stretch = record.signal[index : index + 1, first:last]
        envelope = min_max_envelope(stretch, max_points=max_points)
        time_s = (first + envelope.sample[0]) / record.sampling_rate_hz
        lead_name, unit = record.lead_names[index], record.units[index]
        drawn.append(DrawnLead(lead_name, unit, time_s, envelope.value[0]))
    return drawn


def opened(store: Store, row: RecordRow) -> EcgRecord:
    """The whole record with its reference annotations; the signal is a memory map."""
    return files.open_record(store, row, with_annotations=True)


def reference_annotations(store: Store, row: RecordRow) -> Annotations | None:
    """Reference annotations, or None when the record came without."""
    return files.open_annotations(store, row) if row.has_annotations else None


def orphan_files(session: Session, store: Store, *, before_id: str) -> list[str]:
    """Record ids that have files but no row, made before `before_id`: what a crash left behind."""
    found = {name for name in store.folders(files.PREFIX) if name < before_id}
    return sorted(found - repository.existing(session, found)) if found else []


def _row(record_id: str, record: EcgRecord, upload: Upload) -> RecordRow:
    return RecordRow(
        id=record_id,
        project_id=upload.project_id,
        name=upload.hints.name or record.name,
        patient_id=upload.patient_id,
        format=record.format,
        sha256=upload.sha256,
        sampling_rate_hz=record.sampling_rate_hz,
        n_samples=record.n_samples,
        leads=[
            {"name": name, "unit": unit}
            for name, unit in zip(record.lead_names, record.units, strict=True)
        ],
        has_annotations=record.annotations is not None,
        notes=list(record.notes),
        created_at=clock.now(),
    )


def _sample_range(record: EcgRecord, start_s: float, end_s: float | None) -> tuple[int, int]:
    first = _sample_at(record, start_s)
    last = record.n_samples if end_s is None else _sample_at(record, end_s)
    if last <= first:
        raise UnusableInput(
            f"start_s {start_s:g} to end_s {'the end' if end_s is None else f'{end_s:g}'} holds no "
            f"sample of this record, which lasts {record.duration_s:g} s"
        )
    return first, last


def _sample_at(record: EcgRecord, moment_s: float) -> int:
    """The first sample at or after a moment; a hair of rounding does not make it the next one."""
    inside_s = min(max(moment_s, 0.0), record.duration_s)
    return min(int(np.ceil(inside_s * record.sampling_rate_hz - 1e-6)), record.n_samples)


def _lead_indices(record: EcgRecord, lead: str | None) -> list[int]:
    if lead is None:
        return list(range(record.n_leads))
    if lead not in record.lead_names:
        raise UnusableInput(f"no lead {lead!r}; this record has {', '.join(record.lead_names)}")
    return [record.lead_names.index(lead)]
