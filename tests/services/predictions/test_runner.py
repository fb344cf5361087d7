"""The work behind a prediction, with a predictor that answers what is known."""

from __future__ import annotations

import threading
from collections.abc import Callable

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.session import SessionFactory
from services.jobs import lifecycle
from services.jobs.execution import execute
from services.jobs.row import JobRow
from services.predictions.runner import PredictionRunner
from services.settings import Settings
from services.storage.factory import store_for
from tests.factories import predict, upload
from tests.fakes import FakePredictor, FakePredictors
from tests.signals import made_files

Run = Callable[[str], None]

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def run(settings: Settings, sessions: SessionFactory, predictor: FakePredictor) -> Run:
    """Runs the job of a prediction here, as a worker would."""
    runner = PredictionRunner(sessions, store_for(settings), FakePredictors(predictor))

    def run_it(prediction_id: str) -> None:
        with sessions.begin() as session:
            claim = lifecycle.claim(
                session, job_of(session, prediction_id).id, worker="w", lease_s=30
            )
        assert claim is not None
        execute(sessions, claim, runner, threading.Event())

    return run_it


def job_of(session: Session, prediction_id: str) -> JobRow:
    return session.scalars(select(JobRow).where(JobRow.resource_id == prediction_id)).one()


def test_beats_and_counts_come_out(api: TestClient, run: Run, predictor: FakePredictor) -> None:
    record = upload(api, made_files())
    prediction = predict(api, record["id"])
    run(prediction["id"])
    found = api.get(f"/v1/predictions/{prediction['id']}").json()
    assert found["status"] == "succeeded"
    result = found["result"]
    assert len(result["beats"]) == 19
    assert result["counts"] == {"N": 10, "S": 0, "V": 9, "F": 0, "Q": 0}
    assert result["mean_heart_rate_bpm"] == 120.0
    assert result["beats"][1] == {
        "sample": 360,
        "time_s": 1.0,
        "label": "V",
        "probability": 0.8,
        "probabilities": {"N": 0.05, "S": 0.05, "V": 0.8, "F": 0.05, "Q": 0.05},
        "unreadable": False,
    }
    assert predictor.records[0].lead_names == ("MLII", "V1")


def test_what_the_predictor_refuses_is_told_word_for_word(api: TestClient, run: Run) -> None:
    prediction = predict(api, upload(api, made_files(), name="unreadable")["id"])
    run(prediction["id"])
    found = api.get(f"/v1/predictions/{prediction['id']}").json()
    assert found["status"] == "failed"
    assert found["error"]["status"] == 422
    assert found["error"]["detail"] == "no lead of this record can be read"
    assert found["result"] is None


def test_a_batch_keeps_each_result_and_each_failure(api: TestClient, run: Run) -> None:
    names = ("one", "unreadable", "three")
    ids = [upload(api, made_files(seed=seed), name=name)["id"] for seed, name in enumerate(names)]
    answer = api.post("/v1/predictions/batch", json={"record_ids": ids, "task": "beats"})
    assert answer.status_code == 202
    batch = answer.json()
    assert batch["record_id"] is None
    assert batch["result"] == {"records": 3, "succeeded": 0, "failed": 0}
    api.delete(f"/v1/records/{ids[2]}")
    run(batch["id"])
    found = api.get(f"/v1/predictions/{batch['id']}").json()
    assert found["status"] == "succeeded"
    assert found["result"] == {"records": 3, "succeeded": 1, "failed": 2}
    answer = api.get(f"/v1/predictions/{batch['id']}/results")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [line["record_id"] for line in lines] == ids
    assert len(lines[0]["result"]["beats"]) == 19
    assert [line["error"] and line["error"]["status"] for line in lines] == [None, 422, 409]


def test_a_batch_that_is_started_again_goes_on_where_it_was(
    api: TestClient, run: Run, predictor: FakePredictor, sessions: SessionFactory
) -> None:
    ids = [upload(api, made_files(seed=seed))["id"] for seed in range(2)]
    answer = api.post("/v1/predictions/batch", json={"record_ids": ids, "task": "beats"})
    batch = answer.json()["id"]
    run(batch)
    with sessions.begin() as session:
        job = job_of(session, batch)
        job.status, job.finished_at = "queued", None
    run(batch)
    assert len(predictor.records) == 2
