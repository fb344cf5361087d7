"""The long work of a fine-tune: split by patient, train, evaluate, and keep the new version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.datasets import service as datasets
from services.datasets.labelled import StoredRecords
from services.datasets.members import Member, member_of
from services.datasets.row import DatasetMemberRow
from services.datasets.training_overlap import overlap
from services.db.session import SessionFactory
from services.errors import Unavailable, UnusableInput
from services.evaluation.report_parts import BASE, NEW, PROMOTED, Compared
from services.fine_tunes import repository
from services.fine_tunes.kept import KeptCheckpoints
from services.fine_tunes.row import FineTuneRow
from services.fine_tunes.telling import PartlyHeard, RunProgress, Unheard, existing
from services.fine_tunes.workspace import held, workspace_of
from services.jobs.execution import JobProgress
from services.jobs.lifecycle import JobClaim
from services.models.catalog import FAMILY_SPECS
from services.models.comparison import Contender, compared
from services.models.interface import FineTunable, FineTunePlan
from services.models.spec import SPLIT_HYPERPARAMETERS
from services.predictions.runner import Predictors
from services.records import service as records
from services.registry import service as registry
from services.registry.files import put_version, stored_location, version_folder
from services.registry.row import ModelVersionRow
from services.registry.service import CARD, Content, content_of
from services.storage.base import Store
from services.training.progress import Progress
from services.training.splits import PatientSplit, patient_folds, patient_split

PARTS = ("train", "validation", "test")
TRAINED = 0.9  # of the whole work; the rest is the evaluation
RUN, MODEL = "run", "model"


@dataclass(frozen=True)
class TrainedModel:
    """A model folder that is in the store, not yet in the registry; and what it is worth."""

    card: dict[str, Any]
    content: Content
    location: str
    report: dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where a run keeps its files, and what it computes on.

    in_store: whether its checkpoints are in the store too, for a machine with another data folder.
    """

    data_dir: Path
    device: str
    checkpoint_every_s: float = 300.0
    in_store: bool = False


@dataclass(frozen=True)
class _Folders:
    """work: of inputs and checkpoints. made: where the models come to lie."""

    work: Path
    made: Path


@dataclass(frozen=True)
class _Work:
    row: FineTuneRow
    base: ModelVersionRow
    promoted: ModelVersionRow | None
    records: StoredRecords
    dataset: dict[str, Any]
    fold: frozenset[str] | None = None  # patients that a fold validates on


