"""Predictions over HTTP: what is accepted, refused, listed and cancelled. No worker runs here."""

from __future__ import annotations

import io
import json
import time
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from fastapi.testclient import TestClient
from sqlalchemy import select

from services import clock
from services.db.session import SessionFactory
from services.ecg.record import EcgRecord
from services.jobs import lifecycle
from services.jobs.lifecycle import JobClaim
from services.jobs.row import JobRow
from services.jobs.states import JobStatus
from services.predictions.row import PredictionRow
from services.predictions.runner import ItemOutcome, ending
from services.settings import Settings
from tests.factories import (
    assert_problem,
    counts,
    kept_files,
    parts,
    predict,
    record_row,
    upload,
)
from tests.fakes import fake_result
from tests.signals import made_files

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def record(api: TestClient) -> dict[str, Any]:
    return upload(api, made_files(), name="made")


def started(sessions: SessionFactory, prediction_id: str) -> JobClaim:
    """As when a worker has claimed it."""
    with sessions.begin() as session:
        query = select(JobRow.id).where(JobRow.resource_id == prediction_id)
        claim = lifecycle.claim(session, session.scalars(query).one(), worker="w", lease_s=60)
    assert claim is not None
    return claim


def finished(sessions: SessionFactory, prediction_id: str) -> None:
    """As when a worker has found the fake result."""
    claim = started(sessions, prediction_id)
    read = EcgRecord(np.zeros((1, 3600), np.float32), ("MLII",), 360.0)
    with sessions.begin() as session:
        along = ending(prediction_id, ItemOutcome(0, fake_result(read)))
        assert lifecycle.finish(session, claim, JobStatus.SUCCEEDED, along=along)


# --- created


def test_who_polls_is_told_when_to_ask_again(
    api: TestClient, sessions: SessionFactory, record: dict[str, Any]
) -> None:
    asked = api.post("/v1/predictions", json={"record_id": record["id"], "task": "beats"})
    path = asked.headers["location"]
    assert asked.headers["retry-after"] == api.get(path).headers["retry-after"] == "1"

    def aged(seconds: float) -> str:
        with sessions.begin() as session:
            row = session.get_one(PredictionRow, asked.json()["id"])
            row.created_at = clock.now() - timedelta(seconds=seconds)
        return api.get(path).headers["retry-after"]

    assert (aged(80), aged(3600)) == ("10", "30")
    finished(sessions, asked.json()["id"])
    assert "retry-after" not in api.get(path).headers


def test_a_prediction_is_accepted_and_located(api: TestClient, record: dict[str, Any]) -> None:
    body = {"record_id": record["id"], "task": "beats"}
    answer = api.post("/v1/predictions", json=body)
    assert answer.status_code == 202
    found = answer.json()
    assert answer.headers["location"] == f"/v1/predictions/{found['id']}"
    assert found["id"].startswith("pred_")
    assert found["model"] == {"name": "fake-beats", "version": 1}
    assert (found["record_id"], found["task"], found["status"]) == (record["id"], "beats", "queued")
    assert (found["progress"], found["result"], found["error"]) == (0.0, None, None)
    assert (found["started_at"], found["finished_at"]) == (None, None)
    assert api.get(answer.headers["location"]).json() == found


