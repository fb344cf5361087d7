"""Rules of fine-tunes: what may be trained from what, how a run is stopped and taken up again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from services import clock, ids
from services.datasets import service as datasets
from services.errors import NotFound, StateConflict, UnusableInput
from services.fine_tunes import kept, repository, workspace
from services.fine_tunes.repository import FineTuneFilter
from services.fine_tunes.row import FineTuneRow
from services.jobs import dispatch, lifecycle
from services.jobs.states import ENDED, JobStatus
from services.models.catalog import FAMILY_SPECS
from services.models.spec import SPLIT_HYPERPARAMETERS, FamilySpec, chosen_hyperparameters
from services.registry import service as registry
from services.registry.files import PREFIX as MODELS
from services.registry.files import discard_version, stored_location
from services.registry.row import ModelVersionRow
from services.storage.base import Store
from services.version import code_version

WORKSPACE_KEPT = timedelta(days=14)  # after the end, so that it can be resumed
FEWEST_PATIENTS = 3
EPOCHS = "epochs"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class FineTuneRequest:
    """What is asked. base: `name` or `name@version`; name: of the model that it becomes."""

    task: str
    dataset_id: str
    base: str | None = None
    head: str = "keep"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None


def new_fine_tune_id() -> str:
    return ids.new_id("ft")


def create(
    session: Session, request: FineTuneRequest, *, project_id: str, fine_tune_id: str
) -> FineTuneRow:
    """A queued fine-tune; UnusableInput when it cannot be run as asked."""
    dataset = datasets.get(session, request.dataset_id, project_id=project_id)
    if dataset.task != request.task:
        raise UnusableInput(f"dataset {dataset.id} is for {dataset.task}, not for {request.task}")
    if dataset.n_patients < FEWEST_PATIENTS:
        raise UnusableInput(
            f"dataset {dataset.id} has {dataset.n_patients} patients; at least {FEWEST_PATIENTS} "
            "are needed: to train on, to choose the epoch by, and to test with"
        )
    base = registry.base_version(session, project_id, request.task, request.base)
    spec = _trainable(base)
    _require_head(base, request.head)
    chosen = chosen_hyperparameters(
        SPLIT_HYPERPARAMETERS | spec.hyperparameters, request.hyperparameters
    )
    if chosen["folds"] and chosen["folds"] + 2 > dataset.n_patients:
        raise UnusableInput(
            f"folds: {chosen['folds']} need at least {chosen['folds'] + 2} patients, of whom some "
            f"are kept for the test; dataset {dataset.id} has {dataset.n_patients}"
        )
    name = request.name or _name_for(base, project_id)
    _require_name(session, project_id, name, request.task)
    job = lifecycle.create(
        session,
        kind=dispatch.RUN_FINE_TUNE,
        queue=dispatch.TRAIN_QUEUE,
        resource_id=fine_tune_id,
    )
    row = FineTuneRow(
        id=fine_tune_id,
        project_id=project_id,
        job_id=job.id,
        job=job,
        task=request.task,
        name=name,
        dataset_id=dataset.id,
        dataset_sha256=dataset.sha256,
        family=spec.family,
        base_name=base.name,
        base_version=base.version,
        base_sha256=base.sha256,
        head=request.head,
        hyperparameters=chosen,
        code_version=code_version(),
        history=[],
        checkpoints=[],
        created_at=clock.now(),
    )
    session.add(row)
    session.flush()
    return row


def page(
    session: Session, wanted: FineTuneFilter, *, before_id: str | None, limit: int
) -> list[FineTuneRow]:
    """Fine-tunes, newest first."""
    return repository.newest_first(session, wanted, before_id=before_id, limit=limit)


def find(session: Session, fine_tune_id: str, *, project_id: str) -> FineTuneRow | None:
    return repository.by_id(session, fine_tune_id, project_id=project_id)


def get(session: Session, fine_tune_id: str, *, project_id: str) -> FineTuneRow:
    return _existing(find(session, fine_tune_id, project_id=project_id), fine_tune_id)


def job_ids(session: Session, row: FineTuneRow) -> list[str]:
    """All jobs of it, the present one last; what happened is told of all of them."""
    return repository.job_ids(session, row.id)


def report(session: Session, fine_tune_id: str, *, project_id: str) -> dict[str, Any]:
    """The evaluation on the test patients; StateConflict until there is one."""
    row = _existing(
        repository.with_report(session, fine_tune_id, project_id=project_id), fine_tune_id
    )
    if row.report is None:
        raise StateConflict(f"there is no report: the fine-tune's status is {row.job.status}")
    return row.report


def cancel(session: Session, fine_tune_id: str, *, project_id: str) -> FineTuneRow:
    """Ends a waiting run at once; a running one stops within seconds, after a last checkpoint."""
    row = get(session, fine_tune_id, project_id=project_id)
    lifecycle.cancel(session, row.job_id)
    session.refresh(row.job)
    return row


def resume(
    session: Session, fine_tune_id: str, *, project_id: str, epochs: int | None
) -> FineTuneRow:
    """Goes on from the last checkpoint, in another job; into more epochs where so many are asked.

    StateConflict while it runs, and for one that has succeeded and is not asked for more epochs.
    """
    row = get(session, fine_tune_id, project_id=project_id)
    if row.job.status not in ENDED:
        raise StateConflict(f"it has not ended: {row.job.status}")
    known = FAMILY_SPECS[row.family].hyperparameters
    if epochs is not None:
        chosen_hyperparameters(known, {EPOCHS: epochs})
        if epochs < len(row.history):
            raise UnusableInput(f"{len(row.history)} epochs are done; epochs cannot be {epochs}")
    more = epochs is not None and epochs > row.hyperparameters[EPOCHS]
    if row.job.status == JobStatus.SUCCEEDED and not more:
        raise StateConflict(
            f"it has succeeded with {row.hyperparameters[EPOCHS]} epochs; ask for more with "
            '{"epochs": N}'
        )
    if epochs is not None:
        row.hyperparameters = row.hyperparameters | {EPOCHS: epochs}
    job = lifecycle.create(
        session, kind=dispatch.RUN_FINE_TUNE, queue=dispatch.TRAIN_QUEUE, resource_id=row.id
    )
    row.job, row.job_id = job, job.id
    session.flush()
    return row


def remove_orphans(session: Session, store: Store, *, before_id: str) -> list[str]:
    """Model folders that a crash left behind, of runs that have ended and have no such version."""
    there = {name for name in store.folders(MODELS) if name.startswith("ft_") and name < before_id}
    if not there:
        return []
    runs = {name.partition("-")[0] for name in there}
    needed = repository.still_needed(session, runs, ended_before=clock.now())
    known = registry.locations(session)
    left = sorted(
        name
        for name in there
        if name.partition("-")[0] not in needed and stored_location(name) not in known
    )
    for name in left:
        discard_version(store, stored_location(name))
    return left


def forget_old_workspaces(session: Session, store: Store, data_dir: Path) -> list[str]:
    """Removes folders and stored checkpoints of runs that ended long ago: no more to resume."""
    there = workspace.present(data_dir) | kept.present(store)
    if not there:
        return []
    needed = repository.still_needed(session, there, ended_before=clock.now() - WORKSPACE_KEPT)
    for fine_tune_id in sorted(there - needed):
        workspace.removed(data_dir, fine_tune_id)
        kept.forget(store, fine_tune_id)
    return sorted(there - needed)


def _existing(row: FineTuneRow | None, fine_tune_id: str) -> FineTuneRow:
    if row is None:
        raise NotFound(f"there is no fine-tune {fine_tune_id}")
    return row


def _trainable(base: ModelVersionRow) -> FamilySpec:
    spec = FAMILY_SPECS[base.card["family"]]
    if not spec.hyperparameters:
        raise UnusableInput(f"models of the family {spec.family} cannot be fine-tuned here")
    return spec


def _require_head(base: ModelVersionRow, head: str) -> None:
    if head == "keep" and not registry.predicts(base):
        raise UnusableInput(
            f"{base.name}@{base.version} is a pre-trained base without a head; ask for head: reset"
        )


def _name_for(base: ModelVersionRow, project_id: str) -> str:
    """The next version of the project's own model, or a model of its own beside a shared one."""
    return base.name if base.project_id == project_id else f"{base.name[:90]}-tuned"


def _require_name(session: Session, project_id: str, name: str, task: str) -> None:
    if not _NAME.fullmatch(name):
        raise UnusableInput(
            f"name {name[:120]!r}: 1 to 100 letters, digits, dots, dashes or underscores, "
            "the first a letter or digit"
        )
    registry.require_own_name(session, project_id, name, task)
