"""Real processes, and parts of them that go away in the middle of a prediction."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import redis
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from services.db.session import SessionFactory
from services.jobs.row import JobRow
from services.predictions.row import PredictionItemRow
from services.settings import Settings
from tests.factories import assert_problem, ended, kept_files, parts, predict, upload
from tests.fakes import DIE
from tests.faults import TcpProxy, eventually
from tests.signals import made_files
from tests.worker.conftest import Gate, StartWorker, client_of

pytestmark = pytest.mark.usefixtures("fake_model")


def attempts(sessions: SessionFactory) -> int:
    with sessions() as session:
        return session.scalars(select(JobRow.attempts)).one()


def test_upload_to_beats_in_one_call(client: httpx.Client, start_worker: StartWorker) -> None:
    worker = start_worker()
    answer = client.post("/v1/predict/beats", files=parts(made_files()))
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=60"
    found = answer.json()
    assert (found["status"], found["progress"], len(found["result"]["beats"])) == (
        "succeeded",
        1.0,
        19,
    )
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    system = client.get("/v1/system").json()
    assert [worker["device"] for worker in system["workers"]] == ["cpu"]
    assert (
        'ectopy_jobs_ended{kind="predictions.run",status="succeeded"} 1.0'
        in client.get("/metrics").text
    )
    eventually(lambda: "job.ended" in worker.log.read_text())  # which it says after it has ended
    lines = [line for line in worker.log.read_text().splitlines() if "job.ended" in line]
    assert [json.loads(line)["event"] for line in lines] == ["job.ended"]


def test_a_killed_worker_loses_nothing(
    client: httpx.Client,
    start_worker: StartWorker,
    gate: Gate,
    sessions: SessionFactory,
    settings: Settings,
) -> None:
    start_worker()
    (gate.folder / DIE).touch()
    record = upload(client, made_files())
    prediction = predict(client, record["id"])
    eventually(lambda: not (gate.folder / DIE).exists(), within_s=30)
    start_worker()
    found = ended(client, prediction["id"])
    assert (found["status"], len(found["result"]["beats"])) == ("succeeded", 19)
    assert attempts(sessions) == 2
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(PredictionItemRow)) == 1


def test_a_worker_that_is_told_to_stop_finishes_what_it_runs(
    client: httpx.Client, start_worker: StartWorker, gate: Gate, sessions: SessionFactory
) -> None:
    worker = start_worker()
    gate.hold()
    prediction = predict(client, upload(client, made_files())["id"])
    gate.wait_until_one_waits()
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert worker.process.poll() is None
    gate.open()
    assert worker.process.wait(20) == 0
    assert ended(client, prediction["id"])["status"] == "succeeded"
    assert attempts(sessions) == 1
    assert client.get("/v1/system").json()["workers"] == []


def test_a_frozen_worker_is_overtaken_and_its_result_not_kept(
    client: httpx.Client, start_worker: StartWorker, gate: Gate, sessions: SessionFactory
) -> None:
    frozen = start_worker()
    gate.hold()
    prediction = predict(client, upload(client, made_files())["id"])
    gate.wait_until_one_waits()
    os.kill(frozen.process.pid, signal.SIGSTOP)
    try:
        start_worker()
        gate.open()
        found = ended(client, prediction["id"])
    finally:
        os.kill(frozen.process.pid, signal.SIGCONT)
    assert found["status"] == "succeeded"
    assert attempts(sessions) == 2
    eventually(lambda: "job.claim_lost" in frozen.log.read_text())
    assert client.get(f"/v1/predictions/{prediction['id']}").json() == found


def test_a_running_prediction_is_cancelled_within_seconds(
    client: httpx.Client, start_worker: StartWorker, gate: Gate
) -> None:
    start_worker()
    gate.hold()
    prediction = predict(client, upload(client, made_files())["id"])
    gate.wait_until_one_waits()
    eventually(lambda: client.get(f"/v1/predictions/{prediction['id']}").json()["progress"] == 0.5)
    answer = client.post(f"/v1/predictions/{prediction['id']}/cancel")
    assert answer.status_code == 200
    found = ended(client, prediction["id"], within_s=20)  # its work alone would wait for a minute
    assert (found["status"], found["result"]) == ("cancelled", None)


def test_a_record_removed_while_it_is_predicted_ends_the_prediction(
    client: httpx.Client, start_worker: StartWorker, gate: Gate, settings: Settings
) -> None:
    worker = start_worker()
    gate.hold()
    record = upload(client, made_files())
    prediction = predict(client, record["id"])
    gate.wait_until_one_waits()
    assert client.delete(f"/v1/records/{record['id']}").status_code == 204
    found = client.get(f"/v1/predictions/{prediction['id']}").json()
    assert found["status"] == "cancelled"
    assert found["error"]["detail"] == "the record was removed"
    # the gate stays closed: the worker lets go by itself
    eventually(lambda: "job.claim_lost" in worker.log.read_text())
    assert client.get(f"/v1/predictions/{prediction['id']}").json()["result"] is None
    assert kept_files(settings) == []
    gate.open()
    assert client.post("/v1/predict/beats", files=parts(made_files())).status_code == 200


def test_a_lost_message_is_sent_again(
    client: httpx.Client, start_worker: StartWorker, settings: Settings
) -> None:
    prediction = predict(client, upload(client, made_files())["id"])
    broker = redis.Redis.from_url(settings.broker)
    assert broker.delete("predict") == 1
    broker.close()
    start_worker()
    assert ended(client, prediction["id"])["status"] == "succeeded"


def test_events_come_as_they_happen(
    client: httpx.Client, start_worker: StartWorker, gate: Gate
) -> None:
    start_worker()
    gate.hold()
    prediction = predict(client, upload(client, made_files())["id"])
    gate.wait_until_one_waits()
    seen: list[str] = []
    with client.stream("GET", f"/v1/predictions/{prediction['id']}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                seen.append(line)
            if "running" in line:
                gate.open()
    statuses = ("queued", "running", "succeeded")
    assert [one for line in seen for one in statuses if one in line] == list(statuses)


@contextmanager
def without_broker(settings: Settings) -> Iterator[tuple[Settings, TcpProxy]]:
    """Settings whose broker can be taken away."""
    url = make_url(settings.broker_url)
    with TcpProxy(url.host or "", url.port or 0) as proxy:
        there = url.set(host="127.0.0.1", port=proxy.port)
        yield (
            settings.model_copy(update={"broker_url": there.render_as_string(hide_password=False)}),
            proxy,
        )


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_broker_that_is_away_delays_and_loses_nothing(
    settings: Settings, start_worker: StartWorker, gate: Gate, fault: str
) -> None:
    with without_broker(settings) as (through, proxy), client_of(through) as client:
        start_worker(through)
        gate.hold()
        running = predict(client, upload(client, made_files())["id"])
        gate.wait_until_one_waits()
        getattr(proxy, fault)()
        accepted = predict(client, upload(client, made_files(seed=1))["id"])
        problem = assert_problem(client.get("/readyz"), 503, "broker")
        assert problem["checks"]["database"] == "ok"
        gate.open()
        assert ended(client, running["id"])["status"] == "succeeded"
        time.sleep(3)  # the fault lasts longer than any one attempt to connect
        assert client.get(f"/v1/predictions/{accepted['id']}").json()["status"] == "queued"
        proxy.restore()
        assert ended(client, accepted["id"], within_s=60)["status"] == "succeeded"


def test_several_that_wait_in_a_worker_survive_a_broken_connection(
    settings: Settings, start_worker: StartWorker, gate: Gate
) -> None:
    """Messages that a worker has taken but not begun are acknowledged after the break."""
    with without_broker(settings) as (through, proxy), client_of(through) as client:
        worker = start_worker(through)
        gate.hold()
        record = upload(client, made_files())
        wanted = [predict(client, record["id"])["id"] for _ in range(6)]
        gate.wait_until_one_waits()
        proxy.cut()
        gate.open()
        time.sleep(1)
        proxy.restore()
        for prediction in wanted:
            assert ended(client, prediction, within_s=60)["status"] == "succeeded"
        assert worker.process.poll() is None


@contextmanager
def without_database(settings: Settings) -> Iterator[tuple[Settings, TcpProxy]]:
    """Settings whose database can be taken away."""
    url = make_url(settings.database_url)
    with TcpProxy(url.host or "", url.port or 0) as proxy:
        there = url.set(host="127.0.0.1", port=proxy.port)
        address = there.render_as_string(hide_password=False)
        yield settings.model_copy(update={"database_url": address}), proxy


def test_a_database_that_is_away_turns_new_requests_away_and_loses_nothing(
    settings: Settings, start_worker: StartWorker, gate: Gate
) -> None:
    with without_database(settings) as (through, proxy), client_of(through) as client:
        worker = start_worker(through)
        gate.hold()
        record = upload(client, made_files())
        waiting: list[httpx.Response] = []
        body = {"record_id": record["id"], "task": "beats"}
        waiter = threading.Thread(
            target=lambda: waiting.append(
                client.post("/v1/predictions", json=body, headers={"Prefer": "wait=60"})
            )
        )
        waiter.start()
        gate.wait_until_one_waits()
        proxy.cut()
        for request in (
            lambda: client.get("/v1/records"),
            lambda: client.post("/v1/predictions", json=body),
            lambda: client.post("/v1/records", files=parts(made_files(seed=1))),
            lambda: client.get("/metrics"),
        ):
            answer = request()
            assert_problem(answer, 503, "database")
            assert answer.headers["retry-after"]
        assert client.get("/healthz").status_code == 200
        assert_problem(client.get("/readyz"), 503, "database")
        gate.open()
        time.sleep(6)  # longer than the lease: whoever held the job has to hold it still, or again
        assert worker.process.poll() is None
        proxy.restore()
        waiter.join(60)
        assert waiting[0].status_code == 200, waiting[0].text
        assert waiting[0].json()["status"] == "succeeded"
        assert len([path for path in kept_files(settings) if path.endswith("signal.npy")]) == 1
        assert client.post("/v1/predict/beats", files=parts(made_files(seed=2))).status_code == 200
