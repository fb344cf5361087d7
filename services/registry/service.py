"""Rules of the registry: versions are numbered and never change; a pointer says which answers.

Models that come with the code are shared by all projects, others are one project's own. Which
version answers is each project's choice, for shared models too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from services import clock
from services.access.caller import SHARED_PROJECT
from services.errors import NotFound, StateConflict, Unavailable, UnusableInput
from services.models.catalog import HOW_TO_GET, TASKS
from services.registry import repository
from services.registry.row import AnsweringVersionRow, ModelRow, ModelVersionRow, PromotionRow

SHIPPED = "shipped:"
STORED = "store:"
WEIGHTS = "weights.safetensors"
CARD = "card.json"
PROMOTE, ROLLBACK, SHIPPING = "promote", "rollback", "ship"
_REFERENCE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:@(?P<version>[1-9][0-9]{0,8}))?"
)


@dataclass(frozen=True)
class ModelView:
    """A model as a project sees it: which version answers there, if any, and how many it has."""

    row: ModelRow
    promoted_version: int | None
    versions: int


def resolve(session: Session, project_id: str, task: str, reference: str | None) -> ModelVersionRow:
    """The version that answers: `name@3`, a name's promoted one, or the task's promoted one."""
    if task not in TASKS:
        raise UnusableInput(f"no task {task!r}; there are {', '.join(TASKS)}")
    model, number = _model_and_number(session, project_id, task, reference)
    if model.task != task:
        raise UnusableInput(f"model {model.name} is for the task {model.task}, not for {task}")
    return _version(session, model, number)


def register_shipped(session: Session) -> list[ModelVersionRow]:
    """Enters the models that come with the code; a new one answers unless a project chose its own.

    Safe to run from several processes at once.
    """
    repository.one_registration_at_a_time(session)
    added = []
    for folder in shipped_folders():
        card = json.loads((folder / CARD).read_text())
        digest = sha256_of(folder / WEIGHTS)
        known = repository.version_with_weights(session, SHARED_PROJECT, card["name"], digest)
        if known is None:
            new = add_version(
                session, SHARED_PROJECT, card=card, sha256=digest, location=SHIPPED + folder.name
            )
            _point_at(session, SHARED_PROJECT, _model_of(session, new), new.version, SHIPPING)
            added.append(new)
    return added


def add_version(
    session: Session,
    project_id: str,
    *,
    card: dict[str, Any],
    sha256: str,
    location: str,
    synthetic: bool = False,
) -> ModelVersionRow:
    """The next version of the project's model that the card names."""
    model = repository.locked_model(session, project_id, card["name"])
    if model is None:
        model = ModelRow(
            project_id=project_id,
            name=card["name"],
            task=card["task"],
            family=card["family"],
            created_at=clock.now(),
        )
        session.add(model)
        session.flush()
    elif model.project_id != project_id:
        raise _taken(model.name)
    earlier = repository.versions(session, model)
    new = ModelVersionRow(
        project_id=project_id,
        name=model.name,
        version=earlier[0].version + 1 if earlier else 1,
        location=location,
        sha256=sha256,
        synthetic=synthetic,
        card=card,
        created_at=clock.now(),
    )
    session.add(new)
    session.flush()
    return new


def require_own_name(session: Session, project_id: str, name: str, task: str) -> None:
    """StateConflict unless a model of the project may have this name."""
    existing = repository.model(session, project_id, name)
    if existing is None:
        return
    if existing.project_id != project_id:
        raise _taken(name)
    if existing.task != task:
        raise StateConflict(f"model {name} is for the task {existing.task}, not for {task}")


def promote(session: Session, project_id: str, name: str, number: int) -> ModelView:
    """Makes a version the one that answers in a project; one pointer moves in this transaction."""
    model = _existing(repository.locked_model(session, project_id, name), name)
    require_predicts(_version(session, model, number))
    _point_at(session, project_id, model, number, PROMOTE)
    return _view(session, project_id, model)


def promote_first(session: Session, new: ModelVersionRow) -> bool:
    """An imported version answers at once where nothing answers for its task, and if it can.

    One with made up weights, or beside a version that answers already, waits for `promote`.
    """
    model = _model_of(session, new)
    taken = repository.last_promoted(session, new.project_id, model.task)
    if taken or new.synthetic or not predicts(new):
        return False
    _point_at(session, new.project_id, model, new.version, PROMOTE)
    return True


def predicts(version: ModelVersionRow) -> bool:
    """False for weights that only a fine-tune may start from."""
    return bool(version.card.get("predicts", True))


def require_predicts(version: ModelVersionRow) -> None:
    if not predicts(version):
        raise UnusableInput(
            f"model {version.name}@{version.version} is a pre-trained base without a head: it "
            "gives no prediction; a fine-tune may start from it"
        )


def rollback(session: Session, project_id: str, name: str) -> ModelView:
    """Back to the version that answered in the project before the present one was promoted."""
    model = _existing(repository.locked_model(session, project_id, name), name)
    now = repository.answering(session, project_id, model)
    last = (
        repository.last_promotion_to(session, project_id, model, now.version)
        if now is not None
        else None
    )
    if last is None or last.previous_version is None:
        raise StateConflict(f"model {name} has no earlier promoted version to go back to")
    _point_at(session, project_id, model, last.previous_version, ROLLBACK)
    return _view(session, project_id, model)