def test_a_wait_that_runs_out_is_answered_with_202(api: TestClient, record: dict[str, Any]) -> None:
    started_at = time.monotonic()
    answer = api.post(
        "/v1/predictions",
        json={"record_id": record["id"], "task": "beats"},
        headers={"Prefer": "respond-async, wait=1"},
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=1"
    assert 1.0 <= time.monotonic() - started_at < 10


@pytest.mark.parametrize(
    ("prefer", "applied"), [("wait=0", "wait=0"), ('Wait="0"', "wait=0"), ("handling=strict", None)]
)
def test_what_a_client_prefers_is_understood(
    api: TestClient, record: dict[str, Any], prefer: str, applied: str | None
) -> None:
    body = {"record_id": record["id"], "task": "beats"}
    answer = api.post("/v1/predictions", json=body, headers={"Prefer": prefer})
    assert answer.status_code == 202
    assert answer.headers.get("preference-applied") == applied


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=soon", "wait=1.5"])
def test_a_malformed_wait_is_refused(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory, prefer: str
) -> None:
    body = {"record_id": record["id"], "task": "beats"}
    answer = api.post("/v1/predictions", json=body, headers={"Prefer": prefer})
    assert_problem(answer, 400, "wait=N")
    assert counts(sessions)["predictions"] == 0


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"record_id": "rec_unknown"}, 404, "rec_unknown"),
        ({"record_id": "rec_\0"}, 400, "NUL"),
        ({"record_id": "rec_\ud800"}, 422, "record_id"),
        ({"record_id": None}, 422, "record_id"),
        ({"record_id": 5}, 422, "record_id"),
        ({"task": "sleep"}, 422, "'beats' or 'afib-5y'"),
        ({"task": None}, 422, "task"),
        ({"model": "unknown"}, 404, "there is no model unknown"),
        ({"model": "fake-beats@7"}, 404, "no version 7"),
        ({"model": "fake-beats@x"}, 422, "name@version"),
        ({"model": "../../etc"}, 422, "name@version"),
        ({"model": "x\0"}, 422, "name@version"),
        ({"options": {"speed": 1}}, 422, "options"),
        ({"options": {"rpeaks": "fast"}}, 422, "options"),
        ({"options": {"rpeaks": ["ectopy"]}}, 422, "options"),
        ({"options": {"a": 10**30}}, 422, "not plain JSON"),
        ({"options": {"\ud800": 1}}, 422, "not plain JSON"),
        ({"options": {"a": "x" * 5000}}, 422, "4000 bytes"),
        ({"options": []}, 422, "options"),
        ({"unknown_field": 1}, 422, "unknown_field"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode().replace("\0", "0"),
)
def test_what_cannot_be_predicted_is_refused(
    api: TestClient,
    record: dict[str, Any],
    sessions: SessionFactory,
    body: dict[str, Any],
    status: int,
    says: str,
) -> None:
    whole = {"record_id": record["id"], "task": "beats"} | body
    headers = {"Content-Type": "application/json"}
    answer = api.post("/v1/predictions", content=json.dumps(whole), headers=headers)
    assert_problem(answer, status, says)
    assert counts(sessions)["jobs"] == 0


