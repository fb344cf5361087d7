"""Every query on models and versions.

A project sees its own models and the shared ones. A shared model whose name a project had taken
before it came is hidden from that project, so that a name means one model to each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Session, aliased

from services.access.caller import SHARED_PROJECT
from services.registry.row import AnsweringVersionRow, ModelRow, ModelVersionRow, PromotionRow

_REGISTRATION_LOCK = 0x45C70B
_CARD = ModelVersionRow.card
_OUTLINE = (
    ModelVersionRow.name.label("name"),
    ModelVersionRow.version.label("version"),
    ModelVersionRow.sha256.label("sha256"),
    _CARD["task"].astext.label("task"),
    _CARD["family"].astext.label("family"),
    func.coalesce(_CARD["predicts"].as_boolean(), True).label("predicts"),
)


@dataclass(frozen=True)
class VersionOutline:
    """What a version is, without the rest of its card."""

    name: str
    version: int
    sha256: str
    task: str
    family: str
    predicts: bool


def model(session: Session, project_id: str, name: str) -> ModelRow | None:
    return session.scalars(_models(project_id).where(ModelRow.name == name)).first()


def locked_model(session: Session, project_id: str, name: str) -> ModelRow | None:
    query = _models(project_id).where(ModelRow.name == name).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).first()


def version(session: Session, model: ModelRow, number: int) -> ModelVersionRow | None:
    return session.get(ModelVersionRow, (model.project_id, model.name, number))


def versions(session: Session, model: ModelRow) -> list[ModelVersionRow]:
    query = select(ModelVersionRow).where(
        ModelVersionRow.project_id == model.project_id, ModelVersionRow.name == model.name
    )
    return list(session.scalars(query.order_by(ModelVersionRow.version.desc())))


def latest_versions(
    session: Session, project_id: str, task: str, limit: int = 5
) -> list[ModelVersionRow]:
    """The versions for a task that were registered last."""
    query = select(ModelVersionRow).join(ModelRow, _is_version_of_model())
    wanted = query.where(_visible(project_id), ModelRow.task == task)
    return list(session.scalars(wanted.order_by(ModelVersionRow.created_at.desc()).limit(limit)))


def promoted_versions(session: Session, project_id: str, task: str) -> list[ModelVersionRow]:
    """Of each model for a task, the version that answers in the project."""
    models = session.scalars(_models(project_id).where(ModelRow.task == task))
    found = [(model, answering(session, project_id, model)) for model in models.all()]
    versions = [version(session, model, now.version) for model, now in found if now is not None]
    return sorted((v for v in versions if v is not None), key=lambda v: v.name)


def versions_with_weights(
    session: Session, project_id: str, name: str, sha256: str
) -> list[ModelVersionRow]:
    """Of the project's own model, newest first."""
    query = select(ModelVersionRow).where(
        ModelVersionRow.project_id == project_id,
        ModelVersionRow.name == name,
        ModelVersionRow.sha256 == sha256,
    )
    return list(session.scalars(query.order_by(ModelVersionRow.version.desc())))


def all_answering(session: Session) -> list[ModelVersionRow]:
    """Of every project, those promoted last first."""
    query = select(ModelVersionRow).join(
        AnsweringVersionRow,
        and_(
            AnsweringVersionRow.model_project_id == ModelVersionRow.project_id,
            AnsweringVersionRow.name == ModelVersionRow.name,
            AnsweringVersionRow.version == ModelVersionRow.version,
        ),
    )
    return list(session.scalars(query.order_by(AnsweringVersionRow.promoted_at.desc())).unique())


def promotions(
    session: Session, project_id: str, model: ModelRow, limit: int
) -> list[PromotionRow]:
    """The project's own choices and what was shipped, newest first."""
    query = select(PromotionRow).where(
        PromotionRow.project_id.in_([project_id, SHARED_PROJECT]),
        PromotionRow.model_project_id == model.project_id,
        PromotionRow.name == model.name,
    )
    return list(session.scalars(query.order_by(PromotionRow.id.desc()).limit(limit)))


def answering(session: Session, project_id: str, model: ModelRow) -> AnsweringVersionRow | None:
    """The project's choice for a model, or where it made none, the one that all share."""
    query = select(AnsweringVersionRow).where(
        AnsweringVersionRow.project_id.in_([project_id, SHARED_PROJECT]),
        AnsweringVersionRow.model_project_id == model.project_id,
        AnsweringVersionRow.name == model.name,
    )
    return session.scalars(query.order_by(_own_first(project_id))).first()


