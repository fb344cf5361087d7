"""Fakes at our own interfaces: a predictor that answers what is known, a queue that is a list."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.ecg.labels import AAMI_CLASSES
from services.ecg.record import EcgRecord
from services.errors import UnusableInput
from services.fine_tunes.runner import FineTuneRunner, Places
from services.imports.runner import ImportRunner
from services.jobs import lifecycle
from services.jobs.dispatch import IMPORT_MODEL, RUN_FINE_TUNE, RUN_PREDICTION
from services.jobs.execution import Runner, execute
from services.jobs.row import JobRow
from services.models.catalog import FAMILY_SPECS
from services.models.interface import FineTunePlan, Importer, LabelledRecords
from services.models.results import BeatResult, RiskResult
from services.predictions.runner import PredictionRunner
from services.registry import service as registry
from services.registry.row import ModelVersionRow
from services.registry.service import CARD, WEIGHTS
from services.storage.base import Store
from services.training.progress import Progress

FAKE_SHA256 = "f" * 64
HOLD, DIE, STARTED = "hold", "die", "started"
STEP_S = 0.5


def fake_card(name: str = "fake-beats") -> dict[str, Any]:
    return {"name": name, "task": "beats", "family": "ecgbert"}


def enter_fake_model(
    session: Session, name: str = "fake-beats", *, project_id: str = DEFAULT_PROJECT
) -> ModelVersionRow:
    """A version that only FakePredictors can load; it answers when none is named."""
    version = registry.add_version(
        session,
        project_id,
        card=fake_card(name),
        sha256=FAKE_SHA256,
        location="fake:",
        synthetic=True,
    )
    registry.promote(session, project_id, name, version.version)
    return version


class FakePredictor:
    """A beat every half second, N and V in turn. Files in `gate` make it wait, or die at once."""

    def __init__(self, gate: Path | None = None) -> None:
        self.gate = gate
        self.records: list[EcgRecord] = []

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> BeatResult:
        self.records.append(record)
        if self.gate is not None:
            pass_gate(self.gate, progress)
        if record.name == "unreadable":
            raise UnusableInput("no lead of this record can be read")
        return fake_result(record)


def pass_gate(gate: Path, progress: Progress) -> None:
    """Waits as long as there is a file `hold`; a file `die` kills the process, once."""
    (gate / STARTED).touch()
    if (gate / DIE).exists():
        (gate / DIE).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    while (gate / HOLD).exists():
        progress.check_cancelled()
        progress.advance(0.5)
        time.sleep(0.02)


def fake_result(record: EcgRecord) -> BeatResult:
    step = int(STEP_S * record.sampling_rate_hz)
    sample = np.arange(step, record.n_samples, step, dtype=np.int64)
    label = np.arange(len(sample)) % 2 * 2
    probabilities = np.full((len(sample), len(AAMI_CLASSES)), 0.05, np.float32)
    probabilities[np.arange(len(sample)), label] = 0.8
    return BeatResult(
        sampling_rate_hz=record.sampling_rate_hz,
        leads_used=record.lead_names[:1],
        labels=AAMI_CLASSES,
        sample=sample,
        label_index=label,
        probabilities=probabilities,
        unreadable=np.zeros(len(sample), bool),
    )


class FakeRiskPredictor:
    """A risk of 0.4, with weights that say they have learned nothing."""

    def predict(
        self, record: EcgRecord, *, options: Mapping[str, Any], progress: Progress
    ) -> RiskResult:
        start_s = np.arange(0.0, max(record.duration_s - 9.99, 0.01), 10.0)
        return RiskResult(
            risk=0.4,
            logit=-0.405,
            threshold=0.231,
            calibrated=False,
            window_start_s=start_s,
            window_risk=np.linspace(0.2, 0.6, len(start_s)),
            notes=("threshold 0.231: the published operating point",),
            synthetic=True,
        )


class FakePredictors:
    """Implements services.predictions.runner.Predictors."""

    def __init__(self, predictor: FakePredictor) -> None:
        self._predictor = predictor

    def predictor(self, *, family: str, location: str, sha256: str) -> FakePredictor:
        return self._predictor


def fake_import(file: Path, *, into: Path, name: str | None) -> dict[str, Any]:
    """Takes any file for weights."""
    card = {"name": name or "fake-risk", "task": "afib-5y", "family": "deepecg", "synthetic": True}
    into.mkdir()
    (into / WEIGHTS).write_bytes(file.read_bytes())
    (into / CARD).write_text(json.dumps(card))
    return card


class FakeFamily:
    """Trains nothing: tells of epochs, and writes the records that it was given as weights."""

    spec = FAMILY_SPECS["ecgbert"]

    def __init__(self, gate: Path | None = None) -> None:
        self.gate = gate
        self.plans: list[FineTunePlan] = []
        self.seen: list[tuple[set[str], set[str]]] = []

    def load(self, folder: Path, *, device: str) -> FakePredictor:
        assert (folder / WEIGHTS).is_file()
        return FakePredictor()

    def fine_tune(
        self,
        train: LabelledRecords,
        validation: LabelledRecords,
        *,
        plan: FineTunePlan,
        workspace: Path,
        out: Path,
        device: str,
        progress: Progress,
    ) -> dict[str, Any]:
        self.plans.append(plan)
        workspace.mkdir(parents=True, exist_ok=True)
        for epoch in range(1, plan.hyperparameters["epochs"] + 1):
            progress.check_cancelled()
            done = {"epoch": epoch, "loss": 1 / epoch, "metrics": {"macro_f1": 0.5}}
            progress.event("epoch", {**done, "epochs": 2, "learning_rate": 0.1, "eta_s": 0.0})
            progress.event("checkpoint", {"kind": "last", "update": epoch, **done})
            if self.gate is not None:
                pass_gate(self.gate, progress)
        out.mkdir(exist_ok=True)
        self.seen.append(({r.record_id for r in train}, {r.record_id for r in validation}))
        seen = [r.record_id for part in (train, validation) for r in part]
        (out / WEIGHTS).write_text(json.dumps([seen, dict(plan.hyperparameters)]))
        card = fake_card() | {"hyperparameters": {}}
        (out / CARD).write_text(json.dumps(card))
        return card


class ListDispatcher:
    """A queue that is a list; `away` is a broker that does not answer."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.away = False
        self.waiting = 0

    def send(self, job: JobRow) -> bool:
        if not self.away:
            self.sent.append(job.id)
        return not self.away

    def backlog(self, queue: str) -> int | None:
        return None if self.away else self.waiting


