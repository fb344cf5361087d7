"""The work of a fine-tune with a family that trains nothing: split, report, version, resume."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.access.caller import DEFAULT_PROJECT
from services.db.session import SessionFactory
from services.fine_tunes import service as fine_tunes
from services.fine_tunes.row import FineTuneRow
from services.fine_tunes.runner import FineTuneRunner, Places, split_of
from services.fine_tunes.service import FineTuneRequest
from services.fine_tunes.workspace import held, workspace_of
from services.jobs import lifecycle
from services.jobs.execution import StopFlag, execute
from services.jobs.lifecycle import JobClaim
from services.registry import service as registry
from services.registry.files import version_files
from services.settings import Settings
from services.storage.base import Store
from services.storage.factory import store_for
from services.training.plan import LAST
from services.training.progress import NoProgress, Progress
from tests.conftest import forget_model
from tests.factories import upload
from tests.fakes import FakeFamily, FakePredictor, FakePredictors
from tests.labelled import beats_record

PATIENTS = 5
NAME = "own"


@pytest.fixture
def store(settings: Settings) -> Store:
    return store_for(settings)


@pytest.fixture
def fine_tune(api: TestClient, sessions: SessionFactory) -> Any:
    records = [upload(api, beats_record(f"p{n}", n))["id"] for n in range(PATIENTS)]
    body = {"name": "d", "task": "beats", "record_ids": records}
    dataset = api.post("/v1/datasets", json=body).json()["id"]
    request = FineTuneRequest(
        "beats", dataset, "ecgbert-beats", name=NAME, hyperparameters={"epochs": 2}
    )
    with sessions.begin() as session:
        new_id = fine_tunes.new_fine_tune_id()
        row = fine_tunes.create(session, request, project_id=DEFAULT_PROJECT, fine_tune_id=new_id)
    yield row
    with sessions.begin() as session:
        forget_model(session, NAME)


def run(
    sessions: SessionFactory,
    store: Store,
    settings: Settings,
    job_id: str,
    *,
    family: FakeFamily | None = None,
    stop: threading.Event | None = None,
    in_store: bool = False,
) -> FakeFamily:
    family = family or FakeFamily()
    runner = FineTuneRunner(
        sessions,
        store,
        {"ecgbert": family},
        FakePredictors(FakePredictor()),
        places=Places(settings.data_dir, "cpu", in_store=in_store),
    )
    with sessions.begin() as session:
        claim = lifecycle.claim(session, job_id, worker="w", lease_s=60)
    assert claim is not None
    execute(sessions, claim, runner, stop or threading.Event())
    return family


def found(sessions: SessionFactory, fine_tune_id: str) -> FineTuneRow:
    with sessions() as session:
        return fine_tunes.get(session, fine_tune_id, project_id=DEFAULT_PROJECT)


def test_the_result_is_a_version_that_says_what_it_came_from(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    family = run(sessions, store, settings, fine_tune.job_id)
    row = found(sessions, fine_tune.id)
    assert (row.job.status, row.job.error) == ("succeeded", None)
    assert [entry["epoch"] for entry in row.history] == [1, 2]
    assert [each["kind"] for each in row.checkpoints] == ["last"]
    assert "test_share" not in family.plans[0].hyperparameters
    with sessions() as session:
        version = registry.version(session, DEFAULT_PROJECT, NAME, 1)
        report = fine_tunes.report(session, row.id, project_id=DEFAULT_PROJECT)
        assert version.report == report  # by which a promotion is judged
        assert version.content_sha256
    assert row.split is not None
    card = version.card
    assert card["base"] == "ecgbert-beats@1"
    assert card["dataset"]["sha256"] == row.dataset_sha256
    assert card["dataset"]["test_records"] == row.split["test"]["record_ids"]
    assert card["hyperparameters"] == row.hyperparameters | {"head": "keep"}
    assert {"code_version", "seed", "fine_tune"} <= card.keys()
    assert report["models"][0]["name"] == f"{NAME}@1"
    weights = version_files(store, version.location, version.sha256)["weights.safetensors"]
    seen, _ = json.loads(weights.read_text())
    parts = [set(row.split[part]["record_ids"]) for part in ("train", "validation", "test")]
    assert set(seen) == parts[0] | parts[1]
    assert not parts[2] & (parts[0] | parts[1])


def test_folds_leave_each_patient_out_once_and_never_touch_the_test(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    with sessions.begin() as session:
        row = session.get_one(FineTuneRow, fine_tune.id)
        row.hyperparameters = row.hyperparameters | {"folds": 2}
    family = run(sessions, store, settings, fine_tune.job_id)
    row = found(sessions, fine_tune.id)
    assert row.job.status == "succeeded", row.job.error
    assert row.split is not None
    tested = set(row.split["test"]["record_ids"])
    assert len(family.seen) == 3
    (train_1, held_1), (train_2, held_2), _ = family.seen
    assert not tested & (train_1 | held_1 | train_2 | held_2)
    assert not held_1 & held_2
    assert held_1 | held_2 == train_1 | held_1 == train_2 | held_2
    assert len(row.history) == 2
    with sessions() as session:
        card = registry.version(session, DEFAULT_PROJECT, NAME, 1).card
    assert [each["fold"] for each in card["metrics"]["cross_validation"]] == [1, 2]


def test_a_process_that_trains_along_goes_through_the_same_trainings(
    fine_tune: FineTuneRow,
    sessions: SessionFactory,
    store: Store,
    settings: Settings,
    tmp_path: Path,
) -> None:
    with sessions.begin() as session:
        row = session.get_one(FineTuneRow, fine_tune.id)
        row.hyperparameters = row.hyperparameters | {"folds": 2}
    first, along = run(sessions, store, settings, fine_tune.job_id), FakeFamily()
    runner = FineTuneRunner(
        sessions,
        store,
        {"ecgbert": along},
        FakePredictors(FakePredictor()),
        places=Places(tmp_path / "elsewhere", "cpu"),
    )
    claim = JobClaim(fine_tune.job_id, "fine_tunes.run", fine_tune.id, "w", 1)
    runner.train_along(claim, tmp_path / "scratch")
    assert along.seen == first.seen
    assert [p.hyperparameters for p in along.plans] == [p.hyperparameters for p in first.plans]
    assert len(found(sessions, fine_tune.id).history) == 2  # it tells of nothing


def test_checkpoints_are_in_the_store_where_machines_share_nothing_else(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    family = Writing()
    run(sessions, store, settings, fine_tune.job_id, family=family, in_store=True)
    row = found(sessions, fine_tune.id)
    assert row.kept_files is not None
    (name, key), *others = row.kept_files.items()
    assert (name, others) == (f"run/{LAST}", [])
    assert store.local_path(key).read_text() == "2 checkpoints"
    shutil.rmtree(workspace_of(settings.data_dir, fine_tune.id))  # another machine's disk
    with sessions.begin() as session:
        fine_tunes.resume(session, fine_tune.id, project_id=DEFAULT_PROJECT, epochs=3)
    again = found(sessions, fine_tune.id)
    run(sessions, store, settings, again.job_id, family=family, in_store=True)
    assert family.found == [None, "2 checkpoints"]


class Writing(FakeFamily):
    """Writes a checkpoint whenever it tells of one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str | None] = []

    def fine_tune(self, *records: Any, workspace: Path, progress: Progress, **more: Any) -> Any:
        path = workspace / LAST
        self.found.append(path.read_text() if path.exists() else None)

        class Writer(NoProgress):
            n = 0

            def event(self, kind: str, data: dict[str, Any]) -> None:
                if kind == "checkpoint":
                    self.n += 1
                    path.unlink(missing_ok=True)
                    path.write_text(f"{self.n} checkpoints")
                progress.event(kind, data)

        return super().fine_tune(*records, workspace=workspace, progress=Writer(), **more)