def last_promoted(session: Session, project_id: str, task: str) -> AnsweringVersionRow | None:
    """What answers for a task when no model is named: what the project promoted last, if it did."""
    query = select(AnsweringVersionRow).join(ModelRow, _is_answering_of_model())
    wanted = query.where(
        _visible(project_id),
        ModelRow.task == task,
        AnsweringVersionRow.project_id.in_([project_id, SHARED_PROJECT]),
    )
    newest = AnsweringVersionRow.promoted_at.desc()
    return session.scalars(wanted.order_by(_own_first(project_id), newest)).first()


def answering_for_task(session: Session, project_id: str, task: str) -> ModelVersionRow | None:
    """The version of `last_promoted`, in one query."""
    wanted = {"project_id": project_id, "task": task}
    return session.scalars(_answering_for_task(ModelVersionRow), wanted).first()


def outline_for_task(session: Session, project_id: str, task: str) -> VersionOutline | None:
    """The same without its card, of which tens of kilobytes would be read for a word or two."""
    wanted = {"project_id": project_id, "task": task}
    found = session.connection().execute(outlines_for_task(), wanted).first()
    return None if found is None else VersionOutline(*found)


def outlines_for_task() -> Select[Any]:
    """The query behind it, for a larger one: fields of VersionOutline for project_id and task."""
    return _answering_for_task(*_OUTLINE)


@cache  # every prediction asks for it, and making it takes longer than running it
def _answering_for_task(*what: Any) -> Select[Any]:
    project_id = bindparam("project_id", type_=String)
    version = and_(
        ModelVersionRow.project_id == AnsweringVersionRow.model_project_id,
        ModelVersionRow.name == AnsweringVersionRow.name,
        ModelVersionRow.version == AnsweringVersionRow.version,
    )
    return (
        select(*what)
        .select_from(ModelVersionRow)
        .join(AnsweringVersionRow, version)
        .join(ModelRow, _is_answering_of_model())
        .where(
            _visible(project_id),
            ModelRow.task == bindparam("task", type_=String),
            AnsweringVersionRow.project_id.in_([project_id, SHARED_PROJECT]),
        )
        .order_by(_own_first(project_id), AnsweringVersionRow.promoted_at.desc())
        .limit(1)
    )


def models_with_versions(
    session: Session, project_id: str, after_name: str, limit: int
) -> list[tuple[ModelRow, int, int | None]]:
    """Models by name, each with how many versions it has and which of them answers here."""
    wanted = {"project_id": project_id, "after_name": after_name, "limit": limit}
    return [(row[0], row[1], row[2]) for row in session.execute(_models_with_versions(), wanted)]


@cache
def _models_with_versions() -> Select[Any]:
    project_id = bindparam("project_id", type_=String)
    count = select(func.count()).where(_is_version_of_model()).scalar_subquery()
    answers = (
        select(AnsweringVersionRow.version)
        .where(
            _is_answering_of_model(),
            AnsweringVersionRow.project_id.in_([project_id, SHARED_PROJECT]),
        )
        .order_by(_own_first(project_id))
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(ModelRow, count, answers)
        .where(_visible(project_id), ModelRow.name > bindparam("after_name", type_=String))
        .order_by(ModelRow.name)
        .limit(bindparam("limit", type_=Integer))
    )


def last_promotion_to(
    session: Session, project_id: str, model: ModelRow, number: int
) -> PromotionRow | None:
    """The project's latest promotion (no rollback) that made this version the answering one."""
    query = select(PromotionRow).where(
        PromotionRow.project_id == project_id,
        PromotionRow.model_project_id == model.project_id,
        PromotionRow.name == model.name,
        PromotionRow.version == number,
        PromotionRow.action != "rollback",
    )
    return session.scalars(query.order_by(PromotionRow.id.desc())).first()


def locations(session: Session) -> set[str]:
    return set(session.scalars(select(ModelVersionRow.location)))


def one_registration_at_a_time(session: Session) -> None:
    """Waits for other processes that register models; held to the end of the transaction."""
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _REGISTRATION_LOCK})


def _models(project_id: str) -> Select[ModelRow]:
    return select(ModelRow).where(_visible(project_id))


def _visible(project_id: str | BindParameter[str]) -> ColumnElement[bool]:
    own = aliased(ModelRow)
    taken = exists().where(own.project_id == project_id, own.name == ModelRow.name)
    return or_(
        ModelRow.project_id == project_id,
        and_(ModelRow.project_id == SHARED_PROJECT, ~taken),
    )


def _own_first(project_id: str | BindParameter[str]) -> ColumnElement[bool]:
    return (AnsweringVersionRow.project_id == project_id).desc()


def _is_version_of_model() -> ColumnElement[bool]:
    return and_(
        ModelRow.project_id == ModelVersionRow.project_id, ModelRow.name == ModelVersionRow.name
    )


def _is_answering_of_model() -> ColumnElement[bool]:
    return and_(
        ModelRow.project_id == AnsweringVersionRow.model_project_id,
        ModelRow.name == AnsweringVersionRow.name,
    )
