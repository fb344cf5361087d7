"""An upload becomes a stored record, alone or with the prediction that was asked along with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from api.state import ApiState
from api.uploads import RecordForm, received
from services.access.idempotency import IdempotentRequest, earlier_resource, settle_on
from services.db.session import DATABASE_AWAY, SessionFactory
from services.ecg.readers.archive import is_archive
from services.errors import StateConflict, Unavailable
from services.records import service as records
from services.records.row import RecordRow
from services.records.service import Upload
from services.storage.factory import workspace

log = structlog.get_logger()

Made = TypeVar("Made")

# half an hour of two leads has two to three megabytes
READ_AHEAD_BYTES = 4 * 1024 * 1024


def stored_record(
    state: ApiState, form: RecordForm, idempotent: IdempotentRequest
) -> tuple[RecordRow, bool]:
    """The record of these files and whether this request made it."""
    with workspace(state.settings) as folder:
        upload = received(form, Path(folder), project_id=idempotent.project_id)
        request = idempotent.with_body([upload.sha256, form.fields()])
        record_id = records.new_record_id()

        def store(session: Session) -> tuple[RecordRow, bool]:
            earlier = earlier_resource(session, request, record_id)
            if earlier is not None:
                return _still_there(records.find(session, upload.project_id, earlier)), False
            row, created = added(session, state, upload, record_id)
            if created:
                records.settle_files(state.store, row.id)
            else:
                settle_on(session, request, row.id)
            return row, created

        return with_files(state, record_id, store)


def added(
    session: Session, state: ApiState, upload: Upload, record_id: str
) -> tuple[RecordRow, bool]:
    return records.add(
        session,
        state.store,
        upload,
        record_id=record_id,
        limits=records.limits_of(state.settings),
    )


@contextmanager
def read_ahead(
    state: ApiState, upload: Upload, record_id: str
) -> Iterator[Callable[[], RecordRow]]:
    """Gives what makes an upload's row. A small upload is read at once, in a thread beside: whether
    it is here already takes its hash and a question to the database, less than reading takes.
    Where it is, it was read in vain.

    Nothing is read any more, and no file put, once this has ended.
    """
    limits = records.limits_of(state.settings)

    def read() -> RecordRow:
        return records.read_new(state.store, upload, record_id=record_id, limits=limits)

    if not _is_read_soon(upload):
        yield read
        return
    reading = state.readers.submit(copy_context().run, read)
    try:
        yield reading.result
    finally:
        wait([reading])


def _is_read_soon(upload: Upload) -> bool:
    """An archive of a few bytes may hold a day of signal."""
    in_memory = all(source.held is not None for source in upload.sources)
    return (
        in_memory
        and sum(source.n_bytes for source in upload.sources) <= READ_AHEAD_BYTES
        and not any(is_archive(source) for source in upload.sources)
    )


def with_files(
    state: ApiState,
    record_id: str,
    action: Callable[[Session], Made],
    *,
    sessions: SessionFactory | None = None,
) -> Made:
    """One transaction that may put files for `record_id`; they go again when it fails.

    Only where the database went away they stay: the commit may have succeeded although its answer
    was lost. If it did not, upkeep finds files without a row and removes them.

    sessions: `state.sessions`, or those of single statements for an action that changes with one.
    """
    with (sessions or state.sessions)() as session:
        try:
            made = action(session)
        except DATABASE_AWAY:
            raise
        except BaseException:
            session.rollback()
            discard_files_if_possible(state, record_id)
            raise
        session.commit()
        return made


def discard_files_if_possible(state: ApiState, record_id: str) -> None:
    """A store that is away keeps nobody waiting: upkeep removes files that have no row."""
    try:
        records.discard_files(state.store, record_id)
    except Unavailable as error:
        log.warning("files.left_to_upkeep", record_id=record_id, reason=error.detail)


def _still_there(row: RecordRow | None) -> RecordRow:
    if row is None:
        raise StateConflict("the record that this Idempotency-Key made was removed")
    return row
