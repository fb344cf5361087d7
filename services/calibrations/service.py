"""Rules of calibrations: a site's own threshold or risk curve makes a new version of a model.

Versions never change, so a calibration is a version of its own: the same weights, another card. The
curve is fitted to what the version has said already of a dataset's records, so no model runs here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from services import ids
from services.calibrations import repository
from services.datasets import service as datasets
from services.datasets.row import DatasetRow
from services.errors import StateConflict, UnusableInput
from services.models.catalog import FAMILY_SPECS
from services.models.deepecg import calibration, operating_point, spec
from services.models.deepecg.operating_point import OperatingPoint
from services.registry import service as registry
from services.registry.files import put_version, stored_location, version_files
from services.registry.row import ModelVersionRow
from services.registry.service import CARD, content_of
from services.storage.base import Store


@dataclass(frozen=True)
class CalibrationRequest:
    """A threshold, or a dataset to fit a curve to by a method; or both. project_id: who asks."""

    project_id: str
    threshold: float | None = None
    dataset_id: str | None = None
    method: str | None = None


def new_location() -> str:
    """Where the files of the new version will lie; upkeep removes them should no version come.

    With an import's id, as it is the same kind of thing: files of a version that came in.
    """
    return stored_location(ids.new_id("imp"))


def calibrated(
    session: Session,
    store: Store,
    version: ModelVersionRow,
    request: CalibrationRequest,
    *,
    workspace: Path,
    location: str,
) -> tuple[ModelVersionRow, bool]:
    """The version with this operating point, and whether it is new; nothing is promoted.

    When the caller's transaction fails, the caller removes the files at `location`.
    """
    card, project_id = _card(session, version, request), request.project_id
    for name, path in version_files(store, version.location, version.sha256).items():
        if name != CARD:
            (workspace / name).symlink_to(path.resolve())
    (workspace / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    content = content_of(workspace)
    known = registry.known_version(session, project_id, card, content)
    if known is not None:
        return known, False
    put_version(store, location, workspace)
    new = registry.enter(session, project_id, card=card, content=content, location=location)
    return new, True


def _card(
    session: Session, version: ModelVersionRow, request: CalibrationRequest
) -> dict[str, Any]:
    if version.card["family"] != spec.FAMILY:
        raise UnusableInput(
            f"model {version.name} answers without a threshold; one that can be set, and a "
            f"calibration, are for models of the task {spec.TASK}"
        )
    registry.require_predicts(version)
    if request.dataset_id is None:
        return _with_threshold(version, request)
    dataset = datasets.get(session, request.dataset_id, project_id=request.project_id)
    _require_unseen(version, dataset)
    point = _fitted(session, version, dataset, request)
    described = {"id": dataset.id, "name": dataset.name, "sha256": dataset.sha256}
    return point.put_into(version.card) | {
        "calibrated_from": f"{version.name}@{version.version}",
        "calibrated_on": described,
    }


def _with_threshold(version: ModelVersionRow, request: CalibrationRequest) -> dict[str, Any]:
    if request.threshold is None or request.method is not None:
        raise UnusableInput("give a threshold, or a dataset_id to fit a calibration to")
    before = calibration.from_card(version.card.get("calibration"))
    point = OperatingPoint(before, request.threshold, "set by this site")
    return point.put_into(version.card) | {"calibrated_from": f"{version.name}@{version.version}"}


def _require_unseen(version: ModelVersionRow, dataset: DatasetRow) -> None:
    if dataset.task != spec.TASK:
        raise UnusableInput(f"dataset {dataset.id} is for the task {dataset.task}, not {spec.TASK}")
    trained_on = version.card.get("dataset")
    if isinstance(trained_on, dict) and trained_on.get("sha256") == dataset.sha256:
        raise UnusableInput(
            f"{version.name}@{version.version} was trained on dataset {dataset.id}; a calibration "
            "needs records that training has not seen"
        )


def _fitted(
    session: Session,
    version: ModelVersionRow,
    dataset: DatasetRow,
    request: CalibrationRequest,
) -> OperatingPoint:
    members = [m for m in datasets.members(session, dataset) if m.label is not None]
    options = {name: option.default for name, option in FAMILY_SPECS[spec.FAMILY].options.items()}
    said = repository.logits(
        session, request.project_id, version, options, [member.record_id for member in members]
    )
    missing = [member.record_id for member in members if member.record_id not in said]
    if missing:
        reference = f"{version.name}@{version.version}"
        raise StateConflict(
            f"{len(missing)} of {len(members)} records of dataset {dataset.id} have no risk by "
            f"{reference} yet ({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}); ask "
            f"for them with POST /v1/predictions/batch and the model {reference}, then again"
        )
    return operating_point.fitted(
        np.array([said[member.record_id] for member in members]),
        np.array([float(member.label or 0.0) for member in members]),
        method=request.method or "platt",
        of=f"records of dataset {dataset.name}",
        threshold=request.threshold,
    )
