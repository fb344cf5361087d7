"""Every query on models and versions."""

from __future__ import annotations

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from services.registry.row import ModelRow, ModelVersionRow, PromotionRow

_REGISTRATION_LOCK = 0x45C70B


def model(session: Session, name: str) -> ModelRow | None:
    return session.get(ModelRow, name)


def locked_model(session: Session, name: str) -> ModelRow | None:
    query = select(ModelRow).where(ModelRow.name == name).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).first()


def version(session: Session, name: str, number: int) -> ModelVersionRow | None:
    return session.get(ModelVersionRow, (name, number))


def versions(session: Session, name: str) -> list[ModelVersionRow]:
    query = select(ModelVersionRow).where(ModelVersionRow.name == name)
    return list(session.scalars(query.order_by(ModelVersionRow.version.desc())))


def latest_versions(session: Session, task: str, limit: int = 5) -> list[ModelVersionRow]:
    """The versions for a task that were registered last."""
    query = select(ModelVersionRow).join(ModelRow, ModelRow.name == ModelVersionRow.name)
    newest = query.where(ModelRow.task == task).order_by(ModelVersionRow.created_at.desc())
    return list(session.scalars(newest.limit(limit)))


def promoted_versions(session: Session, task: str) -> list[ModelVersionRow]:
    query = select(ModelVersionRow).join(
        ModelRow,
        (ModelRow.name == ModelVersionRow.name)
        & (ModelRow.promoted_version == ModelVersionRow.version),
    )
    return list(session.scalars(query.where(ModelRow.task == task).order_by(ModelRow.name)))


def version_with_weights(session: Session, name: str, sha256: str) -> ModelVersionRow | None:
    query = select(ModelVersionRow).where(
        ModelVersionRow.name == name, ModelVersionRow.sha256 == sha256
    )
    return session.scalars(query.order_by(ModelVersionRow.version.desc())).first()


def last_promoted(session: Session, task: str) -> ModelRow | None:
    """The model that answers for a task when none is named: the one promoted last."""
    query = select(ModelRow).where(ModelRow.task == task, ModelRow.promoted_version.is_not(None))
    return session.scalars(query.order_by(ModelRow.promoted_at.desc())).first()


def models_with_counts(session: Session, after_name: str, limit: int) -> list[tuple[ModelRow, int]]:
    query = (
        select(ModelRow, func.count(ModelVersionRow.version))
        .join(ModelVersionRow, ModelVersionRow.name == ModelRow.name, isouter=True)
        .where(ModelRow.name > after_name)
        .group_by(ModelRow.name)
        .order_by(ModelRow.name)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def last_promotion_to(session: Session, name: str, number: int) -> PromotionRow | None:
    """The latest promotion (no rollback) that made this version the answering one."""
    query = select(PromotionRow).where(
        PromotionRow.name == name, PromotionRow.version == number, PromotionRow.action != "rollback"
    )
    return session.scalars(query.order_by(PromotionRow.id.desc())).first()


def last_promotion_for(session: Session, task: str) -> PromotionRow | None:
    """The latest change of which version answers, over all models of a task."""
    query = select(PromotionRow).join(ModelRow, ModelRow.name == PromotionRow.name)
    return session.scalars(
        query.where(ModelRow.task == task).order_by(PromotionRow.id.desc())
    ).first()


def one_registration_at_a_time(session: Session) -> None:
    """Waits for other processes that register models; held to the end of the transaction."""
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _REGISTRATION_LOCK})