def test_a_run_whose_worker_ends_goes_back_to_the_queue_and_a_cancelled_one_ends(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    stop = StopFlag()
    stop.hand_back()
    run(sessions, store, settings, fine_tune.job_id, stop=stop)
    assert found(sessions, fine_tune.id).job.status == "queued"
    stop = StopFlag()
    stop.set()
    run(sessions, store, settings, fine_tune.job_id, stop=stop)
    assert found(sessions, fine_tune.id).job.status == "cancelled"


def test_more_epochs_give_another_version(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    run(sessions, store, settings, fine_tune.job_id)
    with sessions.begin() as session:
        row = fine_tunes.resume(session, fine_tune.id, project_id=DEFAULT_PROJECT, epochs=3)
        assert len(fine_tunes.job_ids(session, row)) == 2
    run(sessions, store, settings, row.job_id)
    row = found(sessions, fine_tune.id)
    assert (row.result_name, row.result_version, len(row.history)) == (NAME, 2, 3)


def test_the_workspace_goes_when_nobody_can_resume(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, settings: Settings
) -> None:
    folder, stray = (workspace_of(settings.data_dir, name) for name in (fine_tune.id, "ft_gone"))
    folder.mkdir(parents=True)
    stray.mkdir()
    with sessions() as session:
        assert fine_tunes.forget_old_workspaces(session, store, settings.data_dir) == ["ft_gone"]
    assert folder.is_dir()
    assert not stray.exists()


def test_a_workspace_is_one_process_at_a_time(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def check() -> None:
        raise Enough

    with held(tmp_path / "run", check), pytest.raises(Enough), held(tmp_path / "run", check):
        pass
    with held(tmp_path / "run", check):
        pass


def test_model_files_without_a_version_are_swept_once_their_run_has_ended(
    fine_tune: FineTuneRow, sessions: SessionFactory, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    store.put(f"models/{fine_tune.id}-abc/card.json", tmp_path / "x")
    with sessions() as session:
        assert fine_tunes.remove_orphans(session, store, before_id="ft_z") == []
    with sessions.begin() as session:
        fine_tunes.cancel(session, fine_tune.id, project_id=DEFAULT_PROJECT)
    with sessions() as session:
        left = fine_tunes.remove_orphans(session, store, before_id="ft_z")
    assert left == [f"{fine_tune.id}-abc"]
    assert store.folders("models/") == set()


def test_records_of_one_patient_are_in_one_part() -> None:
    class Member:
        def __init__(self, n: int) -> None:
            self.record_id, self.patient, self.label = f"r{n}", f"p{n // 2}", float(n % 2)
            self.counts: dict[str, int] = {}

    chosen = {"validation_share": 0.2, "test_share": 0.2, "seed": 0}
    split = split_of([Member(n) for n in range(20)], chosen)  # type: ignore[misc]
    assert sum(part["patients"] for part in split.values()) == 10
    for part in split.values():
        assert part["records"] == 2 * part["patients"]
