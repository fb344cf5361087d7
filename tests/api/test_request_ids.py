"""One id through a request, its job, and what the worker logs of it."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from services.db.session import SessionFactory
from services.jobs.row import JobRow
from services.settings import Settings
from services.telemetry import configure_logging
from tests.factories import ended, upload
from tests.fakes import EagerDispatcher
from tests.signals import made_files


def test_the_id_of_a_request_is_in_its_answer_its_job_and_the_worker_s_log(
    api: TestClient,
    settings: Settings,
    sessions: SessionFactory,
    fake_model: object,
    capfd: pytest.CaptureFixture[str],
) -> None:
    app = api.app
    dispatcher = EagerDispatcher(sessions, app.state.ectopy.store)  # type: ignore[attr-defined]
    app.state.ectopy.dispatcher = dispatcher  # type: ignore[attr-defined]
    record = upload(api, made_files())["id"]
    configure_logging(level="INFO", log_format="json")
    body = {"record_id": record, "task": "beats"}
    answer = api.post("/v1/predictions", json=body, headers={"X-Request-ID": "ward-7"})
    assert answer.headers["x-request-id"] == "ward-7"
    ended(api, answer.json()["id"])
    dispatcher.wait()
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    with sessions() as session:
        assert session.scalars(select(JobRow.request_id)).all() == ["ward-7"]
    lines = capfd.readouterr().err.splitlines()
    (ended_line,) = [line for line in lines if "job.ended" in line]
    assert '"request_id": "ward-7"' in ended_line
    (answered,) = [json.loads(line) for line in lines if '"POST"' in line]
    assert (answered["event"], answered["request_id"]) == ("request.answered", "ward-7")
    assert (answered["path"], answered["status"]) == ("/v1/predictions", 202)


def test_probes_are_not_in_the_log(
    api: TestClient, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level="INFO", log_format="json")
    api.get("/healthz")
    api.get("/v1/records?cursor=secret")
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    (line,) = [json.loads(one) for one in capfd.readouterr().err.splitlines() if '"GET"' in one]
    assert line["path"] == "/v1/records"  # what follows it may say whose records


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "<script>"])
def test_an_id_that_is_none_is_replaced(api: TestClient, sent: str) -> None:
    given = api.get("/healthz", headers={"X-Request-ID": sent}).headers["x-request-id"]
    assert given.startswith("req_")
