"""Rules of the registry: versions are numbered and never change; one pointer says which answers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from services import clock
from services.errors import NotFound, StateConflict, Unavailable, UnusableInput
from services.models.catalog import HOW_TO_GET, TASKS
from services.registry import repository
from services.registry.row import ModelRow, ModelVersionRow, PromotionRow

SHIPPED = "shipped:"
STORED = "store:"
WEIGHTS = "weights.safetensors"
CARD = "card.json"
PROMOTE, ROLLBACK, SHIPPED_WITH_CODE = "promote", "rollback", "ship"
_REFERENCE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:@(?P<version>[1-9][0-9]{0,8}))?"
)


def resolve(session: Session, task: str, reference: str | None) -> ModelVersionRow:
    """The version that answers: `name@3`, a name's promoted one, or the task's promoted one."""
    if task not in TASKS:
        raise UnusableInput(f"no task {task!r}; there are {', '.join(TASKS)}")
    model, number = _model_and_number(session, task, reference)
    if model.task != task:
        raise UnusableInput(f"model {model.name} is for the task {model.task}, not for {task}")
    return version(session, model.name, number)


def register_shipped(session: Session) -> list[ModelVersionRow]:
    """Enters the models that come with the code; a new one answers unless a site chose its own.

    Safe to run from several processes at once.
    """
    repository.one_registration_at_a_time(session)
    added = []
    for folder in shipped_folders():
        card = json.loads((folder / CARD).read_text())
        digest = sha256_of(folder / WEIGHTS)
        if repository.version_with_weights(session, card["name"], digest) is None:
            new = add_version(session, card=card, sha256=digest, location=SHIPPED + folder.name)
            _promote_unless_site_chose(session, new)
            added.append(new)
    return added


def add_version(
    session: Session, *, card: dict[str, Any], sha256: str, location: str, synthetic: bool = False
) -> ModelVersionRow:
    """The next version of the model that the card names."""
    model = repository.locked_model(session, card["name"])
    if model is None:
        model = ModelRow(
            name=card["name"], task=card["task"], family=card["family"], created_at=clock.now()
        )
        session.add(model)
        session.flush()
    earlier = repository.versions(session, model.name)
    new = ModelVersionRow(
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


def promote(session: Session, name: str, number: int) -> ModelRow:
    """Makes a version the one that answers; one pointer moves in the caller's transaction."""
    model = _existing(repository.locked_model(session, name), name)
    require_predicts(version(session, name, number))
    return _point_at(session, model, number, PROMOTE)


def promote_first(session: Session, new: ModelVersionRow) -> bool:
    """An imported version answers at once where nothing answers for its task, and if it can.

    One with made up weights, or beside a version that a site chose, waits for `promote`.
    """
    model = _existing(repository.locked_model(session, new.name), new.name)
    taken = model.promoted_version is not None or repository.last_promoted(session, model.task)
    if taken or new.synthetic or not predicts(new):
        return False
    _point_at(session, model, new.version, PROMOTE)
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


def rollback(session: Session, name: str) -> ModelRow:
    """Back to the version that answered before the present one was promoted."""
    model = _existing(repository.locked_model(session, name), name)
    current = model.promoted_version
    last = repository.last_promotion_to(session, name, current) if current is not None else None
    if last is None or last.previous_version is None:
        raise StateConflict(f"model {name} has no earlier promoted version to go back to")
    return _point_at(session, model, last.previous_version, ROLLBACK)


def model(session: Session, name: str) -> ModelRow:
    return _existing(repository.model(session, name), name)


def version(session: Session, name: str, number: int) -> ModelVersionRow:
    found = repository.version(session, name, number)
    if found is None:
        raise NotFound(f"model {name} has no version {number}")
    return found


def versions(session: Session, name: str) -> list[ModelVersionRow]:
    """Newest first."""
    return repository.versions(session, name)


def named(session: Session, reference: str) -> ModelVersionRow | None:
    """The version that `name@3` stands for, if it is here."""
    match = _REFERENCE.fullmatch(reference)
    if match is None or match["version"] is None:
        return None
    return repository.version(session, match["name"], int(match["version"]))


def promoted_versions(session: Session, task: str) -> list[ModelVersionRow]:
    """The promoted version of each model for a task."""
    return repository.promoted_versions(session, task)


def page(session: Session, *, after_name: str, limit: int) -> list[tuple[ModelRow, int]]:
    """Models by name, each with how many versions it has."""
    return repository.models_with_counts(session, after_name, limit)


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


def _model_and_number(session: Session, task: str, reference: str | None) -> tuple[ModelRow, int]:
    if reference is None:
        found = repository.last_promoted(session, task)
        if found is None or found.promoted_version is None:
            raise Unavailable(f"{_why_none_answers(session, task)}. {HOW_TO_GET[task]}")
        return found, found.promoted_version
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UnusableInput(f"model must be a name or name@version, not {reference[:120]!r}")
    model = _existing(repository.model(session, match["name"]), match["name"])
    if match["version"] is not None:
        return model, int(match["version"])
    if model.promoted_version is None:
        raise StateConflict(f"model {model.name} has no promoted version; name one with @version")
    return model, model.promoted_version


def _why_none_answers(session: Session, task: str) -> str:
    waiting = [v for v in repository.latest_versions(session, task) if predicts(v)]
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


def _point_at(session: Session, model: ModelRow, number: int, action: str) -> ModelRow:
    previous = model.promoted_version
    if previous == number:  # again the same: what a rollback goes back to stays as it was
        earlier = repository.last_promotion_to(session, model.name, number)
        previous = earlier.previous_version if earlier is not None else None
    session.add(
        PromotionRow(
            name=model.name,
            version=number,
            previous_version=previous,
            action=action,
            created_at=clock.now(),
        )
    )
    model.promoted_version, model.promoted_at = number, clock.now()
    session.flush()
    return model


def _promote_unless_site_chose(session: Session, new: ModelVersionRow) -> None:
    """What a person chose for the task stays, be it of this model or of another."""
    model = _existing(repository.locked_model(session, new.name), new.name)
    last = repository.last_promotion_for(session, model.task)
    if last is None or last.action == SHIPPED_WITH_CODE:
        _point_at(session, model, new.version, SHIPPED_WITH_CODE)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
