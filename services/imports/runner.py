"""The long work of an import: a published file becomes a model folder in the store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.orm import Session

from services.db.session import SessionFactory
from services.errors import NotFound, Unavailable
from services.imports import files, repository, service
from services.imports.row import ModelImportRow
from services.imports.service import ImportedModel
from services.jobs.execution import JobProgress
from services.jobs.lifecycle import JobClaim
from services.models.interface import Importer
from services.registry import service as registry
from services.registry.files import put_version, stored_location
from services.registry.service import content_of
from services.storage.base import Store

Workspace = Callable[[], AbstractContextManager[str]]


class ImportRunner:
    """Implements services.jobs.execution.Runner."""

    def __init__(
        self,
        sessions: SessionFactory,
        store: Store,
        importers: dict[str, Importer],
        workspace: Workspace,
    ) -> None:
        self._sessions, self._store = sessions, store
        self._importers, self._workspace = importers, workspace

    def run(self, claim: JobClaim, progress: JobProgress) -> ImportedModel:
        with self._sessions() as session:
            row = _import(session, claim)
        names = [file["name"] for file in row.files]
        kind, main = service.importer_and_file(row.task, names)
        if kind not in self._importers:
            raise Unavailable(f"this worker does not know how to import for the task {row.task}")
        with self._workspace() as folder:
            incoming = Path(folder) / "incoming"
            incoming.mkdir()
            files.brought(self._store, row.id, names, incoming)
            progress.advance(0.1, stage="reading")
            return made_in_store(
                self._importers[kind],
                self._store,
                incoming / main,
                name=row.name,
                into=Path(folder) / "model",
                import_id=row.id,
            )

    def store(self, session: Session, claim: JobClaim, outcome: ImportedModel) -> None:
        row = _import(session, claim)
        own = row.project_id
        version = registry.known_version(session, own, outcome.card, outcome.content)
        version = version or service.register(session, own, outcome)
        row.model_name, row.model_version = version.name, version.version


def _import(session: Session, claim: JobClaim) -> ModelImportRow:
    row = repository.by_id(session, claim.resource_id)
    if row is None:
        raise NotFound("the import was removed")
    return row


def made_in_store(
    importer: Importer, store: Store, file: Path, *, name: str | None, into: Path, import_id: str
) -> ImportedModel:
    """Reads the file, and keeps what it became in the store. What fails leaves nothing there."""
    card = importer(file, into=into, name=name)
    made = ImportedModel(card, content_of(into), stored_location(import_id))
    put_version(store, made.location, into)
    return made