class FineTuneRunner:
    """Implements services.jobs.execution.Runner."""

    def __init__(
        self,
        sessions: SessionFactory,
        store: Store,
        families: Mapping[str, FineTunable],
        predictors: Predictors,
        *,
        places: Places,
    ) -> None:
        self._sessions, self._store, self._places = sessions, store, places
        self._families, self._predictors = families, predictors

    def run(self, claim: JobClaim, progress: JobProgress) -> TrainedModel:
        """Trains and evaluates; what an earlier attempt has done is not done again."""
        work = self._work(claim.resource_id)
        family = self._families.get(work.row.family)
        if family is None:
            raise Unavailable(f"this worker does not train the family {work.row.family}")
        folder = workspace_of(self._places.data_dir, work.row.id)
        with held(folder, progress.check_cancelled):
            kept = self._checkpoints(work, folder)
            told = RunProgress(self._sessions, claim, progress, kept)
            card = self._trained(work, family, _Folders(folder, folder), told)
            report = self._evaluated(work, family, folder, told)
            return self._kept(work, folder / MODEL, card, report)

    def train_along(self, claim: JobClaim, scratch: Path) -> None:
        """The training alone, as one of several processes; the first one keeps what comes of it."""
        work = self._work(claim.resource_id)
        folders = _Folders(workspace_of(self._places.data_dir, work.row.id), scratch)
        self._trained(work, self._families[work.row.family], folders, Unheard())

    def store(self, session: Session, claim: JobClaim, outcome: TrainedModel) -> None:
        row = existing(repository.of_job(session, claim.resource_id, for_update=True))
        version = registry.enter(
            session,
            row.project_id,
            card=outcome.card,
            content=outcome.content,
            location=outcome.location,
        )
        row.report = _named(outcome.report, f"{version.name}@{version.version}")
        version.report = row.report  # by which a promotion is judged
        row.result_name, row.result_version = version.name, version.version

    def _work(self, fine_tune_id: str) -> _Work:
        with self._sessions.begin() as session:
            row = existing(repository.of_job(session, fine_tune_id, for_update=True))
            dataset = datasets.get(session, row.dataset_id, project_id=row.project_id)
            members = datasets.members(session, dataset)
            if row.split is None:
                row.split = split_of(members, row.hyperparameters)
            base = registry.version(session, row.project_id, row.base_name, row.base_version)
            promoted = registry.promoted_version(session, row.project_id, row.task)
            stored = StoredRecords(self._sessions, self._store, members)
            described = {
                "id": dataset.id,
                "name": dataset.name,
                "sha256": row.dataset_sha256,
                "test_records": row.split["test"]["record_ids"],
            }
            return _Work(row, base, promoted, stored, described)

    def _checkpoints(self, work: _Work, folder: Path) -> KeptCheckpoints | None:
        if not self._places.in_store:
            return None
        kept = KeptCheckpoints(self._store, work.row.id, folder)
        with self._sessions() as session:  # as it is now that the folder is held
            row = existing(repository.of_job(session, work.row.id))
        kept.take_up(row.kept_files)
        return kept

    def _trained(
        self, work: _Work, family: FineTunable, folders: _Folders, progress: PartlyHeard
    ) -> dict[str, Any]:
        """The card of the model, after as many cross-validations as were asked for."""
        folds = self._cross_validated(work, family, folders, progress)
        part = progress.until(TRAINED, begin=TRAINED - TRAINED / (len(folds) + 1))
        card = self._fine_tuned(work, family, folders.work / RUN, folders.made / MODEL, part)
        if folds:
            card["metrics"] = {**card.get("metrics", {}), "cross_validation": folds}
        return card

    def _cross_validated(
        self, work: _Work, family: FineTunable, folders: _Folders, progress: PartlyHeard
    ) -> list[dict[str, Any]]:
        """The metrics of each fold, by a network that has not seen its patients; none without."""
        n_folds = work.row.hyperparameters.get("folds", 0)
        found = []
        for number, patients in enumerate(_folds(work, n_folds)):
            progress.event("log", {"message": f"cross-validation, fold {number + 1} of {n_folds}"})
            each = TRAINED / (n_folds + 1)
            card = self._fine_tuned(
                replace(work, fold=patients),
                family,
                folders.work / f"fold-{number}",
                folders.made / f"fold-{number}" / MODEL,
                progress.of_fold(each * number, each * (number + 1)),
            )
            metrics = card.get("metrics", {}).get("validation", {})
            found.append({"fold": number + 1, "patients": len(patients), "metrics": metrics})
        return found

    def _fine_tuned(
        self, work: _Work, family: FineTunable, workspace: Path, out: Path, progress: Progress
    ) -> dict[str, Any]:
        row = work.row
        # a run that an earlier release began lacks what has been added since
        defaults = {name: each.default for name, each in family.spec.hyperparameters.items()}
        given = {k: v for k, v in row.hyperparameters.items() if k not in SPLIT_HYPERPARAMETERS}
        out.parent.mkdir(parents=True, exist_ok=True)
        with version_folder(self._store, work.base.location, work.base.sha256) as base:
            return family.fine_tune(
                _part(work, "train"),
                _part(work, "validation"),
                plan=FineTunePlan(
                    base=base,
                    head="reset" if row.head == "reset" else "keep",
                    hyperparameters=defaults | given,
                    seed=row.hyperparameters["seed"],
                    checkpoint_every_s=self._places.checkpoint_every_s,
                ),
                workspace=workspace,
                out=out,
                device=self._places.device,
                progress=progress,
            )

    def _evaluated(
        self, work: _Work, family: FineTunable, folder: Path, progress: RunProgress
    ) -> dict[str, Any]:
        """The new model, its base and the one that answers now, on the test patients."""
        progress.event("log", {"message": "testing on patients that training has not seen"})
        new = family.load(folder / MODEL, device=self._places.device)
        members = self._test_members(work, progress)
        known = self._trained_on(work.base, members)  # what the base has seen, the new one has too
        contenders = [Contender(Compared(NEW, work.row.name, known), family.spec, new)]
        for role, version in ((BASE, work.base), (PROMOTED, work.promoted)):
            if version is not None and registry.predicts(version):
                contenders.append(self._contender(role, version, members))
        return compared(
            work.row.task,
            _part(work, "test"),
            contenders,
            progress=progress.until(1.0, begin=TRAINED),
        )

    def _test_members(self, work: _Work, progress: RunProgress) -> list[Member]:
        """The test records with their rhythm, by which a model's training records are known."""
        found = []
        for held_out in _part(work, "test").members:
            progress.check_cancelled()
            with self._sessions() as session:
                row = records.get(session, work.row.project_id, held_out.record_id)
            patient, label = held_out.patient, held_out.label
            found.append(
                member_of(self._store, row, task=work.row.task, patient=patient, label=label)
            )
        return found

    def _trained_on(self, version: ModelVersionRow, members: Sequence[Member]) -> frozenset[str]:
        with self._sessions() as session:
            return frozenset(overlap(session, self._store, version, members).records)

    def _contender(
        self, role: str, version: ModelVersionRow, members: Sequence[Member]
    ) -> Contender:
        family = version.card["family"]
        predictor = self._predictors.predictor(
            family=family, location=version.location, sha256=version.sha256
        )
        name = f"{version.name}@{version.version}"
        about = Compared(role, name, self._trained_on(version, members))
        return Contender(about, FAMILY_SPECS[family], predictor)

    def _kept(
        self, work: _Work, model: Path, card: Mapping[str, Any], report: dict[str, Any]
    ) -> TrainedModel:
        row = work.row
        card = {
            **card,
            "name": row.name,
            "base": f"{row.base_name}@{row.base_version}",
            "base_sha256": row.base_sha256,
            "dataset": work.dataset,
            "fine_tune": row.id,
            "seed": row.hyperparameters["seed"],
            "hyperparameters": row.hyperparameters | {"head": row.head},
            "code_version": row.code_version,
            "metrics": {**card.get("metrics", {}), "test": headline(report)},
        }
        if work.base.synthetic:
            card["synthetic"] = True
        (model / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        content = content_of(model)
        # each result has files of its own: a run that was resumed into more epochs has two
        location = stored_location(f"{row.id}-{content.weights_sha256[:16]}")
        put_version(self._store, location, model)
        return TrainedModel(card, content, location, report)


def split_of(members: list[DatasetMemberRow], hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Patients and record ids of each part, as the row keeps them; UnusableInput for too few."""
    counts = _counts(members)
    try:
        split = patient_split(
            counts,
            validation_share=hyperparameters["validation_share"],
            test_share=hyperparameters["test_share"],
            seed=hyperparameters["seed"],
        )
    except ValueError as error:
        raise UnusableInput(f"{error}: the dataset has too few") from error
    return {part: _described(members, split, part) for part in PARTS}


def headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report's main figure of the new model, for its card."""
    models = [model for model in report.get("models", ()) if model.get("role") == NEW]
    known = ("macro_f1", "auroc", "auprc", "brier", "accuracy")
    found = {name: models[0][name] for name in known if models and name in models[0]}
    return {**found, "records": report.get("records"), "patients": report.get("patients")}


def _counted(member: DatasetMemberRow) -> NDArray[np.int64]:
    """Beats a class, or (records labelled 0, records labelled 1)."""
    if member.label is None:
        return np.array([member.counts[name] for name in sorted(member.counts)], dtype=np.int64)
    return np.array([member.label < 0.5, member.label >= 0.5], dtype=np.int64)


def _described(members: list[DatasetMemberRow], split: PatientSplit, part: str) -> dict[str, Any]:
    patients = set(getattr(split, part))
    held_ids = [member.record_id for member in members if member.patient in patients]
    return {"patients": len(patients), "records": len(held_ids), "record_ids": held_ids}


def _part(work: _Work, part: str) -> StoredRecords:
    patients = _patients(work, part)
    if work.fold is not None:
        all_but_test = _patients(work, "train") | _patients(work, "validation")
        patients = set(work.fold) if part == "validation" else all_but_test - work.fold
    return work.records.of_patients(patients)


def _patients(work: _Work, part: str) -> set[str]:
    split: dict[str, Any] = work.row.split or {}
    wanted = set(split[part]["record_ids"])
    return {m.patient for m in work.records.members if m.record_id in wanted}


def _folds(work: _Work, n_folds: int) -> list[frozenset[str]]:
    """All patients but those of the test, dealt into folds."""
    if not n_folds:
        return []
    there = _patients(work, "train") | _patients(work, "validation")
    counts = _counts([m for m in work.records.members if m.patient in there])
    try:
        return [frozenset(fold) for fold in patient_folds(counts, n_folds=n_folds)]
    except ValueError as error:
        raise UnusableInput(f"folds: {error}") from error


def _counts(members: Sequence[DatasetMemberRow]) -> dict[str, NDArray[np.int64]]:
    counts: dict[str, NDArray[np.int64]] = {}
    for member in members:
        counts[member.patient] = counts.get(member.patient, 0) + _counted(member)
    return counts


def _named(report: dict[str, Any], name: str) -> dict[str, Any]:
    """The report with the new version's name, which it has only now."""
    new = [model["name"] for model in report.get("models", ()) if model.get("role") == NEW]
    if not new:
        return report
    for model in report["models"]:
        model["name"] = name if model["role"] == NEW else model["name"]
    for difference in report.get("differences", ()):
        difference["model"] = name if difference["model"] == new[0] else difference["model"]
    return report
