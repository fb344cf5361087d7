"""Which version answers a prediction: what of it is asked for each, and no more."""

from __future__ import annotations

from sqlalchemy.orm import Session

from services.models.catalog import TASKS
from services.registry import repository
from services.registry import service as registry
from services.registry.repository import VersionOutline
from services.registry.row import ModelVersionRow


def answering(
    session: Session, project_id: str, task: str, reference: str | None
) -> VersionOutline:
    """`resolve` for a prediction: UnusableInput for a version that gives none."""
    found = None
    if reference is None and task in TASKS:
        found = repository.outline_for_task(session, project_id, task)
    if found is None:
        found = _outline(registry.resolve(session, project_id, task, reference))
    return predicting(found)


def predicting(found: VersionOutline) -> VersionOutline:
    """The same; UnusableInput where it gives no prediction."""
    if not found.predicts:
        raise registry.no_prediction(found)
    return found


def _outline(version: ModelVersionRow) -> VersionOutline:
    card = version.card
    return VersionOutline(
        version.name,
        version.version,
        version.sha256,
        card["task"],
        card["family"],
        registry.predicts(version),
    )
