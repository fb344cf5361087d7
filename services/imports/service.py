"""Rules of imports: what may be brought in under which name, and which version it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from services import clock, ids
from services.errors import NotFound, UnusableInput
from services.imports import files, repository
from services.imports.files import IncomingFile
from services.imports.row import ModelImportRow
from services.jobs import dispatch, lifecycle
from services.models.catalog import IMPORT_FILES, TASKS
from services.models.model_archive import ARCHIVE, NAME, is_model_archive
from services.registry import repository as models
from services.registry import service as registry
from services.registry.files import PREFIX as MODELS
from services.registry.files import discard_version, stored_location
from services.registry.row import ModelVersionRow
from services.registry.service import Content
from services.storage.base import Store


@dataclass(frozen=True)
class ImportedModel:
    """A model folder that is in the store, not yet in the registry."""

    card: dict[str, Any]
    content: Content
    location: str


def new_import_id() -> str:
    return ids.new_id("imp")


def require_importable(
    session: Session, project_id: str, *, task: str, name: str | None, file_names: Sequence[str]
) -> None:
    """Raises UnusableInput or StateConflict before any work is spent."""
    if task not in TASKS:
        raise UnusableInput(f"no task {task!r}; there are {', '.join(TASKS)}")
    if not is_model_archive(file_names) and IMPORT_FILES[task].checkpoint(file_names) is None:
        count = f"{len(file_names)} file{'s were' if len(file_names) != 1 else ' was'} sent"
        raise UnusableInput(
            f"{count}; {IMPORT_FILES[task].expected}, "
            "or the .zip that another Ectopy gave as a version's download"
        )
    if name is not None and not is_model_archive(file_names):  # whose card tells the task
        require_name(session, project_id, name, task)


def create(
    session: Session,
    project_id: str,
    incoming: Sequence[IncomingFile],
    *,
    task: str,
    name: str | None,
    import_id: str,
) -> ModelImportRow:
    """A queued import of files that are in the store; the model will be the project's own."""
    job = lifecycle.create(
        session, kind=dispatch.IMPORT_MODEL, queue=dispatch.BATCH_QUEUE, resource_id=import_id
    )
    row = ModelImportRow(
        id=import_id,
        project_id=project_id,
        job_id=job.id,
        job=job,
        task=task,
        name=name,
        files=[file.described() for file in incoming],
        created_at=clock.now(),
    )
    session.add(row)
    session.flush()
    return row


def importer_and_file(task: str, file_names: Sequence[str]) -> tuple[str, str]:
    """Which importer reads the files, ARCHIVE or that of the task, and which one it is given."""
    if is_model_archive(file_names):
        return ARCHIVE, file_names[0]
    checkpoint = IMPORT_FILES[task].checkpoint(file_names)
    assert checkpoint is not None  # noqa: S101 - `require_importable` holds them to it
    return task, checkpoint


def find(session: Session, project_id: str, import_id: str) -> ModelImportRow | None:
    row = repository.by_id(session, import_id)
    return row if row is not None and row.project_id == project_id else None


def get(session: Session, project_id: str, import_id: str) -> ModelImportRow:
    """The project's import; another project's is NotFound, as one that never was."""
    row = find(session, project_id, import_id)
    if row is None:
        raise NotFound(f"there is no import {import_id}")
    return row


def register(session: Session, project_id: str, made: ImportedModel) -> ModelVersionRow:
    """The version of the registry; it answers at once where nothing else does and it may."""
    name, task = made.card["name"], made.card["task"]
    models.one_registration_at_a_time(session)
    require_name(session, project_id, name, task)
    version = registry.enter(
        session,
        project_id,
        card=made.card,
        content=made.content,
        location=made.location,
    )
    registry.promote_first(session, version)
    return version


def discard_if_ended(session: Session, store: Store, import_id: str) -> None:
    """Removes the files that came, once they are no longer needed; all files, if it failed."""
    row = repository.by_id(session, import_id)
    if row is None or row.job.finished_at is None:
        return
    files.discard(store, import_id)
    if stored_location(import_id) not in registry.locations(session):
        discard_version(store, stored_location(import_id))


def remove_orphans(session: Session, store: Store, *, before_id: str) -> list[str]:
    """Files that a crash left behind: of imports that ended, and of models without a version."""
    waiting = {name for name in store.folders(files.PREFIX) if name < before_id}
    left = sorted(waiting - repository.unfinished(session, waiting)) if waiting else []
    for import_id in left:
        files.discard(store, import_id)
    kept = {name for name in store.folders(MODELS) if name.startswith("imp_") and name < before_id}
    unnamed = kept - repository.unfinished(session, kept) if kept else set()
    known = registry.locations(session) if unnamed else set()
    for import_id in sorted(unnamed):
        if stored_location(import_id) not in known:
            store.delete_all(f"{MODELS}{import_id}/")
            left.append(import_id)
    return left


def require_name(session: Session, project_id: str, name: str, task: str) -> None:
    if not NAME.fullmatch(name):
        raise UnusableInput(
            f"name {name[:120]!r}: 1 to 100 letters, digits, dots, dashes or underscores, "
            "the first a letter or digit"
        )
    registry.require_own_name(session, project_id, name, task)