def test_unknown_options_are_answered_with_those_that_there_are(
    api: TestClient, record: dict[str, Any]
) -> None:
    body = {"record_id": record["id"], "task": "beats", "options": {"speed": 1, "rpeaks": "x"}}
    problem = assert_problem(api.post("/v1/predictions", json=body), 422)
    found = {tuple(error["loc"]): error["msg"] for error in problem["errors"]}
    assert "rpeaks" in found["options", "speed"]
    assert "hamilton2002" in found["options", "rpeaks"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nothing", b'{"record_id": "\xff"}'])
def test_a_body_that_is_no_json_object_is_refused(api: TestClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = api.post("/v1/predictions", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code)


def test_deeply_nested_json_is_refused(api: TestClient, record: dict[str, Any]) -> None:
    deep = b'{"record_id":"x","task":"beats","options":{"a":' + b"[" * 100_000 + b"]" * 100_000
    headers = {"Content-Type": "application/json"}
    answer = api.post("/v1/predictions", content=deep + b"}}", headers=headers)
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code)


def test_the_risk_task_says_how_to_get_its_model(
    api: TestClient, record: dict[str, Any], settings: Settings, sessions: SessionFactory
) -> None:
    body = {"record_id": record["id"], "task": "afib-5y"}
    answer = api.post("/v1/predictions", json=body)
    assert_problem(answer, 503, "wcr_afib_5y.pt")
    assert answer.headers["retry-after"]
    files = kept_files(settings)
    answer = api.post("/v1/predict/afib-5y", files=parts(made_files(seed=9)))
    assert_problem(answer, 503, "wcr_afib_5y.pt")
    assert kept_files(settings) == files
    assert counts(sessions)["records"] == 1


def test_a_model_of_another_task_is_refused(api: TestClient, record: dict[str, Any]) -> None:
    body = {"record_id": record["id"], "task": "afib-5y", "model": "fake-beats"}
    assert_problem(api.post("/v1/predictions", json=body), 422, "for the task beats")


def test_a_record_that_does_not_fit_is_refused(api: TestClient, sessions: SessionFactory) -> None:
    short = upload(api, made_files(duration_s=2.0))
    with sessions() as session:
        pressure = record_row(session, leads=[{"name": "ABP", "unit": "mmHg"}]).id
    for record_id, says in ((short["id"], "lasts 2 s"), (pressure, "no ECG lead")):
        body = {"record_id": record_id, "task": "beats"}
        assert_problem(api.post("/v1/predictions", json=body), 422, says)


def test_an_upload_that_does_not_fit_the_model_leaves_nothing(
    api: TestClient, settings: Settings, sessions: SessionFactory
) -> None:
    answer = api.post("/v1/predict/beats", files=parts(made_files(duration_s=2.0)))
    assert_problem(answer, 422, "lasts 2 s")
    assert counts(sessions) == {"records": 0, "predictions": 0, "jobs": 0}
    assert kept_files(settings) == []


@pytest.mark.parametrize("options", ["{", "[]", "5", '"x"', '{"speed": 1}', "\0"])
def test_options_of_a_form_are_a_json_object_that_the_model_knows(
    api: TestClient, options: str, settings: Settings
) -> None:
    answer = api.post("/v1/predict/beats", files=parts(made_files()), data={"options": options})
    assert_problem(answer, 422, "options")
    assert kept_files(settings) == []


def test_upload_and_predict_waits_as_long_as_it_is_told(api: TestClient) -> None:
    answer = api.post("/v1/predict/beats", files=parts(made_files()), headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    found = answer.json()
    assert api.get(f"/v1/records/{found['record_id']}").status_code == 200


def test_upload_and_predict_of_a_known_record_uses_it(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    answer = api.post("/v1/predict/beats", files=parts(made_files()), headers={"Prefer": "wait=0"})
    assert answer.json()["record_id"] == record["id"]
    assert counts(sessions)["records"] == 1


# --- once


def test_the_same_key_gives_the_same_prediction(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    body = {"record_id": record["id"], "task": "beats"}
    headers = {"Idempotency-Key": "k"}
    first = api.post("/v1/predictions", json=body, headers=headers)
    again = api.post("/v1/predictions", json=body, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert counts(sessions)["jobs"] == 1
    other = api.post(
        "/v1/predictions", json=body | {"options": {}, "model": "fake-beats"}, headers=headers
    )
    assert_problem(other, 409, "Idempotency-Key")


def test_the_same_key_gives_the_same_uploaded_prediction(
    api: TestClient, sessions: SessionFactory
) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "wait=0"}
    answers = [
        api.post("/v1/predict/beats", files=parts(made_files()), headers=headers).json()["id"]
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert counts(sessions) == {"records": 1, "predictions": 1, "jobs": 1}


# --- listed


def test_predictions_are_listed_newest_first_and_narrowed(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    other = upload(api, made_files(seed=5))
    ids = [predict(api, one["id"])["id"] for one in (record, other, record)]
    finished(sessions, ids[0])

    def listed(**query: str) -> list[str]:
        return [one["id"] for one in api.get("/v1/predictions", params=query).json()["data"]]

    assert listed() == ids[::-1]
    assert listed(record_id=record["id"]) == [ids[2], ids[0]]
    assert listed(status="succeeded") == [ids[0]]
    assert listed(status="queued", record_id=record["id"]) == [ids[2]]
    assert listed(task="afib-5y") == []
    assert listed(record_id="rec_unknown") == []
    assert_problem(api.get("/v1/predictions", params={"status": "done"}), 422, "status")


def test_a_list_has_results_without_their_beats(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    prediction = predict(api, record["id"])
    finished(sessions, prediction["id"])
    (found,) = api.get("/v1/predictions").json()["data"]
    assert found["result"]["counts"]["N"] == 10
    assert "beats" not in found["result"]
    assert found["record_id"] == record["id"]


# --- cancelled


def test_a_waiting_prediction_is_cancelled_at_once(api: TestClient, record: dict[str, Any]) -> None:
    prediction = predict(api, record["id"])
    answer = api.post(f"/v1/predictions/{prediction['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["finished_at"] is not None


def test_what_has_ended_cannot_be_cancelled(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    prediction = predict(api, record["id"])
    finished(sessions, prediction["id"])
    answer = api.post(f"/v1/predictions/{prediction['id']}/cancel")
    assert_problem(answer, 409, "succeeded")
    assert_problem(api.post("/v1/predictions/pred_unknown/cancel"), 404)


def test_removing_a_record_ends_its_predictions_and_takes_its_results(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    over, running, waiting = (predict(api, record["id"])["id"] for _ in range(3))
    finished(sessions, over)
    claim = started(sessions, running)
    assert api.delete(f"/v1/records/{record['id']}").status_code == 204
    assert_problem(api.get(f"/v1/predictions/{over}"), 404)
    for prediction in (running, waiting):
        found = api.get(f"/v1/predictions/{prediction}").json()
        assert found["status"] == "cancelled"
        assert found["error"]["detail"] == "the record was removed"
        assert found["result"] is None
    with sessions.begin() as session:
        assert not lifecycle.finish(session, claim, JobStatus.SUCCEEDED)


# --- beats as files


def test_beats_come_as_csv(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    prediction = predict(api, record["id"])
    finished(sessions, prediction["id"])
    answer = api.get(f"/v1/predictions/{prediction['id']}/beats.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0] == "sample,time_s,label,probability"
    assert lines[1] == "180,0.5000,N,0.8000"
    assert len(lines) == 20


def test_annotations_are_read_by_wfdb_and_line_up(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory, tmp_path: Path
) -> None:
    prediction = predict(api, record["id"])
    finished(sessions, prediction["id"])
    answer = api.get(f"/v1/predictions/{prediction['id']}/annotations.zip")
    assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    found = wfdb.rdann(str(tmp_path / "made"), "ectopy")
    beats = api.get(f"/v1/predictions/{prediction['id']}").json()["result"]["beats"]
    assert found.sample.tolist() == [beat["sample"] for beat in beats]
    assert found.symbol == [beat["label"] for beat in beats]
    assert found.fs == 360


@pytest.mark.parametrize("file", ["beats.csv", "annotations.zip"])
def test_there_are_no_beats_before_the_end(
    api: TestClient, record: dict[str, Any], file: str
) -> None:
    prediction = predict(api, record["id"])
    assert_problem(api.get(f"/v1/predictions/{prediction['id']}/{file}"), 409, "queued")
    assert_problem(api.get(f"/v1/predictions/pred_unknown/{file}"), 404)


def test_a_single_prediction_has_no_list_of_results(
    api: TestClient, record: dict[str, Any]
) -> None:
    prediction = predict(api, record["id"])
    assert_problem(api.get(f"/v1/predictions/{prediction['id']}/results"), 409, "batch")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"record_ids": []}, 422),
        ({"record_ids": ["rec_unknown"]}, 404),
        ({"record_ids": "rec_x"}, 422),
        ({"dataset_id": "ds_x"}, 404),
    ],
    ids=str,
)
def test_a_batch_of_nothing_is_refused(api: TestClient, body: dict[str, Any], status: int) -> None:
    assert_problem(api.post("/v1/predictions/batch", json={"task": "beats"} | body), status)


# --- events


def events_of(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for block in text.replace("\r\n", "\n").strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "id" in lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


def test_events_end_with_the_work_and_are_resumed(
    api: TestClient, record: dict[str, Any], sessions: SessionFactory
) -> None:
    prediction = predict(api, record["id"])
    finished(sessions, prediction["id"])
    path = f"/v1/predictions/{prediction['id']}/events"
    answer = api.get(path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events_of(answer.text)
    assert [data["status"] for _, _, data in found] == ["queued", "running", "succeeded"]
    assert {kind for _, kind, _ in found} == {"status"}
    again = events_of(api.get(path, headers={"Last-Event-ID": str(found[0][0])}).text)
    assert again == found[1:]
    assert events_of(api.get(path, headers={"Last-Event-ID": str(found[-1][0])}).text) == []


@pytest.mark.parametrize("last", ["x", "-1", "1" * 19, "1.5"])
def test_an_event_id_that_is_not_ours_is_refused(
    api: TestClient, record: dict[str, Any], last: str
) -> None:
    prediction = predict(api, record["id"])
    path = f"/v1/predictions/{prediction['id']}/events"
    assert_problem(api.get(path, headers={"Last-Event-ID": last}), 400, "Last-Event-ID")
    assert_problem(api.get("/v1/predictions/pred_unknown/events"), 404)
