"""Rules of the registry: versions are numbered and never change; a pointer says which answers.

Models that come with the code are shared by all projects, others are one project's own. Which
version answers is each project's choice, for shared models too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from services import clock
from services.access.caller import SHARED_PROJECT
from services.errors import NotFound, StateConflict, Unavailable, UnusableInput
from services.evaluation.report_parts import worse_than
from services.models.catalog import HOW_TO_GET, TASKS
from services.models.model_archive import CARD as CARD
from services.models.model_archive import OPTIONAL_FILES, REQUIRED_FILES
from services.models.model_archive import WEIGHTS as WEIGHTS
from services.registry import repository
from services.registry.repository import VersionOutline
from services.registry.row import AnsweringVersionRow, ModelRow, ModelVersionRow, PromotionRow

SHIPPED = "shipped:"
STORED = "store:"
VERSION_FILES = (*OPTIONAL_FILES, *REQUIRED_FILES)
_CONTENT_LETTERS = 16
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


@dataclass(frozen=True)
class Reason:
    """What is kept of a promotion: what spoke against it, and the key that asked for it."""

    overruled: str | None = None
    key_id: str | None = None


@dataclass(frozen=True)
class Content:
    """What a model folder holds, as hashes: of its weights, and of everything that it answers by.

    sha256: of the sorted lines that `sha256sum` prints of weights, card, clusters and the like; two
    versions with the same weights and another card are two versions. None: not known.
    """

    weights_sha256: str
    sha256: str | None = None


def content_of(folder: Path) -> Content:
    """Of a model folder; files that are none of a version's do not count."""
    digests = {n: sha256_of(folder / n) for n in VERSION_FILES if (folder / n).is_file()}
    lines = sorted(f"{digest}  {name}\n" for name, digest in digests.items())
    return Content(digests[WEIGHTS], hashlib.sha256("".join(lines).encode()).hexdigest())


def known_version(
    session: Session, project_id: str, card: Mapping[str, Any], content: Content
) -> ModelVersionRow | None:
    """The project's own version of the card's name with this very content, if it is there."""
    for known in repository.versions_with_weights(
        session, project_id, card["name"], content.weights_sha256
    ):
        if known.content_sha256 == content.sha256 or (
            known.content_sha256 is None and known.card == card
        ):
            return known
    return None


def resolve(session: Session, project_id: str, task: str, reference: str | None) -> ModelVersionRow:
    """The version that answers: `name@3`, a name's promoted one, or the task's promoted one."""
    if task not in TASKS:
        raise UnusableInput(f"no task {task!r}; there are {', '.join(TASKS)}")
    if reference is None:
        found = repository.answering_for_task(session, project_id, task)
        if found is None:
            said = _why_none_answers(session, project_id, task)
            raise Unavailable(f"{said}. {HOW_TO_GET[task]}")
        return found
    model, number = _model_and_number(session, project_id, reference)
    if model.task != task:
        raise UnusableInput(f"model {model.name} is for the task {model.task}, not for {task}")
    return _version(session, model, number)


def base_version(
    session: Session, project_id: str, task: str, reference: str | None
) -> ModelVersionRow:
    """The version that a fine-tune starts from: as `resolve`, but of a name that never answers,
    as pre-trained bases do not, the newest."""
    match = _REFERENCE.fullmatch(reference) if reference is not None else None
    if match is not None and match["version"] is None:
        model = _existing(repository.model(session, project_id, match["name"]), match["name"])
        there = repository.versions(session, model)
        if there and repository.answering(session, project_id, model) is None:
            reference = f"{model.name}@{there[0].version}"
    return resolve(session, project_id, task, reference)


def promoted_version(session: Session, project_id: str, task: str) -> ModelVersionRow | None:
    """The version that answers for a task when none is named, if there is one."""
    return repository.answering_for_task(session, project_id, task)


def register_shipped(session: Session) -> list[ModelVersionRow]:
    """Enters the models that come with the code; a new one answers unless a project chose its own.

    Safe to run from several processes at once.
    """
    repository.one_registration_at_a_time(session)
    added = []
    for folder in shipped_folders():
        card = json.loads((folder / CARD).read_text())
        content = content_of(folder)
        if known_version(session, SHARED_PROJECT, card, content) is None:
            new = enter(
                session,
                SHARED_PROJECT,
                card=card,
                content=content,
                location=shipped_location(folder, content),
            )
            _point_at(session, SHARED_PROJECT, _model_of(session, new), new.version, SHIPPING)
            added.append(new)
    return added


def enter(
    session: Session,
    project_id: str,
    *,
    card: dict[str, Any],
    content: Content,
    location: str,
    report: dict[str, Any] | None = None,
) -> ModelVersionRow:
    """The next version of the project's model that the card names, with all that is known of it.

    report: of `services.models.comparison`, by which a promotion is judged.
    """
    new = add_version(
        session,
        project_id,
        card=card,
        sha256=content.weights_sha256,
        location=location,
        synthetic=bool(card.get("synthetic", False)),
    )
    new.content_sha256, new.report = content.sha256, report
    session.flush()
    return new


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