def model(session: Session, project_id: str, name: str) -> ModelView:
    found = _existing(repository.model(session, project_id, name), name)
    return _view(session, project_id, found)


def version(session: Session, project_id: str, name: str, number: int) -> ModelVersionRow:
    return _version(session, _existing(repository.model(session, project_id, name), name), number)


def versions(session: Session, project_id: str, name: str) -> list[ModelVersionRow]:
    """Newest first."""
    found = _existing(repository.model(session, project_id, name), name)
    return repository.versions(session, found)


def named(session: Session, project_id: str, reference: str) -> ModelVersionRow | None:
    """The version that `name@3` stands for in a project, if it is here."""
    match = _REFERENCE.fullmatch(reference)
    if match is None or match["version"] is None:
        return None
    found = repository.model(session, project_id, match["name"])
    return None if found is None else repository.version(session, found, int(match["version"]))


def promoted_versions(session: Session, project_id: str, task: str) -> list[ModelVersionRow]:
    """The promoted version of each model for a task."""
    return repository.promoted_versions(session, project_id, task)


def page(session: Session, project_id: str, *, after_name: str, limit: int) -> list[ModelView]:
    """The models that a project sees, by name."""
    found = repository.models_with_counts(session, project_id, after_name, limit)
    return [_counted(session, project_id, model, count) for model, count in found]


def shipped_folders() -> Iterator[Path]:
    """Model folders that are part of the installed code."""
    root = Path(str(files("services.models"))) / "shipped"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if (folder / CARD).is_file() and (folder / WEIGHTS).is_file():
            yield folder


def folder_of(location: str, sha256: str) -> Path:
    """The folder that a version's location names, if it holds the weights with this hash.

    A later release may ship other weights in the same folder: those are another version.
    """
    for folder in shipped_folders():
        if location == SHIPPED + folder.name and sha256_of(folder / WEIGHTS) == sha256:
            return folder
    raise Unavailable(
        f"the weights of this model version ({location}, sha256 {sha256[:12]}…) are not on this "
        "machine: they came with another release of Ectopy. Choose another version"
    )


def _model_and_number(
    session: Session, project_id: str, task: str, reference: str | None
) -> tuple[ModelRow, int]:
    if reference is None:
        last = repository.last_promoted(session, project_id, task)
        if last is None:
            said = _why_none_answers(session, project_id, task)
            raise Unavailable(f"{said}. {HOW_TO_GET[task]}")
        return _existing(repository.model(session, project_id, last.name), last.name), last.version
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UnusableInput(f"model must be a name or name@version, not {reference[:120]!r}")
    model = _existing(repository.model(session, project_id, match["name"]), match["name"])
    if match["version"] is not None:
        return model, int(match["version"])
    answering = repository.answering(session, project_id, model)
    if answering is None:
        raise StateConflict(f"model {model.name} has no promoted version; name one with @version")
    return model, answering.version


def _why_none_answers(session: Session, project_id: str, task: str) -> str:
    latest = repository.latest_versions(session, project_id, task)
    waiting = [version for version in latest if predicts(version)]
    if not waiting:
        return f"no model for {task} is installed"
    names = ", ".join(
        f"{v.name}@{v.version}{' (synthetic)' if v.synthetic else ''}" for v in waiting
    )
    return f"no model for {task} is promoted; name one (there are: {names}), or promote it"


def _existing(model: ModelRow | None, name: str) -> ModelRow:
    if model is None:
        raise NotFound(f"there is no model {name}")
    return model


def _version(session: Session, model: ModelRow, number: int) -> ModelVersionRow:
    found = repository.version(session, model, number)
    if found is None:
        raise NotFound(f"model {model.name} has no version {number}")
    return found


def _model_of(session: Session, version: ModelVersionRow) -> ModelRow:
    name = version.name
    return _existing(repository.locked_model(session, version.project_id, name), name)


def _view(session: Session, project_id: str, model: ModelRow) -> ModelView:
    return _counted(session, project_id, model, len(repository.versions(session, model)))


def _counted(session: Session, project_id: str, model: ModelRow, versions: int) -> ModelView:
    answering = repository.answering(session, project_id, model)
    return ModelView(model, answering.version if answering is not None else None, versions)


def _taken(name: str) -> StateConflict:
    return StateConflict(
        f"{name} is the name of a model that comes with Ectopy; choose another for your own"
    )


def _point_at(session: Session, project_id: str, model: ModelRow, number: int, action: str) -> None:
    answering = repository.answering(session, project_id, model)
    previous = answering.version if answering is not None else None
    if previous == number:  # again the same: what a rollback goes back to stays as it was
        earlier = repository.last_promotion_to(session, project_id, model, number)
        previous = earlier.previous_version if earlier is not None else None
    where = {"project_id": project_id, "model_project_id": model.project_id, "name": model.name}
    now = clock.now()
    session.add(
        PromotionRow(
            **where, version=number, previous_version=previous, action=action, created_at=now
        )
    )
    session.merge(AnsweringVersionRow(**where, version=number, promoted_at=now))
    session.flush()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
