"""`ectopy models import`: the same import as over HTTP, on this machine and without a server."""

from __future__ import annotations

import tempfile
from pathlib import Path

from services.db.session import engine_for, session_factory
from services.errors import StateConflict, UnusableInput
from services.imports import service
from services.imports.runner import made_in_store
from services.registry import service as registry
from services.registry.files import archive, discard_version, stored_location
from services.registry.row import ModelVersionRow
from services.registry.service import CARD, VERSION_FILES, predicts
from services.settings import Settings
from services.storage.factory import store_for, workspace


def import_folder(
    settings: Settings, folder: Path, *, name: str | None, task: str, project_id: str
) -> list[str]:
    """As `import_file`, of a model folder on this machine: what its download would hold."""
    files = {each: folder / each for each in VERSION_FILES if (folder / each).is_file()}
    if CARD not in files:
        raise UnusableInput(f"{folder} is no model folder: it has no {CARD}")
    with tempfile.TemporaryDirectory() as temporary:
        packed = Path(temporary) / f"{folder.name or 'model'}.zip"
        with packed.open("wb") as stream:
            stream.writelines(archive(files, folder="model"))
        return import_file(settings, packed, name=name, task=task, project_id=project_id)


def import_file(
    settings: Settings,
    file: Path,
    *,
    name: str | None,
    task: str,
    project_id: str,
    clusters: Path | None = None,
) -> list[str]:
    """Lines that say what the file became; nothing stays in the store of one that is refused.

    clusters: what comes with a checkpoint of ECGBERT, a folder or an .npz file.
    """
    from services.models.families import IMPORTERS

    together = [file, *_cluster_files(clusters)]
    engine = engine_for(settings.database)
    sessions, store = session_factory(engine), store_for(settings)
    import_id = service.new_import_id()
    try:
        with sessions() as session:
            names = [each.name for each in together]
            service.require_importable(session, project_id, task=task, name=name, file_names=names)
        kind, main = service.importer_and_file(task, names)
        with workspace(settings) as folder:
            incoming = Path(folder) / "incoming"
            incoming.mkdir()
            for each in together:
                (incoming / each.name).symlink_to(each.resolve())
            made = made_in_store(
                IMPORTERS[kind],
                store,
                incoming / main,
                name=name,
                into=Path(folder) / "model",
                import_id=import_id,
            )
        with sessions.begin() as session:
            known = registry.known_version(session, project_id, made.card, made.content)
            if known is not None:
                raise StateConflict(
                    f"{known.name}@{known.version} has the same weights and card already"
                )
            version = service.register(session, project_id, made)
            promoted = registry.model(session, project_id, version.name).promoted_version
            return _lines(version, answers=promoted == version.version)
    except BaseException:
        discard_version(store, stored_location(import_id))
        raise
    finally:
        engine.dispose()


def _cluster_files(clusters: Path | None) -> list[Path]:
    if clusters is None:
        return []
    if clusters.is_file():
        return [clusters]
    return sorted(clusters.glob("*.npz"))[:1] or sorted(clusters.glob("*_cluster.pkl"))


def _lines(version: ModelVersionRow, *, answers: bool) -> list[str]:
    reference = f"{version.name}@{version.version}"
    lines = [f"imported {reference}", f"sha256   {version.sha256}"]
    if version.synthetic:
        lines.append("synthetic: these weights have learned nothing; nothing they give is a risk")
    if not predicts(version):
        lines.append("it has no head and gives no prediction: a fine-tune may start from it")
    elif answers:
        lines.append(f"it answers for {version.card['task']} when no model is named")
    else:
        lines.append(f"name it as {reference}, or promote it, to have it answer")
    return lines