def promote(
    session: Session,
    project_id: str,
    name: str,
    number: int,
    *,
    force: bool = False,
    key_id: str | None = None,
) -> ModelView:
    """Makes a version the one that answers in a project; one pointer moves in this transaction.

    StateConflict where the version's report found it worse, beyond chance, than what answers now.
    `force` promotes it all the same, and what spoke against it is kept with the promotion.
    """
    model = _existing(repository.locked_model(session, project_id, name), name)
    chosen = _version(session, model, number)
    require_predicts(chosen)
    objection = _objection(session, project_id, model, chosen)
    if objection is not None and not force:
        raise StateConflict(f"{objection}; `force=true` promotes it all the same")
    _point_at(
        session, project_id, model, number, PROMOTE, Reason(overruled=objection, key_id=key_id)
    )
    return _view(session, project_id, model)


def _objection(
    session: Session, project_id: str, model: ModelRow, chosen: ModelVersionRow
) -> str | None:
    """In what the version is worse than the one that answers for its name, or for its task."""
    reference = f"{chosen.name}@{chosen.version}"
    own = repository.answering(session, project_id, model)
    of_task = repository.last_promoted(session, project_id, model.task)
    for now in (own, of_task):
        name = f"{now.name}@{now.version}" if now is not None else reference
        worse = worse_than(chosen.report or {}, name) if name != reference else None
        if worse is not None:
            found = worse["difference"]
            return (
                f"{reference} is worse than {name} on the same test patients: {worse['figure']} "
                f"differs by {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
            )
    return None


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
        raise no_prediction(version)


def no_prediction(version: ModelVersionRow | VersionOutline) -> UnusableInput:
    """What is said of a base that somebody asks for a prediction."""
    return UnusableInput(
        f"model {version.name}@{version.version} is a pre-trained base without a head: it "
        "gives no prediction; a fine-tune may start from it"
    )


def rollback(
    session: Session, project_id: str, name: str, *, key_id: str | None = None
) -> ModelView:
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
    _point_at(session, project_id, model, last.previous_version, ROLLBACK, Reason(key_id=key_id))
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
    found = repository.models_with_versions(session, project_id, after_name, limit)
    return [ModelView(model, answers, versions) for model, versions, answers in found]


def promotions(session: Session, project_id: str, name: str, limit: int) -> list[PromotionRow]:
    """The latest changes of which version of a model answers in the project, newest first."""
    found = _existing(repository.model(session, project_id, name), name)
    return repository.promotions(session, project_id, found, limit)


def all_answering(session: Session) -> list[ModelVersionRow]:
    """Every version that answers in some project: what a worker keeps at hand."""
    return repository.all_answering(session)


def locations(session: Session) -> set[str]:
    """Where the files of all versions lie."""
    return repository.locations(session)


def shipped_folders() -> Iterator[Path]:
    """Model folders that are part of the installed code."""
    root = Path(str(files("services.models"))) / "shipped"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if (folder / CARD).is_file() and (folder / WEIGHTS).is_file():
            yield folder


def shipped_location(folder: Path, content: Content) -> str:
    """Where a model that comes with the code is: its folder, and which content of it."""
    return f"{SHIPPED}{folder.name}@{(content.sha256 or '')[:_CONTENT_LETTERS]}"


def folder_of(location: str, sha256: str) -> Path:
    """The folder that a version's location names, if it holds the weights with this hash.

    A later release may ship other weights, or another card, in the same folder: those are another
    version. A location from before this was told apart names the folder alone.
    """
    name, _, content = location.removeprefix(SHIPPED).partition("@")
    for folder in shipped_folders():
        if not location.startswith(SHIPPED) or folder.name != name:
            continue
        held = content_of(folder)
        if held.weights_sha256 == sha256 and (held.sha256 or "").startswith(content):
            return folder
    raise Unavailable(
        f"the weights of this model version ({location}, sha256 {sha256[:12]}…) are not on this "
        "machine: they came with another release of Ectopy. Choose another version"
    )


def _model_and_number(session: Session, project_id: str, reference: str) -> tuple[ModelRow, int]:
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
    answering = repository.answering(session, project_id, model)
    versions = len(repository.versions(session, model))
    return ModelView(model, answering.version if answering is not None else None, versions)


def _taken(name: str) -> StateConflict:
    return StateConflict(
        f"{name} is the name of a model that comes with Ectopy; choose another for your own"
    )


def _point_at(
    session: Session,
    project_id: str,
    model: ModelRow,
    number: int,
    action: str,
    reason: Reason | None = None,
) -> None:
    reason = reason or Reason()
    answering = repository.answering(session, project_id, model)
    previous = answering.version if answering is not None else None
    if previous == number:  # again the same: what a rollback goes back to stays as it was
        earlier = repository.last_promotion_to(session, project_id, model, number)
        previous = earlier.previous_version if earlier is not None else None
    where = {"project_id": project_id, "model_project_id": model.project_id, "name": model.name}
    now = clock.now()
    session.add(
        PromotionRow(
            **where,
            version=number,
            previous_version=previous,
            action=action,
            overruled=reason.overruled,
            key_id=reason.key_id,
            created_at=now,
        )
    )
    session.merge(AnsweringVersionRow(**where, version=number, promoted_at=now))
    session.flush()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