class Recorded:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.fractions: list[float] = []

    def advance(self, fraction: float, *, stage: str = "") -> None:
        self.fractions.append(fraction)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        return None

    def check_cancelled(self) -> None:
        return None


class EagerDispatcher:
    """A queue whose worker is a thread of this process, with the fake predictor."""

    def __init__(
        self, sessions: SessionFactory, store: Store, importer: Importer | None = None
    ) -> None:
        self._sessions = sessions
        importers = {"afib-5y": importer or fake_import}
        self._runners: dict[str, Runner] = {
            RUN_PREDICTION: PredictionRunner(sessions, store, FakePredictors(FakePredictor())),
            IMPORT_MODEL: ImportRunner(sessions, store, importers, tempfile.TemporaryDirectory),
            RUN_FINE_TUNE: FineTuneRunner(
                sessions,
                store,
                {"ecgbert": FakeFamily()},
                FakePredictors(FakePredictor()),
                places=Places(Path(tempfile.mkdtemp()), "cpu"),
            ),
        }
        self._threads: list[threading.Thread] = []

    def send(self, job: JobRow) -> bool:
        thread = threading.Thread(target=self._run, args=(job.id,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return True

    def backlog(self, queue: str) -> int | None:
        return 0

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(30)

    def _run(self, job_id: str) -> None:
        with self._sessions.begin() as session:
            claim = lifecycle.claim(session, job_id, worker="eager", lease_s=60)
        if claim is not None:
            execute(self._sessions, claim, self._runners[claim.kind], threading.Event())
